//! The page behind a right click: as it is over HTTP, and in a browser.

use super::{Reply, Site, add, read_reply, request, wire};
use crate::reference::python_json;
use crate::run::Home;
use crate::store::options;
use pdns_agent::rr::RrType;
use pdns_agent::store::Store;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;

/// A name that is a piece of HTML.
const HOSTILE: &str = "<img src=x onerror=alert\\(1\\)>\\027[2j.example.org";

/// A site with what a page has to be careful with.
fn site() -> Site {
    let site = Site::with(&["--hunt-url", "https://so.example.net"]);
    let mut store = Store::open(&options(&site.redis)).unwrap();
    let script = b"<script>document.title='owned'</script><b>&\"'";
    let mut text = vec![u8::try_from(script.len()).unwrap()];
    text.extend(script);
    let mut rows = vec![
        ("txt.example.org".to_owned(), RrType::TXT, text, 700),
        (HOSTILE.to_owned(), RrType::A, vec![203, 0, 113, 66], 701),
        (HOSTILE.to_owned(), RrType::CNAME, wire("www.example.com"), 702),
        ("xn--bcher-kva.example".to_owned(), RrType::A, vec![203, 0, 113, 67], 703),
        ("7.2.0.192.in-addr.arpa".to_owned(), RrType::PTR, wire("www.example.com"), 704),
    ];
    for day in 0..40 {
        rows.push(("www.example.com".to_owned(), RrType::A, vec![192, 0, 2, 8], day * 86_400));
    }
    add(&mut store, 2, &rows);
    site
}

/// Sends a form.
fn post(address: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut head = format!(
        "POST /tag HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n",
        body.len()
    );
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    read_reply(&mut stream)
}

/// What a page gives to its form: the cookie and the token.
fn form(page: &Reply) -> (String, String) {
    let cookie = page.header("set-cookie").expect("a first visit gets a cookie");
    let token = page.body.split_once("name=\"token\" value=\"").expect("a form").1;
    let token = token.split('"').next().unwrap();
    (cookie.split(';').next().unwrap().to_owned(), token.to_owned())
}

fn links(html: &str) -> Vec<String> {
    let found = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    found.filter(|link| link.starts_with('/')).map(|link| link.replace("&#38;", "&")).collect()
}

#[test]
fn a_page_tells_what_is_known_and_all_its_links_lead_somewhere() {
    let site = site();
    let page =
        site.get("/context?q=https%3A%2F%2Fwww.example.com%2Fx&field=dns.query.name&t=1700004000");
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for part in [
        "<h1 class=\"data\">www.example.com</h1>",
        "What it resolved to",
        "What points at it",
        "192.0.2.8",
        "2001:db8::7",
        "login.example.com",
        "From dns.query.name, event at 2023-11-14T23:20:00Z",
        "https://so.example.net/#/hunt?q=%22www.example.com%22%20%7C%20groupby",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let mut all = links(&page.body);
    for path in [
        "/",
        "/context/192.0.2.7",
        "/context/198.51.100.0/24",
        "/context/*.example.com",
        "/context/2001:db8::7",
        "/context/203.0.113.66",
        "/context/nothing.example",
        "/context?q=192.0.2.7,www.example.net,443",
        "/context/192.0.2.7-192.0.2.9",
    ] {
        let page = site.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        assert!(!page.body.contains("<script"), "{path}");
        all.extend(links(&page.body));
    }
    all.sort();
    all.dedup();
    assert!(all.len() > 60, "{all:?}");
    // What is not there yet is asked for by the test of its own.
    for link in all.iter().filter(|link| !link.starts_with("/pdns/query/")) {
        let reply = site.get(link);
        assert_eq!(reply.status, 200, "{link}: {}", reply.body);
    }
}

#[test]
fn what_cannot_be_looked_up_is_said_politely() {
    let site = Site::new();
    for path in [
        "/context?q=443",
        "/context/a%20user",
        "/context/%00",
        "/context?q=d41d8cd98f00b204e9800998ecf8427e",
    ] {
        let page = site.get(path);
        assert_eq!(page.status, 404, "{path}");
        assert!(page.body.contains("Not an IP address or domain"), "{path}: {}", page.body);
    }
    assert_eq!(site.get("/context?q=%zz").status, 400);
    for path in ["/context", "/context/", "/context?q="] {
        let page = site.get(path);
        assert_eq!((page.status, page.header("location")), (303, Some("/")), "{path}");
    }
    let page = site.get("/context/www.example.com");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.ends_with("frame-ancestors 'self'"),
        "{policy}"
    );
    let framed = Site::with(&["--frame-ancestor", "https://so.example.net"]);
    let page = framed.get("/context?q=443");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.ends_with("frame-ancestors 'self' https://so.example.net"), "{policy}");
}

