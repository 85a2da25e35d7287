//! Resolution of host names, restricted to the addresses that may be connected to.
//!
//! The connector connects only to addresses from here, so a name cannot have one address when it is checked and another
//! when it is connected to (DNS rebinding).

use super::OutgoingError;
use super::address::is_public;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::{io, thread};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Looks up the addresses of a host and port.
pub(super) type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Maximum number of addresses of one host; the client's list has no more.
const MAX_ADDRESSES: usize = 16;

/// Resolver that drops addresses which are not public, unless they are allowed.
pub(super) struct CheckedResolver {
    pub(super) lookup: Arc<Lookup>,
    pub(super) allow_private: bool,
    /// Host and port of the proxy, which the settings name and which may be at any address.
    pub(super) proxy: Option<(String, u16)>,
}

impl fmt::Debug for CheckedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedResolver").finish_non_exhaustive()
    }
}

/// The lookup of the system.
pub(super) fn system() -> Arc<Lookup> {
    Arc::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
}

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let bracketed = uri.host().unwrap_or_default();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_owned();
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let refuse = |error: OutgoingError| ureq::Error::Other(Box::new(error));
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.look_up(&host, port, timeout).map_err(|error| match error {
                LookupError::Slow => ureq::Error::Timeout(timeout.reason),
                LookupError::System(error) => refuse(OutgoingError::Resolve {
                    host: host.clone(),
                    reason: super::error::printable(&error.to_string()),
                }),
            })?,
        };
        let is_proxy = self.proxy.as_ref() == Some(&(host.clone(), port));
        let allowed =
            |address: &SocketAddr| self.allow_private || is_proxy || is_public(address.ip());
        let mut list = self.empty();
        for address in found.iter().filter(|address| allowed(address)).take(MAX_ADDRESSES) {
            list.push(*address);
        }
        match found.first() {
            _ if !list.is_empty() => Ok(list),
            Some(first) => Err(refuse(OutgoingError::Private { host, address: first.ip() })),
            None => Err(refuse(OutgoingError::Resolve { host, reason: String::new() })),
        }
    }
}

enum LookupError {
    Slow,
    System(io::Error),
}

impl CheckedResolver {
    /// Looks up a name in a thread of its own, because the system's lookup has no limit of time.
    fn look_up(
        &self,
        host: &str,
        port: u16,
        timeout: NextTimeout,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        let (sender, receiver) = sync_channel(1);
        let (lookup, host) = (Arc::clone(&self.lookup), host.to_owned());
        thread::spawn(move || {
            // Nobody receives it if the time is over.
            sender.send(lookup(&host, port)).ok();
        });
        match receiver.recv_timeout(*timeout.after) {
            Ok(found) => found.map_err(LookupError::System),
            Err(RecvTimeoutError::Timeout) => Err(LookupError::Slow),
            Err(RecvTimeoutError::Disconnected) => {
                Err(LookupError::System(io::Error::other("the lookup ended early")))
            }
        }
    }
}
