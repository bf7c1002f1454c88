//! The Redis protocol of gs, sans-IO: request parser, reply encoder, reply guard, the types of a command row.
