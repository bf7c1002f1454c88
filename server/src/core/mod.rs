//! What a node knows and decides: its keyspace, the directory of what lives downstream, tombstones, the
//! journal, the stream to front ends and the channels. Nothing here touches a socket.

pub mod asked;
pub mod bus;
pub mod census;
pub mod change;
pub mod clients;
pub mod copying;
pub mod directory;
pub mod holdings;
pub mod huge;
pub mod iterate;
pub mod journal;
pub mod keyspace;
pub mod kinds;
pub mod live;
pub mod members;
pub mod monitor;
pub mod moves;
pub mod node;
pub mod outbox;
pub mod paths;
pub mod pause;
pub mod resolve;
pub mod seconds;
pub mod slow;
pub mod stream;
pub mod stripes;
pub mod tombs;
pub mod topics;
pub mod version;
