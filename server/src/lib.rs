//! The gs server: relay, sibling and relief nodes of a family of session caches that speak the Redis protocol.
