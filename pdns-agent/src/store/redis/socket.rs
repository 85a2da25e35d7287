//! Sockets to a server: Unix, TCP, and TLS over TCP.
//!
//! Below `store/redis/resp.rs`, which reads the replies. TLS is rustls with the certificate authorities of the system.

use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A connected socket.
pub(in crate::store) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// Connects, within `patience` for each address and each message of a handshake.
    pub(in crate::store) fn connect(
        addr: &ConnectionAddr,
        patience: Duration,
    ) -> RedisResult<Self> {
        let socket = match addr {
            ConnectionAddr::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            ConnectionAddr::Tcp(host, port) => Self::Tcp(connect_tcp(host, *port, patience)?),
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
                let socket = connect_tcp(host, *port, patience)?;
                // The handshake waits for the server, too.
                socket.set_read_timeout(Some(patience))?;
                socket.set_write_timeout(Some(patience))?;
                Self::Tls(Box::new(handshake(host, socket)?))
            }
            _ => {
                let kind = ErrorKind::InvalidClientConfig;
                return Err(RedisError::from((kind, "this kind of connection is not supported")));
            }
        };
        socket.set_timeouts(patience)?;
        Ok(socket)
    }

    /// Sets the time limit for a read or a write.
    pub(in crate::store) fn set_timeouts(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Unix(socket) => {
                socket.set_read_timeout(Some(patience))?;
                socket.set_write_timeout(Some(patience))
            }
            Self::Tcp(socket) => set_tcp_timeouts(socket, patience),
            Self::Tls(stream) => set_tcp_timeouts(&stream.sock, patience),
        }
    }
}

fn set_tcp_timeouts(socket: &TcpStream, patience: Duration) -> io::Result<()> {
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.read(bytes),
            Self::Tcp(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.write(bytes),
            Self::Tcp(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Tcp(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Connects to the first of a host's addresses that accepts.
fn connect_tcp(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(socket) => {
                // Commands are sent in one piece; delaying the last bytes would only cost time.
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Performs a TLS handshake on a socket with a server whose certificate names `host`.
fn handshake(
    host: &str,
    socket: TcpStream,
) -> RedisResult<StreamOwned<ClientConnection, TcpStream>> {
    let invalid = |text: &'static str, detail: String| {
        RedisError::from((ErrorKind::InvalidClientConfig, text, detail))
    };
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name)
        .map_err(|error| invalid("the host has no name for a certificate", error.to_string()))?;
    let config = Arc::new(config()?);
    let connection = ClientConnection::new(config, name)
        .map_err(|error| invalid("TLS cannot be set up", error.to_string()))?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Builds the settings of a client that trusts the system's certificate authorities, or those in `SSL_CERT_FILE`.
fn config() -> io::Result<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(
            || "install the package ca-certificates, or set SSL_CERT_FILE".to_owned(),
            ToString::to_string,
        );
        return Err(io::Error::other(format!("no certificate authority is known: {why}")));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Suggests a remedy for a certificate that is refused; `None` if the error text says it already, as for a wrong
/// name.
pub(in crate::store) fn distrust(text: &str) -> Option<&'static str> {
    // The node of a cluster may stand before it.
    let (_, why) = text.split_once("invalid peer certificate: ")?;
    if why.contains("CaUsedAsEndEntity") {
        return Some(
            "its certificate is an authority's and not a server's: make one with basicConstraints CA:FALSE",
        );
    }
    // An authority that happens to have the issuer's name cannot have signed it.
    ["UnknownIssuer", "BadSignature", "UnsupportedSignatureAlgorithm"]
        .iter()
        .any(|known| why.starts_with(known))
        .then_some(
            "its certificate is signed by nobody whom this machine trusts: name a file with the \
             certificate, or its authority's, in SSL_CERT_FILE",
        )
}
