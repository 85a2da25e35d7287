//! Public suffixes, under which unrelated owners register names (Public Suffix List, ICANN and private
//! sections).
//!
//! Layer 0: `decode` uses them for its bailiwick checks, `query` to group by registrable domain.
//!
//! The root is a public suffix. So is a top-level domain that is missing from the list, because the
//! prevailing rule is then `*`.

use super::Name;
use super::labels::Labels;
use psl::Psl as _;

/// Returns true if the name is a public suffix.
#[must_use]
pub fn is_public(name: Name<'_>) -> bool {
    name.is_root() || length(name) >= name.as_str().len()
}

/// Returns true if the name ends in a public suffix that is listed, as opposed to the prevailing rule.
#[must_use]
pub fn has_listed(name: Name<'_>) -> bool {
    let text = name.as_str().as_bytes();
    psl::List.find(text.rsplit(|&octet| octet == b'.')).typ.is_some()
}

/// The registrable domain of a name: its public suffix plus one label. A public suffix has none.
#[must_use]
pub fn registrable(name: Name<'_>) -> Option<Name<'_>> {
    if is_public(name) {
        return None;
    }
    let text = name.as_str();
    // Without the suffix and the dot before it.
    let head = text.get(..text.len().checked_sub(length(name) + 1)?)?;
    let label = Labels::new(head).next_back()?;
    Some(Name::trusted(text.get(head.len() - label.len()..)?))
}

/// Length of a name's public suffix, in octets of text.
fn length(name: Name<'_>) -> usize {
    let text = name.as_str();
    if text.contains('\\') {
        psl::List.find(name.labels().rev().map(str::as_bytes)).len
    } else {
        psl::List.find(text.as_bytes().rsplit(|&octet| octet == b'.')).len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::NameBuf;

    #[track_caller]
    fn check(name: &str, want: Option<&str>) {
        let name = NameBuf::parse(name).unwrap();
        assert_eq!(registrable(name.as_name()).map(Name::as_str), want);
        assert_eq!(is_public(name.as_name()), want.is_none());
    }

    #[test]
    fn registrable_domains() {
        check(".", None);
        check("com", None);
        check("co.uk", None);
        check("github.io", None);
        check("unlisted", None);
        check("xn--p1ai", None);
        check("xn--55qx5d.cn", None);
        check("example.com", Some("example.com"));
        check("a.b.example.co.uk", Some("example.co.uk"));
        check("x.someone.github.io", Some("someone.github.io"));
        check("a.b.unlisted", Some("b.unlisted"));
        check("x.city.kawasaki.jp", Some("city.kawasaki.jp"));
        check("x.y.kawasaki.jp", Some("x.y.kawasaki.jp"));
        check("a.b\\.c.com", Some("b\\.c.com"));
        check("a\\\\.b.com", Some("b.com"));
        check("x\\.co.uk", Some("x\\.co.uk"));
    }
}
