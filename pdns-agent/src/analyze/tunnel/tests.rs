//! Verdicts on made names, in the shapes of public tools.

use super::*;
use crate::analyze::random::Random;
use crate::name::NameBuf;
use proptest::prelude::*;

const HEX: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Adds `count` names with labels of `length` characters, one every ten seconds.
fn made(alphabet: &[u8], labels: &[usize], count: u32, sighting: TunnelSighting) -> TunnelReport {
    let domain = NameBuf::parse("t.example").unwrap();
    let mut aggregate = TunnelAggregate::default();
    let mut random = Random::new(7);
    for at in 0..count {
        let mut text = String::new();
        for &length in labels {
            for _ in 0..length {
                text.push(char::from(alphabet[random.below(alphabet.len())]));
            }
            text.push('.');
        }
        let name = NameBuf::parse(&(text + "t.example")).unwrap();
        let first = sighting.first + at * 10;
        aggregate.add(name.as_name(), domain.as_name(), TunnelSighting { first, ..sighting });
    }
    aggregate.judge()
}

const ONCE_RARE: TunnelSighting =
    TunnelSighting { first: 1_700_000_000, count: 1, sensors: 1, is_rare: true };

#[test]
fn shapes_of_public_tools() {
    // dnscat2: three labels of hexadecimal digits; CNAME, MX or TXT.
    let dnscat = made(HEX, &[60, 60, 46], 2_500, ONCE_RARE);
    assert_eq!(dnscat.verdict, TunnelVerdict::Tunnel, "{dnscat}");
    assert!(dnscat.entropy > 3.7 && dnscat.length > 170.0 && dnscat.names == 2_500, "{dnscat}");
    // iodine and dns2tcp at rest: few names.
    assert_eq!(made(BASE32, &[15], 9, ONCE_RARE).verdict, TunnelVerdict::Suspect);
    assert_eq!(made(BASE32, &[14], 4, ONCE_RARE).verdict, TunnelVerdict::Unknown);
    // Exfiltration: the name carries the data, and the answer is an address or nothing.
    let plain = TunnelSighting { is_rare: false, ..ONCE_RARE };
    assert_eq!(made(BASE32, &[50], 40, plain).verdict, TunnelVerdict::Tunnel);
    // Several sensors each count the answer.
    let thrice = TunnelSighting { count: 3, sensors: 3, ..ONCE_RARE };
    assert_eq!(made(HEX, &[60], 40, thrice).verdict, TunnelVerdict::Tunnel);
}

#[test]
fn ordinary_names_are_no_tunnel() {
    let plain = TunnelSighting { is_rare: false, ..ONCE_RARE };
    let popular = TunnelSighting { count: 90, ..plain };
    assert_eq!(made(BASE32, &[50], 400, popular).verdict, TunnelVerdict::None);
    assert_eq!(made(b"ab", &[3], 8, plain).verdict, TunnelVerdict::None);
    // Shards of a content network: short and random, or long and regular.
    assert_eq!(made(BASE32, &[14], 400, plain).verdict, TunnelVerdict::Suspect);
    // Two a month for years: no day has enough of them.
    let domain = NameBuf::parse("t.example").unwrap();
    let mut slow = TunnelAggregate::default();
    for at in 0..400_u32 {
        let name = NameBuf::parse(&format!("{at:x}f7a9c3e5b1d2.t.example")).unwrap();
        let sighting = TunnelSighting { first: at * 1_300_000, ..ONCE_RARE };
        slow.add(name.as_name(), domain.as_name(), sighting);
    }
    assert_eq!((slow.judge().verdict, slow.judge().names), (TunnelVerdict::Unknown, 1));
}

#[test]
fn a_flood_of_names_is_bounded_and_said() {
    let report = made(HEX, &[40], 5_000, TunnelSighting { first: 0, ..ONCE_RARE });
    assert_eq!((report.names, report.left_out), (MAX_TUNNEL_NAMES, 904));
    assert!(report.to_string().contains("; 904 further names are not among them"), "{report}");
}

#[test]
fn content_of_records() {
    let txt = |text: &str| {
        let mut octets = Vec::new();
        for part in text.as_bytes().chunks(255) {
            octets.push(u8::try_from(part.len()).unwrap());
            octets.extend_from_slice(part);
        }
        content_strength(RrType::TXT, &octets, Some(5))
    };
    assert!(txt(&"4f3a9be0".repeat(30)) > 0.99);
    assert!((txt("dGhpcyBpcyBhIHRlc3Qgb2YgYmFzZTY0") - 0.7).abs() < 1e-9);
    for usual in [
        "v=spf1 include:_spf.example.com ~all",
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7",
        "google-site-verification=rXOxyZounnZasA8Z7oaD3c14JdjS9aKSWvsR1EbUSIQ",
        "MS=ms83247392847329847",
        "A sentence that a person wrote for others to read.",
        "short",
        "",
    ] {
        assert!(txt(usual) < 1e-9, "{usual}");
    }
    assert!(content_strength(RrType::NULL, &[0xff; 300], None) > 0.7);
    // Lengths that lead behind the end.
    assert!(content_strength(RrType::TXT, &[255, 1, 2], None) < 1e-9);
}

proptest! {
    #[test]
    fn hostile_content_has_a_strength(octets: Vec<u8>, rrtype: u16, ttl: Option<u32>) {
        let strength = content_strength(RrType(rrtype), &octets, ttl);
        prop_assert!((0.0..=1.0).contains(&strength));
        prop_assert!((0.0..=8.0).contains(&entropy(&octets)));
    }
}
