//! Names and records of a sample: pure functions of a name's number, so that ten million names need no memory
//! and any part of the sample can be regenerated.
//!
//! The distribution is that of a busy network's log: 40 % of the names are under 512 big domains (the biggest
//! contains 5 % of all names), 50 % in domains of one to three names, 10 % are reverse names. A name has 26
//! octets and 1.6 records on average. Of the records 56 % are A, 19 % AAAA, 14 % CNAME, 6.5 % PTR, the rest
//! NS, MX and TXT; some addresses and CNAME targets are shared by many names. All names are in the reserved
//! domains .test and .example (RFC 2606).

use crate::sample::row::{Answers, number};

/// Maximum number of names in a sample: a name's own label encodes 30 bits.
pub(crate) const MAX_NAMES: u64 = 1 << 30;
/// Number of domains with many names; with a cubic skew the first takes 1/8 of them.
const BIG_DOMAINS: u64 = 512;
/// Number of addresses shared by many names.
const HOT_ADDRESSES: u64 = 4096;
/// Syllables of made-up words, one for each value of six bits; all different, two letters each.
const SYLLABLES: &[u8; 128] =
    b"babebibobudadedidodufafefifofugagegigoguhahehihohujajejijojukakekikoku\
    lalelilolumamemimomunaneninonupapepipopurarerirorusasesiso";
const LETTERS: usize = 2;

/// Range of a sample's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Space {
    /// Only the documentation ranges (RFC 5737, RFC 3849): few IPv4 addresses, each with many names.
    Documentation,
    /// All over unicast space like real ones, for measurements; computed arithmetically.
    Spread,
}

/// A sample's content.
pub(crate) struct Model {
    pub(crate) seed: u64,
    /// Number of names; CNAMEs point at one of them.
    pub(crate) names: u64,
    pub(crate) space: Space,
}

/// Kind of name for a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Big,
    Small,
    Reverse,
}

/// Mixes a number well (the finaliser of `SplitMix64`; a bijection).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `count`, with small ones far more often: 0 has a share of `count^(-1/3)`.
fn cubic(random: u64, count: u64) -> u64 {
    // 20 bits cubed are 60 bits; the product with the count needs 128.
    let x = u128::from(random & 0xf_ffff);
    u64::try_from((x * x * x * u128::from(count)) >> 60).unwrap_or(0)
}

/// Maps each 30-bit number to a different one.
fn scramble(value: u64) -> u64 {
    let mask = MAX_NAMES - 1;
    let mut x = value & mask;
    x = x.wrapping_mul(0x2c1b_3c6d) & mask;
    x ^= x >> 15;
    x.wrapping_mul(0x297a_2d39) & mask
}

/// Appends a made-up word of this many syllables, different for each value of six bits per syllable.
fn word(value: u64, syllables: usize, out: &mut Vec<u8>) {
    let mut rest = value;
    for _ in 0..syllables {
        let at = usize::try_from(rest & 63).unwrap_or(0) * LETTERS;
        out.extend_from_slice(SYLLABLES.get(at..at + LETTERS).unwrap_or_default());
        rest >>= 6;
    }
}

impl Model {
    /// Independent random bits of a name, one word for each `purpose`.
    fn random(&self, name: u64, purpose: u64) -> u64 {
        mix(self.seed ^ mix(name ^ purpose << 48))
    }

    fn kind(&self, name: u64) -> Kind {
        match self.random(name, 0) % 100 {
            0..40 => Kind::Big,
            40..90 => Kind::Small,
            _ => Kind::Reverse,
        }
    }

    fn is_alias(&self, name: u64) -> bool {
        self.random(name, 1) % 1000 < 249
    }

    /// Appends the name with this number.
    pub(crate) fn name(&self, name: u64, out: &mut Vec<u8>) {
        match self.kind(name) {
            Kind::Big => {
                word(scramble(name), 5, out);
                let place: &[u8] = match self.random(name, 2) % 4 {
                    0 => b".edge.",
                    1 => b".eu-west.",
                    2 => b".us-east.",
                    _ => b".img.",
                };
                out.extend_from_slice(place);
                self.domain(name, out);
            }
            Kind::Small => {
                out.extend_from_slice(match name % 3 {
                    0 => b"www.",
                    1 => b"login.",
                    _ => b"",
                });
                self.domain(name, out);
            }
            Kind::Reverse => {
                let [a, b, c, d] = self.own_v4(name);
                for octet in [d, c, b, a] {
                    number(octet.into(), out);
                    out.push(b'.');
                }
                out.extend_from_slice(b"in-addr.arpa");
            }
        }
    }

