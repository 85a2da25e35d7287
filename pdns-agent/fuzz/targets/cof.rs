//! Lines of passive DNS from elsewhere: COF and DNSDB's JSON. What is read of their RDATA is written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::decode::cof::CofDecoder;
use pdns_agent::decode::log::Format;
use pdns_agent::observation::Fact;
use pdns_agent::rdata::{self, FinalDot};
use pdns_fuzz::read_log;

fuzz_target!(|input: &[u8]| {
    read_log(Format::Cof, input);
    let mut decoder = CofDecoder::default();
    for line in input.split(|&octet| octet == b'\n') {
        let ending = decoder.line(line, &mut |observed| {
            assert!(observed.seen.is_possible() && observed.seen.is_imported());
            let Fact::Record(found) = observed.fact else { panic!("no record") };
            let mut octets = Vec::new();
            let text = found.to_text(FinalDot::With);
            assert_eq!(rdata::parse(found.rrtype, &text, &mut octets), Ok(()), "{text}");
            assert_eq!(octets, found.octets, "{text}");
        });
        // A bad line is counted by the decoder.
        ending.ok();
    }
});
