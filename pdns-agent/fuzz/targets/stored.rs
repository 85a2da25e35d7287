//! Values of a store: entries of buckets, rows, postings, tags, checkpoints.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| pdns_agent::store::fuzz::values(input));
