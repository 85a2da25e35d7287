//! Detection of Security Onion's own Redis, its Logstash queue, which must never be the store.
//!
//! It is limited to 812 MB and never evicts: if pdns fills it, Security Onion stops accepting logs.
//! [`super::Connection`] checks every URL, on machines that are Security Onion nodes.

use std::path::Path;

/// Path that exists on every node of Security Onion, and nowhere else.
const NODE: &str = "/opt/so";
/// Ports of the container so-redis: plain, and with TLS (Security Onion 2.4, salt/docker/defaults.yaml).
const PORTS: [u16; 2] = [6379, 9696];
/// Environment variable that, if set, declares the Redis on one of these ports to be a different one.
pub(crate) const OVERRIDE: &str = "PDNS_NOT_SECURITY_ONIONS_REDIS";

/// Returns true if this machine is a Security Onion node.
pub(super) fn is_node() -> bool {
    Path::new(NODE).is_dir()
}

/// Returns true if a URL has a port of Security Onion's Redis. A URL without a port uses 6379.
pub(super) fn is_its_redis(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    if scheme != "redis" && scheme != "rediss" {
        return false;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    // Colons within brackets belong to an IPv6 address.
    let behind = host.rsplit(']').next().unwrap_or("");
    let port = behind.rsplit_once(':').map_or("", |(_, port)| port);
    let port = if port.is_empty() { Some(PORTS[0]) } else { port.parse().ok() };
    port.is_some_and(|port| PORTS.contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_ports_are_known_however_they_are_written() {
        for url in [
            "redis://so.example:6379",
            "redis://so.example",
            "redis://so.example/0",
            "rediss://user@so.example:9696/1",
            "rediss://user:a@b:c@so.example:9696",
            "redis://[2001:db8::1]:6379",
            "redis://[2001:db8::1]",
            "redis://10.0.0.1:06379",
        ] {
            assert!(is_its_redis(url), "{url}");
        }
        for url in [
            "managed:",
            "redis://so.example:6953",
            "rediss://[2001:db8::6379]:6953",
            "redis+unix:///run/redis.sock",
            "redis://so.example:x",
        ] {
            assert!(!is_its_redis(url), "{url}");
        }
    }
}
