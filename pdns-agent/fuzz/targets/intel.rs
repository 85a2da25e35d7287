//! Threat intelligence in the formats that are lines, and in that which is detected.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::exchange::intel::{FORMATS, IntelFormat, detect};

fuzz_target!(|input: &[u8]| {
    let others = [IntelFormat::Stix, IntelFormat::Misp, IntelFormat::OpenIoc, IntelFormat::Jsonl];
    for info in FORMATS.iter().filter(|info| !others.contains(&info.format)) {
        pdns_fuzz::read_intel(info.format, input);
    }
    pdns_fuzz::read_intel(detect(input, ""), input);
});