    /// Appends the registrable domain of a name.
    fn domain(&self, name: u64, out: &mut Vec<u8>) {
        if self.kind(name) == Kind::Big {
            let domain = cubic(self.random(name, 3), BIG_DOMAINS);
            word(scramble(domain), 4, out);
            out.extend_from_slice(b".example");
        } else {
            // Three numbers in a row share a domain, but only half of all numbers are of this kind.
            let domain = name / 3;
            word(scramble(domain), 5, out);
            out.extend_from_slice(if domain & 1 == 0 { b".test" } else { b".example" });
        }
    }

    /// Fills in the answers to one question about a name and returns the question's type. The `nth` question
    /// about a name uses the next of its types, so that all its records occur.
    pub(crate) fn answer(&self, name: u64, nth: u64, answers: &mut Answers) -> u16 {
        let random = self.random(name, 4);
        let ttl = self.ttl(name, nth);
        if self.kind(name) == Kind::Reverse {
            answers.push(ttl, |out| {
                out.extend_from_slice(b"host-");
                word(scramble(name), 5, out);
                out.extend_from_slice(b".");
                word(scramble(cubic(random, BIG_DOMAINS)), 4, out);
                out.extend_from_slice(b".example");
            });
            return 12;
        }
        if self.is_alias(name) {
            let target = self.target(name);
            answers.push(ttl, |out| self.name(target, out));
            self.addresses_v4(target, self.ttl(target, nth), answers);
            return 1;
        }
        let has_v6 = random % 100 < 45;
        let has_other = random / 100 % 1000 < 107;
        match nth % (1 + u64::from(has_v6) + u64::from(has_other)) {
            0 => {
                self.addresses_v4(name, ttl, answers);
                1
            }
            1 if has_v6 => {
                answers.push(ttl, |out| self.v6(name, self.random(name, 5), out));
                28
            }
            _ => self.other(name, ttl, answers),
        }
    }

    fn addresses_v4(&self, name: u64, ttl: u32, answers: &mut Answers) {
        answers.push(ttl, |out| self.v4(name, self.random(name, 6), out));
        if self.random(name, 7).is_multiple_of(3) {
            answers.push(ttl, |out| self.v4(name ^ 1 << 29, self.random(name, 8), out));
        }
    }

