//! Secrets: API keys and passwords, from the environment or a file.

use super::OutgoingError;
use crate::bounded_file::open_file;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Maximum length of a secret, in bytes.
const LONGEST: u64 = 4096;

/// A secret. Its text is only given to the request; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be shown.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A secret made from this one, such as the value of a header.
    #[must_use]
    pub fn map(&self, make: impl FnOnce(&str) -> String) -> Self {
        Self(make(&self.0))
    }

    /// The text.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file with one line, which not everybody may read.
    File(PathBuf),
}

impl SecretSource {
    /// Reads the secret. `env` looks up an environment variable.
    ///
    /// # Errors
    /// [`OutgoingError::Secret`] if it is missing, unreadable, not one line of printable ASCII, or in a file that every
    /// user can read.
    pub fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, OutgoingError> {
        let text = match self {
            Self::Env(name) => env(name)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| wrong(format!("the environment variable {name} is not set")))?,
            Self::File(path) => {
                let shown = path.display();
                let cannot = |cause| wrong(format!("cannot read the secret in {shown}: {cause}"));
                let file = open_file(path).map_err(cannot)?;
                let metadata = file.metadata().map_err(cannot)?;
                if metadata.is_file() && metadata.mode() & 0o007 != 0 {
                    return Err(wrong(format!(
                        "every user can read the secret in {shown}: run chmod o= on the file"
                    )));
                }
                let mut bytes = Vec::new();
                file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
                let text = String::from_utf8(bytes).unwrap_or_default();
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.is_empty() || text.len() as u64 > LONGEST || !is_printable {
            let place = match self {
                Self::Env(name) => format!("the environment variable {name}"),
                Self::File(path) => format!("the file {}", path.display()),
            };
            return Err(wrong(format!(
                "{place} holds no secret: one line of up to {LONGEST} printable ASCII characters is expected"
            )));
        }
        Ok(Secret(text))
    }
}

fn wrong(reason: String) -> OutgoingError {
    OutgoingError::Secret(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_one_line_that_others_cannot_read_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = SecretSource::File(path.clone());
        let none = |_: &str| None;
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(source.read(&none).unwrap_err().to_string().contains("cannot read"));
        fs::write(&path, "hunter2\n").unwrap();
        chmod(0o644);
        assert!(source.read(&none).unwrap_err().to_string().contains("every user"));
        chmod(0o600);
        let secret = source.read(&none).unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?}"), "[hidden]");
        for wrong in ["", "hunter2\nhunter3", "hunter2\r\nX: y", "hunt\u{e9}r"] {
            fs::write(&path, wrong).unwrap();
            let error = source.read(&none).unwrap_err().to_string();
            assert!(error.contains("holds no secret") && !error.contains("hunt"), "{error}");
        }
        let env = |name: &str| (name == "KEY").then(|| "a b".to_owned());
        assert_eq!(SecretSource::Env("KEY".to_owned()).read(&env).unwrap().reveal(), "a b");
        assert!(SecretSource::Env("OTHER".to_owned()).read(&env).is_err());
    }
}
