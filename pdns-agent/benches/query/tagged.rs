//! What goes by tags: the nearest tagged address, ties to threats, and the page behind a right click, which shows all of it.

use crate::ask::{pdns, resident, timed, times};
use crate::report::Report;
use crate::server::Server;
use crate::subjects::Subjects;
use pdns_agent::query::{self, TagSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

/// Addresses with a tag: what a site takes from feeds.
const TAGS: usize = 50_000;
/// Number of times each is asked.
const OFTEN: usize = 200;

/// Tags addresses, then asks.
pub(crate) fn all(server: &Server, subjects: &Subjects, folder: &Path, report: &mut Report) {
    let pages = |report: &mut Report, beside: &str| {
        let site = Site::start(server);
        let names = times(OFTEN, |run| site.page(&subjects.names[run]));
        report.milliseconds(&format!("a page of a name{beside}"), &names, Some(50.0));
        let addresses = times(OFTEN, |run| site.page(&subjects.addresses[run].to_string()));
        report.milliseconds(&format!("a page of an address{beside}"), &addresses, Some(50.0));
        report.at_most(
            &format!("the largest memory of pdns serve{beside}, MB"),
            site.memory(),
            100.0,
        );
    };
    pages(report, "");
    tag(server, folder);
    let begin = Instant::now();
    let tags = TagSet::load(&mut server.store().reader()).expect("the store holds tags");
    report.number("reading 50,000 tags, ms", begin.elapsed().as_secs_f64() * 1e3);
    // The tags are on addresses of IPv4.
    let v4: Vec<IpAddr> = subjects.addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
    let near = times(v4.len(), |run| {
        let begin = Instant::now();
        assert!(!query::near(&tags, v4[run], None, 20).0.is_empty(), "nothing is near");
        begin.elapsed()
    });
    report.milliseconds("inside the library: the nearest of 50,000 tags", &near, Some(1.0));
    let near = |run: usize| vec!["near".to_owned(), v4[run].to_string()];
    let times_near = times(OFTEN, |run| timed(server, &near(run)));
    report.milliseconds("pdns near ADDRESS, of 50,000 tags", &times_near, None);
    let name = times(OFTEN, |run| timed(server, &subjects.names[run..=run]));
    report.milliseconds("pdns NAME, beside 50,000 tags", &name, None);
    let contrast = |run: usize| vec!["contrast".to_owned(), subjects.addresses[run].to_string()];
    let of_one = times(OFTEN, |run| timed(server, &contrast(run)));
    report.milliseconds("pdns contrast ADDRESS", &of_one, None);
    pages(report, ", beside 50,000 tags");
    let begin = Instant::now();
    let most = resident(server, &["contrast".to_owned()]);
    report
        .number("pdns contrast, to all 50,000 threats, in seconds", begin.elapsed().as_secs_f64());
    report.at_most("its memory, MB", most as f64 / 1e6, 100.0);
}

/// Sets a tag on addresses that lie all over IPv4.
fn tag(server: &Server, folder: &Path) {
    let mut random = fastrand::Rng::with_seed(11);
    let lines = (0..TAGS)
        .map(|_| format!("{}\n", std::net::Ipv4Addr::from(random.u32(1 << 24..0xe000_0000))));
    let file = folder.join("tags.txt");
    std::fs::write(&file, lines.collect::<String>()).expect("the folder can be written to");
    let words = ["tag", "import", "--kind", "threat", "--source", "bench"].map(str::to_owned);
    let ended = pdns(server, &words).arg(&file).status().expect("pdns starts");
    assert!(ended.success(), "pdns tag import: {ended}");
}

/// A web server.
struct Site {
    process: Child,
    address: String,
}

impl Site {
    fn start(server: &Server) -> Self {
        let words = ["serve", "--listen", "127.0.0.1:0", "--rate", "0"].map(str::to_owned);
        let mut command = pdns(server, &words);
        let mut process = command.stderr(Stdio::piped()).spawn().expect("pdns starts");
        let said = BufReader::new(process.stderr.take().expect("it is piped"));
        let address = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, rest) = line.split_once("127.0.0.1:")?;
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                Some(format!("127.0.0.1:{port}"))
            })
            .expect("it says where it listens");
        Self { process, address }
    }

    /// Asks for a page; how long it took to come.
    fn page(&self, subject: &str) -> std::time::Duration {
        let path: String = subject
            .bytes()
            .map(|octet| match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' => char::from(octet).to_string(),
                octet => format!("%{octet:02X}"),
            })
            .collect();
        let begin = Instant::now();
        let mut connection = TcpStream::connect(&self.address).expect("it listens");
        let asked =
            format!("GET /context/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        connection.write_all(asked.as_bytes()).expect("it listens");
        let mut page = Vec::new();
        connection.read_to_end(&mut page).expect("it answers");
        assert!(page.starts_with(b"HTTP/1.1 200 "), "{subject} has no page");
        begin.elapsed()
    }

    /// The largest resident memory, in MB.
    fn memory(&self) -> f64 {
        crate::ask::largest(self.process.id()) as f64 / 1e6
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
