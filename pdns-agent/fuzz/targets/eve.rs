//! Lines of Suricata's EVE log in their order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::decode::log::Format;
use pdns_fuzz::read_log;

fuzz_target!(|input: &[u8]| read_log(Format::Suricata, input));
