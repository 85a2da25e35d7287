//! Prose and pages with indicators in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::exchange::intel::extract;
use std::ops::ControlFlow;

fuzz_target!(|input: &[u8]| {
    for is_html in [false, true] {
        let mut text = input;
        let result = extract(&mut text, is_html, &mut |found| {
            let texts = [&found.text, &found.context];
            let is_printable = |octet: u8| octet == b' ' || octet.is_ascii_graphic();
            assert!(texts.iter().all(|text| text.bytes().all(is_printable)), "{found:?}");
            ControlFlow::Continue(())
        });
        drop(result);
    }
});
