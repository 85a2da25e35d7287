//! The text of RDATA reads back to the same octets, say two other implementations: the `domain` crate for
//! the types it knows, and dnspython, where it is installed, for nearly all.

use domain::base::iana::Rtype;
use domain::base::rdata::ComposeRecordData as _;
use domain::zonefile::inplace::{Entry, Zonefile};
use pdns_agent::rdata::{FinalDot, Rdata};
use pdns_agent::rr::RrType;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// RDATA of each type, field by field: a digit is that many octets, and letters are as in [`part`].
const SHAPES: &[(RrType, &str)] = &[
    (RrType::A, "4"),
    (RrType::NS, "n"),
    (RrType::MD, "n"),
    (RrType::MF, "n"),
    (RrType::CNAME, "n"),
    (RrType::SOA, "nn44444"),
    (RrType::MB, "n"),
    (RrType::MG, "n"),
    (RrType::MR, "n"),
    (RrType::NULL, "r"),
    (RrType::WKS, "41w"),
    (RrType::PTR, "n"),
    (RrType::HINFO, "ss"),
    (RrType::MINFO, "nn"),
    (RrType::MX, "2n"),
    (RrType::TXT, "S"),
    (RrType::RP, "nn"),
    (RrType::AFSDB, "2n"),
    (RrType::X25, "d"),
    (RrType::ISDN, "dd"),
    (RrType::RT, "2n"),
    (RrType::NSAP, "r"),
    (RrType::NSAP_PTR, "N"),
    (RrType::SIG, "2114442nr"),
    (RrType::KEY, "211r"),
    (RrType::PX, "2nn"),
    (RrType::AAAA, "88"),
    (RrType::LOC, "l"),
    (RrType::SRV, "222n"),
    (RrType::NAPTR, "22sssn"),
    (RrType::KX, "2n"),
    (RrType::CERT, "221r"),
    (RrType::DNAME, "n"),
    (RrType::APL, "pppp"),
    (RrType::DS, "211r"),
    (RrType::SSHFP, "11r"),
    (RrType::IPSECKEY, "gr"),
    (RrType::RRSIG, "2114442nr"),
    (RrType::NSEC, "nt"),
    (RrType::DNSKEY, "211r"),
    (RrType::DHCID, "r"),
    (RrType::NSEC3, "112hHt"),
    (RrType::NSEC3PARAM, "112h"),
    (RrType::TLSA, "111r"),
    (RrType::SMIMEA, "111r"),
    (RrType::HIP, "i"),
    (RrType::NINFO, "S"),
    (RrType::TALINK, "NN"),
    (RrType::CDS, "211r"),
    (RrType::CDNSKEY, "211r"),
    (RrType::OPENPGPKEY, "r"),
    (RrType::CSYNC, "42t"),
    (RrType::ZONEMD, "41rrr"),
    (RrType::SVCB, "2Nv"),
    (RrType::HTTPS, "2Nv"),
    (RrType::DSYNC, "212N"),
    (RrType::SPF, "S"),
    (RrType::NID, "28"),
    (RrType::L32, "24"),
    (RrType::L64, "28"),
    (RrType::LP, "2N"),
    (RrType::EUI48, "6"),
    (RrType::EUI64, "8"),
    (RrType::URI, "22r"),
    (RrType::CAA, "1Tr"),
    (RrType::AVC, "S"),
    (RrType::AMTRELAY, "1m"),
    (RrType::RESINFO, "S"),
    (RrType::WALLET, "S"),
    (RrType::CLA, "S"),
    (RrType::TA, "211r"),
    (RrType::DLV, "211r"),
    (RrType(65280), "r"),
];

/// Why `domain` does not read a text that is fine: it does not know the type, or a newer type in a bitmap, or
/// reads no escape in a list of protocols.
const NOT_DOMAIN: &[&str] = &["unknown record type", "expected Rtype", "escape sequences in alpn"];

/// Types of which `domain` reads most of what the others read.
const DOMAIN: &[RrType] = &[
    RrType::A,
    RrType::NS,
    RrType::CNAME,
    RrType::SOA,
    RrType::MB,
    RrType::PTR,
    RrType::HINFO,
    RrType::MINFO,
    RrType::MX,
    RrType::TXT,
    RrType::RP,
    RrType::AAAA,
    RrType::SRV,
    RrType::NAPTR,
    RrType::DNAME,
    RrType::DS,
    RrType::SSHFP,
    RrType::IPSECKEY,
    RrType::RRSIG,
    RrType::NSEC,
    RrType::DNSKEY,
    RrType::NSEC3,
    RrType::NSEC3PARAM,
    RrType::TLSA,
    RrType::CDS,
    RrType::CDNSKEY,
    RrType::OPENPGPKEY,
    RrType::ZONEMD,
    RrType::SVCB,
    RrType::HTTPS,
    RrType::CAA,
];

