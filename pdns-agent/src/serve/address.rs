//! Listen addresses: `127.0.0.1:8953`, `[::1]:8953` or `unix:/run/pdns/serve.sock`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Text that is not a valid listen address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address to listen on: give 127.0.0.1:8953, [::1]:8953 or unix:/path")]
pub struct BadAddress(String);

impl Address {
    /// Returns true if only this machine can reach the address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.strip_prefix("unix:") {
            Some(path) if Path::new(path).is_absolute() => Ok(Self::Unix(path.into())),
            Some(_) => Err(BadAddress(text.to_owned())),
            None => text.parse().map(Self::Tcp).map_err(|_| BadAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, local) in [
            ("127.0.0.1:8953", true),
            ("127.9.9.9:1", true),
            ("[::1]:8953", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/run/pdns.sock", true),
            ("0.0.0.0:8953", false),
            ("[::]:8953", false),
            ("192.0.2.1:8953", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, local));
        }
        for text in ["", "8953", "localhost:8953", "127.0.0.1", "unix:relative", "::1:8953x"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
