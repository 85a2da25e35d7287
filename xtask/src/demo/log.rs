//! Log of the demonstration: a few made-up sites that answer like real ones, in the noise of a day.
//!
//! Names are in domains reserved for such use (RFC 2606), addresses in ranges reserved for it (RFC 5737, RFC
//! 3849). The content is always the same, so that a second run finds the log already read.

use crate::sample::model::mix;
use crate::sample::row::{self, Answers, Ending, Format, Row};
use crate::sample::{Args, for_each_row};
use std::io::{self, Write};

/// Numbers of rows and names of made-up noise.
const NOISE: (u64, u64) = (40_000, 3_000);
/// One row in this many is about the sites below.
const SITES_EVERY: u64 = 8;

/// A question with its answers: name, type, relative frequency, outcome, and the answers with their TTLs.
struct Site {
    query: &'static str,
    qtype: u16,
    weight: u64,
    ending: Ending,
    answers: &'static [(&'static str, u32)],
}

const fn answered(
    query: &'static str,
    qtype: u16,
    weight: u64,
    answers: &'static [(&'static str, u32)],
) -> Site {
    Site { query, qtype, weight, ending: Ending::Answered, answers }
}

const fn without(query: &'static str, qtype: u16, weight: u64, ending: Ending) -> Site {
    Site { query, qtype, weight, ending, answers: &[] }
}

const SITES: &[Site] = &[
    // A shop behind a content delivery network: a chain of aliases, then changing addresses.
    answered(
        "www.shop.example",
        1,
        60,
        &[
            ("www.shop.example.cdn.example.net", 300),
            ("pop7.cdn.example.net", 60),
            ("192.0.2.80", 20),
        ],
    ),
    answered(
        "www.shop.example",
        1,
        30,
        &[
            ("www.shop.example.cdn.example.net", 300),
            ("pop9.cdn.example.net", 60),
            ("198.51.100.80", 20),
        ],
    ),
    answered(
        "www.shop.example",
        28,
        25,
        &[
            ("www.shop.example.cdn.example.net", 300),
            ("pop7.cdn.example.net", 60),
            ("2001:db8:7::80", 20),
        ],
    ),
    answered("www.news.example", 1, 40, &[("pop7.cdn.example.net", 60), ("192.0.2.80", 20)]),
    answered("static.news.example", 1, 30, &[("192.0.2.80", 60)]),
    // A company: its web, mail and name servers, and its policies.
    answered("example.com", 1, 20, &[("203.0.113.10", 3600)]),
    answered("www.example.com", 1, 50, &[("example.com", 3600), ("203.0.113.10", 3600)]),
    answered("example.com", 15, 12, &[("mx1.example.com", 3600), ("mx2.example.com", 3600)]),
    answered("mx1.example.com", 1, 12, &[("203.0.113.25", 3600)]),
    answered("mx2.example.com", 1, 4, &[("203.0.113.26", 3600)]),
    answered("example.com", 2, 6, &[("ns1.example.net", 86_400), ("ns2.example.net", 86_400)]),
    answered("example.com", 6, 2, &[("ns1.example.net", 3600)]),
    answered("example.com", 16, 6, &[("TXT 14 v=spf1 mx -all", 3600)]),
    answered(
        "_ldap._tcp.example.com",
        33,
        8,
        &[("dc1.example.com", 600), ("dc2.example.com", 600)],
    ),
    answered("10.113.0.203.in-addr.arpa", 12, 10, &[("www.example.com", 3600)]),
    answered("25.113.0.203.in-addr.arpa", 12, 10, &[("mx1.example.com", 3600)]),
    // Two that share one short-lived address, like throw-away sites.
    answered("login-example-com.test", 1, 3, &[("198.51.100.66", 30)]),
    answered("parcel-tracking.test", 1, 2, &[("198.51.100.66", 30)]),
    // Questions without a record.
    without("wpad.example.com", 1, 30, Ending::Nxdomain),
    without("exmaple.test", 1, 4, Ending::Nxdomain),
    without("example.com", 28, 15, Ending::Nodata),
    without("time.example.org", 1, 10, Ending::Unanswered),
];

/// Writes the log.
pub(crate) fn write(out: &mut dyn Write) -> io::Result<()> {
    let total: u64 = SITES.iter().map(|site| site.weight).sum();
    let (rows, names) = NOISE;
    let mut buffer = Vec::new();
    let mut answers = Answers::default();
    row::begin(Format::Tsv, &mut buffer);
    for_each_row(&Args::for_demo(rows, names), |noise| {
        row::write(Format::Tsv, noise, &mut buffer);
        let random = mix(noise.random);
        if random.is_multiple_of(SITES_EVERY)
            && let Some(site) = pick((random >> 8) % total)
        {
            answers.clear();
            for &(text, ttl) in site.answers {
                answers.push(ttl, |out| out.extend_from_slice(text.as_bytes()));
            }
            let (query, at) = (site.query.as_bytes(), noise.at + 1000);
            let (qtype, ending) = (site.qtype, site.ending);
            row::write(
                Format::Tsv,
                &Row { at, random, query, qtype, ending, answers: &answers },
                &mut buffer,
            );
        }
        if buffer.len() > 1 << 16 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
        io::Result::Ok(())
    })?;
    row::end(Format::Tsv, &mut buffer);
    out.write_all(&buffer)?;
    out.flush()
}

/// The site for a number, if each takes as many numbers as its weight; none beyond the sum.
fn pick(number: u64) -> Option<&'static Site> {
    let mut rest = number;
    SITES.iter().find(|site| match rest.checked_sub(site.weight) {
        Some(beyond) => {
            rest = beyond;
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_site_and_reserved_names_alone() {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for site in SITES {
            assert!(text.contains(&format!("\t{}\t", site.query)), "{}", site.query);
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let query = line.split('\t').nth(9).unwrap();
            let end = query.rsplit('.').next().unwrap();
            let reserved = ["example.com", "example.net", "example.org"];
            assert!(
                matches!(end, "test" | "example" | "arpa")
                    || reserved.iter().any(|domain| query.ends_with(domain)),
                "{query}"
            );
        }
    }
}
