//! Requests, parsed from a path and its parameters.

use super::owner::{Owner, octets};
use super::parameters::{Bounds, Parameters};
use super::pattern::{Method, Pattern};
use super::types::Types;
use crate::query::Subject;
use crate::rr::RrType;
use crate::serve::http_error::HttpError;
use crate::serve::part::decode;
use std::net::IpAddr;

/// Record types whose RDATA can be searched by pattern.
pub(super) const SEARCHED: [RrType; 11] = [
    RrType::CNAME,
    RrType::HINFO,
    RrType::MX,
    RrType::NAPTR,
    RrType::NS,
    RrType::PTR,
    RrType::RP,
    RrType::SOA,
    RrType::SPF,
    RrType::SRV,
    RrType::TXT,
];

/// A parsed request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) what: DnsdbLookup,
    pub(super) types: Types,
    /// Return only RRsets of zones that match this.
    pub(super) bailiwick: Option<Owner>,
    /// Return one summary line instead of the results.
    pub(super) is_summary: bool,
    pub(super) parameters: Parameters,
}

/// Subject of a request.
#[derive(Debug)]
pub(super) enum DnsdbLookup {
    /// RRsets by owner.
    Owner(Owner),
    /// Single records by their RDATA.
    Rdata(RdataKey),
    /// Owner names and types that match a pattern.
    FlexNames(Pattern),
    /// RDATA that matches a pattern.
    FlexRdata(Pattern),
}

/// Property of the RDATA by which records are found.
#[derive(Debug)]
pub(super) enum RdataKey {
    /// A name in it.
    Target(Owner),
    /// An address in a range, both ends included.
    Addresses(IpAddr, IpAddr),
    /// All of its octets.
    Octets(Vec<u8>),
}

