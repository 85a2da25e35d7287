//! Tests of the settings of feeds.

use super::*;
use crate::indicator::Tlp;
use crate::intel_feeds::{Credentials, Location, Protocol};
use crate::outgoing::{OutgoingSettings, SecretSource};
use crate::tag::TagKind;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

fn read(text: &str) -> Result<Vec<Feed>, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("feeds.toml");
    fs::write(&path, text).unwrap();
    let place = folder.path().display().to_string();
    read_feeds(&path).map_err(|error| error.to_string().replace(&place, ""))
}

#[test]
fn a_feed_has_defaults_for_all_but_its_place() {
    let feeds = read("[feed.a]\nurl = 'https://feeds.example/list.txt'").unwrap();
    let [feed] = feeds.as_slice() else { panic!("{feeds:?}") };
    assert_eq!(feed.location, Location::Url("https://feeds.example/list.txt".to_owned()));
    assert_eq!((feed.name.as_str(), feed.protocol), ("a", Protocol::Http));
    assert_eq!(feed.interval, Duration::from_hours(24));
    assert_eq!(feed.outgoing, OutgoingSettings::default());
    let meaning = &feed.assessment;
    assert_eq!((meaning.kind, meaning.confidence), (TagKind::Threat, 50));
    assert_eq!((meaning.lifetime, meaning.half_life), (Duration::ZERO, None));
    assert_eq!(read("").unwrap(), []);
}

#[test]
fn every_key_is_read() {
    let text = "
        ca_file = 'ca.pem'
        proxy = 'none'
        [feed.a]
        url = 'https://feeds.example/list.zip'
        format = 'csv'
        member = 'x.csv'
        column = 2
        url_hosts = true
        kind = 'interest'
        confidence = 80
        lifetime = '30d'
        half_life = '1w'
        tlp = 'amber'
        labels = ['x', 'y']
        interval = '15m'
        api_key_header = 'X-Key'
        api_key_env = 'KEY'
        max_bytes = '1MB'
        max_lines = 7
        timeout = '90s'
        [feed.b]
        type = 'misp'
        url = 'https://misp.example'
        allow_private = true
        api_key_file = 'b.key'
        proxy = 'http://proxy.example:3128'
        search = { to_ids = true }
        [feed.c]
        type = 'taxii'
        url = 'https://taxii.example/c/'
        user = 'me'
        password_file = '/secrets/c'";
    let feeds = read(text).unwrap();
    let [a, b, c] = feeds.as_slice() else { panic!("{feeds:?}") };
    assert_eq!(a.read.column.as_deref(), Some("2"));
    assert_eq!((a.assessment.kind, a.assessment.tlp), (TagKind::Interest, Some(Tlp::Amber)));
    assert_eq!(a.assessment.lifetime, Duration::from_hours(30 * 24));
    assert_eq!((a.outgoing.size.bytes, a.outgoing.size.lines), (1 << 20, 7));
    assert_eq!(a.outgoing.total_time, Duration::from_secs(90));
    assert_eq!(a.outgoing.proxy, ProxyChoice::Direct);
    assert!(a.outgoing.ca_file.as_ref().unwrap().is_absolute());
    let key = SecretSource::Env("KEY".to_owned());
    assert_eq!(a.credentials, Credentials::Key { header: "X-Key".to_owned(), prefix: "", key });
    assert_eq!((b.protocol, b.read.format.as_deref()), (Protocol::Misp, Some("misp")));
    assert_eq!(b.outgoing.proxy, ProxyChoice::Url("http://proxy.example:3128".to_owned()));
    assert!(b.outgoing.allow_private && b.search.contains_key("to_ids"));
    let password = SecretSource::File(PathBuf::from("/secrets/c"));
    assert_eq!(c.credentials, Credentials::Basic { user: "me".to_owned(), password });
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let url = "[feed.a]\nurl = 'https://a.example/?key=hunter2'\n";
    for (text, want) in [
        ("[feed.a]\nurll = 'x'", "line 2, column 1: unknown key \"urll\", did you mean \"url\"?"),
        ("proxi = 'x'", "line 1, column 1: unknown key \"proxi\", did you mean \"proxy\"?"),
        ("[feeds.a]", "line 1, column 2: unknown key \"feeds\", did you mean \"feed\"?"),
        (&format!("{url}nonsense = 1"), "line 3, column 1: unknown field"),
        (&format!("{url}interval = 'often'"), "line 3, column 12: invalid time \"often\""),
        (&format!("{url}interval = '1s'"), "line 1: feed \"a\": interval is too short"),
        (&format!("{url}type = 'ftp'"), "line 3, column 8: unknown type \"ftp\""),
        (&format!("{url}kind = 'bad'"), "line 3, column 8"),
        (&format!("{url}tlp = 'orange'"), "line 3, column 7"),
        (&format!("{url}confidence = 101"), "line 1: feed \"a\": confidence is 101"),
        (&format!("{url}max_bytes = '1XB'"), "line 3, column 13: invalid size"),
        (&format!("{url}max_lines = 0"), "max_lines is 0"),
        (&format!("{url}file = 'x'"), "it has both url and file"),
        (&format!("{url}user = 'me'"), "user needs password_env or password_file"),
        (&format!("{url}password_env = 'X'"), "a password needs user"),
        (&format!("{url}api_key_header = 'X'"), "api_key_header needs"),
        (
            &format!("{url}api_key_env = 'X'\napi_key_file = 'y'"),
            "both api_key_env and api_key_file",
        ),
        (&format!("{url}api_key_env = 'X'\napi_key_header = 'X: y'"), "not the name of a header"),
        (&format!("{url}search = {{ a = 1 }}"), "search applies to type misp only"),
        (&format!("{url}password = 'hunter2'"), "unknown field `password`"),
        ("[feed.a]\nurl = 'ftp://a.example/'", "url is not a valid web address"),
        ("[feed.a]\nurl = 'https://u:hunter2@a.example/'", "it holds a user or password"),
        ("[feed.a]\nfile = 'x'\ntype = 'taxii'", "file does not apply to type taxii"),
        ("[feed.a]", "it has neither url nor file"),
        ("[feed.'a b']\nfile = 'x'", "the name must be"),
        ("\n\n[feed.b]\nfile = 'x'\nuser = 'x'", "line 3: feed \"b\""),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(want), "{text}: {error}");
        assert!(!error.contains('\n') && !error.contains("hunter2"), "{error}");
    }
    assert!(matches!(read_feeds(Path::new("/nonexistent")), Err(FileError::File { .. })));
}

/// The file of the package sets up nothing, and has an example of each key.
#[test]
fn the_packages_file_explains_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/deb/feeds.toml");
    assert_eq!(read_feeds(&path).unwrap(), []);
    let shipped = fs::read_to_string(path).unwrap();
    let is_code =
        |line: &&str| line.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let full: Vec<&str> = shipped
        .lines()
        .map(|line| line.strip_prefix('#').filter(is_code).unwrap_or(line))
        .collect();
    for pair in full.windows(2).filter(|pair| is_code(&pair[1])) {
        assert!(pair[0].starts_with("# "), "nothing is said of {}", pair[1]);
    }
    let full = full.join("\n");
    let feeds = read(&full).unwrap();
    assert_eq!(feeds.len(), full.matches("[feed.").count() - 1);
    let error = toml::from_str::<FeedsFile>("[feed.x]\nnonsense = 1").unwrap_err().to_string();
    let (_, known) = error.split_once("expected one of").unwrap();
    for key in known.split('`').skip(1).step_by(2) {
        assert!(full.contains(&format!("\n{key} = ")), "{key} is missing");
    }
}
