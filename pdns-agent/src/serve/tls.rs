//! TLS: the certificate and its key, reloaded when their files change.

use crate::bounded_file::open_file;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// Reason why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("cannot read {what} from {path}")]
    Read {
        /// The expected content.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system or the parser.
        #[source]
        cause: pem::Error,
    },
    /// A file without a certificate.
    #[error("{0} holds no certificate: give a PEM file, the server's own certificate first")]
    Empty(PathBuf),
    /// A certificate and key that cannot be used.
    #[error("cannot use the certificate {certificate} with the key {key}")]
    Unfit {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// The error.
        #[source]
        cause: rustls::Error,
    },
}

/// The files, and the configuration last loaded from them.
#[derive(Debug)]
pub(super) struct Tls {
    files: (PathBuf, PathBuf),
    config: RwLock<Arc<ServerConfig>>,
    stamps: Mutex<[Option<SystemTime>; 2]>,
}

impl Tls {
    /// Reads both files.
    pub(super) fn load(files: &(PathBuf, PathBuf)) -> Result<Self, TlsError> {
        let stamps = stamps(files);
        let config = RwLock::new(Arc::new(read(&files.0, &files.1)?));
        Ok(Self { files: files.clone(), config, stamps: Mutex::new(stamps) })
    }

    /// Returns the configuration for the next handshake.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reloads the files if they have changed; keeps the current configuration while they are not valid.
    pub(super) fn reload(&self, force: bool) {
        let now = stamps(&self.files);
        let mut last = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now && !force {
            return;
        }
        *last = now;
        match read(&self.files.0, &self.files.1) {
            Ok(config) => {
                *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("the certificate was read anew");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the certificate cannot be used; the one before stays");
            }
        }
    }
}

fn stamps(files: &(PathBuf, PathBuf)) -> [Option<SystemTime>; 2] {
    [&files.0, &files.1].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let unread = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |cause| TlsError::Read { what, path, cause }
    };
    let opened = |path: &Path| open_file(path).map(BufReader::new).map_err(pem::Error::Io);
    let chain: Vec<CertificateDer<'static>> = opened(certificate)
        .and_then(|file| CertificateDer::pem_reader_iter(file).collect())
        .map_err(unread("certificates", certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(certificate.to_owned()));
    }
    let secret = opened(key)
        .and_then(|mut file| PrivateKeyDer::from_pem_reader(&mut file))
        .map_err(unread("a private key", key))?;
    let unfit =
        |cause| TlsError::Unfit { certificate: certificate.to_owned(), key: key.to_owned(), cause };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
