//! A web server on a loopback address that answers as a test tells it to, with or without TLS.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct WebRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Headers, their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl WebRequest {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection, with or without TLS.
pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Answers a request. `number` is the number of requests before it. After it returns, the connection is closed.
type Handler = dyn Fn(&WebRequest, usize, &mut dyn Write) + Send + Sync;

/// The server. It ends with the test.
pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<WebRequest>>>,
}

impl WebServer {
    pub(crate) fn start(
        handler: impl Fn(&WebRequest, usize, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        Self::begin(None, Arc::new(handler))
    }

    /// With TLS, for a certificate and its key.
    pub(crate) fn start_tls(
        (certificate, key): (&Path, &Path),
        handler: impl Fn(&WebRequest, usize, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                chain.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap();
        Self::begin(Some(Arc::new(config)), Arc::new(handler))
    }

    fn begin(tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, handler, requests) =
                    (tls.clone(), Arc::clone(&handler), Arc::clone(&kept));
                thread::spawn(move || match tls {
                    None => answer(stream, &handler, &requests),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        let mut stream = StreamOwned::new(connection, stream);
                        answer(&mut stream, &handler, &requests);
                        stream.conn.send_close_notify();
                        stream.flush().ok();
                    }
                });
            }
        });
        Self { address, scheme, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<WebRequest> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(stream: impl Stream, handler: &Arc<Handler>, requests: &Mutex<Vec<WebRequest>>) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else { return };
    let number = {
        let mut requests = requests.lock().unwrap();
        requests.push(request.clone());
        requests.len() - 1
    };
    handler(&request, number, reader.get_mut());
    reader.get_mut().flush().ok();
}

fn read(reader: &mut impl std::io::BufRead) -> Option<WebRequest> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(WebRequest { method, path, headers, body })
}

/// Writes an answer; `headers` are whole lines.
pub(crate) fn reply(out: &mut dyn Write, status: u16, headers: &[&str], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} Some\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("Connection: close\r\n\r\n");
    out.write_all(&[head.as_bytes(), body].concat()).ok();
}

/// Makes a certificate that it has signed itself, for a common name and alternative ones: the files of certificate
/// and key, `stem` with their endings.
pub(crate) fn certificate(stem: &Path, name: &str, alternative: &str) -> (PathBuf, PathBuf) {
    let (path, key) = (stem.with_extension("crt"), stem.with_extension("key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "30", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName={alternative}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&path)
        .output()
        .expect("openssl is installed (cargo xtask test does)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (path, key)
}

/// What a proxy was asked for: targets, with `Proxy-Authorization`.
pub(crate) type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A proxy that connects every tunnel to `target`, whatever its name. Returns its address, and what it is
/// asked for.
pub(crate) fn proxy(target: SocketAddr) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let Some(request) = read(&mut reader) else { return };
                assert_eq!(request.method, "CONNECT");
                let credentials = request.header("proxy-authorization").to_owned();
                kept.lock().unwrap().push((request.path, credentials));
                let server = TcpStream::connect(target).unwrap();
                let (mut up, mut down) = (server.try_clone().unwrap(), server);
                let mut client = client;
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let back = thread::spawn(move || {
                    std::io::copy(&mut down, &mut client).ok();
                    client.shutdown(std::net::Shutdown::Both).ok();
                });
                std::io::copy(&mut reader, &mut up).ok();
                up.shutdown(std::net::Shutdown::Both).ok();
                back.join().ok();
            });
        }
    });
    (address, asked)
}
