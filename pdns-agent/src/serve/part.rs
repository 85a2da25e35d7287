//! Parts of a URL: percent escapes and query parameters.
//!
//! A path is split at its slashes first and decoded afterwards, so that `%2F` does not separate parts.

use super::http_error::HttpError;
use crate::percent;

/// Decodes percent escapes (RFC 3986 §2.1). Control characters are refused: no name needs them, because an
/// octet of a name is written `\DDD`.
///
/// # Errors
/// 400 for a broken escape, invalid UTF-8, or a control character.
pub(super) fn decode(part: &str) -> Result<String, HttpError> {
    let (out, is_broken) = percent::decode(part);
    if is_broken {
        return Err(HttpError::bad(
            "the URL has a % without two hexadecimal digits after it; write %25",
        ));
    }
    let text = String::from_utf8(out).map_err(|_| {
        HttpError::bad("the URL is not UTF-8; write octets of a name as \\DDD (%5CDDD)")
    })?;
    if text.chars().any(char::is_control) {
        return Err(HttpError::bad(
            "the URL has a control character; write octets of a name as \\DDD (%5CDDD)",
        ));
    }
    Ok(text)
}

/// Like [`decode`], for a part of a query string, in which `+` is a blank.
fn decode_query(part: &str) -> Result<String, HttpError> {
    decode(&part.replace('+', " "))
}

/// Returns the parameters of a query string, in order.
///
/// # Errors
/// As [`decode`].
pub(super) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, HttpError> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_query(name)?, decode_query(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_refused() {
        let check = |part, want: &str| assert_eq!(decode(part).as_deref(), Ok(want));
        check("www.example.com", "www.example.com");
        check("%2A.example.com", "*.example.com");
        check("2001%3adb8%3A%3A1", "2001:db8::1");
        check("a+b", "a+b");
        check("b%C3%BCcher.example", "b\u{fc}cher.example");
        for part in ["%", "%4", "%zz", "%+1", "a%0", "%00", "%0a", "%ff", "%c3", "%7f"] {
            assert!(decode(part).is_err(), "{part}");
        }
    }

    #[test]
    fn parameters_are_pairs() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let want = vec![pair("limit", "5"), pair("exclude", "a b=c"), pair("x", "")];
        assert_eq!(parameters(Some("limit=5&&exclude=a+b=c&x")), Ok(want));
        assert_eq!(parameters(None), Ok(Vec::new()));
        assert!(parameters(Some("a=%")).is_err());
    }
}
