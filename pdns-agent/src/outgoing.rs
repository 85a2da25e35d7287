//! Outgoing connections: HTTP requests to feeds, TAXII servers, MISP and other providers.
//!
//! No other module of the program connects to the Internet. A [`Client`] follows these rules:
//!
//! - It connects to `http` and `https` servers only, and verifies certificates with the roots of the system and those of
//!   [`OutgoingSettings::ca_file`].
//! - It connects to public addresses only, unless [`OutgoingSettings::allow_private`] is set. Names are resolved once;
//!   the addresses that are checked are those that are connected to. A proxy resolves names itself, so with a proxy only
//!   addresses in the URL are checked.
//! - It follows redirects within one server only, so credentials go nowhere else. It sends credentials over `http` only
//!   with `allow_private`.
//! - The answer is complete in a private temporary file, decompressed and within its limits, before anybody reads it.
//! - Errors are plain sentences without secrets: see [`OutgoingError`].

mod address;
mod body;
mod classify;
mod error;
mod proxy;
mod redirect;
mod request;
mod resolve;
mod retry;
mod secret;
#[cfg(test)]
mod tests;

pub use body::{
    CopyError, SizeLimits, gunzip_to_temporary_file, inflate_to_temporary_file, to_temporary_file,
};
pub use error::OutgoingError;
pub use proxy::ProxyChoice;
pub use request::{Body, Expected, Fetched, Request, Validators};
pub use secret::{Secret, SecretSource};

pub(crate) use error::printable;

use crate::bounded_file::open_file;
use classify::host_and_port;
use resolve::{CheckedResolver, Lookup};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use ureq::http;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::transport::DefaultConnector;
use url::Url;

/// Maximum size of the head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// Settings for the connections to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingSettings {
    /// Permits servers at addresses that are not public, and credentials over http.
    pub allow_private: bool,
    /// The proxy.
    pub proxy: ProxyChoice,
    /// PEM file with certificates to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// Limits of an answer.
    pub size: SizeLimits,
    /// Maximum time of a request, with its repetitions.
    pub total_time: Duration,
    /// Maximum time to wait for a connection.
    pub connect_time: Duration,
    /// Maximum time to wait for the next bytes.
    pub read_time: Duration,
    /// Number of repetitions of a request that failed for a temporary reason.
    pub retries: u32,
    /// Wait before the first repetition; it doubles each time.
    pub retry_wait: Duration,
}

impl Default for OutgoingSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            proxy: ProxyChoice::Environment,
            ca_file: None,
            size: SizeLimits::default(),
            total_time: Duration::from_mins(5),
            connect_time: Duration::from_secs(20),
            read_time: Duration::from_secs(30),
            retries: 3,
            retry_wait: Duration::from_secs(2),
        }
    }
}

/// HTTP client for one server. Connections are kept open between requests.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    settings: OutgoingSettings,
}

