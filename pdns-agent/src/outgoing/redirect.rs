//! Which redirects are followed: those that stay on the same server.

use url::Url;

/// Maximum number of redirects.
pub(super) const MAX_REDIRECTS: u32 = 5;

/// Target of a redirect from `from`, whose `Location` is `location`: on the same host and port, or from http to https at
/// the default ports. So credentials go to the server that they are for, and to nobody else.
///
/// # Errors
/// The reason, as the end of a sentence that begins with "HOST redirects".
pub(super) fn target(from: &Url, location: &str) -> Result<Url, String> {
    let mut to = from.join(location).map_err(|_| "to an invalid address".to_owned())?;
    to.set_fragment(None);
    if !matches!(to.scheme(), "http" | "https") {
        return Err(format!(
            "to a {} address, which is not supported",
            super::printable(to.scheme())
        ));
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("to an address with a password, which is not followed".to_owned());
    }
    let host = to.host_str().unwrap_or_default().to_owned();
    if from.host_str() != Some(host.as_str()) {
        let host = super::printable(&host);
        return Err(format!(
            "to another host, {host}, which is not followed: name that one if you trust it"
        ));
    }
    let is_upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port_or_known_default() == Some(80)
        && to.port_or_known_default() == Some(443);
    let is_same =
        from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    if is_same || is_upgrade {
        return Ok(to);
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err("from https to http, which is not followed".to_owned());
    }
    Err("to another port, which is not followed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_its_server() {
        let go = |from: &str, to: &str| {
            target(&from.parse().unwrap(), to).map(|url| url.as_str().to_owned())
        };
        for (from, to, want) in [
            ("https://a.example/x", "/y?z=1#w", "https://a.example/y?z=1"),
            ("https://a.example/x/", "y", "https://a.example/x/y"),
            ("http://a.example/x", "https://A.example/x", "https://a.example/x"),
            ("http://a.example:80/", "https://a.example:443/", "https://a.example/"),
            ("https://a.example:8443/", "https://a.example:8443/y", "https://a.example:8443/y"),
        ] {
            assert_eq!(go(from, to).as_deref(), Ok(want), "{from} {to}");
        }
        for (from, to) in [
            ("https://a.example/", "https://b.example/"),
            ("https://a.example/", "//b.example/"),
            ("https://a.example/", "https://a.example.b.example/"),
            ("https://a.example/", "https://www.a.example/"),
            ("https://a.example/", "http://a.example/"),
            ("https://a.example/", "https://a.example:8443/"),
            ("http://a.example:8080/", "https://a.example/"),
            ("https://a.example/", "https://a.example@b.example/"),
            ("https://a.example/", "https://user:pass@a.example/"),
            ("https://a.example/", "file:///etc/passwd"),
            ("https://a.example/", "ftp://a.example/"),
            ("https://a.example/", "https://"),
        ] {
            let error = go(from, to).unwrap_err();
            assert!(!error.contains("pass@") && !error.contains('\n'), "{to}: {error}");
        }
    }
}
