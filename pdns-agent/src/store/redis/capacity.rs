//! The memory limits of Redis, and its behaviour when they are reached.
//!
//! Read from `INFO`, since `CONFIG GET` is often forbidden.

use crate::store::error::is_evicting;
use crate::store::layout::keys::{Keys, Kind, Volume};
use crate::store::redis::client::RedisClient;
use crate::store::redis::reply;
use crate::store::{Options, StoreError};
use std::sync::Arc;

/// Memory that a batch in flight may take: Redis refuses it before the limit itself is reached.
const MARGIN: u64 = 4 << 20;

/// The memory of Redis, for all its databases and keys together. That of a cluster is the sum over its masters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that it may use (`maxmemory`); 0 for no limit.
    pub limit: u64,
    /// Of a cluster with several masters: what the fullest uses of its limit. A cluster is full when one of them is.
    pub fullest: Option<(u64, u64)>,
    /// Behaviour when they are used up (`maxmemory-policy`).
    pub policy: String,
    /// Number of keys evicted since the server was started.
    pub evicted: u64,
}

impl Capacity {
    /// Parses the reply to `INFO`.
    pub(crate) fn from_info(info: &str) -> Self {
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim()
        };
        let number = |name: &str| field(name).parse().unwrap_or(0);
        Self {
            used: number("used_memory"),
            limit: number("maxmemory"),
            fullest: None,
            policy: field("maxmemory_policy").to_owned(),
            evicted: number("evicted_keys"),
        }
    }

    /// Adds up the memory of the masters of a cluster.
    pub(crate) fn from_infos(infos: &[String]) -> Self {
        let masters: Vec<Self> = infos.iter().map(|info| Self::from_info(info)).collect();
        let [first, _, ..] = masters.as_slice() else {
            return masters.into_iter().next().unwrap_or_default();
        };
        let limits: Vec<u64> = masters.iter().map(|master| master.limit).collect();
        let share = |master: &&Self| (u128::from(master.used) << 64) / u128::from(master.limit);
        let fullest = masters.iter().filter(|master| master.limit > 0).max_by_key(share);
        Self {
            used: masters.iter().map(|master| master.used).sum(),
            // Without a limit on one of them there is none on the sum.
            limit: if limits.contains(&0) { 0 } else { limits.iter().sum() },
            fullest: fullest.map(|master| (master.used, master.limit)),
            policy: masters
                .iter()
                .find(|master| master.may_evict())
                .unwrap_or(first)
                .policy
                .clone(),
            evicted: masters.iter().map(|master| master.evicted).sum(),
        }
    }

    /// Returns true if Redis may evict any key. Policies that evict volatile keys spare ours, which never expire.
    #[must_use]
    pub fn may_evict(&self) -> bool {
        is_evicting(&self.policy)
    }

    /// Refuses a server that may evict what is written to it.
    ///
    /// # Errors
    /// [`StoreError::Evicts`].
    pub fn refuse_eviction(&self) -> Result<(), StoreError> {
        if self.may_evict() {
            return Err(StoreError::Evicts { policy: self.policy.clone() });
        }
        Ok(())
    }

    /// Returns true if there is no room for another batch, so that Redis refuses to write.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let (used, limit) = self.fullest();
        let margin = MARGIN.min(limit / 20);
        limit > 0 && !self.may_evict() && used.saturating_add(margin) >= limit
    }

    /// Returns the bytes in use and the limit of the server that decides whether more can be written.
    fn fullest(&self) -> (u64, u64) {
        self.fullest.unwrap_or((self.used, self.limit))
    }

    /// Warns the operator of a store from which keys are missing that Redis evicts keys, or did.
    #[must_use]
    pub fn eviction_warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.may_evict() {
            warnings.push(format!(
                "maxmemory-policy is {}: Redis may evict records, so agents do not write to it; set it to noeviction",
                self.policy
            ));
        }
        if self.evicted > 0 {
            warnings.push(format!(
                "Redis has evicted {} since it was started: if they were of this store, records are missing; \
                 run `pdns admin verify`",
                match self.evicted {
                    1 => "1 key".to_owned(),
                    keys => format!("{keys} keys"),
                }
            ));
        }
        warnings
    }

    /// Lists the settings that the operator has to change.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.eviction_warnings();
        let (octets, most) = self.fullest();
        let (used, limit) = (octets >> 20, most >> 20);
        let server = if self.fullest.is_some() { "a master of the cluster" } else { "the store" };
        if self.is_full() {
            warnings.push(format!(
                "{server} is full, nothing is being written: {used} of {limit} MiB are in use (maxmemory)"
            ));
        } else if most > 0 && !self.may_evict() && octets >= most / 10 * 9 {
            warnings.push(format!(
                "{server} is nearly full: {used} of {limit} MiB are in use (maxmemory)"
            ));
        }
        warnings
    }
}

pub(in crate::store) fn capacity(client: &mut RedisClient) -> Result<Option<Capacity>, StoreError> {
    let Some(memory) = client.infos("memory")? else { return Ok(None) };
    let Some(stats) = client.infos("stats")? else { return Ok(None) };
    let infos: Vec<String> =
        memory.into_iter().zip(stats).map(|(memory, stats)| memory + &stats).collect();
    Ok(Some(Capacity::from_infos(&infos)))
}

