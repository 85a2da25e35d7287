//! The section `[retention]` of `pdns.toml`: what a store forgets by itself.

use super::feeds::value::{Size, Time};
use crate::query::DAY;
use crate::retention::Retention;
use serde::Deserialize;

/// Smallest budget of memory, in bytes: less than an empty Redis with a small store uses.
const LEAST_MEMORY: u64 = 16 << 20;

/// The section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetentionKeys {
    last_seen: Option<Time>,
    negative_last_seen: Option<Time>,
    single_last_seen: Option<Time>,
    forget_tagged: bool,
    max_memory: Option<Size>,
}

impl RetentionKeys {
    /// Returns the rules.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub(super) fn rules(&self) -> Result<Retention, String> {
        let age = |key: &str, time: Option<Time>| {
            let Some(Time(time)) = time else { return Ok(None) };
            let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            if seconds < DAY {
                return Err(format!("[retention] {key}: give 1d at least, or leave it out"));
            }
            Ok(Some(seconds))
        };
        let memory = self.max_memory.map(|Size(bytes)| bytes);
        if memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
            return Err("[retention] max_memory: give 16MB at least, or leave it out".to_owned());
        }
        Ok(Retention {
            last_seen: age("last_seen", self.last_seen)?,
            negative_last_seen: age("negative_last_seen", self.negative_last_seen)?,
            single_last_seen: age("single_last_seen", self.single_last_seen)?,
            max_memory: memory,
            forgets_tagged: self.forget_tagged,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Retention, String> {
        toml::from_str::<RetentionKeys>(text).map_err(|error| error.to_string())?.rules()
    }

    #[test]
    fn every_key_is_read() {
        let rules = read(
            "last_seen = \"400d\"\nnegative_last_seen = \"30d\"\nsingle_last_seen = \"90d\"\n\
             forget_tagged = true\nmax_memory = \"8GB\"",
        );
        let rules = rules.unwrap();
        assert_eq!(rules.last_seen, Some(400 * DAY));
        assert_eq!(
            (rules.negative_last_seen, rules.single_last_seen),
            (Some(30 * DAY), Some(90 * DAY))
        );
        assert_eq!((rules.max_memory, rules.forgets_tagged), (Some(8 << 30), true));
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_would_empty_the_store_is_refused() {
        assert!(read("last_seen = \"0\"").unwrap_err().contains("last_seen: give 1d at least"));
        assert!(read("negative_last_seen = \"90s\"").unwrap_err().contains("1d at least"));
        assert!(read("max_memory = \"1MB\"").unwrap_err().contains("16MB"));
        assert!(read("last_sen = \"400d\"").unwrap_err().contains("last_sen"));
    }
}
