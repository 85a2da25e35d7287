//! From errors of the HTTP client to sentences.

use super::OutgoingSettings;
use super::error::{OutgoingError, printable};
use std::error::Error as _;
use std::io;
use std::time::Duration;
use ureq::Timeout;
use url::Url;

/// Host of a URL, with its port unless that is the default.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The error of a request that exceeded the total time.
pub(super) fn too_slow(host: &str, total: Duration) -> OutgoingError {
    let reason = format!("the request took longer than {} seconds", total.as_secs_f32());
    OutgoingError::Slow { host: host.to_owned(), reason }
}

/// The error of the client as a sentence.
pub(super) fn classify(
    error: ureq::Error,
    host: &str,
    settings: &OutgoingSettings,
) -> OutgoingError {
    let host = host.to_owned();
    let text = |error: &ureq::Error| printable(&error.to_string());
    match error {
        ureq::Error::Other(cause) => match cause.downcast::<OutgoingError>() {
            Ok(error) => *error,
            Err(cause) => OutgoingError::Connect { host, reason: printable(&cause.to_string()) },
        },
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => OutgoingError::Slow {
            host,
            reason: format!("nothing came for {} seconds", settings.read_time.as_secs_f32()),
        },
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => OutgoingError::Slow {
            host,
            reason: format!("no connection within {} seconds", settings.connect_time.as_secs_f32()),
        },
        ureq::Error::Timeout(_) => too_slow(&host, settings.total_time),
        ureq::Error::Io(cause) => from_io(&cause, host),
        ureq::Error::Rustls(cause) => from_tls(&cause, host),
        ureq::Error::HostNotFound => OutgoingError::Resolve { host, reason: String::new() },
        ureq::Error::ConnectProxyFailed(reason) => {
            OutgoingError::Proxy { host, reason: printable(&reason) }
        }
        ureq::Error::LargeResponseHeader(..) => OutgoingError::TooLarge {
            host,
            reason: format!("begins with more than {} bytes of headers", super::MAX_HEAD),
        },
        ureq::Error::Protocol(_) => OutgoingError::Protocol { host, reason: text(&error) },
        error => OutgoingError::Connect { host, reason: text(&error) },
    }
}

/// The error of a socket as a sentence.
fn from_io(cause: &io::Error, host: String) -> OutgoingError {
    let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(inner) = inner {
        return from_tls(inner, host);
    }
    match cause.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => OutgoingError::Truncated { host },
        _ => {
            let reason = match cause.source() {
                Some(source) => format!("{cause}: {source}"),
                None => cause.to_string(),
            };
            OutgoingError::Connect { host, reason: printable(&reason) }
        }
    }
}

fn from_tls(cause: &rustls::Error, host: String) -> OutgoingError {
    match cause {
        rustls::Error::InvalidCertificate(reason) => {
            use rustls::CertificateError as Reason;
            let reason = match reason {
                Reason::UnknownIssuer => {
                    "it is signed by an unknown authority (ca_file names one to trust)".to_owned()
                }
                Reason::Expired | Reason::ExpiredContext { .. } => "it has expired".to_owned(),
                Reason::NotValidForName | Reason::NotValidForNameContext { .. } => {
                    "it is for another name".to_owned()
                }
                other => printable(&other.to_string()),
            };
            OutgoingError::Certificate { host, reason }
        }
        other => OutgoingError::Tls { host, reason: printable(&other.to_string()) },
    }
}
