//! Outgoing requests to real servers on loopback addresses, friendly and hostile ones.

use crate::web::{WebRequest, WebServer, certificate, proxy, reply};
use flate2::Compression;
use flate2::write::GzEncoder;
use pdns_agent::outgoing::{
    Client, Expected, Fetched, OutgoingError, OutgoingSettings, ProxyChoice, Request, Secret,
    SizeLimits,
};
use std::io::{Read as _, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn settings() -> OutgoingSettings {
    OutgoingSettings {
        allow_private: true,
        proxy: ProxyChoice::Direct,
        size: SizeLimits { bytes: 1 << 20, lines: 1000 },
        total_time: Duration::from_secs(20),
        connect_time: Duration::from_secs(5),
        read_time: Duration::from_secs(5),
        retries: 0,
        retry_wait: Duration::from_millis(10),
        ..OutgoingSettings::default()
    }
}

fn send(settings: &OutgoingSettings, request: &Request) -> Result<Fetched, OutgoingError> {
    Client::new(settings, &|_| None).unwrap().send(request)
}

fn text(fetched: Result<Fetched, OutgoingError>) -> String {
    let Ok(Fetched::Body(mut body)) = fetched else { panic!("{fetched:?}") };
    let mut text = String::new();
    body.file.read_to_string(&mut text).unwrap();
    text
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The error of a request to a server with this handler.
fn error_of(
    settings: &OutgoingSettings,
    handler: impl Fn(&WebRequest, usize, &mut dyn Write) + Send + Sync + 'static,
) -> OutgoingError {
    let server = WebServer::start(handler);
    let mut request = Request::get(&server.url("/secret-path?key=hunter2"));
    request.secrets.push(("X-Key".to_owned(), Secret::new("hunter2".to_owned())));
    let error = send(settings, &request).unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(!said.contains("hunter2") && !said.contains("secret-path"), "{said}");
    assert!(!error.to_string().contains('\n') && error.to_string().is_ascii(), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    error
}

#[test]
fn a_list_is_received_and_only_again_when_it_has_changed() {
    let server = WebServer::start(|request, _, out| {
        if request.header("if-none-match") == "\"1\"" {
            return reply(out, 304, &["ETag: \"1\""], b"");
        }
        let headers = [
            "ETag: \"1\"",
            "Last-Modified: Sun, 29 Nov 2026 10:00:00 GMT",
            "Content-Type: text/plain; charset=utf-8",
        ];
        reply(out, 200, &headers, b"evil.example\n");
    });
    let mut request = Request::get(&server.url("/list.txt"));
    let Fetched::Body(body) = send(&settings(), &request).unwrap() else { panic!() };
    assert_eq!(body.media_type(), "text/plain");
    assert_eq!(body.validators.last_modified.as_deref(), Some("Sun, 29 Nov 2026 10:00:00 GMT"));
    request.known = body.validators;
    assert!(matches!(send(&settings(), &request), Ok(Fetched::NotModified)));
    let requests = server.requests();
    assert!(requests[0].header("user-agent").starts_with("pdns/"));
    assert_eq!(requests[1].header("if-modified-since"), "Sun, 29 Nov 2026 10:00:00 GMT");
}

#[test]
fn a_redirect_is_followed_on_the_same_server_only_and_not_forever() {
    let other = WebServer::start(|_, _, out| reply(out, 200, &[], b"other"));
    let elsewhere = other.url("/");
    let server = WebServer::start(move |request, _, out| match request.path.as_str() {
        "/moved" => reply(out, 301, &["Location: /list"], b"moved"),
        "/loop" => reply(out, 302, &["Location: /loop"], b""),
        "/other-port" => reply(out, 302, &[&format!("Location: {elsewhere}")], b""),
        "/other-host" => reply(out, 302, &["Location: http://localhost.example/"], b""),
        "/file" => reply(out, 302, &["Location: file:///etc/passwd"], b""),
        "/nowhere" => reply(out, 302, &[], b""),
        _ => reply(out, 200, &[], b"list"),
    });
    let go = |path: &str| {
        let mut request = Request::get(&server.url(path));
        request.secrets.push(("X-Key".to_owned(), Secret::new("hunter2".to_owned())));
        send(&settings(), &request)
    };
    assert_eq!(text(go("/moved")), "list");
    for path in ["/loop", "/other-port", "/other-host", "/file", "/nowhere"] {
        let error = go(path).unwrap_err();
        assert!(matches!(error, OutgoingError::Redirect { .. }), "{path}: {error}");
    }
    assert!(go("/loop").unwrap_err().to_string().ends_with("redirects more than 5 times"));
    assert!(other.requests().is_empty());
}

#[test]
fn each_status_says_what_to_do() {
    for (status, want) in [
        (401, "credentials are missing or wrong"),
        (403, "check the credentials"),
        (404, "not found: check the address"),
        (418, "it refuses the request"),
        (429, "too many requests"),
        (500, "an error of the server"),
    ] {
        let error = error_of(&settings(), move |_, _, out| reply(out, status, &[], b"no"));
        assert!(
            error.to_string().contains(want) && error.to_string().contains(&status.to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_temporary_error_is_tried_again_and_a_lasting_one_is_not() {
    let mut settings = settings();
    settings.retries = 2;
    let server = WebServer::start(|_, number, out| match number {
        0 => reply(out, 500, &[], b""),
        1 => drop(out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut")),
        _ => reply(out, 200, &[], b"third"),
    });
    assert_eq!(text(send(&settings, &Request::get(&server.url("/")))), "third");
    let server = WebServer::start(|_, _, out| reply(out, 404, &[], b""));
    send(&settings, &Request::get(&server.url("/"))).unwrap_err();
    assert_eq!(server.requests().len(), 1);
    let server = WebServer::start(|_, _, out| reply(out, 503, &[], b""));
    send(&settings, &Request::get(&server.url("/"))).unwrap_err();
    assert_eq!(server.requests().len(), 3);
    // The wait of the server counts, up to a limit.
    let server = WebServer::start(|_, number, out| match number {
        0 => reply(out, 429, &["Retry-After: 1"], b""),
        _ => reply(out, 200, &[], b"later"),
    });
    let started = Instant::now();
    assert_eq!(text(send(&settings, &Request::get(&server.url("/")))), "later");
    assert!(started.elapsed() >= Duration::from_secs(1));
    let server = WebServer::start(|_, _, out| reply(out, 429, &["Retry-After: 86400"], b""));
    let error = send(&settings, &Request::get(&server.url("/"))).unwrap_err();
    assert_eq!((error.retry_after(), server.requests().len()), (Some(Duration::from_hours(24)), 1));
    // What changes something is only repeated if the server has not processed it.
    for (status, requests) in [(500, 1), (503, 3)] {
        let server = WebServer::start(move |_, _, out| reply(out, status, &[], b""));
        let request = Request::post_json(&server.url("/add"), &serde_json::json!({"a": 1}), false);
        send(&settings, &request).unwrap_err();
        assert_eq!(server.requests().len(), requests);
        assert_eq!(server.requests()[0].body, b"{\"a\":1}");
    }
}

#[test]
fn a_slow_server_is_given_up() {
    let mut quick = settings();
    quick.read_time = Duration::from_millis(300);
    let error = error_of(&quick, |_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap();
        out.flush().unwrap();
        thread::sleep(Duration::from_secs(2));
    });
    assert!(error.to_string().ends_with("was too slow: nothing came for 0.3 seconds"), "{error}");
    let error = error_of(&quick, |_, _, _| thread::sleep(Duration::from_secs(2)));
    assert!(matches!(error, OutgoingError::Slow { .. }), "{error}");
    // One byte now and then keeps the connection alive, but not beyond the total time.
    quick.read_time = Duration::from_secs(5);
    quick.total_time = Duration::from_millis(500);
    let started = Instant::now();
    let error = error_of(&quick, |_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        while out.write_all(b"a").and_then(|()| out.flush()).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(error.to_string().contains("longer than 0.5 seconds"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_truncated_answer_is_an_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nConte",
        b"",
    ] {
        let error = error_of(&settings(), move |_, _, out| drop(out.write_all(answer)));
        assert!(matches!(error, OutgoingError::Truncated { .. }), "{answer:?}: {error:?}");
    }
    let half = gzip(b"www.example.com\n");
    let error = error_of(&settings(), move |_, _, out| {
        reply(out, 200, &["Content-Encoding: gzip"], &half[..half.len() - 9]);
    });
    assert!(matches!(error, OutgoingError::Compression { .. }), "{error}");
}

#[test]
fn what_is_not_http_is_an_error() {
    for answer in
        [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"HTTP/1.1 banana\r\n\r\n", b"\x16\x03\x01\x00\x00"]
    {
        error_of(&settings(), move |_, _, out| drop(out.write_all(answer)));
    }
    error_of(&settings(), |_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        while out.write_all(b"X-Endless: \x1b[31m\r\n").is_ok() {}
    });
    let error = error_of(&settings(), |_, _, out| {
        reply(out, 200, &["Content-Encoding: br"], b"abc");
    });
    assert!(error.to_string().ends_with("the encoding br is not supported"), "{error}");
}

#[test]
fn an_endless_answer_and_a_bomb_end_at_the_limit() {
    let error = error_of(&settings(), |_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        while out.write_all(b"www.example.com ").is_ok() {}
    });
    assert!(error.to_string().ends_with("is larger than 1048576 bytes"), "{error}");
    let error = error_of(&settings(), |_, _, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        while out.write_all(b"\n").is_ok() {}
    });
    assert!(error.to_string().ends_with("has more than 1000 lines"), "{error}");
    let bomb = gzip(&vec![b'a'; 32 << 20]);
    let copy = bomb.clone();
    let headers = ["Content-Encoding: gzip"];
    let error = error_of(&settings(), move |_, _, out| reply(out, 200, &headers, &copy));
    assert!(matches!(error, OutgoingError::TooLarge { .. }), "{error}");
    let mut wide = settings();
    wide.size.bytes = 1 << 30;
    let error = error_of(&wide, move |_, _, out| reply(out, 200, &headers, &bomb));
    assert!(error.to_string().contains("decompression bomb"), "{error}");
    let server = WebServer::start(move |request, _, out| {
        assert_eq!(request.header("accept-encoding"), "gzip");
        reply(out, 200, &headers, &gzip(b"www.example.com\n"));
    });
    assert_eq!(text(send(&settings(), &Request::get(&server.url("/")))), "www.example.com\n");
}

#[test]
fn a_page_in_place_of_a_list_is_refused() {
    let error = error_of(&settings(), |_, _, out| {
        reply(out, 200, &["Content-Type: text/HTML; charset=utf-8"], b"<h1>Log in</h1>");
    });
    assert!(error.to_string().ends_with("sent \"text/html\" in place of a list"), "{error}");
    let server = WebServer::start(|_, _, out| {
        reply(out, 200, &["Content-Type: text/plain"], b"{}");
    });
    let mut request = Request::get(&server.url("/"));
    request.expected = Expected::Json;
    let error = send(&settings(), &request).unwrap_err();
    assert!(error.to_string().ends_with("sent \"text/plain\" in place of JSON"), "{error}");
}

fn tls_server(folder: &Path, alternative: &str) -> WebServer {
    let (path, key) = certificate(&folder.join("web"), "web", alternative);
    WebServer::start_tls((&path, &key), |_, _, out| reply(out, 200, &[], b"safe"))
}

#[test]
fn a_certificate_must_be_trusted_and_for_the_name() {
    let folder = TempDir::new().unwrap();
    let server = tls_server(folder.path(), "IP:127.0.0.1");
    let request = Request::get(&server.url("/"));
    let error = send(&settings(), &request).unwrap_err();
    assert!(matches!(&error, OutgoingError::Certificate { .. }), "{error:?}");
    assert!(error.to_string().contains("unknown authority"), "{error}");
    let mut trusting = settings();
    trusting.ca_file = Some(folder.path().join("web.crt"));
    assert_eq!(text(send(&trusting, &request)), "safe");
    // One for another name is no use.
    let folder = TempDir::new().unwrap();
    let server = tls_server(folder.path(), "DNS:other.example");
    trusting.ca_file = Some(folder.path().join("web.crt"));
    let error = send(&trusting, &Request::get(&server.url("/"))).unwrap_err();
    assert!(error.to_string().ends_with("is not valid: it is for another name"), "{error}");
    // Nor is plain HTTP where TLS is expected.
    let plain = WebServer::start(|_, _, out| reply(out, 200, &[], b"plain"));
    let error = send(&trusting, &Request::get(&format!("https://{}/", plain.address)));
    assert!(error.is_err());
    let path = folder.path().join("web.key");
    trusting.ca_file = Some(path);
    assert!(Client::new(&trusting, &|_| None).unwrap_err().to_string().contains("web.key"));
}

#[test]
fn a_proxy_tunnels_to_the_server_and_resolves_its_name() {
    let folder = TempDir::new().unwrap();
    let server = tls_server(folder.path(), "DNS:feed.example");
    let (address, asked) = proxy(server.address);
    let mut settings = settings();
    settings.allow_private = false;
    settings.ca_file = Some(folder.path().join("web.crt"));
    settings.proxy = ProxyChoice::Environment;
    let env = |name: &str| match name {
        "https_proxy" => Some(format!("http://me:pa%40ss@{address}")),
        _ => None,
    };
    let client = Client::new(&settings, &env).unwrap();
    let mut request = Request::get("https://feed.example/list");
    request.secrets.push(("X-Key".to_owned(), Secret::new("hunter2".to_owned())));
    assert_eq!(text(client.send(&request)), "safe");
    let credentials = "Basic bWU6cGFAc3M=".to_owned();
    assert_eq!(*asked.lock().unwrap(), [("feed.example:443".to_owned(), credentials)]);
    assert_eq!(server.requests()[0].header("x-key"), "hunter2");
    assert_eq!(server.requests()[0].header("proxy-authorization"), "");
}
