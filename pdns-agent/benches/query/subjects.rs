//! What is asked about: names, their domains, and addresses, picked from all over the log as often as it has them.

use pdns_agent::name::{NameBuf, suffix};
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How many of each; no question is put with one of them twice.
const SUBJECTS: usize = 2000;
/// Columns of Zeek's dns.log: the question, and what was answered.
const QUERY: usize = 9;
const ANSWERS: usize = 21;

/// Names and addresses.
pub(crate) struct Subjects {
    pub(crate) names: Vec<String>,
    /// Registrable domains of names that are no reversed addresses.
    pub(crate) domains: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Subjects {
    /// Picks lines by chance, always the same ones.
    pub(crate) fn read(log: &Path) -> Self {
        let file = File::open(log).expect("a log of our own making");
        let size = file.metadata().expect("it was opened").len();
        let mut random = fastrand::Rng::with_seed(3);
        let mut subjects = Self { names: Vec::new(), domains: Vec::new(), addresses: Vec::new() };
        let mut part = vec![0; 4096];
        while subjects.names.len() < SUBJECTS || subjects.addresses.len() < SUBJECTS {
            let read = file.read_at(&mut part, random.u64(0..size)).expect("the log can be read");
            let text = String::from_utf8_lossy(&part[..read]);
            // What is before the first newline is half a line.
            let Some(line) = text.lines().nth(1) else { continue };
            let columns: Vec<&str> = line.split('\t').collect();
            if columns.len() <= ANSWERS {
                continue;
            }
            let name = NameBuf::parse(columns[QUERY]).expect("a name of our own making");
            if name.as_name().labels().next_back() != Some("arpa")
                && let Some(domain) = suffix::registrable(name.as_name())
            {
                subjects.domains.push(domain.as_str().to_owned());
            }
            subjects.names.push(columns[QUERY].to_owned());
            let answers = columns[ANSWERS].split(',');
            subjects.addresses.extend(answers.filter_map(|answer| answer.parse::<IpAddr>().ok()));
        }
        subjects
    }
}
