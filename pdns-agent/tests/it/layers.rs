//! The architecture as a test: arrows point down, and what must stay away stays away.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module's layer. A module may name modules of its own layer and below.
const LAYERS: &[(&str, u8)] = &[
    ("time", 0),
    ("name", 0),
    ("rr", 0),
    ("rdata", 0),
    ("hash", 0),
    ("atomic_file", 0),
    ("bounded_file", 0),
    ("causes", 0),
    ("file_lock", 0),
    ("hex", 0),
    ("monitor", 0),
    ("percent", 1),
    ("unix_socket", 0),
    ("sensors", 0),
    ("observation", 1),
    ("record", 2),
    ("tag", 2),
    ("indicator", 2),
    ("analyze", 3),
    ("source", 2),
    ("outgoing", 3),
    ("enrich", 3),
    ("intel_feeds", 4),
    ("decode", 3),
    ("aggregate", 4),
    ("store", 5),
    ("query", 6),
    ("retention", 7),
    ("render", 8),
    ("exchange", 8),
    ("exposition", 0),
    ("judge", 9),
    ("agent", 9),
    ("serve", 9),
    ("cli", 9),
    ("config", 9),
    ("bin", 10),
];

/// The second level: rows of submodules, the lowest first. A submodule may name those of the rows below its own, so
/// that there is no cycle. The file of the module itself, which declares them and holds what all of them share, stands
/// aside.
const SECOND: &[(&str, &[&[&str]])] = &[
    (
        "decode",
        &[&["counter"], &["wire"], &["dns"], &["cof", "packets", "suricata", "zeek"], &["log"]],
    ),
    (
        "store",
        &[
            &["layout"],
            &["error"],
            &["redis"],
            &["functions"],
            &["schema"],
            &["write"],
            &["read"],
            &["verify"],
            &["tags"],
            &["indicators", "judge"],
            &["forget"],
            &["migrate"],
            &["backup"],
            &["fuzz"],
        ],
    ),
    (
        "query",
        &[
            &["extent", "order", "rows", "subject", "tags", "time_spec", "word"],
            &["addresses", "filter", "gate", "page", "parked", "pattern", "stats"],
            &["follow", "near", "score_lists", "text", "top"],
            &["contrast", "groups", "names", "sightings", "tag_export", "watch"],
            &["owner"],
            &["ip_labels", "profile", "score", "squats", "walk"],
        ],
    ),
    (
        "serve",
        &[
            &["address", "http_error", "openapi", "pages", "rate_limit", "tls"],
            &["auth", "clients", "host_check", "part"],
            &["in_flight", "pool", "users"],
            &["metrics"],
            &["app"],
            &["guard", "health", "stream"],
            &["circl", "context", "dnsdb", "listen", "misp"],
            &["fuzz", "router"],
        ],
    ),
];

/// Paths that one module alone may name, and which.
const KEPT_TO: &[(&str, &str)] = &[
    ("redis::", "store"),
    ("TcpStream::connect", "store"),
    ("ureq::", "outgoing"),
    ("notify::", "source"),
    ("aya::", "source"),
    ("psl::", "name"),
    ("maxminddb::", "enrich"),
    ("askama::", "serve"),
    ("axum::", "serve"),
    ("hyper::", "serve"),
    ("tokio::", "serve"),
    ("hickory_proto::", "no module, for only tests"),
];

/// Paths that a module must not name: these do no I/O and know no store.
const ABSENT: &[(&str, &[&str])] = &[
    ("time", &["std::fs", "std::io", "SystemTime"]),
    ("name", &["std::fs", "std::io"]),
    ("rr", &["std::fs", "std::io"]),
    ("rdata", &["std::fs", "std::io"]),
    ("observation", &["std::fs", "std::io", "SystemTime"]),
    ("decode", &["std::fs", "File::", "TcpStream", "UdpSocket", "SystemTime"]),
    ("aggregate", &["std::fs", "File::", "SystemTime"]),
    ("record", &["std::fs", "std::io", "SystemTime"]),
    ("tag", &["std::fs", "std::io", "SystemTime"]),
    ("indicator", &["std::fs", "std::io", "SystemTime"]),
    ("analyze", &["std::fs", "std::io", "SystemTime"]),
    ("render", &["std::fs", "File::", "SystemTime", "stdout("]),
    ("exchange", &["std::fs", "File::", "SystemTime", "stdout("]),
];

/// One source file: its path, its module at the top level, its code without comments and tests.
struct File {
    path: PathBuf,
    module: String,
    code: String,
}

