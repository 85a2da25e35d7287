//! Lines of a Zeek log in their order: TSV, JSON and the package's pdns.log.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::decode::log::Format;
use pdns_agent::decode::zeek::Options;
use pdns_fuzz::read_log;

fuzz_target!(|input: &[u8]| {
    for keep_multicast in [false, true] {
        read_log(Format::Zeek(Options { keep_multicast, ..Options::default() }), input);
    }
});
