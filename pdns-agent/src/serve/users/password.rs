//! Password hashing with Argon2id (RFC 9106), in memory that is allocated once.
//!
//! A hash takes 19 MiB and tens of milliseconds. Only [`HASHING`] are computed at once, each in a buffer that
//! is reused: memory that each thread allocated and freed would stay with that thread.

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of passwords hashed at once.
const HASHING: usize = 2;
/// Maximum memory that a hash in the users file may require, in KiB.
const MAX_MEMORY: u32 = 64 * 1024;
/// Maximum number of passes over that memory.
const MAX_PASSES: u32 = 10;

/// Hashes a password for storage: Argon2id in PHC string format.
pub(super) fn hash(password: &str) -> Option<String> {
    let mut salt = [0; 16];
    SystemRandom::new().fill(&mut salt).ok()?;
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

/// Parses a hash that a password can be compared with.
///
/// # Errors
/// The error in it.
pub(super) fn parse(text: &str) -> Result<PasswordHash, &'static str> {
    let wrong = "not an Argon2id hash";
    let hash = PasswordHash::new(text).map_err(|_| wrong)?;
    if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id)
        || hash.salt.is_none()
        || hash.hash.is_none()
        || version(&hash).is_none()
    {
        return Err(wrong);
    }
    let params = Params::try_from(&hash).map_err(|_| wrong)?;
    if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES {
        return Err("a hash of more than 64 MiB (m=65536) or 10 passes (t=10)");
    }
    Ok(hash)
}

fn version(hash: &PasswordHash) -> Option<Version> {
    hash.version.map_or(Some(Version::default()), |version| Version::try_from(version).ok())
}

/// The memory for hashes, and permits to use it.
#[derive(Debug)]
pub(super) struct Hashers {
    turns: Arc<Semaphore>,
    /// Unused buffers; each is allocated on first use.
    idle: Mutex<Vec<Vec<Block>>>,
}

/// Permit to hash one password; released when dropped.
pub(super) struct Turn {
    hashers: Arc<Hashers>,
    memory: Vec<Block>,
    _permit: OwnedSemaphorePermit,
}

impl Hashers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { turns: Arc::new(Semaphore::new(HASHING)), idle: Mutex::default() })
    }

    /// Waits for a turn.
    pub(super) async fn turn(self: &Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let memory = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = memory.unwrap_or_default();
        Some(Turn { hashers: Arc::clone(self), memory, _permit: permit })
    }
}

impl Turn {
    /// Returns true if the password matches the hash. Blocks while it is being hashed.
    pub(super) fn is_password(&mut self, password: &str, known: &PasswordHash) -> bool {
        self.compare(password, known).unwrap_or(false)
    }

    /// Like [`Turn::is_password`]; returns `None` for a hash that [`parse`] refuses, or if memory is missing.
    fn compare(&mut self, password: &str, known: &PasswordHash) -> Option<bool> {
        let (salt, want) = (known.salt.as_ref()?, known.hash.as_ref()?);
        let params = Params::try_from(known).ok()?;
        let blocks = params.block_count();
        if let Some(more) = blocks.checked_sub(self.memory.len()) {
            self.memory.try_reserve_exact(more).ok()?;
            self.memory.resize(blocks, Block::new());
        }
        let mut out = [0; Output::MAX_LENGTH];
        let out = out.get_mut(..want.len())?;
        Argon2::new(Algorithm::Argon2id, version(known)?, params)
            .hash_password_into_with_memory(password.as_bytes(), salt, out, &mut self.memory)
            .ok()?;
        Some(out.ct_eq(want.as_bytes()).into())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the permit is returned, so that there are never more buffers than permits.
        let memory = std::mem::take(&mut self.memory);
        self.hashers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::CustomizedPasswordHasher as _;

    fn with(memory: u32, passes: u32) -> String {
        let params = Params::new(memory, passes, 2, None).unwrap();
        let salt = b"some salt of another";
        let hash = Argon2::default().hash_password_customized(
            b"correct horse",
            salt,
            Some("argon2id"),
            Some(0x13),
            params,
        );
        hash.unwrap().to_string()
    }

    #[tokio::test]
    async fn passwords_are_compared_in_one_buffer() {
        let hashers = Hashers::new();
        // The second takes more memory than the first and the third.
        for text in [with(64, 3), hash("correct horse").unwrap(), with(64, 3)] {
            let known = parse(&text).unwrap();
            let mut turn = hashers.turn().await.unwrap();
            assert!(turn.is_password("correct horse", &known), "{text}");
            assert!(!turn.is_password("battery staple", &known), "{text}");
        }
        assert_eq!(hashers.idle.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_password_waits_for_its_turn() {
        let hashers = Hashers::new();
        let first = hashers.turn().await.unwrap();
        let second = hashers.turn().await.unwrap();
        let mut third = std::pin::pin!(hashers.turn());
        assert!(
            std::future::poll_fn(|context| {
                std::task::Poll::Ready(third.as_mut().poll(context).is_pending())
            })
            .await
        );
        drop(first);
        drop((second, third.await.unwrap()));
        assert_eq!(hashers.idle.lock().unwrap().len(), HASHING);
    }

    #[test]
    fn hashes_of_other_kinds_and_costs_are_refused() {
        let plain = with(64, 3);
        for text in [
            "plain",
            "$argon2id$x",
            "$argon2id$v=19$m=64,t=3,p=2",
            &plain.replace("argon2id", "argon2i"),
            &plain.replace("v=19", "v=20"),
            &plain.replace("m=64", "m=70000"),
            &plain.replace("t=3", "t=11"),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