#[test]
fn long_sections_go_on_page_by_page() {
    let site = Site::new();
    let page = site.get("/context/198.51.100.0/24");
    assert!(page.body.contains("the latest 25 of 120"), "{}", page.body);
    let more = links(&page.body).into_iter().find(|link| link.contains("show=records")).unwrap();
    let all = site.get(&more);
    assert_eq!(all.body.matches("role=\"row\"").count(), 121, "{}", all.body);
    assert!(!all.body.contains("rel=\"next\""));
}

#[test]
fn tags_are_set_by_our_form_alone() {
    let site = Site::new();
    let page = site.get("/context/www.example.com");
    let (cookie, token) = form(&page);
    let origin = format!("http://{}", site.address);
    let here = [("Origin", origin.as_str()), ("Cookie", cookie.as_str())];
    let body = format!("token={token}&subject=www.example.com&note=a%0D%0Ab&set=threat");
    let refused = |reply: Reply, status: u16| {
        assert_eq!(reply.status, status, "{}", reply.body);
        assert!(reply.header("location").is_none());
    };
    refused(post(&site.address, &[here[0]], &body), 403);
    refused(post(&site.address, &[here[1]], &body), 403);
    refused(post(&site.address, &[here[1], ("Origin", "https://evil.example")], &body), 403);
    refused(post(&site.address, &[here[0], here[1], ("Sec-Fetch-Site", "cross-site")], &body), 403);
    refused(post(&site.address, &here, &body.replace(&token, "x")), 403);
    refused(post(&site.address, &here, &body.replace("threat", "harm")), 400);
    refused(post(&site.address, &here, &body.replace("www.example.com", "a..b")), 400);
    assert!(!site.get("/context/www.example.com").body.contains("class=\"badge"));
    let done = post(&site.address, &here, &body);
    let location = "/context/www.example.com?done=set&kind=threat";
    assert_eq!((done.status, done.header("location")), (303, Some(location)), "{}", done.body);
    let page = site.get(location);
    assert!(page.body.contains("The tag threat is set."));
    assert!(
        page.body.contains("a b") && page.body.contains("by <bdi>local</bdi>"),
        "{}",
        page.body
    );
    // A value that is not one of ours is not told.
    assert!(!site.get("/context/www.example.com?done=owned&kind=threat").body.contains("owned"));
    let below = format!("token={token}&subject=example.org&below=yes&note=&set=trust");
    assert_eq!(post(&site.address, &here, &below).status, 303);
    let page = site.get("/context/txt.example.org");
    assert!(page.body.contains("class=\"badge trust\" title="), "{}", page.body);
    let clear = format!("token={token}&subject=.example.org&clear=trust");
    assert_eq!(post(&site.address, &here, &clear).status, 303);
    assert!(!site.get("/context/txt.example.org").body.contains("class=\"badge trust\" title="));
}

#[test]
fn only_who_may_tag_sees_the_buttons() {
    let home = Home::new();
    let users = home.path().join("users.toml");
    let add = |name: &str, more: &[&str]| {
        let mut command = home.pdns();
        command.args(["serve", "user", "add", name, "--users"]).arg(&users).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (reads, tags) = (add("reader", &[]), add("tagger", &["--may-tag"]));
    let site = Site::of(home, &["--users", "HOME/users.toml"]);
    assert_eq!(site.get("/context/www.example.com").status, 401);
    let page = site.get_with("/context/www.example.com", &[("X-API-Key", &reads)]);
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<form class=\"judge\"") && !page.body.contains("name=\"token\""));
    let page = site.get_with("/context/www.example.com", &[("X-API-Key", &tags)]);
    let (cookie, token) = form(&page);
    let origin = format!("http://{}", site.address);
    let body = format!("token={token}&subject=www.example.com&note=&set=interest");
    let send = |key: &str| {
        post(&site.address, &[("Origin", &origin), ("Cookie", &cookie), ("X-API-Key", key)], &body)
    };
    // A token is of one user, and who may not tag has none at all.
    assert_eq!(send(&reads).status, 403);
    assert_eq!(send(&tags).status, 303);
    let page = site.get_with("/context/www.example.com", &[("X-API-Key", &reads)]);
    assert!(page.body.contains("by <bdi>tagger</bdi>"), "{}", page.body);
    let reply = request(&site.address, "PUT", "/tag", &[("X-API-Key", &tags)]);
    assert_eq!(reply.status, 405);
}

