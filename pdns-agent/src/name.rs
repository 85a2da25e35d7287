//! Domain names in the single canonical form used for storage, comparison and search.
//!
//! Layer 0: everything that carries a name uses [`Name`] (borrowed) or [`NameBuf`] (owned).
//!
//! The canonical text of a name is its RFC 1035 §5.1 presentation: lower-case ASCII letters (RFC 4343), no
//! final dot, the root as a single `.`. An octet with a special meaning in a master file (`. \ " ; ( ) @ $`)
//! is preceded by a backslash, and an octet outside `!`..`~` is written as `\DDD` in decimal. Each name has
//! exactly one such text, so equal text means equal names. The text is printable ASCII whatever octets were
//! on the wire, so it can go to a terminal, a log line or a newline-separated block unchanged. Stored names
//! are never IDN-decoded; [`display`] produces the Unicode form that is displayed next to a name.

pub(crate) mod compressed;
pub mod display;
mod labels;
pub mod suffix;

use labels::Labels;
use std::fmt;

/// Longest name in wire form, length octets and root label included (RFC 1035 §2.3.4).
pub const MAX_WIRE: usize = 255;
/// Longest label, in octets (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// Reason why octets or text are not a valid domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or one at the start.
    #[error("empty label")]
    EmptyLabel,
    /// A label of more than 63 octets.
    #[error("label longer than 63 octets")]
    LongLabel,
    /// More than 255 octets in wire form.
    #[error("name longer than 255 octets")]
    LongName,
    /// A backslash that is followed by neither an octet nor a decimal `DDD` up to 255.
    #[error("broken escape")]
    BadEscape,
    /// The octets end within the name, contain a compression pointer where none is allowed, or contain a
    /// label of an unknown type.
    #[error("name cut short")]
    Cut,
    /// A compression pointer that does not point backwards, or too many pointers.
    #[error("compression pointer leads nowhere")]
    BadPointer,
}

/// A domain name in canonical text, borrowed. Ordering is that of the text.
// Invariant: the text is canonical as defined in the module documentation; only this module creates one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a str);

/// A domain name in canonical text, owned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameBuf(Box<str>);

/// Class of a label octet: how it is written in canonical text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Octet {
    Plain,
    Upper,
    Special,
    Decimal,
}

const OCTETS: [Octet; 256] = {
    let mut table = [Octet::Decimal; 256];
    let mut octet: u8 = 0x21;
    while octet < 0x7f {
        #[expect(clippy::indexing_slicing, reason = "a constant loop bound below 256")]
        {
            table[octet as usize] = match octet {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => Octet::Special,
                b'A'..=b'Z' => Octet::Upper,
                _ => Octet::Plain,
            };
        }
        octet += 1;
    }
    table
};

fn class(octet: u8) -> Octet {
    #[expect(clippy::indexing_slicing, reason = "an octet indexes a table of 256")]
    OCTETS[usize::from(octet)]
}

/// Appends `\DDD` in decimal.
pub(crate) fn push_decimal(octet: u8, out: &mut String) {
    out.push('\\');
    for digit in [octet / 100, octet / 10 % 10, octet % 10] {
        out.push(char::from(b'0' + digit));
    }
}

/// Appends one octet of a label in canonical text.
pub(crate) fn push_octet(octet: u8, out: &mut String) {
    match class(octet) {
        Octet::Plain => out.push(char::from(octet)),
        Octet::Upper => out.push(char::from(octet.to_ascii_lowercase())),
        Octet::Special => {
            out.push('\\');
            out.push(char::from(octet));
        }
        Octet::Decimal => push_decimal(octet, out),
    }
}

/// Assembles labels into canonical text and enforces the limits of RFC 1035 §2.3.4.
struct Builder<'b> {
    out: &'b mut String,
    label: usize,
    wire: usize,
}

impl<'b> Builder<'b> {
    fn new(out: &'b mut String) -> Self {
        out.clear();
        // One octet for the root label that ends every name.
        Self { out, label: 0, wire: 1 }
    }

    fn octet(&mut self, octet: u8) -> Result<(), NameError> {
        if self.label == 0 && !self.out.is_empty() {
            self.out.push('.');
        }
        self.label += 1;
        if self.label > MAX_LABEL {
            return Err(NameError::LongLabel);
        }
        push_octet(octet, self.out);
        Ok(())
    }

    fn end_label(&mut self) -> Result<(), NameError> {
        if self.label == 0 {
            return Err(NameError::EmptyLabel);
        }
        self.wire += self.label + 1;
        self.label = 0;
        if self.wire > MAX_WIRE { Err(NameError::LongName) } else { Ok(()) }
    }

