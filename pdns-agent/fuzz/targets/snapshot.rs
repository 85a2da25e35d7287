//! The snapshot of a server, from which backups are made.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| pdns_agent::store::fuzz::snapshot(input));