fn layer(module: &str) -> u8 {
    match LAYERS.iter().find(|(name, _)| *name == module) {
        Some((_, layer)) => *layer,
        None => panic!("module {module} has no layer: give it one in tests/it/layers.rs"),
    }
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let mut files = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        let code = code_of(&fs::read_to_string(&path).unwrap());
        if module != "lib" {
            files.push(File { path: relative.to_owned(), module, code });
        }
    }
    assert!(files.len() > 10, "too few source files: is {} right?", root.display());
    files
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// The text without its `//` comments and without a test module at its end.
fn code_of(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let mut code = String::new();
    for line in text[..end].lines() {
        let comment = if line.trim_start().starts_with("//") { Some(0) } else { line.find(" //") };
        code.push_str(&line[..comment.unwrap_or(line.len())]);
        code.push('\n');
    }
    code
}

/// The top-level modules that code names by `crate::X`, `crate::{X, Y::Z}` or, from a program,
/// `pdns_agent::X`.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for root in ["crate::", "pdns_agent::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => used.extend(group_heads(group)),
                None => used.push(identifier(rest)),
            }
        }
    }
    // What begins with a capital is a macro's or the crate's own item, not a module.
    used.retain(|module| module.starts_with(|first: char| first.is_ascii_lowercase()));
    used
}

/// The first identifier of each element of `{a, b::{c, d}, e}`, given what follows the brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut fresh) = (Vec::new(), 0_u32, true);
    for (at, octet) in group.char_indices() {
        match octet {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !octet.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

/// Whether code names a path, as a whole word at its start.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|char| char.is_ascii_alphanumeric() || char == '_')
    })
}

/// The paths that a `use` tree stands for, given what follows `use` up to the semicolon.
fn paths_of(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![path.chars().filter(|char| !char.is_whitespace()).collect()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut paths, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, char) in group.char_indices().chain([(group.len(), ',')]) {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = group[from..at].trim();
                if !part.is_empty() {
                    paths.extend(paths_of(part).iter().map(|path| format!("{head}{path}")));
                }
                from = at + 1;
            }
            _ => {}
        }
    }
    paths
}

/// All paths that begin with `crate`, `super` or `self` in code, and those of its `use` declarations.
fn paths_in(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    for (number, statement) in code.split("use ").enumerate() {
        let declared = number > 0 && code_before_is_declaration(&rest);
        match statement.split_once(';') {
            Some((tree, after)) if declared => {
                paths.extend(paths_of(tree));
                rest.push_str(after);
            }
            _ => rest.push_str(statement),
        }
    }
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in rest.match_indices(root) {
            let before = rest[..at].chars().next_back();
            if !before.is_some_and(|char| char.is_alphanumeric() || "_:".contains(char)) {
                let is_path =
                    |char: &char| char.is_ascii_alphanumeric() || ['_', ':'].contains(char);
                paths.push(rest[at..].chars().take_while(is_path).collect());
            }
        }
    }
    paths
}

/// Whether a `use` behind this code is a declaration: it begins a line, maybe behind `pub`.
fn code_before_is_declaration(code: &str) -> bool {
    let line = code.rsplit('\n').next().unwrap_or_default().trim();
    line.is_empty() || line.ends_with(';') || line.starts_with("pub")
}

/// The submodule of `top` that a path leads to from a file, if it is one; `exported` are the names that the module's
/// own file hands on, and from where.
fn submodule(
    path: &str,
    file: &[&str],
    top: &str,
    rows: &[&[&str]],
    exported: &[(String, String)],
) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let supers = parts.iter().take_while(|part| **part == "super").count();
    let full: Vec<&str> = match *parts.first()? {
        "crate" => parts[1..].to_vec(),
        "self" => [file, &parts[1..]].concat(),
        "super" => [file.get(..file.len() - supers)?, &parts[supers..]].concat(),
        _ => return None,
    };
    let &[first, second, ..] = full.as_slice() else { return None };
    if first != top {
        return None;
    }
    if rows.iter().any(|row| row.contains(&second)) {
        return Some(second.to_owned());
    }
    exported.iter().find(|(name, _)| name == second).map(|(_, from)| from.clone())
}