    fn root(self) {
        if self.out.is_empty() {
            self.out.push('.');
        }
    }
}

impl<'a> Name<'a> {
    /// The root.
    pub const ROOT: Name<'static> = Name(".");

    /// Accepts text that this module produced earlier, such as text read back from the store.
    ///
    /// # Errors
    /// If the text is not canonical, so that a damaged store is detected instead of passed on.
    pub fn from_canonical(text: &'a str) -> Result<Self, NameError> {
        // Fast path for nearly all names: plain text needs no rewriting to check.
        if plain(text.as_bytes()).is_some() {
            return Ok(Self(text));
        }
        let parsed = NameBuf::parse(text)?;
        if parsed.as_str() == text { Ok(Self(text)) } else { Err(NameError::BadEscape) }
    }

    /// Wraps text from a buffer that was filled from a `Name` or by [`compressed`], without checking it.
    pub(crate) fn trusted(text: &'a str) -> Self {
        debug_assert!(Self::from_canonical(text).is_ok(), "{text:?} is not canonical");
        Self(text)
    }

    /// Reads label octets joined with dots, the form in which Zeek logs a name. It has no escapes, so a dot
    /// within a label is indistinguishable from one between labels. A final dot is optional; the empty string
    /// is the root.
    ///
    /// Borrows `raw` if it is already canonical, as nearly all names are; otherwise writes to `scratch`.
    ///
    /// # Errors
    /// [`NameError`] if a limit is exceeded or a label is empty.
    pub fn from_dotted(raw: &'a [u8], scratch: &'a mut String) -> Result<Self, NameError> {
        let raw = match raw {
            [head @ .., b'.'] => head,
            whole => whole,
        };
        if let Some(text) = plain(raw) {
            return Ok(Self(text));
        }
        let mut builder = Builder::new(scratch);
        if !raw.is_empty() {
            for label in raw.split(|&octet| octet == b'.') {
                for &octet in label {
                    builder.octet(octet)?;
                }
                builder.end_label()?;
            }
        }
        builder.root();
        Ok(Self(scratch))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns true if this is the root.
    #[must_use]
    pub fn is_root(self) -> bool {
        self.0 == "."
    }

    /// An owned copy.
    #[must_use]
    pub fn to_buf(self) -> NameBuf {
        NameBuf(self.0.into())
    }

    /// The labels in canonical text, left to right; none for the root.
    #[must_use]
    pub fn labels(self) -> impl DoubleEndedIterator<Item = &'a str> {
        Labels::new(if self.is_root() { "" } else { self.0 })
    }

    /// The last `count` labels of the name, or the whole name if it has fewer.
    #[must_use]
    pub fn suffix(self, count: usize) -> Name<'a> {
        if self.is_root() || count == 0 {
            return Name::ROOT;
        }
        // Each label counts with the dot before it; the first label has none.
        let length: usize = self.labels().rev().take(count).map(|label| label.len() + 1).sum();
        let Some(start) = (self.0.len() + 1).checked_sub(length) else { return self };
        match self.0.get(start..) {
            Some("") | None => Name::ROOT,
            Some(rest) => Name(rest),
        }
    }

    /// Returns true if this name equals `apex` or lies below it.
    #[must_use]
    pub fn is_at_or_below(self, apex: Name<'_>) -> bool {
        if apex.is_root() {
            return true;
        }
        match self.0.strip_suffix(apex.0) {
            Some("") => true,
            // The dot must separate labels: after an odd number of backslashes it is escaped.
            Some(head) => match head.strip_suffix('.') {
                Some(head) => {
                    head.bytes().rev().take_while(|&octet| octet == b'\\').count() % 2 == 0
                }
                None => false,
            },
            None => false,
        }
    }

    /// Appends the label octets joined with dots, the form used by Zeek and Suricata; appends nothing for the
    /// root. A dot within a label looks like one between labels, so [`Name::from_dotted`] may read a
    /// different name.
    pub fn write_dotted(self, out: &mut Vec<u8>) {
        if self.is_root() {
            return;
        }
        let mut octets = self.0.bytes();
        while let Some(octet) = octets.next() {
            match octet {
                b'\\' => out.extend(unescape(&mut octets)),
                octet => out.push(octet),
            }
        }
    }

    /// Appends the uncompressed wire form (RFC 1035 §3.1), at most 255 octets.
    pub fn write_wire(self, out: &mut Vec<u8>) {
        if !self.is_root() {
            let mut start = out.len();
            out.push(0);
            let mut octets = self.0.bytes();
            while let Some(octet) = octets.next() {
                match octet {
                    b'.' => {
                        close_label(out, start);
                        start = out.len();
                        out.push(0);
                    }
                    // Canonical text has no broken escapes, so nothing is lost here.
                    b'\\' => out.extend(unescape(&mut octets)),
                    octet => out.push(octet),
                }
            }
            close_label(out, start);
        }
        out.push(0);
    }
}

