//! Decoders: the rules of `decode::dns` one by one, hostile messages, captures and logs, and what other
//! implementations say of the text of RDATA. One binary, so that it links once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, as in tests")]

mod build;
mod captures;
mod chains;
mod hostile;
mod pairing;
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod text;
mod wire;
mod zeek_corpus;
