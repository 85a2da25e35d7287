//! Documents that people hand in: PDF, text in other encodings, and what is not text.

use super::{intel, site};
use crate::reference::program;
use crate::run::run;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;

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

/// A PDF document of one page with these lines, which must not contain parentheses.
fn pdf(lines: &[&str]) -> Vec<u8> {
    let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj 0 -20 Td")).collect();
    let text = format!("BT /F1 12 Tf 72 700 Td {} ET", shown.join(" "));
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>".to_owned(),
    ];
    let (mut file, mut places) = ("%PDF-1.4\n".to_owned(), "0000000000 65535 f \n".to_owned());
    for (number, object) in (1..).zip(&objects) {
        writeln!(places, "{:010} 00000 n ", file.len()).unwrap();
        write!(file, "{number} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let start = file.len();
    let count = objects.len() + 1;
    write!(file, "xref\n0 {count}\n{places}trailer\n<< /Size {count} /Root 1 0 R >>\n").unwrap();
    write!(file, "startxref\n{start}\n%%EOF\n").unwrap();
    file.into_bytes()
}

#[test]
fn a_pdf_is_read_as_text() {
    if program("a_pdf_is_read_as_text", "pdftotext").is_none() {
        return;
    }
    let site = site();
    let lines = ["Report", "The dropper calls", "hxxp://evil-one[.]com/gate and evil-two[.]net"];
    let path = site.home.write("report.pdf", pdf(&lines));
    let file = path.to_str().unwrap();
    let (found, _) = intel(&site, &["extract", file], &[0]);
    let found: Vec<serde_json::Value> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let subjects: Vec<_> = found.iter().map(|one| one["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["evil-one.com", "evil-two.net"]);
    for one in &found {
        assert_eq!((&one["line"], &one["defanged"]), (&3.into(), &true.into()), "{one}");
        assert!(one["context"].as_str().unwrap().contains("evil-one.com/gate and"), "{one}");
    }
    let (_, said) = intel(&site, &["import", file, "--url-hosts"], &[0]);
    assert!(said.contains("2 indicators from report: 2 added"), "{said}");
    intel(&site, &["show", "evil-two.net"], &[0]);
    // It begins as one, and pdftotext finds nothing in it.
    let broken = site.home.write("broken.pdf", "%PDF-1.4\nevil-one.com\n");
    let (found, said) = intel(&site, &["extract", broken.to_str().unwrap()], &[2]);
    assert!(found.is_empty() && said.contains("pdftotext cannot read it"), "{said}");
}

#[test]
fn a_pdf_without_pdftotext_is_an_error() {
    let site = site();
    let path = site.home.write("report.pdf", pdf(&["evil-one[.]com"]));
    let file = path.to_str().unwrap();
    let programs = site.home.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    // The store is there nevertheless.
    let paths = std::env::var_os("PATH").unwrap();
    let server = std::env::split_paths(&paths).map(|path| path.join("redis-server"));
    symlink(server.into_iter().find(|path| path.exists()).unwrap(), programs.join("redis-server"))
        .unwrap();
    for command in ["import", "extract"] {
        let ended = run(site.pdns().env("PATH", &programs).arg("intel"), &[command, file]);
        let said = &ended.stderr;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{command}: {said}");
        let reason = "it is a PDF, and pdftotext is not installed (Debian: poppler-utils)";
        assert!(said.contains(file) && said.contains(reason), "{command}: {said}");
    }
    let (sources, _) = intel(&site, &["sources"], &[1]);
    assert_eq!(sources, "");
}
