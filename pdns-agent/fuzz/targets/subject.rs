//! Subjects and times as people type them. What is printed of a subject reads back as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::query::{Purpose, Subject, parts, printed, tag_subjects};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    for part in parts(text) {
        for purpose in [Purpose::LookUp, Purpose::Store, Purpose::Click] {
            let Ok(reading) = Subject::read(&part, purpose) else { continue };
            let shown = printed(&reading.subject);
            assert_eq!(Subject::parse(&shown).as_ref(), Ok(&reading.subject), "{part:?}: {shown}");
        }
        drop(tag_subjects(&part, None));
    }
});
