//! The judge of a store: one process at a time holds it, and keeps its state there.
//!
//! `pd:{tags}j` is a hash: `l` is the lease (a token, the time when it ends, and who holds it), `s` the state as JSON, which
//! only the judge understands. The state is written together with the lease, and only by the one who holds that.

use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::schema::random_key;
use crate::store::verify::Verdict;
use crate::store::{Reader, Store, StoreError};

const JUDGE: &str = concat!("#!lua\n", include_str!("refusals.lua"), include_str!("judge.lua"));

/// A lease on the judgement of a store.
#[derive(Clone, Debug)]
pub struct JudgeLease {
    token: String,
    /// Its holder, as shown to others.
    holder: String,
    /// Seconds for which it is taken each time.
    seconds: u32,
}

impl JudgeLease {
    /// A lease that is to be taken. `holder` is shown to others, `seconds` is how long it lasts each time.
    #[must_use]
    pub fn new(holder: &str, seconds: u32) -> Self {
        Self { token: crate::hex::encode(&random_key()), holder: holder.to_owned(), seconds }
    }
}

/// Holder of the lease, and the time at which it ends, in seconds since the epoch.
pub type LeaseHolder = (String, u32);

/// Changes the state of the judge.
pub struct JudgeState<'s> {
    store: &'s mut Store,
}

impl Store {
    /// Returns the view for judging.
    pub fn judge(&mut self) -> JudgeState<'_> {
        JudgeState { store: self }
    }

    /// Returns a number that grows when a repair numbers rows and names anew, and when the store is restored: positions
    /// are valid for one such number.
    #[must_use]
    pub fn repairs(&self) -> u32 {
        self.schema.generation
    }

    /// Checks the lease and the state of the judge; a repair removes what cannot be read.
    pub(in crate::store) fn verify_judge(
        &mut self,
        repair: bool,
        verdict: &mut Verdict,
    ) -> Result<(), StoreError> {
        let key = self.keys.judge();
        self.verify_type(&key, "hash", repair, verdict)?;
        let fields = match self.hash(&key) {
            Err(StoreError::Damaged { .. }) if !repair => return Ok(()),
            fields => fields?,
        };
        for (field, value) in fields {
            let is_sound = match field.as_slice() {
                b"l" => Lease::read(&value).is_some(),
                b"s" => serde_json::from_slice::<serde_json::Map<_, _>>(&value).is_ok(),
                _ => false,
            };
            if is_sound {
                continue;
            }
            let shown = String::from_utf8_lossy(&field).into_owned();
            verdict.problem(repair, || format!("{key}: the field {shown:?} does not read"));
            if repair {
                verdict.lost.push(format!(
                    "{key}: {}",
                    match field.as_slice() {
                        b"s" => "how far the judge was; it begins with what is new from now on",
                        b"l" => "who judges",
                        _ => "an unknown field",
                    }
                ));
                self.client.ask(&[b"HDEL", key.as_bytes(), &field])?;
            }
        }
        Ok(())
    }
}

impl JudgeState<'_> {
    /// Takes the lease, or extends it, at a time in seconds since the epoch.
    ///
    /// # Errors
    /// [`StoreError::Judged`] while another process holds it; other errors as they occur.
    pub fn take(&mut self, lease: &JudgeLease, now: u32) -> Result<(), StoreError> {
        self.run("take", lease, now, None)
    }

    /// Writes the state, and extends the lease.
    ///
    /// # Errors
    /// As [`JudgeState::take`]; then nothing is written.
    pub fn commit(&mut self, lease: &JudgeLease, now: u32, state: &[u8]) -> Result<(), StoreError> {
        self.run("put", lease, now, Some(state))
    }

    /// Gives the lease back, if it is still held.
    ///
    /// # Errors
    /// As they occur.
    pub fn release(&mut self, lease: &JudgeLease, now: u32) -> Result<(), StoreError> {
        self.run("free", lease, now, None)
    }

    fn run(
        &mut self,
        act: &str,
        lease: &JudgeLease,
        now: u32,
        state: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let key = self.store.keys.judge();
        match run_lease(self.store, &key, act, lease, now, state)? {
            None => Ok(()),
            Some((holder, seconds)) => Err(StoreError::Judged { holder, seconds }),
        }
    }
}

/// Takes, extends or gives back a lease in a hash, and writes the state beside it. Returns the holder of another lease, and
/// the seconds until that ends; nothing is written then.
pub(in crate::store) fn run_lease(
    store: &mut Store,
    key: &str,
    act: &str,
    lease: &JudgeLease,
    now: u32,
    state: Option<&[u8]>,
) -> Result<Option<LeaseHolder>, StoreError> {
    let ends = now.saturating_add(lease.seconds).to_string();
    let mut packed = Pipeline::default();
    packed.begin(8 + usize::from(state.is_some())).arg("EVAL").arg(JUDGE).arg("1");
    packed.arg(key).arg(act).arg(&lease.token).arg(now.to_string());
    packed.arg(format!("{ends} {}", lease.holder));
    if let Some(state) = state {
        packed.arg(state);
    }
    store.client.send(&packed)?;
    let answer = reply::octets(store.client.answer()?)?;
    match answer.split_first() {
        Some((b'O', _)) => Ok(None),
        Some((b'L', other)) => {
            let other = Lease::read(other).ok_or(StoreError::Reply)?;
            Ok(Some((other.holder, other.ends.saturating_sub(now))))
        }
        Some((b'H', key)) => Err(StoreError::damaged(&String::from_utf8_lossy(key))),
        _ => Err(StoreError::Reply),
    }
}

impl Reader<'_> {
    /// Returns the state of the judge, if there ever was one, and who holds the lease with the time when it ends.
    ///
    /// # Errors
    /// If Redis does not answer, or the lease cannot be decoded.
    pub fn judge(&mut self) -> Result<(Option<Vec<u8>>, Option<LeaseHolder>), StoreError> {
        let key = self.store.keys.judge();
        let answer = self.store.client.ask(&[b"HMGET", key.as_bytes(), b"s", b"l"])?;
        let mut fields = reply::list(answer)?.into_iter();
        let mut next = || reply::maybe_octets(fields.next().ok_or(StoreError::Reply)?);
        let (state, lease) = (next()?, next()?);
        let lease = lease.map(|lease| {
            let lease = Lease::read(&lease).ok_or_else(|| StoreError::damaged(&key))?;
            Ok::<_, StoreError>((lease.holder, lease.ends))
        });
        Ok((state, lease.transpose()?))
    }
}

/// A lease as stored: token, end and holder, with spaces between.
struct Lease {
    ends: u32,
    holder: String,
}

impl Lease {
    fn read(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.splitn(3, ' ');
        parts.next().filter(|token| !token.is_empty())?;
        Some(Self { ends: parts.next()?.parse().ok()?, holder: parts.next()?.to_owned() })
    }
}
