//! STIX: whole files, and the input as a pattern.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::exchange::intel::{IntelFormat, parse_pattern};

fuzz_target!(|input: &[u8]| {
    pdns_fuzz::read_intel(IntelFormat::Stix, input);
    let Ok(text) = str::from_utf8(input) else { return };
    drop(parse_pattern(text));
    let mut file = b"{\"objects\":[{\"type\":\"indicator\",\"pattern\":".to_vec();
    file.extend(pdns_fuzz::json_string(text).bytes());
    file.extend(b"}]}");
    pdns_fuzz::read_intel(IntelFormat::Stix, &file);
});
