//! The proxy, from the settings or the environment.

use super::OutgoingError;
use ureq::{Proxy, ProxyProtocol};

/// Which proxy is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// The one of `HTTPS_PROXY`, `ALL_PROXY` or `HTTP_PROXY`, except for the hosts of `NO_PROXY`. These variables may be
    /// written in lower case.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one, for all hosts: a URL without a password.
    Url(String),
}

/// The proxy for these settings. `env` looks up an environment variable.
///
/// # Errors
/// [`OutgoingError::Settings`] for a URL that is not that of an HTTP proxy, or that has a password in the settings.
pub(super) fn proxy(
    choice: &ProxyChoice,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, OutgoingError> {
    let env = |name: &str| {
        let lower = name.to_ascii_lowercase();
        env(name).or_else(|| env(&lower)).filter(|value| !value.is_empty())
    };
    let (url, origin) = match choice {
        ProxyChoice::Direct => return Ok(None),
        ProxyChoice::Url(url) => (url.clone(), "proxy"),
        ProxyChoice::Environment => {
            let find = |name| env(name).map(|url| (url, name));
            match ["HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"].into_iter().find_map(find) {
                Some(found) => found,
                None => return Ok(None),
            }
        }
    };
    let wrong = |reason: &str| {
        OutgoingError::Settings(format!(
            "{origin} {reason}: use http://HOST:PORT or https://HOST:PORT"
        ))
    };
    let parsed = Proxy::new(&url).map_err(|_| wrong("is not the address of a proxy"))?;
    if !matches!(parsed.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return Err(wrong("is a kind of proxy that is not supported"));
    }
    if matches!(choice, ProxyChoice::Url(_)) {
        return match parsed.password() {
            None => Ok(Some(parsed)),
            Some(_) => Err(OutgoingError::Settings(
                "proxy holds a password: put the address into HTTPS_PROXY instead".to_owned(),
            )),
        };
    }
    let Some(exceptions) = env("NO_PROXY") else { return Ok(Some(parsed)) };
    let mut builder = Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for exception in exceptions.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        builder = builder.no_proxy(exception);
    }
    builder.build().map(Some).map_err(|_| wrong("is not the address of a proxy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_comes_from_the_settings_or_the_environment() {
        let find = |choice: ProxyChoice, env: &[(&str, &str)]| {
            let env = |name: &str| {
                env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            proxy(&choice, &env)
        };
        let env =
            [("https_proxy", "http://user:pw@proxy.example:3128"), ("NO_PROXY", ".lan,a.example")];
        let found = find(ProxyChoice::Environment, &env).unwrap().unwrap();
        assert_eq!((found.host(), found.port()), ("proxy.example", 3128));
        assert_eq!((found.username(), found.password()), (Some("user"), Some("pw")));
        for (url, is_direct) in [
            ("https://a.example/", true),
            ("https://misp.lan/", true),
            ("https://b.example/", false),
        ] {
            assert_eq!(found.is_no_proxy(&url.parse().unwrap()), is_direct, "{url}");
        }
        assert!(find(ProxyChoice::Direct, &env).unwrap().is_none());
        assert!(find(ProxyChoice::Environment, &[]).unwrap().is_none());
        let named = ProxyChoice::Url("http://other.example:8080".to_owned());
        assert_eq!(find(named, &env).unwrap().unwrap().host(), "other.example");
        for wrong in
            ["socks5://p.example", "ftp://p.example", "http://", "http://u:secret@p.example"]
        {
            let error = find(ProxyChoice::Url(wrong.to_owned()), &[]).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
