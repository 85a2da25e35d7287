//! Links to Security Onion's Hunt.
//!
//! Part of the pages. Hunt takes its query from the fragment of its URL. It is an OQL search; here the value is
//! in quotes, so that its characters have no special meaning.

use crate::query::Subject;
use crate::render::percent;
use axum::http::Uri;
use std::str::FromStr;

/// Placeholder for the query in a URL.
const PLACE: &str = "{query}";
/// Grouping that Hunt applies to the results.
const GROUPS: &str = " | groupby event.module* | groupby event.dataset";

/// URL of Hunt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HuntUrl(String);

/// Text that is not a valid URL of Hunt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no URL of Hunt: give https://so.example.net, or a whole URL with {{query}} in the place of the query"
)]
pub struct NoHuntUrl(String);

impl FromStr for HuntUrl {
    type Err = NoHuntUrl;

    fn from_str(text: &str) -> Result<Self, NoHuntUrl> {
        let wrong = || NoHuntUrl(text.to_owned());
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        let has_hidden =
            text.contains(|letter: char| letter.is_control() || letter.is_whitespace());
        let before = text.split('#').next().unwrap_or(text).replace(PLACE, "x");
        let has_host = before.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some());
        if !is_web || has_hidden || !has_host {
            return Err(wrong());
        }
        Ok(Self(match text {
            whole if whole.contains(PLACE) => whole.to_owned(),
            open if open.ends_with("q=") => format!("{open}{PLACE}"),
            _ if text.contains('#') || text.contains('?') => return Err(wrong()),
            base => format!("{}/#/hunt?q={PLACE}", base.trim_end_matches('/')),
        }))
    }
}

impl HuntUrl {
    /// Returns the link that searches for a subject.
    pub(in crate::serve) fn of(&self, subject: &Subject) -> String {
        self.0.replace(PLACE, &percent(&query(subject)))
    }
}

/// Returns the OQL search for a subject.
fn query(subject: &Subject) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let search = match subject {
        Subject::Addresses(from, to) if from != to => {
            let value = match subject.as_prefix() {
                Some(net) => quoted(&net.to_string()),
                None => format!("[\"{from}\" TO \"{to}\"]"),
            };
            format!("source.ip:{value} OR destination.ip:{value}")
        }
        Subject::Below(name) | Subject::AtOrBelow(name) | Subject::Name(name) => {
            quoted(name.as_str())
        }
        subject @ Subject::Addresses(..) => quoted(&subject.to_string()),
    };
    format!("{search}{GROUPS}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Purpose;

    fn clicked(value: &str) -> Subject {
        Subject::read(value, Purpose::Click).unwrap().subject
    }

    #[test]
    fn urls_of_hunt() {
        let shown = |text: &str| text.parse::<HuntUrl>().map(|url| url.0);
        let whole = Ok("https://so.example/#/hunt?q={query}".to_owned());
        assert_eq!(shown("https://so.example"), whole);
        assert_eq!(shown("https://so.example/"), whole);
        assert_eq!(shown("https://so.example/#/hunt?q="), whole);
        assert_eq!(shown("https://so.example/#/hunt?q={query}"), whole);
        for text in [
            "so.example",
            "javascript:{query}",
            "https://",
            "https://a b",
            "https://so.example/#/x",
            "https://a\n{query}",
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let check = |value: &str, want: &str| {
            let query = query(&clicked(value));
            assert_eq!(query, format!("{want}{GROUPS}"));
        };
        check("www.example.com", "\"www.example.com\"");
        check("x\\\"|head.example", "\"x\\\\\\\"|head.example\"");
        check("2001:db8::1", "\"2001:db8::1\"");
        check("192.0.2.0/24", "source.ip:\"192.0.2.0/24\" OR destination.ip:\"192.0.2.0/24\"");
        let url: HuntUrl = "https://so.example".parse().unwrap();
        let link = url.of(&clicked("x\\\"y.example"));
        assert!(link.starts_with("https://so.example/#/hunt?q=%22x%5C%5C%5C%22y.example%22%20%7C"));
    }
}
