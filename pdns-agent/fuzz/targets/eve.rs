//! Lines of Suricata's EVE log in their order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::decode::Line;
use pdns_agent::decode::suricata::Decoder;

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::default();
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
    let tally = decoder.tally();
    assert_eq!((tally.lines, tally.endings()), (lines, lines));
    assert_eq!(tally.records + tally.negatives, emitted);
    let mut resumed = Decoder::default();
    for line in input.split(|&octet| octet == b'\n') {
        resumed.skim(line);
    }
});
