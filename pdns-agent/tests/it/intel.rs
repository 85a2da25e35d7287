//! Readers of threat intelligence: real feeds, STIX patterns beside the validator of OASIS, and memory with files of any size.

mod feeds;

use crate::reference::python_json;
use pdns_agent::exchange::intel::{IntelFormat, IntelOptions, parse_pattern, read_intel};
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::process::Command;

/// Patterns, valid and invalid; which are which, the validator says.
const PATTERNS: &[&str] = &[
    "[domain-name:value = 'evil.example']",
    "[domain-name:value='evil.example']",
    "[domain-name:value == 'evil.example']",
    "[domain-name:value != 'evil.example']",
    "[domain-name:value <> 'evil.example']",
    "[domain-name:value NOT = 'evil.example']",
    "[domain-name:value NOT LIKE 'evil%']",
    "[domain-name:value LIKE '%.evil.example']",
    "[domain-name:value MATCHES '^evil[.]example$']",
    "[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]",
    "[ipv4-addr:value NOT IN ('192.0.2.1')]",
    "[ipv4-addr:value IN ()]",
    "[ipv4-addr:value IN '192.0.2.1']",
    "[ipv4-addr:value IN ('192.0.2.1',)]",
    "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
    "[ipv4-addr:value ISSUPERSET '198.51.100.0/24']",
    "[ipv4-addr:value ISSUBSET 5]",
    "[ipv4-addr:value LIKE 5]",
    "[a:b = 1 OR a:c = 2]",
    "[a:b = 1 AND a:c = 2 OR a:d = 3]",
    "[(a:b = 1 OR a:c = 2) AND a:d = 3]",
    "[a:b = 1] OR [c:d = 2]",
    "[a:b = 1] AND [c:d = 2]",
    "[a:b = 1] FOLLOWEDBY [c:d = 2]",
    "[a:b = 1] FOLLOWED BY [c:d = 2]",
    "([a:b = 1] OR [c:d = 2]) FOLLOWEDBY [e:f = 3]",
    "[a:b = 1] REPEATS 5 TIMES",
    "[a:b = 1] REPEATS -5 TIMES",
    "[a:b = 1] REPEATS 1.5 TIMES",
    "[a:b = 1] WITHIN 300 SECONDS",
    "[a:b = 1] WITHIN 1.5 SECONDS",
    "[a:b = 1] WITHIN -1 SECONDS",
    "[a:b = 1] WITHIN 300",
    "[a:b = 1] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'",
    "[a:b = 1] START t'2026-01-01T00:00:00Z'",
    "([a:b = 1] AND [c:d = 2]) WITHIN 5 SECONDS REPEATS 2 TIMES",
    "[a:b = 'it\\'s']",
    "[a:b = 'back\\\\slash']",
    "[a:b = 'bad\\nescape']",
    "[a:b = 'open]",
    "[a:b = \"double\"]",
    "[a:b = true]",
    "[a:b = false]",
    "[a:b = maybe]",
    "[a:b > 5]",
    "[a:b >= 5.5]",
    "[a:b < -5]",
    "[a:b <= +5]",
    "[a:b > true]",
    "[a:b = 05]",
    "[a:b = 5.]",
    "[a:b = .5]",
    "[a:b = -0]",
    "[a:b = 1e5]",
    "[a:b = h'00ff']",
    "[a:b = b'AAAA']",
    "[a:b = t'2026-01-01T00:00:00Z']",
    "[a:b = '']",
    "[a:b.c.d = 1]",
    "[a:b[0] = 1]",
    "[a:b[*].c = 1]",
    "[a:b[-1] = 1]",
    "[a:b[x] = 1]",
    "[a:'b-c' = 1]",
    "[a:b.'c-d'.e = 1]",
    "[a:b. = 1]",
    "[a: = 1]",
    "[:b = 1]",
    "[a = 1]",
    "[network-traffic:dst_ref.value = '192.0.2.1']",
    "[network-traffic:extensions.'http-request-ext'.request_header.Host = 'evil.example']",
    "[x509-certificate:hashes.'SHA-1' = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']",
    "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
    "[file:hashes.SHA-1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']",
    "[a:b = 1] START '2026-01-01T00:00:00Z' STOP '2026-01-02T00:00:00Z'",
    "[domain-name:resolves_to_refs[*].value = '192.0.2.1']",
    "[EXISTS a:b]",
    "[NOT EXISTS a:b]",
    "[a:b EXISTS]",
    "[NOT a:b = 1]",
    "[a:b = 1",
    "a:b = 1",
    "a:b = 1]",
    "[]",
    "[a:b]",
    "[a:b =]",
    "[a:b = 1 AND]",
    "[a:b = 1 a:c = 2]",
    "[a:b = 1] [c:d = 2]",
    "[a:b = 1] OR",
    "[[a:b = 1]]",
    "([a:b = 1]",
    "[a:b = 1])",
    "[a:b = 1 and a:c = 2]",
    "[a:b = 1] or [c:d = 2]",
    "[a:b like 'x']",
    " [a:b = 1] ",
    "[a:b\t=\n1]",
    "[a:b = 1] // comment",
    "/* comment */ [a:b = 1]",
    "/*/ [a:b = 1] /*/",
    "[a:b = 1 /* open ]",
    "[a:b = 'x' ; a:c = 'y']",
    "[a:b = '\u{fc}\u{2028}']",
    "[\u{fc}:b = 1]",
];