/// Types whose text dnspython does not know, so that it reads RFC 3597 text only.
const NOT_DNSPYTHON: &[&str] = &[
    "MD",
    "MF",
    "MB",
    "MG",
    "MR",
    "NULL",
    "MINFO",
    "SIG",
    "KEY",
    "NINFO",
    "TALINK",
    "DSYNC",
    "TA",
    "CLA",
    "TYPE65280",
];

fn octets(count: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    std::iter::repeat_with(|| random.u8(..)).take(count).collect()
}

fn prefixed(octets: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(octets.len()).unwrap());
    out.extend(octets);
}

fn part(kind: char, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
    match kind {
        '1'..='9' => out.extend(octets(kind as usize - '0' as usize, random)),
        // A name: as the wire has it, or in lower case.
        'N' | 'n' => {
            for _ in 0..random.usize(0..5) {
                let mut label = octets(random.usize(1..9), random);
                if random.bool() {
                    for octet in &mut label {
                        *octet = b'A' + *octet % 58;
                    }
                }
                if kind == 'n' {
                    label.make_ascii_lowercase();
                }
                prefixed(&label, out);
            }
            out.push(0);
        }
        's' => prefixed(&octets(random.usize(0..20), random), out),
        'd' => prefixed(random.u32(..).to_string().as_bytes(), out),
        'S' => (0..random.usize(1..4)).for_each(|_| part('s', random, out)),
        'r' => out.extend(octets(random.usize(1..40), random)),
        'T' => prefixed(b"issueWild", out),
        'h' => prefixed(&octets(random.usize(0..9), random), out),
        'H' => prefixed(&octets(random.usize(1..33), random), out),
        't' => {
            for window in [0_u8, 1, 128].into_iter().filter(|_| random.bool()).collect::<Vec<_>>() {
                let mut bits = octets(random.usize(1..33), random);
                *bits.last_mut().unwrap() |= 1;
                // Type 0 is none.
                bits[0] &= 0x7f;
                bits.push(1);
                bits.truncate(32);
                *bits.last_mut().unwrap() |= 1;
                out.push(window);
                prefixed(&bits, out);
            }
        }
        'w' => out.extend(octets(random.usize(1..20), random).into_iter().chain([1])),
        'l' => {
            out.push(0);
            (0..3).for_each(|_| out.push(random.u8(1..10) << 4 | random.u8(0..10)));
            for most in [90, 180] {
                let angle = random.u32(0..=most * 2 * 3_600_000);
                out.extend(((1 << 31) - most * 3_600_000 + angle).to_be_bytes());
            }
            // dnspython reads metres as a floating point number, and cuts: whole metres are safe.
            out.extend((random.u32(0..42_000_000) * 100).to_be_bytes());
        }
        'p' => {
            let (family, size) = if random.bool() { (1, 4) } else { (2, 16) };
            let address = octets(random.usize(0..=size), random);
            out.extend([0, family, random.u8(0..=32)]);
            out.push(u8::try_from(address.len()).unwrap() | random.u8(..) & 0x80);
            out.extend(address);
        }
        'g' => {
            let kind = random.u8(0..4);
            out.extend([random.u8(..), kind, random.u8(..)]);
            host(kind, random, out);
        }
        'm' => {
            let kind = random.u8(0..4);
            out.push(kind | random.u8(..) & 0x80);
            host(kind, random, out);
        }
        'i' => {
            let (tag, key) = (octets(16, random), octets(random.usize(1..50), random));
            out.extend([16, random.u8(..), 0, u8::try_from(key.len()).unwrap()]);
            out.extend(tag);
            out.extend(key);
            (0..random.usize(0..3)).for_each(|_| part('N', random, out));
        }
        'v' => parameters(random, out),
        _ => unreachable!("{kind}"),
    }
}

fn host(kind: u8, random: &mut fastrand::Rng, out: &mut Vec<u8>) {
    match kind {
        1 => part('4', random, out),
        2 => out.extend(octets(16, random)),
        3 => part('N', random, out),
        _ => {}
    }
}

