//! Whom a request is addressed to.
//!
//! Without users, whoever can make a browser on this machine ask is answered. A page elsewhere can let its own
//! name point at 127.0.0.1 and ask (DNS rebinding); its requests bear that name in `Host`, and are refused.

use super::refusal::Refusal;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use std::net::IpAddr;
use std::str::FromStr;

/// A name, or an address, that this server answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

/// Text that is no name of a host.
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

/// The names that requests may be addressed to.
#[derive(Debug)]
pub(super) struct Hosts {
    names: Vec<HostName>,
    addresses: Vec<IpAddr>,
}

impl Hosts {
    pub(super) fn new(names: &[HostName], addresses: &[IpAddr]) -> Self {
        Self { names: names.to_vec(), addresses: addresses.to_vec() }
    }

    /// Refuses a request that is addressed to somebody else.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = match uri.authority() {
            Some(authority) => Some(authority.host().to_owned()),
            None => headers
                .get(header::HOST)
                .and_then(|value| value.to_str().ok()?.parse::<Authority>().ok())
                .map(|authority| authority.host().to_owned()),
        };
        if host.is_some_and(|host| self.knows(&host)) {
            return Ok(());
        }
        Err(Refusal::new(
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
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        hosts.check(&Uri::from_static("/x"), &headers).is_ok()
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
        let none = Hosts::new(&[], &[]).check(&Uri::from_static("/x"), &HeaderMap::new());
        assert!(none.is_err());
        assert!("https://a".parse::<HostName>().is_err() && "a:80".parse::<HostName>().is_err());
    }
}