/// Reads the limits like [`crate::store::Store::safe_capacity`], of a server whose store is not open yet.
pub(in crate::store) fn safe_capacity(
    client: &mut RedisClient,
) -> Result<Option<Capacity>, StoreError> {
    let capacity = capacity(client)?;
    capacity.as_ref().map_or(Ok(()), Capacity::refuse_eviction)?;
    Ok(capacity)
}

/// Adds to an error about a missing key that Redis evicts keys, if it does or did, or that the key was replaced.
pub(in crate::store) fn explain(client: &mut RedisClient, error: StoreError) -> StoreError {
    if !is_explained_by_eviction(&error) {
        return error;
    }
    if is_replaced(client, &error) {
        return StoreError::Rewritten;
    }
    match capacity(client) {
        Ok(Some(capacity)) if capacity.evicted > 0 || capacity.may_evict() => {
            let Capacity { policy, evicted, .. } = capacity;
            StoreError::Evicted { cause: Box::new(error), evicted, policy }
        }
        _ => error,
    }
}

/// Returns true if a key is missing because its partition has a later edition: records were forgotten meanwhile.
fn is_replaced(client: &mut RedisClient, error: &StoreError) -> bool {
    let StoreError::Damaged { key } = error else { return false };
    let prefix = client.options().prefix.clone();
    let Some(volume) = key.strip_prefix(&prefix).and_then(Volume::of_key) else { return false };
    let meta = Keys::new(&prefix).meta(volume.partition, Kind::Record);
    let edition = client.ask(&[b"HGET", meta.as_bytes(), b"x"]).and_then(reply::maybe_octets);
    edition.is_ok_and(|edition| {
        let edition = edition.unwrap_or_default();
        edition != Volume::text(volume.edition).as_bytes()
    })
}

/// Explains an error like [`explain`], over a new connection: the one that met the error may be in use or closed.
pub(in crate::store) fn explain_apart(options: &Options, error: StoreError) -> StoreError {
    if !is_explained_by_eviction(&error) {
        return error;
    }
    match RedisClient::open(options.clone(), Arc::default()) {
        Ok(mut client) => explain(&mut client, error),
        Err(_) => error,
    }
}

fn is_explained_by_eviction(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Missing { .. } | StoreError::Lost { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(used: u64, limit: u64, policy: &str) -> Capacity {
        let info = format!(
            "# Memory\r\nused_memory:{used}\r\nused_memory_human:1M\r\nmaxmemory:{limit}\r\n\
             maxmemory_human:2M\r\nmaxmemory_policy:{policy}\r\n# Stats\r\nevicted_keys:7\r\n"
        );
        Capacity::from_info(&info)
    }

    #[test]
    fn a_store_is_full_before_its_last_byte_and_one_without_limit_never() {
        assert!(capacity(99 << 20, 100 << 20, "noeviction").is_full());
        assert!(capacity(99 << 20, 100 << 20, "volatile-lru").is_full());
        assert!(!capacity(90 << 20, 100 << 20, "noeviction").is_full());
        assert!(!capacity(99 << 20, 0, "noeviction").is_full());
        let evicts = capacity(99 << 20, 100 << 20, "allkeys-lfu");
        assert!(evicts.may_evict() && !evicts.is_full());
    }

    #[test]
    fn a_cluster_is_full_when_one_master_is() {
        let info = |used: u64, limit: u64, policy: &str| {
            format!(
                "used_memory:{used}\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\nevicted_keys:1\r\n"
            )
        };
        let sum = Capacity::from_infos(&[
            info(10 << 20, 100 << 20, "noeviction"),
            info(99 << 20, 100 << 20, "noeviction"),
        ]);
        assert_eq!((sum.used, sum.limit, sum.evicted), (109 << 20, 200 << 20, 2));
        assert!(sum.is_full());
        assert!(sum.warnings().concat().contains("a master of the cluster is full"));
        let mixed = [info(1, 0, "noeviction"), info(91 << 20, 100 << 20, "noeviction")];
        let sum = Capacity::from_infos(&mixed);
        assert_eq!((sum.limit, sum.is_full()), (0, false));
        assert!(sum.warnings().concat().contains("nearly full: 91 of 100 MiB"));
        let evicts = [info(1, 0, "noeviction"), info(1, 0, "allkeys-lru")];
        assert!(Capacity::from_infos(&evicts).may_evict());
        let one = Capacity::from_infos(&[info(1, 2, "noeviction")]);
        assert_eq!((one.used, one.fullest), (1, None));
    }

    #[test]
    fn warnings_say_what_is_wrong() {
        let warned = |capacity: Capacity| Capacity { evicted: 0, ..capacity }.warnings().concat();
        assert_eq!(warned(capacity(1, 100 << 20, "noeviction")), "");
        assert!(warned(capacity(91 << 20, 100 << 20, "noeviction")).contains("nearly full: 91 of"));
        assert!(
            warned(capacity(99 << 20, 100 << 20, "noeviction"))
                .contains("nothing is being written")
        );
        assert!(warned(capacity(1, 0, "allkeys-lru")).contains("set it to noeviction"));
        assert!(capacity(1, 0, "noeviction").warnings().concat().contains("evicted 7 keys"));
    }
}
