//! Judges all names that a store has, by their text, on several threads.
//!
//! Most names lie below a domain that was judged with another name: of those, only the labels before it are looked at.

use super::Knowledge;
use super::candidate::Candidate;
use crate::analyze::owned_domain;
use crate::hash::Hasher;
use crate::store::{Store, StoreError};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Candidates that each thread keeps: those with the highest scores.
const MAX_CANDIDATES: usize = 100_000;
/// Sets of domains, so that threads seldom wait for each other.
const SHARDS: usize = 64;
/// Blocks of names that wait for a thread.
const WAITING: usize = 64;

/// What was found.
pub(super) struct Existing<'k> {
    /// One candidate for each domain, the highest score first.
    pub(super) candidates: Vec<Candidate<'k>>,
    pub(super) names: u64,
    pub(super) domains: u64,
}

/// Domains that were met, by hash.
struct Domains(Vec<Mutex<HashSet<u64>>>);

impl Domains {
    fn is_new(&self, hash: u64) -> bool {
        let shard = usize::try_from(hash >> 32).unwrap_or(0) % SHARDS;
        self.0
            .get(shard)
            .is_some_and(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).insert(hash))
    }

    fn count(&self) -> u64 {
        let length = |shard: &Mutex<HashSet<u64>>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
        };
        self.0.iter().map(length).sum()
    }
}

/// Judges every name of a store that has records. Ends early, without an error, when it should stop.
pub(super) fn judge_existing<'k>(
    knowledge: &'k Knowledge,
    store: &mut Store,
    stop: &AtomicBool,
) -> Result<Existing<'k>, StoreError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
    let hasher = store.router().hasher().clone();
    let domains = Domains((0..SHARDS).map(|_| Mutex::default()).collect());
    let names = AtomicU64::new(0);
    let (sender, receiver) = sync_channel::<Vec<u8>>(WAITING);
    let receiver = Mutex::new(receiver);
    let mut found = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| work(knowledge, &hasher, &domains, &receiver, &names)))
            .collect();
        let read = store.reader().names(None, &mut |block| {
            if stop.load(Ordering::Relaxed) || sender.send(block.to_vec()).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        drop(sender);
        let mut found = Vec::new();
        for worker in workers {
            // A thread that panicked has told why.
            found.extend(worker.join().unwrap_or_default());
        }
        read.map(|()| found)
    })?;
    sort(&mut found);
    let mut met = HashSet::new();
    found.retain(|one| met.insert(one.domain.clone()));
    Ok(Existing { candidates: found, names: names.into_inner(), domains: domains.count() })
}

fn work<'k>(
    knowledge: &'k Knowledge,
    hasher: &Hasher,
    domains: &Domains,
    receiver: &Mutex<Receiver<Vec<u8>>>,
    count: &AtomicU64,
) -> Vec<Candidate<'k>> {
    let mut found = Vec::new();
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = next else { break };
        let mut names = 0;
        for name in super::found::names(&block) {
            names += 1;
            let Some(domain) = owned_domain(name) else { continue };
            let candidate = if domains.is_new(hasher.name(domain)) {
                Candidate::of_new(knowledge, name)
            } else {
                Candidate::of_host(knowledge, name, domain)
            };
            found.extend(candidate);
        }
        count.fetch_add(names, Ordering::Relaxed);
        if found.len() > 2 * MAX_CANDIDATES {
            sort(&mut found);
            found.truncate(MAX_CANDIDATES);
        }
    }
    found
}

/// The highest score first; the rest of the order only makes it always the same.
fn sort(found: &mut [Candidate<'_>]) {
    found.sort_by_cached_key(|one| {
        (std::cmp::Reverse(one.risk(false).score), one.domain.clone(), one.name.clone())
    });
}
