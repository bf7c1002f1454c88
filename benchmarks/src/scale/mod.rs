//! What many machines carry: who owns what among 50 relays and 200 reliefs, and what becomes of the traffic of 1,000
//! front ends when one of them goes, comes, or twice as many users arrive.
//!
//! What decides is the product's own code: [`gs_client::sessions::Owners`] (key to relay), the sibling's
//! [`gs_server::roles::sibling::Tables`] (slot to relief), the directory, the stream's encoder, and the rules of
//! `gs_policies` (who is evicted, where a victim goes, how much room is made, what is handed back). What is modelled
//! is what holds them together: a record is an entry of a table instead of blocks of shared memory ([`store`]), a
//! message is a call, and time is that of the trace. No clock is read: the same seed gives the same figures anywhere.

pub mod balance;
pub mod capacity;
pub mod constants;
pub mod document;
pub mod events;
pub mod nodes;
pub mod report;
pub mod scenario;
pub mod site;
pub mod store;
pub mod world;
