//! Examines names that were never judged: with their records, and the tags on them and on their addresses.

use super::Knowledge;
use super::candidate::Candidate;
use super::found::{Found, all_tags, has_feed_trust, is_own_trust, names, read, tags_of};
use super::keep::Kept;
use super::known::KnownDomains;
use super::lease::Lease;
use super::settings::{FirstSeen, JudgeSettings};
use super::state::State;
use super::weigh::Weigher;
use crate::analyze::{
    AlertClass, Decision, DueSet, NameEvidence, NewSets, Risk, SetKey, Verdict, WATCH,
    owned_domain, risk,
};
use crate::exchange::{Dataset, EcsContext, EcsSubject, EcsVerdict};
use crate::hex;
use crate::name::NameBuf;
use crate::observation::Outcome;
use crate::query::{DAY, TagSet, is_reserved};
use crate::record::{FactBuf, StoredRecord};
use crate::store::{Kind, Store, StoreError};
use crate::tag::{Tag, TagKind};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// Names whose records and tags are read together.
const TOGETHER: usize = 1_000;
/// Young domains that are remembered.
const MAX_YOUNG: usize = 500_000;
/// Domains of failed names that are remembered.
const MAX_FAILED: usize = 1_000_000;

/// Events with their data set.
pub(super) type Events = Vec<(Dataset, String)>;

/// Examines names.
pub(super) struct Examiner<'k> {
    knowledge: &'k Knowledge,
    settings: &'k JudgeSettings,
    /// Hashes of the domains of all names that were judged.
    known: KnownDomains,
    /// Domains that were new in the last time, with the score of their verdict; 0 without one.
    young: HashMap<u64, u8>,
    /// Domains of failed names.
    failed: HashSet<u64>,
    sets: NewSets,
    weigher: Weigher,
    sensors: Vec<String>,
    takes_first_seen: bool,
    step: ExaminedStep,
}

/// What was remembered since the last [`Examiner::settle`].
#[derive(Default)]
struct ExaminedStep {
    young: Vec<(u64, Option<u8>)>,
    known: Vec<u64>,
    failed: Vec<u64>,
    sets: Vec<SetKey>,
}

impl<'k> Examiner<'k> {
    pub(super) fn new(
        knowledge: &'k Knowledge,
        settings: &'k JudgeSettings,
        takes_first_seen: bool,
    ) -> Self {
        Self {
            knowledge,
            settings,
            known: KnownDomains::default(),
            young: HashMap::new(),
            failed: HashSet::new(),
            sets: NewSets::default(),
            weigher: Weigher::new(knowledge),
            sensors: Vec::new(),
            takes_first_seen: takes_first_seen && settings.first_seen != FirstSeen::Nothing,
            step: ExaminedStep::default(),
        }
    }