/// Writes the length of the label that starts after `start` and ends at the end of `out`.
fn close_label(out: &mut [u8], start: usize) {
    let length = out.len() - start - 1;
    if let Some(slot) = out.get_mut(start) {
        *slot = u8::try_from(length).unwrap_or(0);
    }
}

/// Returns `raw` as text if it is already a canonical name: plain octets, no empty label, within limits.
fn plain(raw: &[u8]) -> Option<&str> {
    let mut label = 0;
    for &octet in raw {
        if octet == b'.' {
            if label == 0 {
                return None;
            }
            label = 0;
        } else {
            label += 1;
            if label > MAX_LABEL || class(octet) != Octet::Plain {
                return None;
            }
        }
    }
    // Plain text is two octets shorter than the wire form, which adds the first length octet and the root.
    if label == 0 || raw.len() + 2 > MAX_WIRE { None } else { std::str::from_utf8(raw).ok() }
}

/// Decodes the octet after a backslash: the octet itself, or three decimal digits.
fn unescape(octets: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = octets.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = octets.next().filter(u8::is_ascii_digit)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).ok()
}

impl NameBuf {
    /// Parses a name as a user or a master file writes it: with escapes, in any case, the final dot optional.
    /// A character outside ASCII stands for its UTF-8 octets.
    ///
    /// # Errors
    /// [`NameError`] for a broken escape, an empty label or an exceeded limit.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut out = String::with_capacity(text.len());
        let mut builder = Builder::new(&mut out);
        let mut octets = text.bytes();
        if text.is_empty() || text == "." {
            builder.root();
            return Ok(Self(out.into()));
        }
        let mut open = true;
        while let Some(octet) = octets.next() {
            open = true;
            match octet {
                b'\\' => builder.octet(unescape(&mut octets).ok_or(NameError::BadEscape)?)?,
                b'.' => {
                    builder.end_label()?;
                    open = false;
                }
                octet => builder.octet(octet)?,
            }
        }
        if open {
            builder.end_label()?;
        }
        builder.root();
        Ok(Self(out.into()))
    }

    /// Reads an uncompressed name in wire form from the start of `octets`; returns the name and the number of
    /// octets consumed.
    ///
    /// # Errors
    /// [`NameError::Cut`] if the octets end early or contain a pointer; other errors for an exceeded limit.
    pub fn from_wire(octets: &[u8]) -> Result<(Self, usize), NameError> {
        let mut out = String::with_capacity(32);
        let mut builder = Builder::new(&mut out);
        let mut rest = octets;
        loop {
            let (&length, tail) = rest.split_first().ok_or(NameError::Cut)?;
            if length == 0 {
                builder.root();
                return Ok((Self(out.into()), octets.len() - tail.len()));
            }
            let length = usize::from(length);
            if length > MAX_LABEL {
                return Err(NameError::Cut);
            }
            let (label, tail) = tail.split_at_checked(length).ok_or(NameError::Cut)?;
            for &octet in label {
                builder.octet(octet)?;
            }
            builder.end_label()?;
            rest = tail;
        }
    }

    /// The name, borrowed.
    #[must_use]
    pub fn as_name(&self) -> Name<'_> {
        Name(&self.0)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a name and all its ancestors except the root, as canonical text; nearest first.
