//! State shared by all pages for people: sessions, the URL of Hunt, and the tags of the store.
//!
//! Part of `serve`, below `app`, which holds it, and `context`, which makes the pages.

pub(super) mod hunt;
pub(super) mod session;

use crate::query::{Scorer, TagSet, Threats};
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
    tagged: Mutex<Option<(Instant, TaggedAddresses)>>,
}

/// The tags and indicators on addresses, and the threats among them, of which scores seek the nearest.
#[derive(Clone)]
pub(super) struct TaggedAddresses {
    pub(super) tags: Arc<TagSet>,
    pub(super) threats: Arc<Threats>,
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
            tagged: Mutex::default(),
        }
    }

    /// Returns the tags and indicators on addresses, from memory if they have not changed.
    pub(super) fn tagged(&self, store: &mut Reader<'_>) -> Result<TaggedAddresses, StoreError> {
        let known = self.tagged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, tagged)) = known
            && at.elapsed() < KEPT
            && tagged.tags.is_current(store)?
        {
            return Ok(tagged);
        }
        let tags = TagSet::of_addresses(store)?;
        let threats = Arc::new(Threats::of(&tags));
        let tagged = TaggedAddresses { tags: Arc::new(tags), threats };
        let kept = Some((Instant::now(), tagged.clone()));
        *self.tagged.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(tagged)
    }
}
