//! State shared by all pages for people: sessions, the URL of Hunt, and the tags of the store.
//!
//! Part of `serve`, below `app`, which holds it, and `context`, which makes the pages.

pub(super) mod hunt;
pub(super) mod session;

use crate::query::{Scorer, TagSet};
use crate::store::{Reader, StoreError};
use hunt::HuntUrl;
use session::Sessions;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time after which tags are reloaded even if their generation number says that none changed: indicators end.
const KEPT: Duration = Duration::from_mins(1);

/// State shared by all pages.
pub(super) struct Pages {
    pub(super) sessions: Option<Sessions>,
    pub(super) hunt: Option<HuntUrl>,
    /// Policy sources, each preceded by a blank.
    pub(super) ancestors: String,
    /// True if browsers use TLS, with this server or with the proxy in front.
    pub(super) is_secure: bool,
    /// Models, lists and weights of scores.
    pub(super) scorer: Scorer,
    threats: Mutex<Option<(Instant, Arc<TagSet>)>>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    pub(super) fn new(settings: &super::Settings) -> Self {
        let ancestors = settings.frame_ancestors.iter().map(|origin| format!(" {origin}"));
        Self {
            sessions: Sessions::new(),
            hunt: settings.hunt.clone(),
            ancestors: ancestors.collect(),
            is_secure: settings.tls.is_some() || settings.behind_proxy,
            scorer: settings.scorer.clone(),
            threats: Mutex::default(),
        }
    }

    /// Returns the tags and indicators on addresses, from memory if they have not changed: the nearest threat is sought
    /// among them.
    pub(super) fn threats(&self, store: &mut Reader<'_>) -> Result<Arc<TagSet>, StoreError> {
        let known = self.threats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, threats)) = known
            && at.elapsed() < KEPT
            && threats.is_current(store)?
        {
            return Ok(threats);
        }
        let threats = Arc::new(TagSet::of_addresses(store)?);
        let kept = Some((Instant::now(), Arc::clone(&threats)));
        *self.threats.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(threats)
    }
}
