//! Feeds from real servers: lists, TAXII, MISP.

use crate::redis::until;
use crate::reference::interpreter;
use crate::web::{WebServer, reply};
use pdns_agent::config::feeds::read_feeds;
use pdns_agent::intel_feeds::{Extent, Feed, FeedClient, FeedError, Fetch, FetchState};
use serde_json::{Value, json};
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The feed that a section of `feeds.toml` describes; errors come quickly.
fn feed(keys: &str) -> Feed {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("feeds.toml");
    fs::write(&path, format!("proxy = 'none'\n[feed.test]\nallow_private = true\n{keys}")).unwrap();
    let mut feed = read_feeds(&path).unwrap().remove(0);
    feed.outgoing.retries = 1;
    feed.outgoing.retry_wait = Duration::from_millis(10);
    feed
}

/// Fetches a feed: the names and texts of its documents, and the result.
fn fetch(feed: &Feed, state: &FetchState) -> (Vec<(String, String)>, Result<Fetch, FeedError>) {
    let env = |name: &str| (name == "PDNS_TEST_KEY").then(|| "hunter2".to_owned());
    let mut documents = Vec::new();
    let client = FeedClient::new(feed, &env).unwrap();
    let result = client.fetch(state, &mut |document| {
        let name = document.name.clone();
        let mut text = String::new();
        document.reader().read_to_string(&mut text).unwrap();
        documents.push((name, text));
    });
    if let Err(error) = &result {
        let said = format!("{error} {error:?} {client:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    (documents, result)
}

/// As the store keeps a state.
fn kept(fetch: &Fetch) -> FetchState {
    serde_json::from_str(&serde_json::to_string(&fetch.state).unwrap()).unwrap()
}

fn names(documents: &[(String, String)]) -> Vec<&str> {
    documents.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_list_is_fetched_whole_and_only_if_it_has_changed() {
    let server = WebServer::start(|request, _, out| match request.header("if-none-match") {
        "\"7\"" => reply(out, 304, &[], b""),
        _ => reply(out, 200, &["ETag: \"7\"", "Content-Type: application/zip"], &zipped()),
    });
    let list = feed(&format!("url = '{}'", server.url("/list.zip")));
    let (documents, result) = fetch(&list, &FetchState::default());
    let first = result.unwrap();
    assert_eq!(documents, [(String::new(), "evil.example\n".to_owned())]);
    assert_eq!(first.extent, Extent::Whole);
    let (documents, result) = fetch(&list, &kept(&first));
    let second = result.unwrap();
    assert_eq!((documents.len(), second.extent), (0, Extent::Unchanged));
    assert_eq!(second.state, first.state);
    // A state of another address does not count.
    let other = feed(&format!("url = '{}'", server.url("/other.zip")));
    assert_eq!(fetch(&other, &kept(&second)).1.unwrap().extent, Extent::Whole);
    assert_eq!(server.requests()[2].header("if-none-match"), "");
}

/// A zip archive that Python made.
fn zipped() -> Vec<u8> {
    let script = "import sys,zipfile,io\nout=io.BytesIO()\n\
        with zipfile.ZipFile(out,'w',zipfile.ZIP_DEFLATED) as z: z.writestr('list.txt','evil.example\\n')\n\
        sys.stdout.buffer.write(out.getvalue())";
    let made = Command::new("python3").args(["-c", script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

#[test]
fn a_file_is_read_when_it_has_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.txt");
    let list = feed(&format!("file = '{}'", path.display()));
    let error = fetch(&list, &FetchState::default()).1.unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.ends_with("list.txt"), "{error}");
    fs::write(&path, "evil.example\n").unwrap();
    let (documents, result) = fetch(&list, &FetchState::default());
    assert_eq!(documents[0].1, "evil.example\n");
    let first = result.unwrap();
    assert_eq!(fetch(&list, &kept(&first)).1.unwrap().extent, Extent::Unchanged);
    fs::write(&path, "evil.example\nbad.example\n").unwrap();
    assert_eq!(fetch(&list, &kept(&first)).1.unwrap().extent, Extent::Whole);
    assert!(fetch(&feed("file = '/dev/zero'"), &FetchState::default()).1.is_err());
}

const TAXII: &str = "Content-Type: application/taxii+json;version=2.1";

#[test]
fn taxii_pages_are_followed_with_and_without_identifiers() {
    for has_next in [true, false] {
        let server = WebServer::start(move |request, _, out| {
            assert_eq!(request.header("accept"), "application/taxii+json;version=2.1");
            assert_eq!(request.header("authorization"), "Bearer hunter2");
            let page = if has_next {
                request.path.split_once("next=p").map_or(1, |(_, page)| page.parse().unwrap())
            } else {
                request
                    .path
                    .split_once("T00%3A00%3A0")
                    .map_or(1, |(_, rest)| rest[..1].parse::<usize>().unwrap() + 1)
            };
            let mut envelope =
                json!({"more": page < 3, "objects": [{"type": "indicator", "id": page}]});
            if has_next && page < 3 {
                envelope["next"] = json!(format!("p{}", page + 1));
            }
            let added = format!("X-TAXII-Date-Added-Last: 2026-11-29T00:00:0{page}.000000Z");
            reply(out, 200, &[TAXII, &added], envelope.to_string().as_bytes());
        });
        let collection = feed(&format!(
            "type = 'taxii'\nurl = '{}'\napi_key_env = 'PDNS_TEST_KEY'",
            server.url("/api/collections/1/")
        ));
        let (documents, result) = fetch(&collection, &FetchState::default());
        let result = result.unwrap();
        assert_eq!(names(&documents), ["page 1", "page 2", "page 3"], "{has_next}");
        assert_eq!(result.extent, Extent::Changes);
        assert_eq!(result.state.added_after.as_deref(), Some("2026-11-29T00:00:03.000000Z"));
        assert!(server.requests()[0].path.starts_with("/api/collections/1/objects/?limit="));
    }
}

#[test]
fn a_taxii_server_that_goes_in_circles_or_sends_something_else_is_an_error() {
    for (answer, want) in [
        (r#"{"more": true, "objects": [{}]}"#, "does not say where"),
        (r#"{"more": true, "next": "a", "objects": []}"#, "does not say where"),
        (r#"{"more": true, "next": "a", "objects": [{}]}"#, "pages|larger"),
        (r#"{"more": 7}"#, "unexpected answer"),
        ("[1, 2", "unexpected answer"),
    ] {
        let server =
            WebServer::start(move |_, _, out| reply(out, 200, &[TAXII], answer.as_bytes()));
        let mut collection = feed(&format!("type = 'taxii'\nurl = '{}'", server.url("/c/")));
        collection.outgoing.size.bytes = 1000;
        let error = fetch(&collection, &FetchState::default()).1.unwrap_err().to_string();
        assert!(want.split('|').any(|want| error.contains(want)), "{answer}: {error}");
    }
    let server = WebServer::start(|_, _, out| reply(out, 406, &[TAXII], b"{}"));
    let collection = feed(&format!("type = 'taxii'\nurl = '{}'", server.url("/c/")));
    let error = fetch(&collection, &FetchState::default()).1.unwrap_err().to_string();
    assert!(error.contains("check the type of the feed"), "{error}");
}

/// OASIS's own TAXII server.
struct Medallion {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Medallion {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

const COLLECTION: &str = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";

impl Medallion {
    fn start(count: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let id = |number: usize| format!("indicator--00000000-0000-4000-8000-{number:012}");
        let time = |number: usize| format!("2026-11-{:02}T10:00:00.000Z", 1 + number);
        let indicator = |number| {
            json!({
                "type": "indicator", "spec_version": "2.1", "id": id(number), "created": time(number),
                "modified": time(number), "valid_from": time(number), "pattern_type": "stix",
                "pattern": format!("[domain-name:value = 'evil{number}.example']"),
            })
        };
        let manifest = |number| {
            json!({
                "id": id(number), "version": time(number), "date_added": time(number),
                "media_type": "application/stix+json;version=2.1",
            })
        };
        let data = json!({
            "/discovery": {"title": "t", "api_roots": [format!("http://127.0.0.1:{port}/root/")]},
            "root": {
                "information": {
                    "title": "r", "versions": ["application/taxii+json;version=2.1"],
                    "max_content_length": 104_857_600,
                },
                "status": [],
                "collections": [{
                    "id": COLLECTION, "title": "c", "can_read": true, "can_write": false,
                    "media_types": ["application/stix+json;version=2.1"],
                    "manifest": (0..count).map(manifest).collect::<Vec<Value>>(),
                    "objects": (0..count).map(indicator).collect::<Vec<Value>>(),
                }],
            },
        });
        let path = folder.path().join("data.json");
        fs::write(&path, data.to_string()).unwrap();
        let config = json!({
            "backend": {
                "module": "medallion.backends.memory_backend", "module_class": "MemoryBackend",
                "filename": path,
            },
            "users": {"pdns": "hunter2"},
            "taxii": {"max_page_size": 4},
        });
        let path = folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        let process = Command::new(interpreter())
            .args(["-m", "medallion.scripts.run", "--port", &port.to_string()])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("cargo xtask test makes the interpreter");
        let server = Self { process, port, folder };
        until("medallion listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn feed(&self) -> Feed {
        feed(&format!(
            "type = 'taxii'\nurl = 'http://127.0.0.1:{}/root/collections/{COLLECTION}/'\n\
             user = 'pdns'\npassword_env = 'PDNS_TEST_KEY'",
            self.port
        ))
    }
}

#[test]
fn medallion_serves_a_collection_page_by_page_and_then_what_is_new() {
    let server = Medallion::start(10);
    let collection = server.feed();
    let (documents, result) = fetch(&collection, &FetchState::default());
    let first = result.unwrap_or_else(|error| {
        panic!("{error}: {}", fs::read_to_string(server.folder.path().join("log")).unwrap())
    });
    assert_eq!(names(&documents), ["page 1", "page 2", "page 3"]);
    let all: String = documents.iter().map(|(_, text)| text.as_str()).collect();
    for number in 0..10 {
        assert_eq!(all.matches(&format!("evil{number}.example")).count(), 1);
    }
    assert_eq!(first.state.added_after.as_deref(), Some("2026-11-10T10:00:00.000Z"));
    let (documents, result) = fetch(&collection, &kept(&first));
    assert_eq!((documents.len(), result.unwrap().extent), (0, Extent::Unchanged));
    let mut earlier = kept(&first);
    earlier.added_after = Some("2026-11-08T10:00:00.000Z".to_owned());
    let (documents, result) = fetch(&collection, &earlier);
    assert_eq!((documents.len(), result.unwrap().extent), (1, Extent::Changes));
    assert!(documents[0].1.contains("evil9") && !documents[0].1.contains("evil7."));
    let mut wrong = server.feed();
    wrong.credentials = pdns_agent::intel_feeds::Credentials::None;
    let error = fetch(&wrong, &FetchState::default()).1.unwrap_err().to_string();
    assert!(error.contains("401 (credentials are missing or wrong)"), "{error}");
}

const UUIDS: [&str; 3] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
];

#[test]
fn only_new_and_changed_events_of_a_misp_feed_are_fetched() {
    let round = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&round);
    let server = WebServer::start(move |request, _, out| {
        let json = ["Content-Type: application/json"];
        let round = now.load(Ordering::SeqCst);
        if request.path == "/feed/manifest.json" {
            let changed = if round == 0 { "100" } else { "200" };
            let mut manifest = json!({
                UUIDS[0]: {"timestamp": changed, "info": "x"}, UUIDS[1]: {"timestamp": 100},
                "../../secret": {"timestamp": "1"},
            });
            if round == 2 {
                manifest[UUIDS[2]] = json!({"timestamp": "300"});
            }
            return reply(out, 200, &json, manifest.to_string().as_bytes());
        }
        if round == 2 {
            return reply(out, 500, &[], b"");
        }
        match request.path.strip_prefix("/feed/").and_then(|path| path.strip_suffix(".json")) {
            Some(uuid) if UUIDS[..2].contains(&uuid) => {
                let event = json!({"Event": {"uuid": uuid}});
                reply(out, 200, &json, event.to_string().as_bytes());
            }
            _ => reply(out, 404, &[], b""),
        }
    });
    let events = feed(&format!("type = 'misp-feed'\nurl = '{}'", server.url("/feed")));
    let (documents, result) = fetch(&events, &FetchState::default());
    let first = result.unwrap();
    assert_eq!(names(&documents), UUIDS[..2]);
    assert_eq!(first.problems, ["the manifest has an invalid entry, ../../secret"]);
    assert!(server.requests().iter().all(|request| !request.path.contains("secret")));
    assert_eq!(first.extent, Extent::Whole);
    assert_eq!(fetch(&events, &kept(&first)).1.unwrap().extent, Extent::Unchanged);
    round.store(1, Ordering::SeqCst);
    let (documents, result) = fetch(&events, &kept(&first));
    let second = result.unwrap();
    assert_eq!((names(&documents), second.extent), (vec![UUIDS[0]], Extent::Changes));
    // A server that fails is not asked for each event, and what it did not send is asked for again.
    round.store(2, Ordering::SeqCst);
    let (_, result) = fetch(&events, &kept(&second));
    assert!(result.unwrap_err().to_string().contains("500"));
    let state = kept(&second);
    assert_eq!(state.events.len(), 2);
}

#[test]
fn an_event_that_vanished_from_a_misp_feed_is_noticed() {
    // The events of the manifest, and whether they can be fetched.
    let served = Arc::new(Mutex::new((vec![0, 1, 2], true)));
    let now = Arc::clone(&served);
    let server = WebServer::start(move |request, _, out| {
        let json = ["Content-Type: application/json"];
        let (events, is_up) = now.lock().unwrap().clone();
        if request.path == "/feed/manifest.json" {
            let entries =
                events.iter().map(|&at| (UUIDS[at].to_owned(), json!({"timestamp": 100})));
            let manifest = Value::Object(entries.collect());
            return reply(out, 200, &json, manifest.to_string().as_bytes());
        }
        let status = if is_up { 200 } else { 404 };
        reply(out, status, &json, b"{\"Event\":{}}");
    });
    let events = feed(&format!("type = 'misp-feed'\nurl = '{}'", server.url("/feed")));
    let first = fetch(&events, &FetchState::default()).1.unwrap();
    assert_eq!((first.extent, first.state.events.len()), (Extent::Whole, 3));
    // One is gone, and of the others not all can be fetched: nothing is known to be gone.
    *served.lock().unwrap() = (vec![0, 2], false);
    let second = fetch(&events, &kept(&first)).1.unwrap();
    assert_ne!(second.extent, Extent::Whole);
    assert_eq!(second.problems.len(), 2);
    *served.lock().unwrap() = (vec![0, 2], true);
    let (documents, result) = fetch(&events, &kept(&second));
    let third = result.unwrap();
    assert_eq!((names(&documents), third.extent), (vec![UUIDS[0], UUIDS[2]], Extent::Whole));
    assert_eq!(third.state.events.len(), 2);
    assert_eq!(fetch(&events, &kept(&third)).1.unwrap().extent, Extent::Unchanged);
    // A week later, all are looked at.
    let mut old = kept(&third);
    old.whole = old.whole.map(|whole| whole - 8 * 86_400);
    let (documents, result) = fetch(&events, &old);
    assert_eq!((documents.len(), result.unwrap().extent), (2, Extent::Whole));
}

#[test]
fn a_misp_server_is_asked_for_what_was_deleted_and_once_a_week_for_everything() {
    let server = WebServer::start(|_, _, out| {
        let json = ["Content-Type: application/json"];
        reply(out, 200, &json, b"{\"response\":{\"Attribute\":[{\"timestamp\":\"1700000000\"}]}}");
    });
    let misp = feed(&format!("type = 'misp'\nurl = '{}'", server.url("/")));
    let asked =
        || -> Value { serde_json::from_slice(&server.requests().last().unwrap().body).unwrap() };
    let first = fetch(&misp, &FetchState::default()).1.unwrap();
    assert_eq!((first.extent, &asked()["deleted"]), (Extent::Whole, &Value::Null));
    let second = fetch(&misp, &kept(&first)).1.unwrap();
    assert_eq!(second.extent, Extent::Changes);
    assert_eq!(
        (&asked()["deleted"], &asked()["timestamp"]),
        (&json!(["0", "1"]), &json!(1_700_000_000))
    );
    let mut old = kept(&second);
    old.whole = old.whole.map(|whole| whole - 8 * 86_400);
    let third = fetch(&misp, &old).1.unwrap();
    assert_eq!((third.extent, &asked()["timestamp"]), (Extent::Whole, &Value::Null));
}

#[test]
fn a_misp_server_is_searched_and_told_sightings() {
    let server = WebServer::start(|request, _, out| {
        assert_eq!(request.header("authorization"), "hunter2");
        let json = ["Content-Type: application/json"];
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        if request.path == "/sightings/add" {
            let status = if asked["values"][0] == "evil.example" { 200 } else { 404 };
            return reply(out, status, &json, b"{\"Sighting\": {}}");
        }
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/attributes/restSearch")
        );
        assert_eq!((&asked["returnFormat"], &asked["to_ids"]), (&json!("json"), &json!(true)));
        let limit = asked["limit"].as_u64().unwrap();
        let count = match (asked["page"].as_u64().unwrap(), asked["timestamp"].as_u64()) {
            (1, None) => limit,
            (2, None) => 3,
            (1, Some(1_700_000_999)) => 1,
            other => panic!("{other:?}"),
        };
        let attribute = |number: u64| json!({"value": "evil.example", "timestamp": (1_700_000_000 + number).to_string()});
        let attributes: Vec<Value> = (0..count).map(attribute).collect();
        let answer = json!({"response": {"Attribute": attributes}});
        reply(out, 200, &json, answer.to_string().as_bytes());
    });
    let misp = feed(&format!(
        "type = 'misp'\nurl = '{}'\napi_key_env = 'PDNS_TEST_KEY'\nsearch = {{ to_ids = true }}",
        server.url("/")
    ));
    let (documents, result) = fetch(&misp, &FetchState::default());
    let first = result.unwrap();
    assert_eq!((names(&documents), first.extent), (vec!["page 1", "page 2"], Extent::Whole));
    assert_eq!(first.state.timestamp, Some(1_700_000_999));
    let (documents, _) = fetch(&misp, &kept(&first));
    assert_eq!(documents.len(), 1);
    let env = |_: &str| Some("hunter2".to_owned());
    let client = FeedClient::new(&misp, &env).unwrap();
    let send =
        |name: &str| client.post_sighting(&[name.to_owned()], 1_700_000_000, "pdns").unwrap();
    assert!(send("evil.example") && !send("unknown.example"));
    let sent: Value = serde_json::from_slice(&server.requests().last().unwrap().body).unwrap();
    assert_eq!(sent["timestamp"], 1_700_000_000);
}
