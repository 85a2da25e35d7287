//! Settings files on disk: TOML, and without passwords.
//!
//! Under `config`; the keys of each program's file are defined next to that program's settings.

use super::toml_error;
use crate::bounded_file::read_text_file;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};

/// Largest settings file, in MiB.
pub(super) const MAX_SETTINGS: u64 = 16;

/// Error with a settings file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        cause: io::Error,
    },
    /// The content of the file is invalid.
    #[error("the configuration file {} is wrong: {cause}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        cause: String,
    },
    /// A URL with a password in a file that others can read.
    #[error("the configuration file {} holds a password: put it into redis_password_file", .0.display())]
    PasswordInFile(PathBuf),
}

#[cfg(test)]
pub(super) mod shipped;

/// Reads a file; `redis` finds the store's URL in it.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    redis: impl Fn(&T) -> Option<&str>,
) -> Result<T, FileError> {
    let text = read_text_file(path, MAX_SETTINGS)
        .map_err(|cause| FileError::File { path: path.to_owned(), cause })?;
    let file = toml::from_str(&text).map_err(|error| FileError::Syntax {
        path: path.to_owned(),
        cause: toml_error(&text, &error),
    })?;
    if redis(&file).is_some_and(crate::store::has_password) {
        return Err(FileError::PasswordInFile(path.to_owned()));
    }
    Ok(file)
}
