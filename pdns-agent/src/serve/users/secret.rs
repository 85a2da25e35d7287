//! Keys and passwords, and how they are kept.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier as _};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// How long a password that was right need not be hashed again.
const FRESH: Duration = Duration::from_mins(5);
/// The most logins that are remembered so.
const MOST: usize = 1_024;

/// Random octets of this process, so that what is remembered of passwords is worth nothing elsewhere.
static SALT: LazyLock<[u8; 32]> = LazyLock::new(|| random().unwrap_or_default());
/// A hash that no password has, to spend the time on.
static NOBODY: LazyLock<Option<String>> =
    LazyLock::new(|| hash(&hex(&random::<32>().unwrap_or_default())));

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(secret: &str) -> Self {
        Self::of_octets(secret.as_bytes())
    }

    fn of_octets(octets: &[u8]) -> Self {
        let digest = digest(&SHA256, octets);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
    }

    /// From 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u32> =
            text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
        let mut octets = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            *octet =
                pair.iter().fold(0, |value, &digit| value << 4 | u8::try_from(digit).unwrap_or(0));
        }
        Some(Self(octets))
    }

    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A new key: 256 random bits in hexadecimal, which DNSDB clients take, too.
pub(super) fn new_key() -> Option<String> {
    Some(hex(&random::<32>()?))
}

/// A password as it is kept: Argon2id in PHC's form.
pub(super) fn hash(password: &str) -> Option<String> {
    let salt = random::<16>()?;
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

/// Whether text is a hash that a password can be compared with.
pub(super) fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2id$") && PasswordHash::new(text).is_ok()
}

/// Whether the password is the one of the hash. Without a hash it is none, and that takes as long.
pub(super) fn is_password(password: &str, hash: Option<&str>) -> bool {
    let known = hash.or_else(|| NOBODY.as_deref()).and_then(|text| PasswordHash::new(text).ok());
    let right = known.is_some_and(|known| {
        Argon2::default().verify_password(password.as_bytes(), &known).is_ok()
    });
    right && hash.is_some()
}

/// Logins that were right a short while ago, by a digest that is of no use to anybody else.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Instant>>);

impl Verified {
    pub(super) fn has(&self, user: &str, password: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&login(user, password)).is_some_and(|at| at.elapsed() < FRESH)
    }

    pub(super) fn add(&self, user: &str, password: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, at| at.elapsed() < FRESH);
        }
        if known.len() < MOST {
            known.insert(login(user, password), Instant::now());
        }
    }
}

fn login(user: &str, password: &str) -> Digest {
    let mut octets = SALT.to_vec();
    // No name has a NUL.
    for part in [user.as_bytes(), &[0], password.as_bytes()] {
        octets.extend_from_slice(part);
    }
    Digest::of_octets(&octets)
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(octets)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut out, octet| {
        write!(out, "{octet:02x}").expect("a String takes any text");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_known_by_their_digest() {
        let (one, other) = (new_key().unwrap(), new_key().unwrap());
        assert!(one.len() == 64 && one != other);
        let kept = Digest::parse(&Digest::of(&one).to_hex()).unwrap();
        assert!(kept.is(&Digest::of(&one)) && !kept.is(&Digest::of(&other)));
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_hex(), abc);
        assert!(Digest::parse("ab").is_none() && Digest::parse(&"x".repeat(64)).is_none());
    }

    #[test]
    fn passwords_are_hashed_and_remembered_for_a_while() {
        let kept = hash("correct horse").unwrap();
        assert!(is_hash(&kept) && !is_hash("plain") && !is_hash("$argon2id$x"));
        assert!(is_password("correct horse", Some(&kept)));
        assert!(!is_password("battery staple", Some(&kept)) && !is_password("x", None));
        let verified = Verified::default();
        verified.add("u", "p");
        assert!(verified.has("u", "p") && !verified.has("u", "q") && !verified.has("up", ""));
    }
}
