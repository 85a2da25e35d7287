//! What others say of a subject: so far, tables that tell whose an address is.
//!
//! Layer 0: reads files that operators name, and nothing of the store. Nothing here asks the network.

mod networks;

pub use networks::{Network, NetworkTables, NetworksError};