pub(crate) fn ancestors(name: Name<'_>) -> impl Iterator<Item = &str> {
    let text = name.as_str();
    let mut escaped = false;
    let starts = text.bytes().enumerate().filter_map(move |(at, octet)| {
        let separates = octet == b'.' && !escaped;
        escaped = octet == b'\\' && !escaped;
        separates.then_some(at + 1)
    });
    let ancestors = std::iter::once(0).chain(starts).filter_map(|at| text.get(at..));
    ancestors.filter(|text| !text.is_empty() && *text != ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::name::{Name as OracleName, ToName};
    use proptest::prelude::*;
    use std::str::FromStr;

    #[track_caller]
    fn dotted(raw: &[u8], want: &str) {
        let mut scratch = String::new();
        assert_eq!(Name::from_dotted(raw, &mut scratch).map(Name::as_str), Ok(want));
    }

    #[track_caller]
    fn parsed(text: &str, want: Result<&str, NameError>) {
        assert_eq!(
            NameBuf::parse(text).as_ref().map(NameBuf::as_str).map_err(|error| *error),
            want
        );
    }

    #[test]
    fn dotted_octets_become_canonical_text() {
        dotted(b"www.example.com", "www.example.com");
        dotted(b"WwW.Example.COM.", "www.example.com");
        dotted(b"", ".");
        dotted(b".", ".");
        dotted(b"a b.\xffc", "a\\032b.\\255c");
        dotted(b"*\x00\x00", "*\\000\\000");
        dotted(b"user@host", "user\\@host");
    }

    #[test]
    fn limits_are_those_of_rfc_1035() {
        let mut scratch = String::new();
        let long = [b'a'; 64];
        assert_eq!(Name::from_dotted(&long, &mut scratch), Err(NameError::LongLabel));
        let mut scratch = String::new();
        assert_eq!(Name::from_dotted(b"a..b", &mut scratch), Err(NameError::EmptyLabel));
        // Four labels of 63 octets are 4 * 64 + 1 = 257 octets on the wire.
        let full = [&[b'a'; 63][..]; 4].join(&b'.');
        let mut scratch = String::new();
        assert_eq!(Name::from_dotted(&full, &mut scratch), Err(NameError::LongName));
        let most = full.get(..253).unwrap();
        let mut scratch = String::new();
        assert!(Name::from_dotted(most, &mut scratch).is_ok());
    }

    #[test]
    fn escapes_are_read() {
        parsed("a\\.b.c", Ok("a\\.b.c"));
        parsed("A\\065", Ok("aa"));
        parsed("\\256", Err(NameError::BadEscape));
        parsed("\\", Err(NameError::BadEscape));
        parsed("\\12", Err(NameError::BadEscape));
        parsed("..", Err(NameError::EmptyLabel));
        parsed("example.com.", Ok("example.com"));
        parsed("bücher", Ok("b\\195\\188cher"));
    }

    #[test]
    fn suffix_and_descent_follow_labels_not_text() {
        let name = NameBuf::parse("a\\.b.example.com").unwrap();
        let com = NameBuf::parse("com").unwrap();
        assert_eq!(name.as_name().suffix(2).as_str(), "example.com");
        assert_eq!(name.as_name().suffix(9).as_str(), "a\\.b.example.com");
        assert_eq!(name.as_name().suffix(0), Name::ROOT);
        assert!(name.as_name().is_at_or_below(com.as_name()));
        assert!(!name.as_name().is_at_or_below(NameBuf::parse("b.example.com").unwrap().as_name()));
        assert!(!NameBuf::parse("xcom").unwrap().as_name().is_at_or_below(com.as_name()));
    }

    fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)
    }

    proptest! {
        #[test]
        fn wire_text_wire_is_the_identity_and_an_oracle_agrees(labels in labels()) {
            let mut wire = Vec::new();
            for label in &labels {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend(label.iter().map(u8::to_ascii_lowercase));
            }
            wire.push(0);
            prop_assume!(wire.len() <= MAX_WIRE);
            let (name, used) = NameBuf::from_wire(&wire).unwrap();
            prop_assert_eq!(used, wire.len());
            prop_assert!(name.as_str().bytes().all(|octet| octet.is_ascii_graphic()));
            let mut back = Vec::new();
            name.as_name().write_wire(&mut back);
            prop_assert_eq!(&back, &wire);
            prop_assert_eq!(NameBuf::parse(name.as_str()).unwrap(), name.clone());
            prop_assert!(Name::from_canonical(name.as_str()).is_ok());
            if !labels.is_empty() {
                let oracle = OracleName::<Vec<u8>>::from_str(name.as_str()).unwrap();
                let oracle = oracle.to_vec();
                prop_assert_eq!(oracle.as_slice(), wire.as_slice());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,300}") {
            if let Ok(name) = NameBuf::parse(&text) {
                prop_assert_eq!(NameBuf::parse(name.as_str()).unwrap(), name);
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(NameBuf::from_wire(&raw));
            let mut scratch = String::new();
            if let Ok(name) = Name::from_dotted(&raw, &mut scratch) {
                prop_assert!(Name::from_canonical(name.as_str()).is_ok());
            }
        }
    }
}
