//! Data of others about a subject: so far, tables of the networks that addresses are in.
//!
//! Layer 0: reads files that operators name, and nothing of the store. Nothing here asks the network.

mod networks;

pub use networks::{Network, NetworkTables};
