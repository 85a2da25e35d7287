//! Replies of Redis, as the store reads them from a socket.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| pdns_agent::store::fuzz::replies(input));
