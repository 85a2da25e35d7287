//! Documents that people hand in: text in other encodings, and what is not text.

use super::{intel, site};

#[test]
fn what_is_not_text_is_refused() {
    let site = site();
    let names = b"\0\0evil-one.com\nevil-two.net\n";
    let shell = std::fs::read("/bin/sh").unwrap();
    for (name, bytes, reason) in [
        ("logo.png", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &names[..]].concat(), "a PNG image"),
        ("report.docx", [b"PK\x03\x04\x14\0", &names[..]].concat(), "a ZIP archive"),
        ("sh", shell, "an ELF program"),
        ("dump.txt", names.to_vec(), "binary data"),
        (
            "packed",
            [b"\x02\x8f\x11\x9a".repeat(50), b"evil-one.com".to_vec()].concat(),
            "binary data",
        ),
    ] {
        let path = site.home.write(name, bytes);
        let file = path.to_str().unwrap();
        for command in ["import", "extract"] {
            let (found, said) = intel(&site, &[command, file], &[2]);
            assert_eq!(found, "", "{command} {name}");
            let expected = format!("it is not text, but {reason}");
            assert!(said.contains(file) && said.contains(&expected), "{command}: {said}");
        }
    }
    let (sources, _) = intel(&site, &["sources"], &[1]);
    assert_eq!(sources, "");
}

#[test]
fn text_in_other_encodings_is_refused_or_reported() {
    let site = site();
    let text = "Caf\u{e9} said: evil-one[.]com\nand evil-two[.]net, too\n";
    let wide: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let wide = site.home.write("wide.txt", wide);
    for command in ["import", "extract"] {
        let (_, said) = intel(&site, &[command, wide.to_str().unwrap()], &[2]);
        assert!(said.contains("UTF-16: convert it first, such as with iconv"), "{command}: {said}");
    }
    // The line with a letter in Latin-1 cannot be read, all others can.
    let latin: Vec<u8> =
        text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    let latin = site.home.write("latin.txt", latin);
    let (_, said) = intel(&site, &["import", latin.to_str().unwrap()], &[1]);
    assert!(said.contains("line 1:") && said.contains("it is not UTF-8"), "{said}");
    assert!(said.contains("1 indicator from latin: 1 added"), "{said}");
    let (found, _) = intel(&site, &["extract", latin.to_str().unwrap()], &[0]);
    assert!(found.contains("evil-two.net") && found.lines().count() == 1, "{found}");
}