    /// NS, MX or TXT.
    fn other(&self, name: u64, ttl: u32, answers: &mut Answers) -> u16 {
        let host = |label: &'static [u8]| {
            move |out: &mut Vec<u8>| {
                out.extend_from_slice(label);
                self.domain(name, out);
            }
        };
        match self.random(name, 9) % 3 {
            0 => {
                answers.push(ttl, host(b"ns1."));
                2
            }
            1 => {
                answers.push(ttl, host(b"mx."));
                15
            }
            _ => {
                answers.push(ttl, |out| {
                    out.extend_from_slice(b"TXT 29 v=verify ");
                    word(scramble(name), 5, out);
                    word(scramble(name ^ 1), 5, out);
                });
                16
            }
        }
    }

    /// A name in a big domain that has addresses; some of them are targets of many aliases.
    fn target(&self, name: u64) -> u64 {
        let mut at = cubic(self.random(name, 10), self.names);
        // Three in ten qualify; if none of these does, any name is used.
        for _ in 0..64 {
            if self.kind(at) == Kind::Big && !self.is_alias(at) {
                break;
            }
            at = (at + 1) % self.names;
        }
        at
    }

    fn ttl(&self, name: u64, nth: u64) -> u32 {
        let whole = match self.random(name, 11) % 4 {
            0 => 60,
            1 => 300,
            2 => 3600,
            _ => 86_400,
        };
        // A resolver's cache counts down; the first answer is fresh.
        let age = if nth == 0 { 0 } else { mix(name ^ nth << 32) % whole };
        u32::try_from(whole - age).unwrap_or(0)
    }

    /// An address of this name alone, if there are enough of them.
    fn own_v4(&self, name: u64) -> [u8; 4] {
        let value = scramble(name);
        match self.space {
            Space::Documentation => documentation(value),
            Space::Spread => {
                let [.., a, b, c, d] = value.to_be_bytes();
                // 30 bits from 16.0.0.0 to 79.255.255.255.
                [a + 16, b, c, d]
            }
        }
    }

    fn v4(&self, name: u64, random: u64, out: &mut Vec<u8>) {
        let octets = if random % 10 < 6 {
            let value = mix(cubic(random / 10, HOT_ADDRESSES));
            match self.space {
                Space::Documentation => documentation(value),
                Space::Spread => {
                    let [a, b, c, d, ..] = value.to_be_bytes();
                    [80 + a % 120, b, c, d]
                }
            }
        } else {
            // Three consecutive numbers share a host, as they may share a domain.
            self.own_v4(name / 3)
        };
        for (at, octet) in octets.into_iter().enumerate() {
            if at > 0 {
                out.push(b'.');
            }
            number(octet.into(), out);
        }
    }

    /// Appends an address in its canonical text: each displayed group has four digits.
    fn v6(&self, name: u64, random: u64, out: &mut Vec<u8>) {
        let value = if random % 10 < 6 {
            mix(cubic(random / 10, HOT_ADDRESSES))
        } else {
            self.random(name / 3, 12)
        };
        match self.space {
            Space::Documentation => out.extend_from_slice(b"2001:db8"),
            Space::Spread => {
                out.extend_from_slice(b"2600:");
                group(value >> 48, out);
            }
        }
        out.push(b':');
        group(value >> 32, out);
        out.extend_from_slice(b"::");
        group(value >> 16, out);
    }
}

/// One of the 762 host addresses for documentation (RFC 5737).
fn documentation(value: u64) -> [u8; 4] {
    let host = u8::try_from(1 + (value >> 8) % 254).unwrap_or(1);
    match value % 3 {
        0 => [192, 0, 2, host],
        1 => [198, 51, 100, host],
        _ => [203, 0, 113, host],
    }
}

/// Appends four hexadecimal digits, the first not 0.
fn group(value: u64, out: &mut Vec<u8>) {
    let value = value & 0x7fff | 0x1000;
    for shift in [12, 8, 4, 0] {
        let digit = u8::try_from(value >> shift & 15).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn model(space: Space) -> Model {
        Model { seed: 1, names: 20_000, space }
    }

    #[test]
    fn syllables_and_scrambled_numbers_differ() {
        let syllables: HashSet<&[u8]> = SYLLABLES.chunks(LETTERS).collect();
        assert_eq!(syllables.len(), 64);
        let scrambled: HashSet<u64> = (0..100_000).map(scramble).collect();
        assert_eq!(scrambled.len(), 100_000);
    }

    #[test]
    fn names_differ_and_have_the_length_of_real_ones() {
        let mut all = HashSet::new();
        let mut octets = 0;
        for name in 0..20_000 {
            let mut text = Vec::new();
            model(Space::Spread).name(name, &mut text);
            octets += text.len();
            assert!(all.insert(text));
        }
        let mean = octets / 2000;
        assert!((245..270).contains(&mean), "{mean} tenths of an octet");
    }

    #[test]
    fn the_hottest_of_a_cubic_skew_has_its_share() {
        let hits = (0..100_000).filter(|&at| cubic(mix(at), 512) == 0).count();
        assert!((12_000..13_000).contains(&hits), "{hits}");
        assert!((0..100_000).all(|at| cubic(mix(at), 512) < 512));
    }

    #[test]
    fn a_demonstration_names_documentation_addresses_alone() {
        for value in 0..10_000 {
            let [a, b, c, d] = documentation(mix(value));
            assert!(matches!([a, b, c], [192, 0, 2] | [198, 51, 100] | [203, 0, 113]));
            assert!((1..255).contains(&d));
        }
        let mut text = Vec::new();
        model(Space::Documentation).v6(0, u64::MAX, &mut text);
        assert!(text.starts_with(b"2001:db8:"));
    }
}
