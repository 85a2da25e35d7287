//! Aliases that lead to other people's names: whose word is taken for where they end.

use super::build::{AUTHORITATIVE, Builder, Capture, DIRECT, QUERY, RESPONSE, check, soa, wire};
use pdns_agent::decode::dns::DnsOptions;
use pdns_agent::rr::RrType;

const A: RrType = RrType::A;
const ADDRESS: &[u8] = &[192, 0, 2, 9];
const RECURSION_AVAILABLE: u16 = 0x0080;

/// The server of evil.example says where the bank is.
fn poisoned(flags: u16) -> Builder {
    Builder::new(flags, "www.evil.example", A)
        .answer("www.evil.example", RrType::CNAME, &wire("www.bank.com"))
        .answer("www.bank.com", A, &[6, 6, 6, 6])
}

const ALIAS: &str = "www.evil.example 60 CNAME www.bank.com";
const ADDRESS_OF_BANK: &str = "www.bank.com 60 A 6.6.6.6";

#[test]
fn a_server_does_not_speak_for_the_names_that_its_aliases_lead_to() {
    let response = poisoned(DIRECT | AUTHORITATIVE)
        .answer("bank.com", RrType::DNAME, &wire("evil.example"))
        .authority("bank.com", RrType::NS, &wire("ns.evil.example"))
        .authority("bank.com", RrType::SOA, &soa("bank.com"))
        .authority("evil.example", RrType::NS, &wire("ns.evil.example"))
        .additional("ns.evil.example", A, ADDRESS)
        .additional("mail.bank.com", A, &[6, 6, 6, 6]);
    let want = [ALIAS, "evil.example 60 NS ns.evil.example", "ns.evil.example 60 A 192.0.2.9"];
    check(&response, &want, &[("out_of_bailiwick", 5), ("chain_cut", 1)]);
    // Without an authority section, bailiwick is that of the last name that it does speak for.
    let response = poisoned(DIRECT).additional("mail.bank.com", A, &[6, 6, 6, 6]).additional(
        "mail.evil.example",
        A,
        ADDRESS,
    );
    let want = [ALIAS, "mail.evil.example 60 A 192.0.2.9"];
    check(&response, &want, &[("out_of_bailiwick", 2), ("chain_cut", 1)]);
}

#[test]
fn within_the_registrable_domain_a_chain_goes_on() {
    let response = Builder::new(DIRECT | AUTHORITATIVE, "a.x.example.co.uk", A)
        .answer("c.example.net", A, &[6, 6, 6, 6])
        .answer("a.x.example.co.uk", RrType::CNAME, &wire("B.example.co.uk"))
        .answer("b.example.co.uk", RrType::CNAME, &wire("example.co.uk"))
        .answer("example.co.uk", A, ADDRESS);
    let want = [
        "a.x.example.co.uk 60 CNAME b.example.co.uk",
        "b.example.co.uk 60 CNAME example.co.uk",
        "example.co.uk 60 A 192.0.2.9",
    ];
    check(&response, &want, &[("out_of_bailiwick", 1)]);
    // Out of it, and in again.
    let response = Builder::new(DIRECT, "a.example.com", A)
        .answer("a.example.com", RrType::CNAME, &wire("b.example.com"))
        .answer("b.example.com", RrType::CNAME, &wire("c.example.net"))
        .answer("c.example.net", RrType::CNAME, &wire("d.example.com"))
        .answer("d.example.com", A, ADDRESS);
    let want = ["a.example.com 60 CNAME b.example.com", "b.example.com 60 CNAME c.example.net"];
    check(&response, &want, &[("out_of_bailiwick", 2), ("chain_cut", 1)]);
    // Beside one another under a public suffix: two owners.
    let response = Builder::new(DIRECT, "a.github.io", A)
        .answer("a.github.io", RrType::CNAME, &wire("b.github.io"))
        .answer("b.github.io", A, ADDRESS);
    let want = ["a.github.io 60 CNAME b.github.io"];
    check(&response, &want, &[("out_of_bailiwick", 1), ("chain_cut", 1)]);
    // A public suffix speaks for what is below it.
    let response = Builder::new(DIRECT, "github.io", A)
        .answer("github.io", RrType::CNAME, &wire("b.github.io"))
        .answer("b.github.io", RrType::CNAME, &wire("notgithub.io"))
        .answer("notgithub.io", A, ADDRESS);
    let want = ["github.io 60 CNAME b.github.io", "b.github.io 60 CNAME notgithub.io"];
    check(&response, &want, &[("out_of_bailiwick", 1), ("chain_cut", 1)]);
}

