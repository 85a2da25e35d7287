//! MISP events, OpenIOC and JSON records.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::exchange::intel::IntelFormat;

fuzz_target!(|input: &[u8]| {
    for format in [IntelFormat::Misp, IntelFormat::OpenIoc, IntelFormat::Jsonl] {
        pdns_fuzz::read_intel(format, input);
    }
});
