//! End-to-end tests of gs: real processes, sockets, sections, signals and certificates.
