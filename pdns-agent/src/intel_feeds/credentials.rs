//! Credentials of a feed.

use super::Env;
use crate::outgoing::{OutgoingError, Secret, SecretSource};
use base64ct::{Base64, Encoding as _};

/// Credentials of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// None.
    #[default]
    None,
    /// User and password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: SecretSource,
    },
    /// A key in a header.
    Key {
        /// Name of the header.
        header: String,
        /// Text before the key, such as `Bearer `.
        prefix: &'static str,
        /// The key.
        key: SecretSource,
    },
}

impl Credentials {
    /// The headers for these credentials. `env` looks up an environment variable.
    ///
    /// # Errors
    /// [`OutgoingError::Secret`] if a secret cannot be read.
    pub(super) fn headers(&self, env: Env<'_>) -> Result<Vec<(String, Secret)>, OutgoingError> {
        Ok(match self {
            Self::None => Vec::new(),
            Self::Basic { user, password } => {
                let value = password.read(env)?.map(|password| {
                    let pair = format!("{user}:{password}");
                    format!("Basic {}", Base64::encode_string(pair.as_bytes()))
                });
                vec![("Authorization".to_owned(), value)]
            }
            Self::Key { header, prefix, key } => {
                vec![(header.clone(), key.read(env)?.map(|key| format!("{prefix}{key}")))]
            }
        })
    }
}
