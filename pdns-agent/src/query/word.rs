//! Words that are searched for in names.
//!
//! Part of `query`, below `text` and `pattern`, which are made of them.

use crate::name::{NameBuf, NameError};

/// A piece of a name in canonical text: what a person typed, lower-cased and escaped as [`Name`] has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word(Box<str>);

/// Text that cannot stand in any name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// No text.
    #[error("the text to search for is empty")]
    Empty,
    /// A label that cannot be.
    #[error("no name can hold {text:?}")]
    Label {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: NameError,
    },
}

impl Word {
    /// Reads a word as a person types it: any case, any octets, escapes as in a name, dots between
    /// labels also at the ends.
    ///
    /// # Errors
    /// [`WordError`] when no name can hold it.
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

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Splits at each dot that has no backslash before it.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |letter| {
        let dot = letter == '.' && !escaped;
        escaped = letter == '\\' && !escaped;
        dot
    })
}
