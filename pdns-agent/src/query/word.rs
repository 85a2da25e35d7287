//! Words that are searched for in names.
//!
//! Part of `query`, below `text` and `pattern`, which are made of them.

use crate::name::{NameBuf, NameError};

/// A piece of a name in canonical text: lower-cased and escaped like a [`Name`](crate::name::Name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(Box<str>);

/// Reason why text cannot occur in any name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// No text.
    #[error("the text to search for is empty")]
    Empty,
    /// An invalid label.
    #[error("no name can hold {text:?}")]
    Label {
        /// The text as typed.
        text: String,
        /// The error in it.
        #[source]
        cause: NameError,
    },
}

impl Word {
    /// Parses a word as a person types it: any case, any octets, escapes as in a name, dots between labels and
    /// also at the ends.
    ///
    /// # Errors
    /// [`WordError`] when no name can contain it.
    pub fn parse(typed: &str) -> Result<Self, WordError> {
        if typed.is_empty() {
            return Err(WordError::Empty);
        }
        let mut out = String::with_capacity(typed.len());
        for (at, label) in labels(typed).enumerate() {
            if at > 0 {
                out.push('.');
            }
            if !label.is_empty() {
                let label = NameBuf::parse(label)
                    .map_err(|cause| WordError::Label { text: typed.to_owned(), cause })?;
                out.push_str(label.as_str());
            }
        }
        Ok(Self(out.into()))
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Splits text at each dot without a backslash before it.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |letter| {
        let dot = letter == '.' && !escaped;
        escaped = letter == '\\' && !escaped;
        dot
    })
}
