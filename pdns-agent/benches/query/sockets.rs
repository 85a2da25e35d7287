//! The same scan of all records over each type of socket: Unix, TCP, TLS.

use crate::report::Report;
use crate::server::Server;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Scans over each socket; the fastest counts.
const RUNS: usize = 5;

/// Measures the scans as ratios to that over the Unix socket.
pub(crate) fn all(server: &Server, folder: &Path, report: &mut Report) {
    let (tcp, tls) = (free_port(), free_port());
    let (certificate, key) = certificate(folder);
    let settings = [
        ("port", tcp.to_string()),
        ("tls-cert-file", certificate.clone()),
        ("tls-key-file", key),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-port", tls.to_string()),
    ];
    let mut set = redis::cmd("CONFIG");
    set.arg("SET");
    for (name, value) in &settings {
        set.arg(*name).arg(value);
    }
    let () = set.query(&mut server.connection()).expect("redis-server speaks TLS");
    let scan = |url: &str| {
        let once = |_| {
            let begin = Instant::now();
            let status = Command::new(env!("CARGO_BIN_EXE_pdns"))
                .args(["find", "--ttl", "4242424242"])
                .env("PDNS_REDIS", url)
                .env("SSL_CERT_FILE", &certificate)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("pdns was built");
            assert_eq!(status.code(), Some(1), "no record has this TTL: {url}");
            begin.elapsed()
        };
        (0..RUNS).map(once).min().unwrap_or_default()
    };
    let unix = scan(&server.url());
    let times = |one: Duration| one.as_secs_f64() / unix.as_secs_f64();
    let tcp = times(scan(&format!("redis://127.0.0.1:{tcp}")));
    let tls = times(scan(&format!("rediss://localhost:{tls}")));
    report.number("a scan of all records over the Unix socket, in seconds", unix.as_secs_f64());
    report.at_most("the same over TCP, times that", tcp, 2.0);
    report.at_most("the same over TLS, times that", tls, 2.5);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

/// A certificate for `localhost` and its key.
fn certificate(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (path("socket.crt"), path("socket.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "30", "-subj", "/CN=localhost"])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl is installed: `cargo xtask test` does it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}