#[test]
fn a_cut_chain_tells_of_no_negative_answer() {
    let alias = |flags, qtype| {
        Builder::new(flags, "www.evil.example", qtype)
            .answer("www.evil.example", RrType::CNAME, &wire("www.bank.com"))
            .authority("bank.com", RrType::SOA, &soa("bank.com"))
    };
    let left_out = [("out_of_bailiwick", 1), ("chain_cut", 1)];
    for rcode in [0, 2, 3] {
        check(&alias(DIRECT | rcode, A), &[ALIAS], &left_out);
    }
    // The alias itself was asked for: an answer. An error all the same says nothing of who has it.
    check(&alias(DIRECT, RrType::CNAME), &[ALIAS], &left_out[..1]);
    check(&alias(DIRECT | 3, RrType::CNAME), &[ALIAS], &left_out);
    check(&alias(DIRECT, RrType::ANY), &[ALIAS], &left_out[..1]);
    // A resolver knows.
    let soa = "bank.com 60 SOA ns.bank.com admin.bank.com 0 0 0 0 0";
    check(&alias(RESPONSE | 3, A), &[ALIAS, soa, "www.bank.com A NXDOMAIN"], &[]);
    check(&alias(RESPONSE, A), &[ALIAS, soa, "www.bank.com A NODATA"], &[]);
    // No alias, nothing to cut.
    check(&Builder::new(DIRECT | 3, "a.com", A), &["a.com A NXDOMAIN"], &[]);
}

/// What is told of the bank when the query and the response have these flags.
fn told(queries: &[u16], response: u16) -> Vec<String> {
    let mut capture = Capture::new(DnsOptions::default());
    for &flags in queries {
        capture.query(0.0, &Builder::new(flags, "www.evil.example", A)).unwrap();
    }
    capture.response(0.1, &poisoned(response)).unwrap();
    capture.advance(0.3);
    capture.take()
}

#[test]
fn only_the_answer_to_a_client_that_wanted_recursion_from_a_server_that_has_it_is_a_resolvers() {
    let (whole, cut) = ([ALIAS, ADDRESS_OF_BANK], [ALIAS]);
    assert_eq!(told(&[QUERY], RESPONSE), whole);
    // Of a zone of its own, or a forwarder that sets it always.
    assert_eq!(told(&[QUERY], RESPONSE | AUTHORITATIVE), whole);
    assert_eq!(told(&[0], DIRECT | AUTHORITATIVE), cut);
    assert_eq!(told(&[QUERY], DIRECT | QUERY | AUTHORITATIVE), cut);
    // A resolver wants no recursion, whatever the server it asks claims.
    assert_eq!(told(&[0], RESPONSE), cut);
    assert_eq!(told(&[0], DIRECT | RECURSION_AVAILABLE), cut);
    // The query counts, and each of those that ask the same.
    assert_eq!(told(&[QUERY], DIRECT | RECURSION_AVAILABLE), whole);
    assert_eq!(told(&[QUERY, 0], RESPONSE), cut);
    assert_eq!(told(&[0, QUERY], RESPONSE), cut);
    // Where none was seen, the response is all there is.
    assert_eq!(told(&[], RESPONSE), whole.map(|line| format!("{line} ?")));
    assert_eq!(told(&[], DIRECT | RECURSION_AVAILABLE), cut.map(|line| format!("{line} ?")));
}
