//! Hosts and ports as URLs list them, for sentinels and for nodes of a cluster.

use redis::ConnectionAddr;

/// A server's host and port. The host of an IPv6 address has no brackets.
pub(super) type HostPort = (String, u16);

/// Parses `HOST` or `HOST:PORT`; `what` names in messages what is at the address.
///
/// # Errors
/// The fault in it.
pub(super) fn parse(text: &str, default_port: u16, what: &str) -> Result<HostPort, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("?"))),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(format!("the host of a {what} is missing"));
    }
    let port = match port {
        None => default_port,
        Some(text) => {
            let port = text.parse().ok().filter(|&port| port > 0);
            port.ok_or_else(|| {
                format!(
                    "the port of a {what} is not a number from 1 to 65535 (IPv6 addresses need brackets)"
                )
            })?
        }
    };
    Ok((host.to_owned(), port))
}

/// Returns `HOST:PORT`.
pub(super) fn show((host, port): &HostPort) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Returns the address to connect to.
pub(super) fn addr((host, port): &HostPort, is_tls: bool) -> ConnectionAddr {
    let (host, port) = (host.clone(), *port);
    if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}
