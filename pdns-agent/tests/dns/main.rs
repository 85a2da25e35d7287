//! DNS messages and RDATA: the rules of `decode::dns` one by one, hostile messages, real captures, and what
//! other implementations say of the text of RDATA.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests, as in tests"
)]

mod build;
mod captures;
mod chains;
mod hostile;
mod pairing;
mod rules;
mod text;
