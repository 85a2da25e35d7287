//! Paths and query strings of HTTP requests, as the protocols of `pdns serve` read them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let (path, query) =
        text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    pdns_agent::serve::fuzz::request(path, query);
});
