//! The layout of a store: the names of its keys and the encoding of their values, byte by byte.
//!
//! Part of `store`. Pure functions: nothing here talks to Redis.

pub(super) mod encoding;
pub(super) mod extension;
pub(super) mod keys;
pub(super) mod listing;
pub(super) mod origin;
pub(super) mod posting;
pub(super) mod type_code;
pub(super) mod unkept;
