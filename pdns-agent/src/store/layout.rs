//! The layout of a store: names of keys, and what their values hold, byte by byte.
//!
//! Part of `store`. Pure functions: nothing here talks to Redis.

pub(super) mod encoding;
pub(super) mod keys;
pub(super) mod posting;
pub(super) mod type_code;
