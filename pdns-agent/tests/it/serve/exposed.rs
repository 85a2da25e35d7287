//! Where it listens, and how it ends.

use super::{Site, listens, read_reply, request, serve};
use crate::redis::{Redis, until};
use crate::run::Home;
use crate::serve::users::add;
use crate::web::certificate;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

#[test]
fn an_address_for_all_the_world_needs_users_and_tls() {
    let (home, redis) = (Home::new(), Redis::start());
    let refused = |flags: &[&str]| {
        let (code, said) = serve(&home, &redis, flags).end();
        assert_eq!(code, Some(78), "{said}");
        said
    };
    for address in ["0.0.0.0:0", "[::]:0"] {
        assert!(refused(&["--listen", address]).contains("name a file of users"), "{address}");
        assert!(refused(&["--listen", address, "--behind-proxy"]).contains("name a file of users"));
    }
    add(&home, "alice");
    let users = ["--listen", "0.0.0.0:0", "--users", "HOME/users.toml"];
    assert!(refused(&users).contains("--tls-cert"));
    let process = serve(&home, &redis, &[&users[..], &["--behind-proxy"]].concat());
    listens(&process);
    assert!(refused(&["--listen", "localhost"]).contains("is no address to listen on"));
    assert!(refused(&["--tls-cert", "x"]).contains("TLS needs both"));
    assert!(refused(&["--tls-cert", "x", "--tls-key", "y"]).contains("cannot read certificates"));
    assert!(refused(&["--users", "HOME/none.toml"]).contains("cannot read the users"));
}

#[test]
fn only_its_own_host_names_are_answered_without_users() {
    let site = Site::with(&["--host", "pdns.example.net"]);
    let status = |host: &str| site.get_with("/pdns/query/example.com", &[("Host", host)]).status;
    for host in ["localhost", "127.0.0.1:8953", "[::1]", "PDNS.example.net:80"] {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1"] {
        assert_eq!(status(host), 403, "{host}");
    }
}

#[test]
fn one_origin_may_read_and_no_other() {
    let allowed = |site: &Site, origin: &str| {
        let reply = site.get_with("/pdns/query/example.com", &[("Origin", origin)]);
        reply.header("access-control-allow-origin").map(str::to_owned)
    };
    let site = Site::new();
    assert_eq!(allowed(&site, "https://so.example.net"), None);
    let reply = site.get("/pdns/query/example.com");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(request(&site.address, "OPTIONS", "/pdns/query/x", &[]).status, 405);
    let site = Site::with(&["--cors-origin", "https://so.example.net"]);
    assert_eq!(allowed(&site, "https://so.example.net").as_deref(), Some("https://so.example.net"));
    assert_eq!(allowed(&site, "https://evil.example"), None);
    let headers = [("Origin", "https://so.example.net"), ("Access-Control-Request-Method", "GET")];
    let reply = request(&site.address, "OPTIONS", "/pdns/query/x", &headers);
    assert_eq!(reply.status, 204);
    assert!(reply.header("access-control-allow-headers").unwrap().contains("x-api-key"));
}

#[test]
fn a_unix_socket_is_replaced_when_its_server_is_gone() {
    let (home, redis) = (Home::new(), Redis::start());
    super::fill(&redis);
    let path = home.path().join("serve.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let process = serve(&home, &redis, &["--listen", "unix:HOME/serve.sock"]);
    listens(&process);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(
            b"GET /pdns/query/www.example.com HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read_reply(&mut stream).lines().len(), 4);
    let (code, said) = process.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(!path.exists());
}

#[test]
fn it_ends_when_it_is_told_to_and_finishes_what_runs() {
    let site = Site::new();
    // A connection that idles does not hold it up.
    let mut idle = TcpStream::connect(&site.address).unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", site.address);
    idle.write_all(head.as_bytes()).unwrap();
    until("it is answered", || site.process.said().contains("listening"));
    let started = std::time::Instant::now();
    let Site { process, address, .. } = site;
    let (code, said) = process.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.elapsed().as_secs() < 9, "{said}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn tls_is_built_in_and_a_new_certificate_is_taken_up() {
    let home = Home::new();
    let stem = home.path().join("tls");
    let certify = |name| certificate(&stem, name, "DNS:localhost,IP:127.0.0.1");
    let (path, key) = certify("first");
    let site = Site::of(home, &["--tls-cert", "HOME/tls.crt", "--tls-key", "HOME/tls.key"]);
    let ask = || {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-connect",
            &site.address,
            "-CAfile",
        ]);
        command.arg(&path).arg("-alpn").arg("http/1.1");
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let head = format!(
            "GET /pdns/query/www.example.com HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            site.address
        );
        // Where the handshake fails, nobody reads it.
        child.stdin.take().unwrap().write_all(head.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let (shown, said) = ask();
    assert!(shown.contains("192.0.2.7") && said.contains("CN = first"), "{shown}{said}");
    certify("second");
    until("the new one is taken up", || ask().1.contains("CN = second"));
    // One that does not do is told of, and the one before stays.
    fs::write(&key, "nonsense").unwrap();
    until("the server says so", || site.process.said().contains("the one before stays"));
    assert!(ask().0.contains("192.0.2.7"));
    // Plain HTTP is no TLS.
    let mut plain = TcpStream::connect(&site.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
}