impl Request {
    /// Parses `path`, the part after the version: `lookup/rrset/name/example.com/A`.
    ///
    /// # Errors
    /// 404 for a path that is not part of the API, 400 and 416 for invalid values.
    pub(super) fn parse(
        path: &str,
        query: Option<&str>,
        bounds: Bounds,
        now: u32,
    ) -> Result<Self, HttpError> {
        let mut parts = Vec::new();
        for part in path.strip_suffix('/').unwrap_or(path).split('/') {
            parts.push(decode(part)?);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let parameters = Parameters::parse(query, bounds, now)?;
        let unknown = || {
            HttpError::not_found("there are lookup, summarize, regex, glob, ping and rate_limit")
        };
        let (&verb, rest) = parts.split_first().ok_or_else(unknown)?;
        let exclude = parameters.exclude.as_deref();
        let (what, rest) = match (verb, rest) {
            ("lookup" | "summarize", [side, kind, value, rest @ ..]) => {
                (asked_about(side, kind, value)?, rest)
            }
            ("regex" | "glob", [key, value, rest @ ..]) => {
                let method = if verb == "glob" { Method::Glob } else { Method::Regex };
                let what = match *key {
                    "rrnames" => DnsdbLookup::FlexNames(Pattern::new(method, value, exclude)?),
                    "rdata" => DnsdbLookup::FlexRdata(Pattern::new(method, value, exclude)?),
                    _ => return Err(HttpError::bad("a pattern is for rrnames or rdata")),
                };
                (what, rest)
            }
            ("lookup" | "summarize" | "regex" | "glob", _) => {
                return Err(HttpError::bad(
                    "the path is too short: give for example lookup/rrset/name/example.com",
                ));
            }
            _ => return Err(unknown()),
        };
        let (types, bailiwick) = match rest {
            [] => (Types::Any, None),
            [types] => (Types::parse(types)?, None),
            [types, bailiwick]
                if matches!(what, DnsdbLookup::Owner(_)) && parts.get(2) == Some(&"name") =>
            {
                (Types::parse(types)?, Some(Owner::parse(bailiwick)?))
            }
            _ => return Err(HttpError::bad("the path has parts too many")),
        };
        let types = checked(&what, types)?;
        Ok(Self { what, types, bailiwick, is_summary: verb == "summarize", parameters })
    }
}

fn asked_about(side: &str, kind: &str, value: &str) -> Result<DnsdbLookup, HttpError> {
    match (side, kind) {
        ("rrset", "name") => Owner::parse(value).map(DnsdbLookup::Owner),
        ("rrset", "raw") => Owner::parse_raw(value).map(DnsdbLookup::Owner),
        ("rdata", "name") => Owner::parse(value).map(RdataKey::Target).map(DnsdbLookup::Rdata),
        ("rdata", "raw") => octets(value).map(RdataKey::Octets).map(DnsdbLookup::Rdata),
        ("rdata", "ip") => {
            // A slash would end the path segment, so a comma stands for it.
            match Subject::parse(&value.replacen(',', "/", 1)) {
                Ok(Subject::Addresses(from, to)) => {
                    Ok(DnsdbLookup::Rdata(RdataKey::Addresses(from, to)))
                }
                _ => Err(HttpError::bad(format!(
                    "{value:?} is no address, prefix (192.0.2.0,24) or range (192.0.2.1-192.0.2.9)"
                ))),
            }
        }
        _ => Err(HttpError::bad(
            "there are rrset/name, rrset/raw, rdata/name, rdata/ip and rdata/raw",
        )),
    }
}

/// Checks that the types are valid for the subject.
fn checked(what: &DnsdbLookup, types: Types) -> Result<Types, HttpError> {
    match (what, types) {
        // The address tells which of the two types it is.
        (
            DnsdbLookup::Rdata(RdataKey::Addresses(..)),
            Types::Any | Types::One(RrType::A | RrType::AAAA),
        ) => Ok(Types::Any),
        (DnsdbLookup::Rdata(RdataKey::Addresses(..)), _) => {
            Err(HttpError::bad("addresses are of type A, AAAA or ANY"))
        }
        (DnsdbLookup::FlexRdata(_), Types::One(one)) if !SEARCHED.contains(&one) => {
            Err(HttpError::bad(format!("RDATA of type {one} cannot be searched by pattern")))
        }
        (DnsdbLookup::FlexNames(_) | DnsdbLookup::FlexRdata(_), Types::Dnssec) => {
            Err(HttpError::bad("DNSSEC types cannot be searched by pattern"))
        }
        _ => Ok(types),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { results: 100, offset: 100 };

    fn read(path: &str) -> Result<Request, HttpError> {
        Request::parse(path, None, BOUNDS, 0)
    }

    #[test]
    fn paths_are_read() {
        let request = read("lookup/rrset/name/%2A.example.com/ANY/com.").unwrap();
        assert!(matches!(request.what, DnsdbLookup::Owner(Owner::Left(_))));
        assert!(matches!(request.bailiwick, Some(Owner::Exact(_))));
        assert!(!request.is_summary && request.types == Types::Any);
        let request = read("summarize/rdata/ip/192.0.2.0%2C24/AAAA").unwrap();
        assert!(request.is_summary && request.types == Types::Any);
        for value in ["192.0.2.0,24", "192.0.2.0%2F24", "192.0.2.0-192.0.2.255"] {
            match read(&format!("lookup/rdata/ip/{value}")).unwrap().what {
                DnsdbLookup::Rdata(RdataKey::Addresses(from, to)) => {
                    assert_eq!(format!("{from} {to}"), "192.0.2.0 192.0.2.255");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            read("lookup/rdata/ip/2001%3Adb8%3A%3A1").unwrap().what,
            DnsdbLookup::Rdata(RdataKey::Addresses(..))
        ));
        let request = read("lookup/rdata/name/ns1.example.com/NS/").unwrap();
        assert_eq!(request.types, Types::One(RrType::NS));
        assert!(matches!(
            read("regex/rrnames/%5Ewww%5C./A").unwrap().what,
            DnsdbLookup::FlexNames(_)
        ));
        assert!(matches!(
            read("glob/rdata/*example*/TXT").unwrap().what,
            DnsdbLookup::FlexRdata(_)
        ));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (path, status) in [
            ("", 404),
            ("nonsense/x", 404),
            ("lookup", 400),
            ("lookup/rrset/name", 400),
            ("lookup/rrset/name/", 400),
            ("lookup/rrset/ip/192.0.2.1", 400),
            ("lookup/rrset/name/a/NONSENSE", 400),
            ("lookup/rrset/name/a/A/b/c", 400),
            ("lookup/rrset/raw/0161/A/b", 400),
            ("lookup/rdata/name/a/A/b", 400),
            ("lookup/rdata/ip/example.com", 400),
            ("lookup/rdata/ip/192.0.2.1/NS", 400),
            ("lookup/rdata/ip/192.0.2.0,33", 400),
            ("lookup/rdata/raw/abc", 400),
            ("summarize/regex/rrnames/a", 400),
            ("regex/rrsets/a", 400),
            ("glob/rdata/*/A", 400),
            ("glob/rrnames/*/ANY-DNSSEC", 400),
            ("lookup/rrset/name/%ff", 400),
        ] {
            assert_eq!(read(path).unwrap_err().status, status, "{path}");
        }
    }
}
