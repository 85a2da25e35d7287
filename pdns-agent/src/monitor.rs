//! `/metrics`, and `/health` or `/healthz`, for a monitoring system on this machine.
//!
//! Layer 0: the agent and the judge publish theirs here. A single thread handles one request after another, with small
//! limits on time and size: the responses are small, and clients are not trusted with the program's time. Only the path is
//! examined.

use crate::unix_socket;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Maximum size of a request head, in bytes.
const HEAD: usize = 8 * 1024;
/// Maximum time for a client in total.
const TIME: Duration = Duration::from_secs(2);
/// Maximum time for one read or write.
const STEP: Duration = Duration::from_millis(500);

/// A program that is watched.
pub(crate) trait Monitored: Send + Sync + 'static {
    /// Its metrics, in Prometheus' text format.
    fn to_text(&self) -> String;
    /// What is wrong with it, one sentence each; nothing if it works.
    fn problems(&self) -> Vec<String>;
}

/// Serves on `address`: `HOST:PORT`, or the path of a Unix socket if it holds a `/`.
///
/// Replaces the socket of a program that has ended.
///
/// # Errors
/// The system's error if the address is not available.
pub(crate) fn start<M: Monitored>(address: &str, metrics: &Arc<M>) -> io::Result<()> {
    let metrics = Arc::clone(metrics);
    if address.contains('/') {
        let path = Path::new(address);
        let listener = unix_socket::bind(path)?;
        serve(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(STEP))?;
            stream.set_write_timeout(Some(STEP))?;
            answer(stream, &*metrics)
        })
    } else {
        let listener = TcpListener::bind(address)?;
        serve(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(STEP))?;
            stream.set_write_timeout(Some(STEP))?;
            answer(stream, &*metrics)
        })
    }
}

fn serve(mut each: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            if let Err(error) = each() {
                tracing::debug!(%error, "a request for metrics failed");
                // If a connection cannot be accepted, the next attempt would fail as well.
                thread::sleep(Duration::from_millis(10));
            }
        }
    })?;
    Ok(())
}

/// Answers one request and closes the connection.
fn answer(mut stream: impl Read + Write, metrics: &impl Monitored) -> io::Result<()> {
    let until = Instant::now() + TIME;
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD {
            return reply(
                &mut stream,
                "431 Request Header Fields Too Large",
                "the request is too long\n",
            );
        }
        if Instant::now() > until {
            return reply(&mut stream, "408 Request Timeout", "the request took too long\n");
        }
        match stream.read(&mut part)? {
            0 => break,
            count => head.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
    let line = head.split(|&octet| octet == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&octet| octet == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|&octet| octet == b'?').next().unwrap_or_default();
    match (method, path) {
        (b"GET", b"/metrics") => reply(&mut stream, "200 OK", &metrics.to_text()),
        (b"GET", b"/health" | b"/healthz") => {
            let problems = metrics.problems();
            if problems.is_empty() {
                reply(&mut stream, "200 OK", "ok\n")
            } else {
                reply(&mut stream, "503 Service Unavailable", &(problems.join("\n") + "\n"))
            }
        }
        (b"GET", _) => reply(&mut stream, "404 Not Found", "not found: use /metrics or /health\n"),
        _ => reply(&mut stream, "405 Method Not Allowed", "method not allowed: use GET\n"),
    }
}

fn reply(stream: &mut impl Write, status: &str, body: &str) -> io::Result<()> {
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\n{allow}Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A client that sends these parts, and nothing after them.
    struct Client(VecDeque<Vec<u8>>, Vec<u8>);

    impl Read for Client {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(part) = self.0.pop_front() else { return Ok(0) };
            buffer[..part.len()].copy_from_slice(&part);
            Ok(part.len())
        }
    }

    impl Write for Client {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.1.extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A program with these problems.
    struct Program(Vec<String>);

    impl Monitored for Program {
        fn to_text(&self) -> String {
            "# HELP pdns_up it is\n".to_owned()
        }

        fn problems(&self) -> Vec<String> {
            self.0.clone()
        }
    }

    fn asked(parts: &[&[u8]]) -> String {
        asked_of(&Program(Vec::new()), parts)
    }

    fn asked_of(program: &Program, parts: &[&[u8]]) -> String {
        let parts = parts.iter().map(|part| part.to_vec()).collect();
        let mut client = Client(parts, Vec::new());
        answer(&mut client, program).unwrap();
        String::from_utf8(client.1).unwrap()
    }

    #[test]
    fn two_pages_are_there_and_nothing_else() {
        assert!(asked(&[b"GET /metr", b"ics HTTP/1.1\r\n\r\n"]).contains("\r\n\r\n# HELP pdns_up"));
        for path in ["/health", "/healthz", "/health?x"] {
            let request = format!("GET {path} HTTP/1.1\r\n\r\n");
            assert!(asked(&[request.as_bytes()]).ends_with("\r\n\r\nok\n"), "{path}");
        }
        let broken = Program(vec!["one".to_owned(), "two".to_owned()]);
        let said = asked_of(&broken, &[b"GET /health HTTP/1.1\r\n\r\n"]);
        assert!(
            said.starts_with("HTTP/1.1 503 ") && said.ends_with("\r\n\r\none\ntwo\n"),
            "{said}"
        );
        assert!(asked(&[b"GET / HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 404 "));
        assert!(asked(&[b"POST /metrics HTTP/1.1\r\n\r\n"]).contains("\r\nAllow: GET\r\n"));
        assert!(asked(&[b"\xff\x00"]).starts_with("HTTP/1.1 405 "));
        let long = vec![b'x'; 1024];
        assert!(asked(&vec![long.as_slice(); 20]).starts_with("HTTP/1.1 431 "));
    }
}