#[test]
fn a_browser_shows_it_and_tags_with_it() {
    let test = "a_browser_shows_it_and_tags_with_it";
    if !Path::new("/usr/bin/chromium").exists() || !Path::new("/usr/bin/chromedriver").exists() {
        return crate::support::skip(test, "no chromium with chromium-driver");
    }
    let site = site();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    let url = site.url("");
    let seen = python_json("browser.py", &[url.as_ref(), folder.as_os_str()], &[]);
    let text = |value: &serde_json::Value| value.to_string();
    assert_eq!(seen["console"], serde_json::json!([]), "the browser complains");
    assert_eq!(seen["wide"], serde_json::json!([]), "a page is wider than its window");
    for seen in [&seen["look_up"], &seen["no_scripts"]["look_up"]] {
        assert_eq!(seen["heading"], "www.example.com");
        assert_eq!(seen["title"], "www.example.com \u{b7} pdns");
        assert!(seen["summary"].as_str().unwrap().starts_with("Seen "), "{seen}");
        assert!(
            seen["bars"].as_str().unwrap().starts_with("seen from 2023-11-14T22:13:20Z"),
            "{seen}"
        );
        assert_eq!(seen["pivoted"], "192.0.2.7");
        assert!(text(&seen["owners"]).contains("www.example.net"), "{seen}");
        assert_eq!(seen["prefix"], "192.0.2.0/24");
    }
    for seen in [&seen["tag"], &seen["no_scripts"]["tag"]] {
        assert_eq!(seen["before"], serde_json::json!([]));
        assert_eq!(seen["told"], "The tag threat is set.");
        assert_eq!(seen["after"], serde_json::json!(["threat"]));
        let line = seen["line"].as_str().unwrap();
        assert!(
            line.contains("<b>bad</b> \"quoted\"") && line.contains("by local, from page"),
            "{line}"
        );
        assert_eq!(seen["bold"], 0);
        assert_eq!(seen["across"], serde_json::json!(["threat"]));
        assert_eq!(seen["cleared"], "The tag threat is cleared.");
        assert!(text(&seen["history"]).contains("cleared"), "{seen}");
        assert_eq!(seen["left"], serde_json::json!([]));
    }
    let hostile = &seen["hostile"];
    for seen in ["txt", "name", "idn", "junk"].map(|which| &hostile[which]) {
        assert_eq!(seen["elements"], 0, "{seen}");
        assert_ne!(seen["title"], "owned");
    }
    assert!(text(&hostile["txt"]["text"]).contains("<script>document.title='owned'</script><b>&"));
    assert!(text(&hostile["name"]["text"]).contains("<img\\\\032src=x"), "{hostile}");
    assert!(
        text(&hostile["idn"]["text"]).contains("= b\u{fc}cher.example (Latin letters)"),
        "{hostile}"
    );
    assert!(text(&hostile["junk"]["text"]).contains("Not an IP address or domain"));
}

#[test]
fn schemathesis_finds_nothing() {
    // Without a limit on the rate, or most of what it asks would be refused.
    let site = Site::with(&["--rate", "0"]);
    let url = site.url("");
    let seen = python_json("api.py", &[url.as_ref(), site.home.path().as_os_str()], &[]);
    assert_eq!(seen["code"], 0, "{}", seen["said"].as_str().unwrap_or_default());
}

#[test]
fn the_score_is_on_the_page_and_in_cof_on_request() {
    let site = site();
    let page = site.get("/context/www.example.com").body;
    let card =
        page.split_once("id=\"score\"").expect("a card").1.split("</section>").next().unwrap();
    assert!(
        card.contains("<details>") && card.contains("<summary><strong class=\"score "),
        "{card}"
    );
    for part in
        ["of 100, ", "<strong>prior</strong>", "<strong>sum</strong>", "Unknown: ", "reputation"]
    {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert!(!page.contains("<script"), "{page}");
    // Of several addresses together there is no score.
    let page = site.get("/context/192.0.2.0/24").body;
    assert!(page.contains("192.0.2.0/24") && !page.contains("id=\"score\""), "{page}");
    let hostile = site.get("/context/txt.example.org").body;
    assert!(hostile.contains("id=\"score\"") && !hostile.contains("<script"), "{hostile}");
    let rows = |path: &str| -> Vec<serde_json::Value> {
        let reply = site.get(path);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let scored = rows("/pdns/query/www.example.com?score=1");
    assert!(
        !scored.is_empty() && scored.iter().all(|row| row["pdns_score"].is_u64()),
        "{scored:?}"
    );
    let plain = rows("/pdns/query/www.example.com?score=0");
    assert!(plain.len() == scored.len() && plain.iter().all(|row| row["pdns_score"].is_null()));
    assert_eq!(site.get("/pdns/query/www.example.com?score=yes").status, 400);
}
