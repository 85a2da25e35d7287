//! Errors of outgoing requests, each one plain sentence.
//!
//! A message names the server and never the path, the query or a header of the request, which can hold keys.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Maximum length of a foreign text in a message, in characters.
const LONGEST: usize = 120;

/// Reason why a request failed. `host` is host and port of the server, as in the URL.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// A URL that is not a web address.
    #[error("not a valid web address: {0}")]
    Url(String),
    /// Invalid settings of the client.
    #[error("{0}")]
    Settings(String),
    /// A secret that is missing or unusable.
    #[error("{0}")]
    Secret(String),
    /// Credentials for a connection that anybody on the way can read.
    #[error(
        "credentials for {host} are not sent over http: use https, or allow_private within your own network"
    )]
    InsecureCredentials {
        /// The server.
        host: String,
    },
    /// A host name without an address.
    #[error("cannot find an address of {host}{}", because(.reason))]
    Resolve {
        /// The server.
        host: String,
        /// Reason; empty if there is none.
        reason: String,
    },
    /// A server whose addresses are all private.
    #[error(
        "{host} is at {address}, which is not a public address (allow_private = true permits it)"
    )]
    Private {
        /// The server.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
    },
    /// No connection.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The server.
        host: String,
        /// The system's error.
        reason: String,
    },
    /// The proxy does not connect to the server.
    #[error("the proxy does not connect to {host}: {reason}")]
    Proxy {
        /// The server.
        host: String,
        /// The answer of the proxy.
        reason: String,
    },
    /// The certificate of the server is not valid.
    #[error("the certificate of {host} is not valid: {reason}")]
    Certificate {
        /// The server.
        host: String,
        /// Reason.
        reason: String,
    },
    /// Another error of TLS.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// The server.
        host: String,
        /// Reason.
        reason: String,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects {reason}")]
    Redirect {
        /// The server.
        host: String,
        /// Where to, and what to do.
        reason: String,
    },
    /// An answer that is an error.
    #[error("{host} answered {status} ({})", meaning(*.status))]
    Status {
        /// The server.
        host: String,
        /// Status code.
        status: u16,
        /// Time after which the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A request that took too long.
    #[error("{host} was too slow: {reason}")]
    Slow {
        /// The server.
        host: String,
        /// The limit that was exceeded.
        reason: String,
    },
    /// An answer that ends early.
    #[error("{host} closed the connection before the end of its answer")]
    Truncated {
        /// The server.
        host: String,
    },
    /// An answer that is not HTTP.
    #[error("{host} sent an answer that is not valid HTTP: {reason}")]
    Protocol {
        /// The server.
        host: String,
        /// Reason.
        reason: String,
    },
    /// An answer of another type than expected.
    #[error("{host} sent {found:?} in place of {expected}")]
    ContentType {
        /// The server.
        host: String,
        /// The type of the answer.
        found: String,
        /// The expected types.
        expected: &'static str,
    },
    /// An answer that is larger than allowed.
    #[error("the answer of {host} {reason}")]
    TooLarge {
        /// The server.
        host: String,
        /// The limit that was exceeded.
        reason: String,
    },
    /// Compressed data that cannot be decoded.
    #[error("the answer of {host} cannot be decompressed: {reason}")]
    Compression {
        /// The server.
        host: String,
        /// Reason.
        reason: String,
    },
    /// The temporary file cannot be written.
    #[error("cannot write the temporary file")]
    TemporaryFile(#[source] io::Error),
}

impl OutgoingError {
    /// Returns true if the same request may succeed soon.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Slow { .. }
            | Self::Truncated { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the server did nothing about the request, so that even one that changes something may be repeated.
    pub(super) fn is_unprocessed(&self) -> bool {
        matches!(
            self,
            Self::Status { status: 429 | 503, .. } | Self::Resolve { .. } | Self::Connect { .. }
        )
    }

    /// The time after which the server wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Meaning of a status code for whoever reads the message, and what to do.
fn meaning(status: u16) -> &'static str {
    match status {
        401 => "credentials are missing or wrong",
        403 => "access is forbidden: check the credentials",
        404 | 410 => "not found: check the address",
        406 | 415 => "it does not offer this format: check the type of the feed",
        407 => "the proxy wants credentials",
        408 => "the request took too long",
        429 => "too many requests",
        503 => "temporarily unavailable",
        500..=599 => "an error of the server",
        400..=499 => "it refuses the request",
        _ => "an unexpected status",
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Foreign text for a message: escaped to printable ASCII and cut.
pub(crate) fn printable(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    let mut shown: String = cut.chars().flat_map(char::escape_default).collect();
    // `escape_default` also escapes quotes, which do no harm.
    shown = shown.replace("\\'", "'").replace("\\\"", "\"");
    if cut.len() < text.len() {
        shown.push_str("...");
    }
    shown
}