fn parameters(random: &mut fastrand::Rng, out: &mut Vec<u8>) {
    let mut put = |key: u16, value: &[u8]| {
        out.extend(key.to_be_bytes());
        out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        out.extend(value);
    };
    if random.bool() {
        put(0, &[0, 1, 0, 3]);
    }
    let mut alpn = Vec::new();
    for _ in 0..random.usize(1..4) {
        let mut protocol = octets(random.usize(1..6), random);
        if random.bool() {
            for octet in &mut protocol {
                *octet = b'+' + *octet % 50;
            }
        }
        prefixed(&protocol, &mut alpn);
    }
    put(1, &alpn);
    if random.bool() {
        put(2, &[]);
    }
    put(3, &octets(2, random));
    for (key, size) in [(4, 4), (5, 1), (6, 16)] {
        if random.bool() {
            let mut value = octets(random.usize(1..4) * size, random);
            if key == 5 {
                // One ECHConfig in a list, or dnspython objects.
                let length = u8::try_from(value.len()).unwrap();
                value.splice(0..0, [0, length + 4, 0xfe, 0x0d, 0, length]);
            }
            put(key, &value);
        }
    }
    if random.bool() {
        put(667, &octets(random.usize(0..9), random));
    }
}

/// RDATA of each type with its text.
fn samples() -> Vec<(RrType, Vec<u8>, String)> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut samples = Vec::new();
    for &(rrtype, shape) in SHAPES {
        let mut shown = 0;
        for _ in 0..200 {
            let mut rdata = Vec::new();
            shape.chars().for_each(|kind| part(kind, &mut random, &mut rdata));
            let text = Rdata { rrtype, octets: &rdata, partial: false }.to_text(FinalDot::With);
            shown += usize::from(!text.starts_with("\\#"));
            samples.push((rrtype, rdata, text));
        }
        let is_unknown = matches!(rrtype, RrType::NULL | RrType(65280));
        assert!(is_unknown || shown > 90, "{rrtype} has text in {shown} of 200 cases");
    }
    samples
}

/// What `domain` reads.
fn read(rrtype: RrType, text: &str) -> Result<Vec<u8>, String> {
    let line = format!(". 0 IN {} {text}\n", Rtype::from_int(rrtype.0));
    let mut zone = Zonefile::from(line.as_bytes());
    match zone.next_entry() {
        Ok(Some(Entry::Record(record))) => {
            let mut rdata = Vec::new();
            record.data().compose_rdata(&mut rdata).unwrap();
            Ok(rdata)
        }
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn domain_reads_the_same_octets() {
    let mut read_of = BTreeMap::<RrType, u32>::new();
    for (rrtype, rdata, text) in samples() {
        match read(rrtype, &text) {
            Ok(read) => {
                assert_eq!(read, rdata, "{rrtype} {text}");
                *read_of.entry(rrtype).or_default() += 1;
            }
            Err(why) => {
                assert!(
                    NOT_DOMAIN.iter().any(|reason| why.contains(reason)),
                    "{rrtype} {text}: {why}"
                );
            }
        }
    }
    for rrtype in DOMAIN {
        assert!(
            read_of.get(rrtype).is_some_and(|&count| count > 20),
            "{rrtype}: {:?}",
            read_of.get(rrtype)
        );
    }
}

#[test]
fn dnspython_reads_the_same_octets() {
    let mut lines = String::new();
    for (rrtype, rdata, text) in samples() {
        if NOT_DNSPYTHON.contains(&rrtype.to_string().as_str()) && !text.starts_with("\\#") {
            continue;
        }
        let hex = rdata.iter().fold(String::new(), |mut hex, octet| {
            write!(hex, "{octet:02x}").unwrap();
            hex
        });
        writeln!(lines, "{rrtype}\t{hex}\t{text}").unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/reread.py");
    // The Python that `cargo xtask test` makes for the tests.
    let made = concat!(env!("CARGO_TARGET_TMPDIR"), "/../python/bin/python3");
    let python = std::env::var_os("PDNS_TEST_PYTHON").unwrap_or_else(|| made.into());
    let mut command = Command::new(python);
    command.args(["-B", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("cargo xtask test makes a Python with dnspython");
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    written.unwrap();
    assert!(output.status.success() && told.is_empty(), "{told}");
}
