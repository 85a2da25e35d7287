//! Tests of the settings files in the Debian package: each key is present, explained, and has its default.

use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;

/// Text of a file in the package.
fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/deb").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The file with every key uncommented.
fn uncommented(text: &str) -> String {
    let is_key = |line: &&str| {
        let name = line.split(" = ").next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_')
    };
    let set = |line| Some(line).and_then(|line: &str| line.strip_prefix('#')).filter(is_key);
    text.lines().map(|line| set(line).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The keys allowed in a section of a file, taken from the error message for a misspelt one.
fn known<T: DeserializeOwned>(section: &str) -> BTreeSet<String> {
    let head = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
    let error = toml::from_str::<T>(&format!("{head}nonsense = 1")).err().unwrap().to_string();
    let (_, list) = error.split_once("expected one of").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Checks a file: it parses both as shipped and with every key set, and no key is missing or unexplained.
/// Returns both results.
pub(in crate::config) fn check<T: DeserializeOwned>(name: &str, sections: &[&str]) -> (T, T) {
    let shipped = text(name);
    let full = uncommented(&shipped);
    let table: toml::Table = full.parse().unwrap();
    for section in sections {
        let found: BTreeSet<String> = match *section {
            "" => table.keys().cloned().collect(),
            section => table[section].as_table().unwrap().keys().cloned().collect(),
        };
        assert_eq!(found, known::<T>(section), "[{section}] of {name}");
    }
    let lines: Vec<&str> = full.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#'))
    {
        assert!(pair[0].starts_with("# "), "{name}: nothing is said of {}", pair[1]);
    }
    (toml::from_str(&shipped).unwrap(), toml::from_str(&full).unwrap())
}
