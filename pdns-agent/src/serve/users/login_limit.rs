//! Limit on failed logins: of one user from one address, of all users from one address, and of keys.
//!
//! An attempt is charged before its password is hashed, so that concurrent attempts count as well, and refunded
//! if the password was correct. Failures from one address never delay logins from another one, nor keys. The
//! tables are bounded, and no entry is dropped to make room: while all entries count, further ones share one
//! bucket. Attempts with passwords cannot fill a table, because each of them has to be hashed first.

use super::secret::Digest;
use crate::serve::clients::ClientKey;
use crate::serve::rate_limit::{Bucket, Rate};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failed logins of one user from one address: one per second, and a few at once for typing errors.
const LOGIN: Rate = Rate { per_second: 1, burst: 10 };
/// Failed logins of all users from one address, which may have many users.
const ADDRESS: Rate = Rate { per_second: 5, burst: 50 };
/// Wrong keys from one address.
const KEY: Rate = Rate { per_second: 1, burst: 10 };
/// Maximum number of entries of a table.
const MOST: usize = 10_000;
/// Interval at which a full table is searched for entries that no longer count.
const SWEEP: Duration = Duration::from_secs(1);

/// Charges that have not been refilled yet.
#[derive(Debug, Default)]
pub(in crate::serve) struct LoginLimit(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    logins: Buckets<(Digest, ClientKey)>,
    addresses: Buckets<ClientKey>,
    keys: Buckets<ClientKey>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            logins: Buckets::new(LOGIN),
            addresses: Buckets::new(ADDRESS),
            keys: Buckets::new(KEY),
        }
    }
}

/// A login attempt by a user (the digest of the name) from a client.
pub(super) struct Attempt {
    limit: Arc<LoginLimit>,
    user: Digest,
    from: ClientKey,
}

/// An attempt that was charged.
pub(super) struct Charge(Attempt);

impl LoginLimit {
    /// Charges a wrong key.
    ///
    /// # Errors
    /// The time to wait, after too many wrong keys.
    pub(super) fn charge_key(&self, from: ClientKey) -> Result<(), Duration> {
        self.tables().keys.take(from, Instant::now())
    }

    /// Starts an attempt; nothing is charged yet.
    pub(super) fn attempt(limit: &Arc<Self>, user: Digest, from: ClientKey) -> Attempt {
        Attempt { limit: Arc::clone(limit), user, from }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Checks that the attempt could be charged now.
    ///
    /// # Errors
    /// The time to wait, after too many failures.
    pub(super) fn check(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let tables = self.limit.tables();
        let of_login = tables.logins.check(&(self.user, self.from.clone()), now);
        of_login.and_then(|()| tables.addresses.check(&self.from, now))
    }

    /// Charges the attempt.
    ///
    /// # Errors
    /// As for [`Attempt::check`]; nothing is charged then.
    pub(super) fn charge(self) -> Result<Charge, Duration> {
        let now = Instant::now();
        let mut tables = self.limit.tables();
        tables.addresses.take(self.from.clone(), now)?;
        if let Err(wait) = tables.logins.take((self.user, self.from.clone()), now) {
            tables.addresses.give_back(&self.from, now);
            return Err(wait);
        }
        drop(tables);
        Ok(Charge(self))
    }
}

impl Charge {
    /// Refunds the charge, because the password was correct.
    pub(super) fn refund(self) {
        let Self(Attempt { limit, user, from }) = self;
        let now = Instant::now();
        let mut tables = limit.tables();
        tables.addresses.give_back(&from, now);
        tables.logins.give_back(&(user, from), now);
    }
}

/// A bounded number of buckets; each is full until something is taken.
#[derive(Debug)]
struct Buckets<K> {
    rate: Rate,
    known: HashMap<K, Bucket>,
    /// The shared bucket of all entries that find no room.
    others: Bucket,
    swept: Option<Instant>,
}

impl<K: Eq + Hash> Buckets<K> {
    fn new(rate: Rate) -> Self {
        let others = Bucket::full(rate, Instant::now());
        Self { rate, known: HashMap::new(), others, swept: None }
    }

    fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let full = || Bucket::full(self.rate, now);
        let is_full = self.known.len() >= MOST;
        let other = || if is_full { self.others } else { full() };
        let mut bucket = self.known.get(key).copied().unwrap_or_else(other);
        bucket.take(self.rate, 1, now)
    }

    fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        let rate = self.rate;
        if let Some(bucket) = self.known.get_mut(&key) {
            return bucket.take(rate, 1, now);
        }
        if self.known.len() >= MOST
            && self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP)
        {
            self.swept = Some(now);
            self.known.retain(|_, bucket| !bucket.is_full(rate, now));
        }
        if self.known.len() >= MOST {
            return self.others.take(rate, 1, now);
        }
        self.known.entry(key).or_insert_with(|| Bucket::full(rate, now)).take(rate, 1, now)
    }

    fn give_back(&mut self, key: &K, now: Instant) {
        let Some(bucket) = self.known.get_mut(key) else {
            return self.others.give_back(self.rate, 1);
        };
        bucket.give_back(self.rate, 1);
        if bucket.is_full(self.rate, now) {
            self.known.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    /// Returns the number of a user's attempts that are charged.
    fn charged(limit: &Arc<LoginLimit>, user: &str, address: &str, attempts: usize) -> usize {
        let attempt = || LoginLimit::attempt(limit, Digest::of_login(user, ""), from(address));
        (0..attempts).filter(|_| attempt().charge().is_ok()).count()
    }

    #[test]
    fn failures_count_by_user_and_address() {
        let limit = Arc::default();
        // One more may come back while the test runs.
        assert!((10..15).contains(&charged(&limit, "alice", "192.0.2.1", 100)));
        assert_eq!(charged(&limit, "bob", "192.0.2.1", 3), 3);
        assert_eq!(charged(&limit, "alice", "192.0.2.2", 3), 3);
        // An IPv6 address is counted with its /64.
        assert!(charged(&limit, "alice", "2001:db8::1", 100) < 15);
        assert!(charged(&limit, "alice", "2001:db8::2", 100) < 5);
        assert_eq!(charged(&limit, "alice", "2001:db8:0:1::1", 3), 3);
    }

    #[test]
    fn many_names_from_one_address_are_no_way_around() {
        let limit = Arc::default();
        let all: usize =
            (0..200).map(|user| charged(&limit, &user.to_string(), "192.0.2.1", 1)).sum();
        assert!((50..75).contains(&all), "{all}");
        assert_eq!(charged(&limit, "alice", "192.0.2.2", 3), 3);
        // What is refused leaves nothing in the tables.
        assert_eq!(limit.tables().logins.known.len(), all + 1);
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let limit = Arc::default();
        for _ in 0..1_000 {
            let user = Digest::of_login("alice", "");
            let attempt = LoginLimit::attempt(&limit, user, from("192.0.2.1"));
            assert_eq!(attempt.check(), Ok(()));
            attempt.charge().ok().unwrap().refund();
        }
        let tables = limit.tables();
        assert!(tables.logins.known.is_empty() && tables.addresses.known.is_empty());
    }

    #[test]
    fn a_full_table_forgets_only_what_counts_no_more() {
        let start = Instant::now();
        let mut buckets: Buckets<usize> = Buckets::new(LOGIN);
        for key in 0..MOST + 100 {
            buckets.take(key, start).ok();
        }
        assert_eq!(buckets.known.len(), MOST);
        // Those without a place of their own share one.
        assert!(buckets.take(MOST + 200, start).is_err() && buckets.check(&MOST, start).is_err());
        assert_eq!(buckets.check(&0, start), Ok(()));
        let later = start + Duration::from_secs(3);
        assert_eq!(buckets.take(MOST, later), Ok(()));
        assert_eq!(buckets.known.len(), 1);
    }
}
