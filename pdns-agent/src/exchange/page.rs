//! URL of the context page, for links in lists.

use crate::query::typed_tag;
use crate::render::percent;
use crate::tag::TagSubject;
use std::str::FromStr;

/// The URL of `pdns serve` for people, such as `https://pdns.example.net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageUrl(String);

/// Text that is not a valid URL of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a page: give one such as https://pdns.example.net")]
pub struct PageUrlError(String);

impl FromStr for PageUrl {
    type Err = PageUrlError;

    fn from_str(text: &str) -> Result<Self, PageUrlError> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&octet);
        match host.map(|host| host.trim_end_matches('/')) {
            Some(host) if !host.is_empty() && host.bytes().all(fits) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(PageUrlError(text.to_owned())),
        }
    }
}

impl PageUrl {
    /// Returns the URL of a subject's page.
    pub(super) fn of(&self, subject: &TagSubject) -> String {
        format!("{}/context?q={}", self.0, percent(&typed_tag(subject)))
    }
}
