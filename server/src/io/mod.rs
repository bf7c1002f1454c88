//! The edge to the network: listeners, connections, TLS, the child process, the end of the process.

pub mod child;
pub mod conn;
pub mod drain;
pub mod listen;
pub mod pipe;
pub mod tls;
