//! Authentication of users: a TOML file of users with hashed secrets.
//!
//! `pdns serve user` writes the file; the server reads it, and reloads it when it changes. A key is 256 random
//! bits, so its SHA-256 reveals nothing about it; a password is chosen by a person, and stored as Argon2id (RFC
//! 9106).
//!
//! Keys are checked first, which is cheap. A password is hashed only after its attempt was charged (see
//! `LoginLimit`), and the number of concurrent hashes is limited by the memory of `password`.

mod file;
mod login_limit;
mod password;
mod secret;

pub use file::{UserEntry, add, list, remove};
pub(super) use login_limit::LoginLimit;

use super::auth::Credential;
use super::clients::ClientKey;
use argon2::PasswordHash;
use password::Hashers;
use secret::{Digest, Verified};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// Maximum time for which a login may wait for its turn to be hashed.
const WAIT: Duration = Duration::from_secs(5);

/// Reason why the users file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file cannot be read.
    #[error("cannot read the users from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the users to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// Another program is changing the file, or its location does not support locks.
    #[error("cannot lock the users in {path}")]
    Lock {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// Other users of the machine can read or change it.
    #[error("{0} can be read or changed by every user of this machine: chmod o= it")]
    Open(PathBuf),
    /// The file is not valid.
    #[error("the users file {path} is wrong: {cause}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        cause: String,
    },
    /// The folder for the file does not exist.
    #[error(
        "cannot write the users to {path}: there is no folder {folder}; make it, or name another file with --users"
    )]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The path is not a regular file.
    #[error("cannot keep users in {0}: it is not a regular file; name another file with --users")]
    NotAFile(PathBuf),
    /// An invalid user entry.
    #[error("{path}: {reason}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry and the error in it.
        reason: String,
    },
    /// An invalid user name.
    #[error("{0:?} is no name for a user: give 1 to 64 letters, digits, or any of . _ - @")]
    Name(String),
    /// The user to be added already exists.
    #[error("there is a user {0} already: remove it first")]
    Twice(String),
    /// The user to be removed does not exist.
    #[error("there is no user {0}")]
    Unknown(String),
    /// A password that is not secret enough.
    #[error("a password has 12 to 256 characters, in one line")]
    Password,
    /// The system has no randomness or no memory.
    #[error("cannot make a secret")]
    Secret,
}

/// The sender of a request, and the sender's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user; `None` if there are no users and everybody may send queries.
    pub name: Option<Arc<str>>,
    /// True if the user may set and clear tags.
    pub may_tag: bool,
}

/// Reason why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No user has this key or password.
    Wrong,
    /// Too many attempts failed; after this time one more may be made.
    TooMany(Duration),
    /// Too many passwords are waiting to be hashed.
    Busy,
}

/// The users of a running server.
#[derive(Debug)]
pub(super) struct Users {
    path: Option<PathBuf>,
    state: RwLock<Arc<LoadedUsers>>,
    stamp: Mutex<Option<Stamp>>,
    hashers: Arc<Hashers>,
    limit: Arc<LoginLimit>,
}

/// The device, inode, length and time of a file, which change each time it is replaced or changed.
type Stamp = (u64, u64, u64, SystemTime);

#[derive(Debug, Default)]
struct LoadedUsers {
    users: Vec<User>,
    /// Logins with a password that was hashed and found correct; cleared when the file is reloaded.
    verified: Verified,
}

/// One user, as read from the file.
#[derive(Debug)]
struct User {
    identity: Identity,
    key: Option<Digest>,
    password: Option<PasswordHash>,
}

