//! Decisions of gs: what to admit, evict, age and where to place it. Numbers in, decision out.