impl Client {
    /// A client with these settings. `env` looks up an environment variable, for the proxy.
    ///
    /// # Errors
    /// [`OutgoingError::Settings`] for an invalid proxy or certificate file.
    pub fn new(
        settings: &OutgoingSettings,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OutgoingError> {
        Self::with_lookup(settings, env, resolve::system())
    }

    /// As [`Client::new`], with another lookup of addresses.
    fn with_lookup(
        settings: &OutgoingSettings,
        env: &dyn Fn(&str) -> Option<String>,
        lookup: Arc<Lookup>,
    ) -> Result<Self, OutgoingError> {
        let proxy = proxy::proxy(&settings.proxy, env)?;
        let resolver = CheckedResolver {
            lookup,
            allow_private: settings.allow_private,
            proxy: proxy.as_ref().map(|proxy| {
                let host = proxy.host().trim_start_matches('[').trim_end_matches(']');
                (host.to_owned(), proxy.port())
            }),
        };
        let roots: Vec<Certificate<'static>> = roots(settings)?
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("pdns/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("gzip")
            .max_response_header_size(MAX_HEAD)
            .timeout_connect(Some(settings.connect_time))
            .timeout_resolve(Some(settings.connect_time))
            .timeout_per_read(Some(settings.read_time))
            .timeout_per_write(Some(settings.read_time))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::new(), resolver);
        Ok(Self { agent, settings: settings.clone() })
    }

    /// Sends a request, and repeats it if it fails for a temporary reason. One that changes something on the server is
    /// only repeated if the server did not process it.
    ///
    /// # Errors
    /// [`OutgoingError`], one sentence without secrets.
    pub fn send(&self, request: &Request) -> Result<Fetched, OutgoingError> {
        let url = checked_url(&request.url)?;
        self.check_credentials(&url, request)?;
        let deadline = Instant::now() + self.settings.total_time;
        let mut number = 0;
        loop {
            let error = match self.follow(&url, request, deadline) {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let may_repeat = error.is_temporary()
                && (request.is_repeatable || error.is_unprocessed())
                && number < self.settings.retries;
            let wait = match error.retry_after() {
                Some(wait) => wait.max(self.settings.retry_wait),
                None => retry::backoff(self.settings.retry_wait, number),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if !may_repeat || wait > retry::LONGEST_WAIT || wait >= left {
                return Err(error);
            }
            tracing::debug!(%error, wait = wait.as_secs_f32(), "request failed, trying again");
            std::thread::sleep(wait);
            number += 1;
        }
    }

    /// Refuses credentials for a connection that others can read.
    fn check_credentials(&self, url: &Url, request: &Request) -> Result<(), OutgoingError> {
        if url.scheme() == "http" && request.has_secret() && !self.settings.allow_private {
            return Err(OutgoingError::InsecureCredentials { host: host_and_port(url) });
        }
        Ok(())
    }

    /// Sends the request, and follows redirects.
    fn follow(
        &self,
        url: &Url,
        request: &Request,
        deadline: Instant,
    ) -> Result<Fetched, OutgoingError> {
        let mut url = url.clone();
        for _ in 0..=redirect::MAX_REDIRECTS {
            let response = self.exchange(&url, request, deadline)?;
            let status = response.status().as_u16();
            let host = host_and_port(&url);
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            match status {
                200..=299 => return request::receive(response, request, &host, &self.settings),
                304 if request.is_conditional() => return Ok(Fetched::NotModified),
                301 | 302 | 303 | 307 | 308 => {
                    let refuse =
                        |reason: String| OutgoingError::Redirect { host: host.clone(), reason };
                    let location = header("location").unwrap_or_default();
                    if request.body.is_some() && status != 307 && status != 308 {
                        return Err(refuse("a POST request, which is not followed".to_owned()));
                    }
                    url = redirect::target(&url, location).map_err(refuse)?;
                }
                _ => {
                    let retry_after = header("retry-after")
                        .and_then(|text| retry::retry_after(text, SystemTime::now()));
                    return Err(OutgoingError::Status { host, status, retry_after });
                }
            }
        }
        let reason = format!("more than {} times", redirect::MAX_REDIRECTS);
        Err(OutgoingError::Redirect { host: host_and_port(&url), reason })
    }

    /// Sends one request, without redirects.
    fn exchange(
        &self,
        url: &Url,
        request: &Request,
        deadline: Instant,
    ) -> Result<http::Response<ureq::Body>, OutgoingError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let host = host_and_port(url);
        if left.is_zero() {
            return Err(classify::too_slow(&host, self.settings.total_time));
        }
        self.check_proxied(url)?;
        let head = request.head(url)?;
        let agent = &self.agent;
        let result = match &request.body {
            None => {
                let request = agent.configure_request(head).timeout_global(Some(left)).build();
                agent.run(request)
            }
            Some(body) => {
                let request = head.map(|()| body.as_slice());
                let request = agent.configure_request(request).timeout_global(Some(left)).build();
                agent.run(request)
            }
        };
        result.map_err(|error| classify::classify(error, &host, &self.settings))
    }

    /// Refuses private addresses in the URL where a proxy connects: it resolves names itself, and nothing else can be
    /// checked here.
    fn check_proxied(&self, url: &Url) -> Result<(), OutgoingError> {
        let Some(proxy) = self.agent.config().proxy().filter(|_| !self.settings.allow_private)
        else {
            return Ok(());
        };
        let is_direct = url.as_str().parse().is_ok_and(|uri| proxy.is_no_proxy(&uri));
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                if name != "localhost" && !name.ends_with(".localhost") {
                    return Ok(());
                }
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            }
            None => return Ok(()),
        };
        if is_direct || address::is_public(address) {
            return Ok(());
        }
        Err(OutgoingError::Private { host: host_and_port(url), address })
    }
}

/// Parses the URL of a request: `http` or `https`, with a host, without a password.
///
/// # Errors
/// [`OutgoingError::Url`], which does not show a password in the URL.
pub fn checked_url(text: &str) -> Result<Url, OutgoingError> {
    let mut url: Url = text
        .trim()
        .parse()
        .map_err(|error: url::ParseError| OutgoingError::Url(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        let reason = format!("{:?} is not supported, use https", printable(url.scheme()));
        return Err(OutgoingError::Url(reason));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let reason = "it holds a user or password: use the settings for credentials";
        return Err(OutgoingError::Url(reason.to_owned()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Certificates to trust: those of the system and those of the file.
fn roots(settings: &OutgoingSettings) -> Result<Vec<CertificateDer<'static>>, OutgoingError> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "cannot read a certificate of the system");
    }
    let mut roots = system.certs;
    if let Some(path) = &settings.ca_file {
        let own: Vec<CertificateDer<'static>> = open_file(path)
            .map_err(pem::Error::Io)
            .and_then(|file| CertificateDer::pem_reader_iter(BufReader::new(file)).collect())
            .map_err(|error: pem::Error| {
                let path = path.display();
                OutgoingError::Settings(format!(
                    "cannot read certificates from ca_file {path}: {error}"
                ))
            })?;
        if own.is_empty() {
            let path = path.display();
            return Err(OutgoingError::Settings(format!(
                "ca_file {path} holds no PEM certificate"
            )));
        }
        roots.extend(own);
    }
    Ok(roots)
}
