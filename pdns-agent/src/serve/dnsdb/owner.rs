//! Names in DNSDB's notation: exact, `*.example.com`, `www.example.*`.

use crate::name::{Name, NameBuf};
use crate::query::{Text, Walk, Word};
use crate::serve::http_error::HttpError;

/// A name, or a wildcard for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This name.
    Exact(NameBuf),
    /// `*.NAME`: the name and everything below it.
    Left(NameBuf),
    /// `NAME.*`: all names that begin with these labels.
    Right(Word),
}

impl Owner {
    /// Parses a decoded path segment. A final dot and the case do not matter.
    pub(super) fn parse(text: &str) -> Result<Self, HttpError> {
        let wrong = |why: String| HttpError::bad(format!("{text:?} is no name: {why}"));
        let name = |text: &str| NameBuf::parse(text).map_err(|error| wrong(error.to_string()));
        if text.is_empty() {
            return Err(wrong("it is empty; the root is written as a dot".to_owned()));
        }
        let whole = match text.strip_suffix('.') {
            // An escaped dot is not a final dot.
            Some(head) if !head.is_empty() && !head.ends_with('\\') => head,
            _ => text,
        };
        if whole == "*" {
            return Ok(Self::Left(Name::ROOT.to_buf()));
        }
        let (left, right) = (whole.strip_prefix("*."), whole.strip_suffix(".*"));
        // An escaped star is the character itself.
        let stars = whole.matches('*').count() - whole.matches("\\*").count();
        match (left, right) {
            (Some(apex), None) if stars == 1 => name(apex).map(Self::Left),
            (None, Some(start)) if stars == 1 && !start.ends_with('\\') => {
                name(start)?;
                let word = Word::parse(&format!("{start}."));
                word.map(Self::Right).map_err(|error| wrong(error.to_string()))
            }
            _ if stars == 0 => name(whole).map(Self::Exact),
            _ => Err(wrong("one * is allowed, as the first or the last label".to_owned())),
        }
    }

    /// Parses a name in wire format, in hexadecimal.
    pub(super) fn parse_raw(text: &str) -> Result<Self, HttpError> {
        let octets = octets(text)?;
        match NameBuf::from_wire(&octets) {
            Ok((name, length)) if length == octets.len() => Ok(Self::Exact(name)),
            _ => Err(HttpError::bad(format!("{text:?} is no name in wire format"))),
        }
    }

    /// Returns the walk over the matching names.
    pub(super) fn walk(&self) -> Walk {
        match self {
            Self::Exact(name) => Walk::One(name.clone()),
            Self::Left(apex) => Walk::AtOrBelow(apex.clone()),
            Self::Right(word) => Walk::Text(Text { starts: Some(word.clone()), ..Text::default() }),
        }
    }

    /// Returns true if a name matches.
    pub(super) fn has(&self, name: Name<'_>) -> bool {
        match self {
            Self::Exact(exact) => exact.as_name() == name,
            Self::Left(apex) => name.is_at_or_below(apex.as_name()),
            Self::Right(word) => name.as_str().starts_with(word.as_str()),
        }
    }
}

/// Decodes an even number of hexadecimal digits.
pub(super) fn octets(text: &str) -> Result<Vec<u8>, HttpError> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2));
    let digits = digits.ok_or_else(|| {
        HttpError::bad(format!("{text:?} is not an even number of hexadecimal digits"))
    })?;
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn names_and_wildcards_are_read() {
        let owner = |text| Owner::parse(text).unwrap();
        assert_eq!(owner("WWW.Example.com."), Owner::Exact(name("www.example.com")));
        assert_eq!(owner("."), Owner::Exact(name(".")));
        assert_eq!(owner("\\*.example.com"), Owner::Exact(name("\\*.example.com")));
        assert_eq!(owner("*.example.com."), Owner::Left(name("example.com")));
        assert_eq!(owner("*"), Owner::Left(name(".")));
        assert_eq!(owner("*."), Owner::Left(name(".")));
        let right = owner("www.Example.*.");
        assert_eq!(right, owner("www.example.*"));
        assert!(right.has(name("www.example.com").as_name()));
        assert!(right.has(name("www.example.co.uk").as_name()));
        assert!(!right.has(name("www.example").as_name()));
        assert!(owner("*.example.com").has(name("example.com").as_name()));
        for text in ["", "a.*.b", "*.a.*", "*a.com", "a*", "a..b", "*.*", &"a".repeat(64)] {
            assert!(Owner::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hexadecimal_is_read() {
        let raw = Owner::parse_raw("0377777707657861 6D706C6503636f6d00".replace(' ', "").as_str());
        assert_eq!(raw, Ok(Owner::Exact(name("www.example.com"))));
        for text in ["", "0", "zz", "0377777", "03777777", "00ff"] {
            assert!(Owner::parse_raw(text).is_err(), "{text}");
        }
    }
}
