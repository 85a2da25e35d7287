//! Who may ask: a TOML file of users with hashed secrets.
//!
//! `pdns serve user` writes it, the server reads it, and reads it anew when it changes. A key is 256 random bits, so
//! its SHA-256 tells nothing of it; a password is somebody's own, and kept as Argon2id (RFC 9106).

mod file;
mod secret;

pub use file::{Entry, add, list, remove};

use super::auth::Credential;
use secret::{Digest, Verified};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;

/// Passwords that are hashed at once: each takes 19 MiB and tens of milliseconds.
const HASHING: usize = 2;
/// How long a login may wait for its turn to be hashed.
const WAIT: Duration = Duration::from_secs(5);

/// Why the file of users does not do.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("cannot read the users from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the users to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Another program changes it, or it is where nothing can be locked.
    #[error("cannot lock the users in {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Others can read or change it.
    #[error("{0} can be read or changed by every user of this machine: chmod o= it")]
    Open(PathBuf),
    /// It does not say what it should.
    #[error("{path} is wrong")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A user who cannot be.
    #[error("{path}: {reason}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// What is wrong with whom.
        reason: String,
    },
    /// A name that cannot be.
    #[error("{0:?} is no name for a user: give 1 to 64 letters, digits, or any of . _ - @")]
    Name(String),
    /// Who is to be added is there.
    #[error("there is a user {0} already: remove it first")]
    Twice(String),
    /// Who is to be removed is not there.
    #[error("there is no user {0}")]
    Unknown(String),
    /// A password that is no secret.
    #[error("a password has 12 to 256 characters, in one line")]
    Password,
    /// The system gives no randomness, or no memory.
    #[error("cannot make a secret")]
    Secret,
}

/// Who sent a request, and what he may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user; `None` where there are none and everybody may ask.
    pub name: Option<Arc<str>>,
    /// Whether he may set and clear tags.
    pub may_tag: bool,
}

/// The users of a running server.
#[derive(Debug)]
pub(super) struct Users {
    path: Option<PathBuf>,
    state: RwLock<Arc<State>>,
    stamp: Mutex<Option<(SystemTime, u64)>>,
    hashing: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    users: Vec<User>,
    /// Logins whose password was hashed and found right; a new file begins a new list.
    verified: Verified,
}

/// One user as the server needs him.
#[derive(Debug)]
struct User {
    identity: Identity,
    key: Option<Digest>,
    password: Option<String>,
}

impl Users {
    /// Reads the file; without one there are no users, and everybody may ask.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, UsersError> {
        let users = path.map(read).transpose()?.unwrap_or_default();
        Ok(Self {
            path: path.map(Path::to_owned),
            stamp: Mutex::new(path.and_then(stamp)),
            state: RwLock::new(Arc::new(State { users, ..State::default() })),
            hashing: Semaphore::new(HASHING),
        })
    }

    /// Whether nobody has to say who he is.
    pub(super) fn is_open(&self) -> bool {
        self.path.is_none()
    }

    /// Reads the file anew if it has changed; keeps the users there are while it does not do.
    pub(super) fn reload(&self, force: bool) {
        let Some(path) = &self.path else { return };
        let now = stamp(path);
        let mut last = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now && !force {
            return;
        }
        *last = now;
        match read(path) {
            Ok(users) => {
                tracing::info!(users = users.len(), "the users were read anew");
                let state = Arc::new(State { users, ..State::default() });
                *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the file of users does not do; those before stay");
            }
        }
    }

    /// Who shows this credential; `None` when it is nobody's.
    pub(super) async fn identify(&self, credential: Credential) -> Option<Identity> {
        let state = Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner));
        let (name, password) = match credential {
            Credential::Key(key) => return state.of_key(&key, None),
            Credential::Login { user, password } => (user, password),
        };
        if let Some(identity) = state.of_key(&password, Some(&name)) {
            return Some(identity);
        }
        if state.verified.has(&name, &password) {
            return state.named(&name).map(|user| user.identity.clone());
        }
        let turn = tokio::time::timeout(WAIT, self.hashing.acquire()).await.ok()?.ok()?;
        let hashed = tokio::task::spawn_blocking(move || {
            let known = state.named(&name).and_then(|user| user.password.as_deref());
            // A name that nobody has takes as long as one with another password.
            let right = secret::is_password(&password, known);
            right.then(|| {
                state.verified.add(&name, &password);
                state.named(&name).map(|user| user.identity.clone())
            })
        });
        let identity = hashed.await.ok().flatten().flatten();
        drop(turn);
        identity
    }
}

impl State {
    fn named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.identity.name.as_deref() == Some(name))
    }

    /// Whose key this is; with a name, only if it is his.
    fn of_key(&self, key: &str, name: Option<&str>) -> Option<Identity> {
        let digest = Digest::of(key);
        let mut found = None;
        // All are compared, whoever it is.
        for user in &self.users {
            if user.key.as_ref().is_some_and(|key| key.is(&digest)) {
                found = Some(&user.identity);
            }
        }
        found.filter(|identity| name.is_none() || identity.name.as_deref() == name).cloned()
    }
}

/// Reads and checks the file.
fn read(path: &Path) -> Result<Vec<User>, UsersError> {
    let entries = list(path)?;
    let mut users: Vec<User> = Vec::with_capacity(entries.len());
    for entry in entries {
        let wrong = |reason: String| UsersError::Entry { path: path.to_owned(), reason };
        let key = match &entry.key_sha256 {
            None => None,
            Some(hex) => Some(
                Digest::parse(hex)
                    .ok_or_else(|| wrong(format!("key_sha256 of {} is no SHA-256", entry.name)))?,
            ),
        };
        if let Some(password) = &entry.password
            && !secret::is_hash(password)
        {
            return Err(wrong(format!("password of {} is no Argon2id hash", entry.name)));
        }
        if key.is_none() && entry.password.is_none() {
            return Err(wrong(format!("{} has neither key_sha256 nor password", entry.name)));
        }
        if users.iter().any(|user| user.identity.name.as_deref() == Some(&entry.name)) {
            return Err(wrong(format!("{} is there twice", entry.name)));
        }
        let identity = Identity { name: Some(entry.name.into()), may_tag: entry.may_tag };
        users.push(User { identity, key, password: entry.password });
    }
    Ok(users)
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}
