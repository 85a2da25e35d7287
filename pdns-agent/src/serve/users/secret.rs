//! Digests of secrets: of keys, as they are stored, and of logins that were correct.

use crate::hex;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// Time for which a correct password need not be hashed again.
const FRESH: Duration = Duration::from_mins(5);
/// Maximum number of remembered logins.
const MOST: usize = 1_024;

/// Random bytes of this process, so that remembered password digests are useless elsewhere.
static SALT: LazyLock<[u8; 32]> = LazyLock::new(|| random().unwrap_or_default());
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

    /// Returns the digest of a user's name and password, or of a name alone, under a key of this process:
    /// attackers cannot choose names to get particular digests, and the digest of a password is useless
    /// elsewhere.
    pub(super) fn of_login(user: &str, password: &str) -> Self {
        let mut bytes = SALT.to_vec();
        // No user name contains a NUL.
        for part in [user.as_bytes(), &[0], password.as_bytes()] {
            bytes.extend_from_slice(part);
        }
        Self::of_octets(&bytes)
    }

    /// Returns a number from 0 to `count - 1` that depends only on the digest; 0 if `count` is 0.
    pub(super) fn choose(&self, count: usize) -> usize {
        let number =
            self.0.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        usize::try_from(number.checked_rem(count as u64).unwrap_or(0)).unwrap_or(0)
    }

    /// Parses 64 hexadecimal digits.
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
        hex::encode(&self.0)
    }

    /// Returns true if both are equal, in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Returns a new key: 256 random bits in hexadecimal, which DNSDB clients accept as well.
pub(super) fn new_key() -> Option<String> {
    Some(hex::encode(&random::<32>()?))
}

/// Logins that were correct a short while ago, by a digest that is useless to anybody else.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Instant>>);

impl Verified {
    pub(super) fn has(&self, user: &str, password: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&Digest::of_login(user, password)).is_some_and(|at| at.elapsed() < FRESH)
    }

    pub(super) fn add(&self, user: &str, password: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, at| at.elapsed() < FRESH);
        }
        if known.len() < MOST {
            known.insert(Digest::of_login(user, password), Instant::now());
        }
    }
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(octets)
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
    fn logins_are_remembered_for_a_while() {
        let verified = Verified::default();
        verified.add("u", "p");
        assert!(verified.has("u", "p") && !verified.has("u", "q") && !verified.has("up", ""));
    }
}
