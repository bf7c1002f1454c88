//! A crash-safe shared-memory LRU: the section that every tier of gs keeps its sessions in.