impl Users {
    /// Reads the file; without one there are no users, and everybody may send queries.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, UsersError> {
        // Before the file is read, so that changes made in the meantime are noticed.
        let stamp = path.and_then(stamp);
        let users = path.map(read).transpose()?.unwrap_or_default();
        Ok(Self {
            path: path.map(Path::to_owned),
            stamp: Mutex::new(stamp),
            state: RwLock::new(Arc::new(LoadedUsers { users, ..LoadedUsers::default() })),
            hashers: Hashers::new(),
            limit: Arc::default(),
        })
    }

    /// Returns true if no authentication is needed.
    pub(super) fn is_open(&self) -> bool {
        self.path.is_none()
    }

    /// Reloads the file if it has changed; keeps the current users while it is not valid.
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
                let state = Arc::new(LoadedUsers { users, ..LoadedUsers::default() });
                *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the file of users does not do; those before stay");
            }
        }
    }

    /// Returns the user with this credential, which came from the client `from`.
    ///
    /// # Errors
    /// [`Denied`]. A correct key is never refused, whatever failed before, and neither is a login that was
    /// correct a short while ago.
    pub(super) async fn identify(
        &self,
        credential: Credential,
        from: ClientKey,
    ) -> Result<Identity, Denied> {
        let state = Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner));
        let (name, password) = match credential {
            Credential::Key(key) => {
                return state.by_key(&key, None).ok_or_else(|| self.wrong_key(from));
            }
            Credential::Login { user, password } => (user, password),
        };
        let known =
            state.by_key(&password, Some(&name)).or_else(|| state.by_login(&name, &password));
        match known {
            Some(identity) => Ok(identity),
            None if state.has_passwords() => self.log_in(state, name, password, from).await,
            None => Err(self.wrong_key(from)),
        }
    }

    fn wrong_key(&self, from: ClientKey) -> Denied {
        self.limit.charge_key(from).map_or_else(Denied::TooMany, |()| Denied::Wrong)
    }

    /// Hashes a password, if the user may make another attempt from that client, and compares it.
    async fn log_in(
        &self,
        state: Arc<LoadedUsers>,
        name: String,
        password: String,
        from: ClientKey,
    ) -> Result<Identity, Denied> {
        let attempt = LoginLimit::attempt(&self.limit, Digest::of_login(&name, ""), from);
        attempt.check().map_err(Denied::TooMany)?;
        let turn = tokio::time::timeout(WAIT, self.hashers.turn()).await.ok().flatten();
        let mut turn = turn.ok_or(Denied::Busy)?;
        // Another request may have hashed the same login in the meantime.
        if let Some(identity) = state.by_login(&name, &password) {
            return Ok(identity);
        }
        let charge = attempt.charge().map_err(Denied::TooMany)?;
        // Both the turn and the charge end on that thread, even if the client disconnects.
        let hashed = tokio::task::spawn_blocking(move || {
            let (known, is_own) = state.password_of(&name)?;
            if !turn.is_password(&password, known) || !is_own {
                return None;
            }
            charge.refund();
            state.verified.add(&name, &password);
            state.named(&name).map(|user| user.identity.clone())
        });
        hashed.await.ok().flatten().ok_or(Denied::Wrong)
    }
}

impl LoadedUsers {
    fn named(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.identity.name.as_deref() == Some(name))
    }

    /// Returns the user of a login that was correct a short while ago.
    fn by_login(&self, name: &str, password: &str) -> Option<Identity> {
        let user = self.verified.has(name, password).then(|| self.named(name)).flatten()?;
        Some(user.identity.clone())
    }

    fn has_passwords(&self) -> bool {
        self.users.iter().any(|user| user.password.is_some())
    }

    /// Returns the hash of a user's password. Users that have none or do not exist get the hash of another
    /// user, always the same one, and `false`: comparing with it takes equally long, so that the time does not
    /// reveal who exists.
    fn password_of(&self, name: &str) -> Option<(&PasswordHash, bool)> {
        if let Some(own) = self.named(name).and_then(|user| user.password.as_ref()) {
            return Some((own, true));
        }
        let all = || self.users.iter().filter_map(|user| user.password.as_ref());
        let chosen = Digest::of_login(name, "").choose(all().count());
        all().nth(chosen).map(|other| (other, false))
    }

    /// Returns the user with this key; given a name, only that user.
    fn by_key(&self, key: &str, name: Option<&str>) -> Option<Identity> {
        let digest = Digest::of(key);
        let mut found = None;
        // Compares all keys, even after a match, so that the time does not reveal who it is.
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
        let password = match entry.password.as_deref().map(password::parse) {
            None => None,
            Some(Ok(hash)) => Some(hash),
            Some(Err(reason)) => {
                return Err(wrong(format!("password of {} is {reason}", entry.name)));
            }
        };
        if key.is_none() && password.is_none() {
            return Err(wrong(format!("{} has neither key_sha256 nor password", entry.name)));
        }
        if users.iter().any(|user| user.identity.name.as_deref() == Some(&entry.name)) {
            return Err(wrong(format!("{} is there twice", entry.name)));
        }
        let identity = Identity { name: Some(entry.name.into()), may_tag: entry.may_tag };
        users.push(User { identity, key, password });
    }
    Ok(users)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_password_is_compared_with_one_of_another_user() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("users.toml");
        add(&path, "alice", false, Some("correct horse")).unwrap();
        add(&path, "bob", false, Some("battery staple")).unwrap();
        add(&path, "carol", false, None).unwrap();
        let state = LoadedUsers { users: read(&path).unwrap(), ..LoadedUsers::default() };
        let hash = |name: &str| {
            let (hash, is_own) = state.password_of(name).unwrap();
            (hash.to_string(), is_own)
        };
        let own = [hash("alice"), hash("bob")];
        assert!(own.iter().all(|(_, is_own)| *is_own) && own[0] != own[1]);
        for name in ["carol", "nobody", "", "alice\0"] {
            let (other, is_own) = hash(name);
            assert!(!is_own && own.iter().any(|(own, _)| *own == other), "{name}");
            assert_eq!(hash(name).0, other, "each time the same");
        }
    }
}
