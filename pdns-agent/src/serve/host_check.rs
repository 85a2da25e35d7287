//! Check of the `Host` header.
//!
//! Without users, anyone who can make a browser on this machine send a request gets an answer. A page elsewhere
//! can let its own name resolve to 127.0.0.1 and send requests (DNS rebinding); these carry that name in
//! `Host`, and are refused.

use super::http_error::HttpError;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, Version, header};
use std::net::IpAddr;
use std::str::FromStr;

/// A name or address that this server answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// Text that is not a valid host name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a host: give it without scheme and port, such as pdns.example.net")]
pub struct NoHostName(String);

impl FromStr for HostName {
    type Err = NoHostName;

    fn from_str(text: &str) -> Result<Self, NoHostName> {
        match text.parse::<Authority>() {
            Ok(authority) if authority.host() == text => Ok(Self(canonical(text))),
            _ => Err(NoHostName(text.to_owned())),
        }
    }
}

/// Returns the host and port that a request is addressed to; `None` if HTTP/1.0 leaves them out, or if `Host`
/// is empty.
///
/// # Errors
/// 400 if they are not clear (RFC 9112 §3.2): no `Host` header, more than one, an invalid one, or one that
/// differs from the request's URL.
pub(super) fn authority(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Option<Authority>, HttpError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(HttpError::bad("there is more than one header host")),
        (None, _) if version >= Version::HTTP_11 => {
            return Err(HttpError::bad("there is no header host"));
        }
        (None, _) => None,
        (Some(value), None) if value.is_empty() => None,
        (Some(value), None) => {
            let parsed = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
            Some(parsed.ok_or_else(not_a_host)?)
        }
    };
    let of_url = uri.authority();
    if [host.as_ref(), of_url].into_iter().flatten().any(|one| one.as_str().contains('@')) {
        return Err(not_a_host());
    }
    match (host, of_url) {
        (host, None) => Ok(host),
        (None, Some(of_url)) if headers.contains_key(header::HOST) => {
            Err(HttpError::bad(format!("the header host is empty, and the URL is for {of_url}")))
        }
        (Some(host), Some(of_url)) if !is_same(&host, of_url, uri.scheme_str()) => {
            Err(HttpError::bad(format!("the header host is {host}, and the URL is for {of_url}")))
        }
        (_, Some(of_url)) => Ok(Some(of_url.clone())),
    }
}

fn not_a_host() -> HttpError {
    HttpError::bad(
        "the header host, or the host in the URL, is not a host name with or without a port",
    )
}

/// Returns true if both are the same host and port; the scheme determines a missing port.
fn is_same(one: &Authority, other: &Authority, scheme: Option<&str>) -> bool {
    let port = |authority: &Authority| {
        authority.port_u16().or(match scheme {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        })
    };
    canonical(one.host()) == canonical(other.host()) && port(one) == port(other)
}

/// The names accepted in requests.
#[derive(Debug)]
pub(super) struct Hosts {
    names: Vec<HostName>,
    addresses: Vec<IpAddr>,
}

impl Hosts {
    pub(super) fn new(names: &[HostName], addresses: &[IpAddr]) -> Self {
        Self { names: names.to_vec(), addresses: addresses.to_vec() }
    }

    /// Refuses a request that is addressed to another host.
    pub(super) fn check(&self, authority: Option<&Authority>) -> Result<(), HttpError> {
        if authority.is_some_and(|authority| self.knows(authority.host())) {
            return Ok(());
        }
        Err(HttpError::new(
            StatusCode::FORBIDDEN,
            "this server does not answer to that host name; start it with --host NAME to let it",
        ))
    }

    fn knows(&self, host: &str) -> bool {
        let host = canonical(host);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if address.to_canonical().is_loopback() => true,
            Ok(address) if self.addresses.contains(&address) => true,
            _ => host == "localhost" || self.names.iter().any(|name| name.0 == host),
        }
    }
}

fn canonical(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_let_in(host: &str) -> bool {
        let hosts =
            Hosts::new(&["PDNS.example.net".parse().unwrap()], &["192.0.2.1".parse().unwrap()]);
        authority_of("/x", &[host]).is_ok_and(|authority| hosts.check(authority.as_ref()).is_ok())
    }

    fn authority_of(url: &'static str, hosts: &[&str]) -> Result<Option<Authority>, HttpError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        authority(Version::HTTP_11, &Uri::from_static(url), &headers)
    }

    #[test]
    fn only_names_of_this_server_are_let_in() {
        for host in [
            "localhost",
            "LocalHost:8953",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:8953",
            "192.0.2.1",
            "pdns.example.net.:80",
        ] {
            assert!(is_let_in(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.2",
            "",
            "a@localhost@b",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_let_in(host), "{host}");
        }
        assert!(Hosts::new(&[], &[]).check(None).is_err());
        assert!("https://a".parse::<HostName>().is_err() && "a:80".parse::<HostName>().is_err());
    }

    #[test]
    fn a_request_has_one_host() {
        let shown = |url, hosts: &[&str]| {
            authority_of(url, hosts).map(|found| found.map(|found| found.to_string()))
        };
        assert_eq!(shown("/x", &["a.example:80"]), Ok(Some("a.example:80".to_owned())));
        assert_eq!(shown("/x", &[""]), Ok(None));
        for hosts in [&["A.example"][..], &["a.example:80"], &["a.example."]] {
            let same = shown("http://a.example/x", hosts);
            assert_eq!(same, Ok(Some("a.example".to_owned())), "{hosts:?}");
        }
        for (url, hosts) in [
            ("/x", &[][..]),
            ("/x", &["a.example", "a.example"]),
            ("/x", &["a.example", "b.example"]),
            ("/x", &["a b"]),
            ("/x", &["user@a.example"]),
            ("http://user@a.example/x", &["a.example"]),
            ("http://a.example/x", &["b.example"]),
            ("http://a.example/x", &["a.example:81"]),
            ("http://a.example/x", &["a.example:443"]),
            ("http://a.example/x", &[""]),
            ("http://a.example/x", &[]),
        ] {
            assert!(shown(url, hosts).is_err(), "{url} {hosts:?}");
        }
        let old = authority(Version::HTTP_10, &Uri::from_static("/x"), &HeaderMap::new());
        assert_eq!(old, Ok(None));
    }
}
