//! Writing: batches of observations, applied exactly once, and the logs that they come from.
//!
//! Part of `store`.

pub(super) mod batch;
pub(super) mod checkpoint;
pub(super) mod sources;
pub(super) mod upsert;
