//! The text of a store's URL, and the passwords in it.
//!
//! Used by `store` and `config` before any URL is parsed, so that no text, however wrong, reveals a password.

use std::ops::Range;

/// Parameter of a URL with sentinels that holds their password.
const SENTINEL_PASSWORD: &str = "sentinel_password=";

/// Returns true if a URL holds a password.
#[must_use]
pub fn has_password(url: &str) -> bool {
    passwords(url).iter().any(|place| !place.is_empty())
}

/// Returns a URL for display: `***` for its password.
#[must_use]
pub fn mask(url: &str) -> String {
    let mut shown = url.to_owned();
    // From the end, so that the earlier positions stay valid.
    for place in passwords(url).into_iter().rev() {
        shown.replace_range(place, "***");
    }
    shown
}

/// Returns true if a URL has a fragment, which means nothing to Redis: most likely a `#` in a password that should be
/// `%23`. The library knows `#insecure`, which is refused with a reason of its own.
pub(in crate::store) fn has_fragment(url: &str) -> bool {
    url.split_once('#').is_some_and(|(_, fragment)| fragment != "insecure")
}

/// Returns the port of a URL, if it is not a valid port number.
pub(in crate::store) fn bad_port(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = rest.rsplit('@').next()?.split(['/', '?', '#']).next()?;
    let (name, port) = host.rsplit_once(':')?;
    let is_number = port.parse::<u16>().is_ok_and(|port| port > 0);
    // After a colon in brackets comes a part of an IPv6 address.
    (!is_number && !name.is_empty() && !port.ends_with(']')).then_some(port)
}

/// Locates the passwords in a URL, in order.
///
/// They lie before the last `@`, even if an unescaped slash makes the text an invalid URL, and in the query, as in
/// socket URLs: `redis+unix:///run/redis.sock?pass=...`, and for sentinels, in `sentinel_password`.
fn passwords(url: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let Some(start) = url.find("://").map(|at| at + 3) else { return places };
    let mut behind_login = start;
    let is_path = url.get(start..).is_some_and(|rest| rest.starts_with('/'));
    if !is_path
        && let Some(at) = url.rfind('@')
        && let Some(colon) = url.get(start..at).and_then(|login| login.find(':'))
    {
        places.push(start + colon + 1..at);
        // A question mark in the password begins no query.
        behind_login = at;
    }
    let rest = url.get(behind_login..).unwrap_or_default();
    let query = rest.find('?').map_or(url.len(), |at| behind_login + at + 1);
    let mut from = query;
    for pair in url.get(query..).unwrap_or_default().split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && (name.eq_ignore_ascii_case("pass") || name.eq_ignore_ascii_case("password"))
        {
            let from = from + name.len() + 1;
            places.push(from..from + value.len());
        }
        from += pair.len() + 1;
    }
    for (at, name) in url.match_indices(SENTINEL_PASSWORD) {
        let from = at + name.len();
        let length = url.get(from..).and_then(|rest| rest.find('&'));
        places.push(from..length.map_or(url.len(), |length| from + length));
    }
    joined(places)
}

/// Sorts ranges and joins those that overlap or touch: an `@` in the password of a sentinel looks like the end of a login.
fn joined(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| place.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for place in places {
        match apart.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => apart.push(place),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_port_that_is_none_is_found() {
        for (url, port) in [
            ("redis://h:99999", Some("99999")),
            ("rediss://me@h:x/0", Some("x")),
            ("redis://h:6379/0", None),
            ("redis://[::1]", None),
            ("redis://[::1]:0", Some("0")),
            ("redis://h", None),
        ] {
            assert_eq!(bad_port(url), port, "{url}");
        }
    }

    #[track_caller]
    fn check(url: &str, want: &str) {
        assert_eq!(mask(url), want);
        assert_eq!(has_password(url), url != want, "{url}");
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        check("redis://u:secret@h:1/0", "redis://u:***@h:1/0");
        check("redis://:secret@h", "redis://:***@h");
        check("rediss://u:a@b@h", "rediss://u:***@h");
        check("redis://u:a/b?c#d@h", "redis://u:***@h");
        check("redis://u:a?pass=b@h", "redis://u:***@h");
        check("redis+unix:///s?db=1&pass=x&user=u", "redis+unix:///s?db=1&pass=***&user=u");
        check("redis+unix:///s?password=x&PASS=y", "redis+unix:///s?password=***&PASS=***");
        check("redis://u:x@h/0?pass=y", "redis://u:***@h/0?pass=***");
        check("redis://u:a?b@h?pass=y", "redis://u:***@h?pass=***");
        check("redis+sentinel://u:a@h:1,i:2/m/0", "redis+sentinel://u:***@h:1,i:2/m/0");
        check(
            "rediss+sentinel://u:a@h,i/m?sentinel_user=u&sentinel_password=x&y=z",
            "rediss+sentinel://u:***@h,i/m?sentinel_user=u&sentinel_password=***&y=z",
        );
        // An @ that should be %40.
        check("redis+sentinel://h:1/m?sentinel_password=a@b", "redis+sentinel://h:***");
        check(
            "redis+sentinel://h/m?sentinel_password=a@b",
            "redis+sentinel://h/m?sentinel_password=***",
        );
    }

    #[test]
    fn what_holds_none_is_shown_as_it_is() {
        for url in [
            "redis://h:6379",
            "redis://[::1]:6379",
            "redis://u@h",
            "redis+unix:///a:b@c",
            "redis+sentinel://h:1,[::1]:2/m/0?sentinel_password_file=/f",
            "managed:",
            "",
            "?",
            "x@y:z",
        ] {
            check(url, url);
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_masked(url in "(redis://)?[a:@/?#&=\u{fc}]{0,12}((sentinel_)?pass(word)?=[a@&]{0,3}){0,2}") {
            prop_assert!(!has_password(&mask(&url)) || mask(&mask(&url)) == mask(&url));
        }
    }
}
