//! Lines of a Zeek log in their order: TSV, JSON and the package's pdns.log.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::decode::Line;
use pdns_agent::decode::zeek::{Decoder, Options};

fuzz_target!(|input: &[u8]| {
    for keep_multicast in [false, true] {
        let mut decoder = Decoder::new(Options { keep_multicast, ..Options::default() });
        let (mut emitted, mut lines) = (0, 0);
        for line in input.split(|&octet| octet == b'\n') {
            let before = emitted;
            let ending = decoder.line(line, &mut |sightings| {
                emitted += 1;
                assert!(sightings.rrname.as_str().is_ascii());
            });
            lines += 1;
            assert!(ending == Ok(Line::Counted) || emitted == before);
        }
        let tally = decoder.take_tally();
        assert_eq!((tally.lines, tally.endings()), (lines, lines));
        assert_eq!(tally.records + tally.negatives, emitted);
        // Resuming reads the same lines without counting.
        for line in input.split(|&octet| octet == b'\n') {
            decoder.skim(line);
        }
        assert_eq!(decoder.tally().records, 0);
    }
});