#[test]
fn arrows_between_submodules_point_down() {
    let files = files();
    for &(top, rows) in SECOND {
        let row = |name: &str| rows.iter().position(|row| row.contains(&name));
        let own = files.iter().find(|file| file.path == Path::new(&format!("{top}.rs"))).unwrap();
        let declared = own.code.lines().filter_map(|line| {
            let name = line.strip_suffix(';')?.rsplit_once("mod ")?.1;
            Some(name).filter(|_| !line.starts_with(' '))
        });
        for name in declared.filter(|name| *name != "tests") {
            assert!(row(name).is_some(), "{top}::{name} has no row in tests/it/layers.rs");
        }
        let exported: Vec<(String, String)> = paths_in(&own.code)
            .iter()
            .filter_map(|path| {
                let (from, rest) = path.strip_prefix("self::").unwrap_or(path).split_once("::")?;
                row(from)?;
                Some((rest.rsplit("::").next()?.to_owned(), from.to_owned()))
            })
            .collect();
        for file in files.iter().filter(|file| file.module == top && file.path != own.path) {
            let module = file.path.with_extension("");
            let parts: Vec<&str> = module.iter().map(|part| part.to_str().unwrap()).collect();
            let from = parts[1];
            if parts.contains(&"tests") {
                continue;
            }
            for path in paths_in(&file.code) {
                let Some(to) = submodule(&path, &parts, top, rows, &exported) else { continue };
                assert!(
                    to == from || row(&to) < row(from),
                    "{}: {top}::{from} must not name {top}::{to}, which is not below it ({path})",
                    file.path.display()
                );
            }
        }
    }
}

#[test]
fn arrows_point_down() {
    for File { path, module, code } in files() {
        for used in used_modules(&code) {
            assert!(
                layer(&used) <= layer(&module),
                "{}: {module} (layer {}) must not look up at {used} (layer {})",
                path.display(),
                layer(&module),
                layer(&used)
            );
        }
    }
}

/// Records and tags are all that answers and lists are made of; the state of the store is an answer of its own.
#[test]
fn what_writes_answers_does_not_know_the_store() {
    for File { path, module, code } in files() {
        let writes =
            ["render", "exchange"].contains(&module.as_str()) && !path.ends_with("tests.rs");
        assert!(
            !writes
                || path.ends_with("render/status.rs")
                || !used_modules(&code).contains(&"store".to_owned()),
            "{}: {module} must not name store",
            path.display()
        );
    }
}

/// The views of the store: who answers does not write records, who writes records does not scan.
#[test]
fn each_program_has_its_views_of_the_store() {
    for File { path, module, code } in files() {
        let absent: &[&str] = match module.as_str() {
            "serve" | "query" => &[".writer()", "Writer<'"],
            "agent" => &[".scan(", ".scan_records", ".records_", ".lookup_name("],
            _ => &[],
        };
        let used = absent.iter().find(|used| code.contains(**used));
        assert_eq!(used, None, "{}: {module} must not use it of the store", path.display());
    }
}

#[test]
fn some_crates_have_one_home() {
    for File { path, module, code } in files() {
        for &(prefix, home) in KEPT_TO {
            assert!(
                module == home || !names(&code, prefix),
                "{}: only {home} may name {prefix}",
                path.display()
            );
        }
    }
}

#[test]
fn what_must_be_absent_is() {
    for File { path, module, code } in files() {
        for &(pure, absent) in ABSENT {
            for word in absent.iter().filter(|_| module == pure) {
                assert!(!names(&code, word), "{}: {module} must not name {word}", path.display());
            }
        }
    }
}

#[test]
fn the_test_sees_what_it_should() {
    let code =
        "use crate::{name::Name, store::{StoredRecord, Seen}, rr};\nlet x = crate::time::now();";
    assert_eq!(used_modules(code), ["name", "store", "rr", "time"]);
    let code = "pub use super::a::{B, c::{D, E as F}};\nlet x = super::super::g::h(crate::i::J);";
    let paths =
        ["super::a::B", "super::a::c::D", "super::a::c::E", "crate::i::J", "super::super::g::h"];
    assert_eq!(paths_in(code), paths);
    let rows: &[&[&str]] = &[&["a"], &["b"]];
    let exported = [("Type".to_owned(), "a".to_owned())];
    let leads = |path| submodule(path, &["store", "b", "c"], "store", rows, &exported);
    assert_eq!(leads("super::super::a::X").as_deref(), Some("a"));
    assert_eq!(leads("crate::store::Type").as_deref(), Some("a"));
    assert_eq!(leads("super::X").as_deref(), Some("b"));
    assert_eq!(leads("crate::query::a"), None);
    assert!(names("use redis::Client;", "redis::"));
    assert!(!names("use my_redis::Client;", "redis::"));
    assert!(names("std::time::SystemTime", "SystemTime"));
    assert_eq!(code_of("a // b\n// c\n#[cfg(test)]\nmod tests {}"), "a\n\n");
}
