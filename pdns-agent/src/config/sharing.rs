//! Settings of sharing: how far what has no restriction may be passed on, and as whose word.

use super::StoreFile;
use crate::indicator::Tlp;
use serde::{Deserialize, Deserializer, de};

/// Name of the one who exports, if no file gives another.
const DEFAULT_IDENTITY: &str = "pdns";

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Restriction of what has none, such as all tags.
    pub default_tlp: Tlp,
    /// Name of the one who exports.
    pub identity: String,
}

/// Keys of one settings file about sharing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharingKeys {
    /// `default_tlp`
    pub default_tlp: Option<Tlp>,
    /// `identity`
    pub identity: Option<String>,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { default_tlp: Tlp::Amber, identity: DEFAULT_IDENTITY.to_owned() }
    }
}

impl Sharing {
    /// Combines settings files, in order of precedence. Unlike the user and password of a store, they apply whichever
    /// store is used.
    #[must_use]
    pub fn from_files(files: &[StoreFile]) -> Self {
        let default = Self::default();
        let tlp = files.iter().find_map(|file| file.sharing.default_tlp);
        let identity = files.iter().find_map(|file| file.sharing.identity.clone());
        Self {
            default_tlp: tlp.unwrap_or(default.default_tlp),
            identity: identity.filter(|name| !name.is_empty()).unwrap_or(default.identity),
        }
    }
}

/// Reads a restriction.
pub(super) fn tlp<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Tlp>, D::Error> {
    let text = String::deserialize(source)?;
    text.parse().map(Some).map_err(de::Error::custom)
}