/// Patterns on which the two differ, with reason.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "[file:hashes.SHA-1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709']",
        "producers leave the quotes out; what the pattern means is clear",
    ),
    (
        "[a:b = 1] START '2026-01-01T00:00:00Z' STOP '2026-01-02T00:00:00Z'",
        "valid in STIX 2.0, which is read as well",
    ),
    ("/* comment */ [a:b = 1]", "the validator looks for a bracket before it knows of comments"),
];

#[test]
fn patterns_are_valid_where_the_validator_says_so() {
    let input = serde_json::to_vec(PATTERNS).unwrap();
    let said = python_json("stix_patterns.py", &[], &input);
    let mut differ = Vec::new();
    for (pattern, errors) in PATTERNS.iter().zip(said.as_array().unwrap()) {
        let is_valid = errors.as_array().unwrap().is_empty();
        let ours = parse_pattern(pattern);
        let is_known = OTHERWISE.iter().any(|(known, _)| known == pattern);
        if (ours.is_ok() == is_valid) == is_known {
            differ.push(format!("{pattern:?}: {ours:?}, but {errors}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(said.as_array().unwrap().len(), PATTERNS.len());
}

/// A document of about this size, made while it is read: a head, numbered pieces, a tail.
struct Made {
    pending: Vec<u8>,
    at: usize,
    piece: fn(u64) -> String,
    number: u64,
    left: usize,
    tail: &'static str,
}

impl Read for Made {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.pending.len() {
            self.at = 0;
            self.pending.clear();
            while self.left > 0 && self.pending.len() < 65_536 {
                self.pending.extend((self.piece)(self.number).bytes());
                self.number += 1;
            }
            if self.pending.is_empty() {
                self.pending.extend(std::mem::take(&mut self.tail).bytes());
            }
            self.left = self.left.saturating_sub(self.pending.len());
        }
        let rest = &self.pending[self.at..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// A large file of each sort; that of JSON is one line.
fn large(sort: &str) -> (IntelFormat, Made) {
    // More than any reader keeps: those of JSON with references keep 20 MB.
    let size = if ["stix", "misp"].contains(&sort) { 40_000_000 } else { 8_000_000 };
    let made = |head: &str, piece, tail| Made {
        pending: head.into(),
        at: 0,
        piece,
        number: 0,
        left: size,
        tail,
    };
    match sort {
        "stix" => (
            IntelFormat::Stix,
            made(
                "{\"type\":\"bundle\",\"objects\":[null",
                |number| {
                    format!(
                        ",{{\"type\":\"indicator\",\"id\":\"indicator--{number:08}-0000-4000-8000-000000000000\",\
                         \"pattern_type\":\"stix\",\"pattern\":\"[domain-name:value = 'n{number}.example']\",\
                         \"labels\":[\"one\",\"two\"],\"description\":\"Some words on it, as is usual\"}}\
                         ,{{\"type\":\"malware\",\"id\":\"malware--{number:08}-0000-4000-8000-000000000000\",\"name\":\"m{number}\"}}\
                         ,{{\"type\":\"relationship\",\"relationship_type\":\"indicates\",\
                         \"source_ref\":\"indicator--{number:08}-0000-4000-8000-000000000000\",\
                         \"target_ref\":\"malware--{number:08}-0000-4000-8000-000000000000\"}}"
                    )
                },
                "]}",
            ),
        ),
        "misp" => (
            IntelFormat::Misp,
            made(
                "{\"Event\":{\"info\":\"x\",\"Attribute\":[null",
                |number| {
                    format!(
                        ",{{\"type\":\"hostname\",\"to_ids\":true,\"value\":\"n{number}.example\",\
                         \"uuid\":\"{number:08}-0000-4000-8000-000000000000\",\"comment\":\"as is usual\"}}"
                    )
                },
                "],\"Tag\":[{\"name\":\"tlp:green\"}]}}",
            ),
        ),
        "jsonl" => (
            IntelFormat::Jsonl,
            made("[null", |number| format!(",{{\"domain\":\"n{number}.example\"}}"), "]"),
        ),
        _ => (IntelFormat::List, made("", |number| format!("n{number}.example\n"), "")),
    }
}

/// The variable by which this program tells itself to read a file.
const SORT: &str = "PDNS_TEST_INTEL";

#[test]
fn memory_does_not_grow_with_the_file() {
    if let Ok(sort) = std::env::var(SORT) {
        let (format, file) = large(&sort);
        let options = IntelOptions { format: Some(format), ..IntelOptions::default() };
        let mut each = |_| ControlFlow::Continue(());
        let summary = read_intel(&mut BufReader::new(file), &options, &mut each).unwrap();
        assert!(summary.indicators > 50_000, "{summary:?}");
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        println!("{peak}");
        return;
    }
    for sort in ["stix", "misp", "jsonl", "list"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "intel::memory_does_not_grow_with_the_file"])
            .env(SORT, sort)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{sort}: {text}");
        let peak = text.lines().find_map(|line| line.split_once("VmHWM:")).unwrap().1;
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 64_000, "{sort}: {peak} kB, of which the program itself has some");
    }
}
