//! Tests with other lookups of addresses than the system's. `tests/it/outgoing.rs` has those with servers.

use super::resolve::Lookup;
use super::*;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use ureq::unversioned::resolver::Resolver as _;
use ureq::unversioned::transport::NextTimeout;

fn quick(allow_private: bool) -> OutgoingSettings {
    OutgoingSettings {
        allow_private,
        proxy: ProxyChoice::Direct,
        retries: 1,
        retry_wait: Duration::from_millis(5),
        ..OutgoingSettings::default()
    }
}

fn client(settings: &OutgoingSettings, lookup: Arc<Lookup>) -> Client {
    Client::with_lookup(settings, &|_| None, lookup).unwrap()
}

/// A server that answers any request, and counts connections.
fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap();
            assert!(String::from_utf8_lossy(&head[..length]).contains("feed.example"));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .unwrap();
        }
    });
    (address, count)
}

#[test]
fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let (address, count) = server();
    let lookup: Arc<Lookup> = Arc::new(move |_, _| Ok(vec![address]));
    let request = Request::get(&format!("http://feed.example:{}/list", address.port()));
    let error = client(&quick(false), Arc::clone(&lookup)).send(&request).unwrap_err();
    assert!(matches!(error, OutgoingError::Private { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let fetched = client(&quick(true), lookup).send(&request).unwrap();
    assert!(matches!(fetched, Fetched::Body(_)));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn the_checked_addresses_are_those_that_are_connected_to() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    // The first answer has a public address among private ones; later answers are all private, as in DNS rebinding.
    let lookup: Arc<Lookup> = Arc::new(move |_, port| {
        let texts: &[&str] = match counter.fetch_add(1, Ordering::SeqCst) {
            0 => &[
                "10.0.0.1",
                "1.1.1.1",
                "::1",
                "::ffff:127.0.0.1",
                "2606:4700::1111",
                "169.254.169.254",
            ],
            1 => &["127.0.0.1"],
            _ => &[],
        };
        Ok(texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), port)).collect())
    });
    let resolver = CheckedResolver {
        lookup,
        allow_private: false,
        proxy: Some(("proxy.example".to_owned(), 3128)),
    };
    let resolve = |url: &str| {
        let config = ureq::config::Config::default();
        resolver.resolve(&url.parse().unwrap(), &config, NextTimeout::default())
    };
    let found = resolve("https://feed.example/").unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["1.1.1.1:443", "[2606:4700::1111]:443"]);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // The proxy of the settings may be private; what has its name at another port is not the proxy.
    assert!(resolve("http://proxy.example:3128/").is_ok());
    for url in [
        "http://proxy.example:80/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
    ] {
        assert!(resolve(url).is_err(), "{url}");
    }
    // Each lookup was used once, and literals need none.
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_lookup_that_hangs_or_fails_is_an_error() {
    let mut settings = quick(false);
    settings.connect_time = Duration::from_millis(50);
    settings.retries = 0;
    let slow: Arc<Lookup> = Arc::new(|_, _| {
        thread::sleep(Duration::from_secs(2));
        Ok(Vec::new())
    });
    let request = Request::get("https://feed.example/");
    let error = client(&settings, slow).send(&request).unwrap_err();
    assert!(matches!(error, OutgoingError::Slow { .. }), "{error}");
    let fails: Arc<Lookup> = Arc::new(|_, _| Err(io::Error::other("no\x1b[31m")));
    let error = client(&settings, fails).send(&request).unwrap_err().to_string();
    assert_eq!(error, "cannot find an address of feed.example: no\\u{1b}[31m");
}

#[test]
fn behind_a_proxy_private_addresses_in_the_url_are_refused() {
    let mut settings = quick(false);
    settings.proxy = ProxyChoice::Url("http://127.0.0.1:9".to_owned());
    let client = Client::new(&settings, &|_| None).unwrap();
    for url in [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://a.localhost./",
        "https://169.254.169.254/latest/",
    ] {
        let error = client.send(&Request::get(url)).unwrap_err();
        assert!(matches!(error, OutgoingError::Private { .. }), "{url}: {error}");
    }
}

#[test]
fn a_url_is_checked_and_credentials_do_not_go_over_http() {
    let client = client(&quick(false), resolve::system());
    for url in [
        "",
        "example",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https://",
        "https://u:hunter2@a.example/",
        "javascript:alert(1)",
        "https://a b/",
    ] {
        let error = client.send(&Request::get(url)).unwrap_err();
        assert!(matches!(error, OutgoingError::Url(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let mut request = Request::get("http://feed.example/");
    request.secrets.push(("X-Key".to_owned(), Secret::new("hunter2".to_owned())));
    assert!(!format!("{request:?}").contains("hunter2"));
    let error = client.send(&request).unwrap_err();
    assert!(matches!(error, OutgoingError::InsecureCredentials { .. }), "{error}");
}
