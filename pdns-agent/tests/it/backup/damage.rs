//! Files that are not as they were written are refused before anything is changed.

use super::{folder, import, restore, save, server};
use crate::logs::seed;
use crate::run::{Home, run};
use std::path::Path;

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let (home, server) = (Home::new(), server());
    let folder = folder(&home, "logs", seed(21), 300);
    import(&home, &server, "pd:", "test", &folder);
    let file = home.path().join("file");
    save(&home, &server, "pd:", &file).with(&[0]);
    let whole = std::fs::read(&file).unwrap();
    server.flush();
    let mut random = fastrand::Rng::with_seed(seed(22));
    let refused = |octets: &[u8], what: &str| {
        let damaged = home.write("damaged", octets);
        let ended = restore(&home, &server, "pd:", &damaged);
        assert_eq!(ended.code, Some(2), "{what}: {}", ended.stderr);
        assert_eq!(server.call(&["DBSIZE"]), redis::Value::Int(0), "{what}");
        let checked = run(
            &mut home.pdns(),
            &["admin".as_ref(), "backup".as_ref(), "--verify".as_ref(), damaged.as_path()]
                as &[&Path],
        );
        assert_eq!(checked.code, Some(2), "{what}: {}", checked.stderr);
        checked.stderr
    };
    // Each part of it: the head, the description, keys, the end, the checksum.
    let parts = [
        0..8,
        8..10,
        10..14,
        14..100,
        100..whole.len() - 40,
        whole.len() - 40..whole.len() - 32,
        whole.len() - 32..whole.len(),
    ];
    for part in parts {
        for _ in 0..4 {
            let at = random.usize(part.clone());
            let mut octets = whole.clone();
            octets[at] ^= 1 << random.u8(..8);
            refused(&octets, &format!("a bit of byte {at}"));
            refused(&whole[..at], &format!("cut at {at}"));
        }
    }
    let said = refused(&[whole.as_slice(), b"x"].concat(), "one byte more");
    assert!(said.contains("damaged or incomplete"), "{said}");
    let said = refused(b"#separator \\x09\n", "a log");
    assert!(said.contains("not a backup of pdns"), "{said}");
    let said = refused(&[b"\x89pdnsbk\n\0\x07", &whole[10..]].concat(), "a later format");
    assert!(said.contains("install a newer pdns"), "{said}");
    restore(&home, &server, "pd:", &file).with(&[0]);
}
