//! Measurements of gs beside its peers.