    /// Forgets which domains are known.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.young.clear();
    }

    /// What was examined need not be examined again.
    pub(super) fn settle(&mut self) {
        self.step = ExaminedStep::default();
    }

    /// What was examined since the last [`Examiner::settle`] will be examined again.
    pub(super) fn undo(&mut self) {
        let step = std::mem::take(&mut self.step);
        for (hash, before) in step.young.into_iter().rev() {
            match before {
                Some(score) => self.young.insert(hash, score),
                None => self.young.remove(&hash),
            };
        }
        for hash in step.known {
            self.known.remove(hash);
        }
        for hash in step.failed {
            self.failed.remove(&hash);
        }
        for key in step.sets {
            self.sets.judge_again(&key);
        }
    }

    fn set_young(&mut self, hash: u64, score: u8) {
        let before = self.young.insert(hash, score);
        self.step.young.push((hash, before));
    }

    /// Takes the names of a text, one on each line, as known.
    pub(super) fn know(&mut self, store: &Store, text: &[u8]) {
        for name in names(text) {
            if let Some(domain) = owned_domain(name) {
                self.known.insert(store.router().hasher().name(domain));
            }
        }
    }

    /// Examines new names with records and failed names. Changes the state, and returns the events.
    pub(super) fn examine(
        &mut self,
        store: &mut Store,
        state: &mut State,
        records: &[NameBuf],
        failed: &[NameBuf],
        now: u32,
        lease: &mut Lease,
    ) -> Result<Events, StoreError> {
        let mut events = Events::new();
        if !records.is_empty() || !failed.is_empty() {
            self.sensors = store.reader().sensors()?;
        }
        for names in records.chunks(TOGETHER) {
            let found = read(store, Kind::Record, names)?;
            let tags = tags_of(store, &found)?;
            for found in &found {
                state.counters.names += 1;
                self.examine_name(store, state, found, &tags, now, &mut events)?;
            }
            lease.renew(store, now)?;
        }
        for names in failed.chunks(TOGETHER) {
            let found = read(store, Kind::Negative, names)?;
            let tags = tags_of(store, &found)?;
            for found in &found {
                state.counters.failed += 1;
                self.examine_failed(store, state, found, &tags, now, &mut events)?;
            }
            lease.renew(store, now)?;
        }
        Ok(events)
    }

    fn examine_name(
        &mut self,
        store: &mut Store,
        state: &mut State,
        found: &Found,
        tags: &TagSet,
        now: u32,
        events: &mut Events,
    ) -> Result<(), StoreError> {
        let name = found.name.as_name();
        let on_it = all_tags(found, tags);
        let Some(domain) = owned_domain(name) else {
            self.first_seen(store, state, found, &on_it, true, now, events);
            return Ok(());
        };
        let hash = store.router().hasher().name(domain);
        let is_first = !self.known.contains(hash) && !self.young.contains_key(&hash);
        self.first_seen(store, state, found, &on_it, is_first, now, events);
        self.hits(store, state, found, &on_it, is_first, now, events)?;
        if is_first {
            if self.young.len() >= MAX_YOUNG {
                self.young.clear();
            }
            self.set_young(hash, 0);
            if self.known.insert(hash) {
                self.step.known.push(hash);
            }
        }
        let Some(&before) = self.young.get(&hash) else { return Ok(()) };
        let on_name = tags.of_name(name);
        if is_own_trust(&on_name) {
            return Ok(());
        }
        if let Some(candidate) = Candidate::of_new(self.knowledge, name) {
            let risk = candidate.risk(has_feed_trust(&on_name));
            if risk.score > before {
                self.verdict(store, state, found, &candidate, &risk, true, &on_it, now, events)?;
                self.set_young(hash, risk.score);
            }
        }
        if is_first && self.knowledge.domain_of(name).is_some() {
            let domain = domain.to_buf();
            let day = found.time / DAY;
            let addresses: BTreeSet<IpAddr> =
                found.rows.iter().filter_map(StoredRecord::address).collect();
            for address in addresses {
                if is_reserved(address) {
                    continue;
                }
                if let Some(due) = self.sets.on_address(address, day, &domain) {
                    self.step.sets.push(due.key);
                    self.set(store, state, &due, found, now, events);
                }
            }
        }
        Ok(())
    }

    fn examine_failed(
        &mut self,
        store: &mut Store,
        state: &mut State,
        found: &Found,
        tags: &TagSet,
        now: u32,
        events: &mut Events,
    ) -> Result<(), StoreError> {
        self.hits(store, state, found, &all_tags(found, tags), false, now, events)?;
        let is_missing = |row: &StoredRecord| matches!(row.fact, FactBuf::Negative { outcome, .. } if outcome == Outcome::NXDOMAIN);
        let name = found.name.as_name();
        let Some(domain) =
            self.knowledge.domain_of(name).filter(|_| found.rows.iter().any(is_missing))
        else {
            return Ok(());
        };
        let hash = store.router().hasher().name(domain);
        if self.failed.len() >= MAX_FAILED {
            self.failed.clear();
        }
        // A domain that has records is there; only some of its names are not.
        if self.known.contains(hash) || !self.failed.insert(hash) {
            return Ok(());
        }
        self.step.failed.push(hash);
        if is_own_trust(&tags.of_name(name)) {
            return Ok(());
        }
        let is_generated = self.knowledge.scorer.model.classify(domain).verdict == Verdict::Dga;
        if let Some(due) = self.sets.failed(found.time, &domain.to_buf(), is_generated) {
            self.step.sets.push(due.key);
            self.set(store, state, &due, found, now, events);
        }
        Ok(())
    }

    /// The event for a name that was never seen before.
    #[expect(clippy::too_many_arguments, reason = "one step of a loop")]
    fn first_seen(
        &self,
        store: &Store,
        state: &mut State,
        found: &Found,
        on_it: &[&Tag],
        is_first: bool,
        now: u32,
        events: &mut Events,
    ) {
        let is_wanted = is_first || self.settings.first_seen == FirstSeen::Names;
        if !self.takes_first_seen || !is_wanted {
            return;
        }
        let id = event_id(store, &["first_seen", found.name.as_str()]);
        let event = self.context(now).first_seen(&id, &self.subject(found, on_it));
        events.push((Dataset::FirstSeen, event));
        state.counters.first_seen += 1;
    }

    /// Alerts for threats of analysts and feeds, on the name or on what it points at.
    #[expect(clippy::too_many_arguments, reason = "one step of a loop")]
    fn hits(
        &mut self,
        store: &mut Store,
        state: &mut State,
        found: &Found,
        on_it: &[&Tag],
        is_new: bool,
        now: u32,
        events: &mut Events,
    ) -> Result<(), StoreError> {
        let surest =
            |tag: &&&Tag| tag.listing.as_ref().map_or(u16::MAX, |one| one.confidence_now.into());
        let threats = on_it.iter().filter(|tag| tag.kind == TagKind::Threat);
        let Some(hit) = threats.max_by_key(surest) else { return Ok(()) };
        let name = found.name.as_name();
        let domain = owned_domain(name).unwrap_or(name);
        // Hosts of one domain that are listed apart are hits of their own.
        let subject = hit.subject.to_string();
        let key = format!("hit {} {subject}", domain.as_str());
        let key = store.router().hasher().octets(key.as_bytes());
        if state.budget.decide_hit(self.settings.alerts_per_day, now / DAY, key) != Decision::Raised
        {
            return Ok(());
        }
        let score = self.weigher.score(store, name, is_new, now)?;
        let by = if hit.is_own() { "an analyst" } else { hit.source.as_str() };
        let message = format!("{} is a hit: {by} calls {} a threat", name.as_str(), hit.subject);
        let day = (found.time / DAY).to_string();
        let id = event_id(store, &["hit", domain.as_str(), &subject, &day]);
        let verdict = EcsVerdict {
            score,
            class: "hit",
            message: &message,
            others: &[],
            address: None,
            model: &state.model,
            hit: Some(hit),
        };
        let event = self.context(now).verdict(&id, &self.subject(found, on_it), &verdict);
        events.push((Dataset::Verdict, event));
        state.counters.alerts += 1;
        state.counters.hits += 1;
        Ok(())
    }

    /// A verdict on a domain: kept, and an alert if the budget allows it. `risk` is that of its text.
    #[expect(clippy::too_many_arguments, reason = "one step of a loop")]
    fn verdict(
        &mut self,
        store: &mut Store,
        state: &mut State,
        found: &Found,
        candidate: &Candidate<'_>,
        risk: &Risk,
        is_new: bool,
        on_it: &[&Tag],
        now: u32,
        events: &mut Events,
    ) -> Result<(), StoreError> {
        let Some(class) = risk.class.filter(|_| risk.score >= WATCH) else { return Ok(()) };
        let domain = candidate.domain.as_str();
        let key = store.router().hasher().name(candidate.domain.as_name());
        let (alerts, verdicts) = (self.settings.alerts_per_day, self.settings.verdicts_per_day);
        if !state.may_keep(class, now, verdicts)
            && !state.budget.has_alert_room(alerts, now / DAY, class)
        {
            // Whatever it weighs, nobody would see it. A flood must not make the store answer questions.
            self.is_raised(state, class, key, risk.score, now);
            state.counters.not_kept += 1;
            return Ok(());
        }
        let weight = self.weigher.weigh(store, candidate, is_new, now)?;
        let Some(class) = weight.class.filter(|_| weight.rank >= WATCH) else { return Ok(()) };
        let is_raised = self.is_raised(state, class, key, weight.rank, now);
        state.keep(
            Kept {
                domain: domain.to_owned(),
                class,
                score: weight.score,
                note: candidate.note(class),
                time: now,
                is_raised,
            },
            self.settings.verdicts_per_day,
        );
        if !is_raised {
            return Ok(());
        }
        let name = found.name.as_str();
        let message = format!("{name}: {}", weight.reasons.join("; "));
        let day = (found.time / DAY).to_string();
        let id = event_id(store, &["verdict", class.as_str(), domain, &day]);
        let verdict = EcsVerdict {
            score: weight.score,
            class: class.as_str(),
            message: &message,
            others: &[],
            address: None,
            model: &state.model,
            hit: None,
        };
        let event = self.context(now).verdict(&id, &self.subject(found, on_it), &verdict);
        events.push((Dataset::Verdict, event));
        Ok(())
    }

    /// The verdict on a set that has grown; `found` is its latest name.
    fn set(
        &self,
        store: &Store,
        state: &mut State,
        due: &DueSet,
        found: &Found,
        now: u32,
        events: &mut Events,
    ) {
        let verdict = self.knowledge.scorer.model.classify_set(&due.names);
        let evidence =
            NameEvidence { set: Some(&verdict), is_new: true, ..NameEvidence::default() };
        let risk = risk(&evidence, &self.knowledge.scorer.weights);
        let Some(class) = risk.class.filter(|_| risk.score >= WATCH) else { return };
        let (address, shown, when) = match due.key {
            SetKey::Address(address, day) => {
                (Some(address), format!("new on {address} on one day"), day)
            }
            SetKey::Burst(time) => (None, "that failed within ten minutes".to_owned(), time),
        };
        let on = address.map_or_else(|| "burst".to_owned(), |address| address.to_string());
        let parts = ["set", &on, &when.to_string()];
        let key = store.router().hasher().octets(parts.join(" ").as_bytes());
        let is_raised = self.is_raised(state, class, key, risk.score, now);
        for domain in &due.names {
            let kept = Kept {
                domain: domain.as_str().to_owned(),
                class,
                score: risk.score,
                note: "in a set of generated names".to_owned(),
                time: now,
                is_raised,
            };
            state.keep(kept, self.settings.verdicts_per_day);
        }
        if !is_raised {
            return;
        }
        let message = format!(
            "{} of {} domains {shown} look generated: {}",
            due.names.len(),
            due.of,
            risk.reasons.join("; ")
        );
        let id = event_id(store, &parts);
        let verdict = EcsVerdict {
            score: risk.score,
            class: class.as_str(),
            message: &message,
            others: &due.names,
            address,
            model: &state.model,
            hit: None,
        };
        let event = self.context(now).verdict(&id, &self.subject(found, &[]), &verdict);
        events.push((Dataset::Verdict, event));
    }

    /// Asks the budget, and counts.
    fn is_raised(
        &self,
        state: &mut State,
        class: AlertClass,
        key: u64,
        score: u8,
        now: u32,
    ) -> bool {
        let per_day = self.settings.alerts_per_day;
        match state.budget.decide(per_day, now / DAY, class, key, score) {
            Decision::Raised => {
                state.counters.alerts += 1;
                true
            }
            Decision::NotRaised => {
                state.counters.not_raised += 1;
                false
            }
            Decision::Known => false,
        }
    }

    /// Judges domains that were in the store before the judge, each with one name; `domains` are candidates.
    pub(super) fn examine_existing(
        &mut self,
        store: &mut Store,
        state: &mut State,
        candidates: Vec<Candidate<'k>>,
        now: u32,
        lease: &mut Lease,
    ) -> Result<Events, StoreError> {
        let mut events = Events::new();
        self.sensors = store.reader().sensors()?;
        let mut candidates = candidates.into_iter().peekable();
        while candidates.peek().is_some() {
            let part: Vec<Candidate<'k>> = candidates.by_ref().take(TOGETHER).collect();
            let names: Vec<NameBuf> = part.iter().map(|one| one.name.clone()).collect();
            let found = read(store, Kind::Record, &names)?;
            let tags = tags_of(store, &found)?;
            let mut of: HashMap<&str, &Found> = HashMap::new();
            of.extend(found.iter().map(|found| (found.name.as_str(), found)));
            for candidate in part {
                let Some(found) = of.get(candidate.name.as_str()) else { continue };
                let on_name = tags.of_name(found.name.as_name());
                if is_own_trust(&on_name) {
                    continue;
                }
                let risk = candidate.risk(has_feed_trust(&on_name));
                let on_it = all_tags(found, &tags);
                self.verdict(
                    store,
                    state,
                    found,
                    &candidate,
                    &risk,
                    false,
                    &on_it,
                    now,
                    &mut events,
                )?;
            }
            lease.renew(store, now)?;
        }
        Ok(events)
    }

    fn context(&self, now: u32) -> EcsContext {
        EcsContext { page: self.settings.page.clone(), now }
    }

    fn subject<'e>(&'e self, found: &'e Found, tags: &'e [&'e Tag]) -> EcsSubject<'e> {
        EcsSubject {
            name: found.name.as_name(),
            records: &found.rows,
            sensors: &self.sensors,
            time: found.time,
            tags,
        }
    }
}

/// An identifier that follows from the store and these words.
fn event_id(store: &Store, parts: &[&str]) -> String {
    hex::encode(&store.router().hasher().identity(parts.join("\0").as_bytes()))
}
