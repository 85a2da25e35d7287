//! Writes a batch into Redis: pipelined, each slice atomic and applied once.
//!
//! Downstream of `store/write/batch.rs`. At most one call for each partition is in flight, since the next one
//! replaces the redo data of the previous one. The partitions take turns in two halves, so that Redis works on one
//! half while the replies of the other are read.

use crate::record::FactBuf;
use crate::store::functions::FUNCTIONS;
use crate::store::layout::encoding::Stored;
use crate::store::layout::keys::{Keys, Kind, Pointer};
use crate::store::layout::posting::{LARGE, Posting};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::write::batch::{Batch, NewNames, Packer};
use crate::store::write::checkpoint::Checkpoint;
use crate::store::{StoreError, Writer};
use std::collections::{HashSet, VecDeque};

/// Number of IPv6 /48 networks remembered as being in the directory.
const NETS: usize = 1 << 16;

/// State of writing that is kept between batches.
#[derive(Default)]
pub(crate) struct WriterState {
    nets: HashSet<u64>,
    /// The connection that this was learned over, and the run of the server at its other end.
    generation: u64,
    run: Option<String>,
    /// Sets that turned out to be large.
    large: Vec<Posting>,
    /// Entries of the inverted index that may not have been written when the connection was lost.
    owed: Vec<PendingPosting>,
}

/// An entry of the inverted index that has to be written again.
#[derive(Clone)]
struct PendingPosting {
    /// The log whose batch it belongs to.
    log: [u8; 16],
    posting: Posting,
    owner: Pointer,
}

/// A batch in flight.
struct InFlight {
    /// Requests in flight for each half of the parts.
    halves: [Vec<PartRequest>; 2],
    /// New records, by part, to be added to the inverted index.
    postings: Vec<Vec<(Posting, Pointer)>>,
    /// Entries of the inverted index that are confirmed, but may not have reached a replica.
    written: Vec<(Posting, Pointer)>,
    /// True if a replica may take over.
    may_fail_over: bool,
}

/// A request for one part that is not yet answered.
struct PartRequest {
    part: usize,
    /// Entries of the inverted index that are not confirmed, and the number of replies to each.
    added: VecDeque<(Posting, Pointer)>,
    replies: VecDeque<usize>,
    /// Sets whose size was requested, after those.
    probes: Vec<Posting>,
    /// The call, last.
    call: Option<usize>,
}

impl Writer<'_> {
    /// Returns the packer for this store, without a bound on new names.
    #[must_use]
    pub fn packer(&self) -> Packer {
        Packer {
            keys: self.store.keys.clone(),
            router: self.store.router.clone(),
            epoch: self.store.schema.epoch,
            bound: NewNames::default(),
        }
    }

    /// Returns the number of entries of the inverted index that [`Writer::flush`] still has to write: they are
    /// missing in the store if this one is dropped.
    #[must_use]
    pub fn pending_postings(&self) -> usize {
        self.store.writer_state.owed.len()
    }

    /// Writes a batch and moves the checkpoint to its end.
    ///
    /// May be called again with the same arguments after temporary errors ([`crate::store::Retry::Wait`]).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another process moved the checkpoint, if Redis lost data or was restarted, or if a
    /// reply was lost, and [`StoreError::Rewritten`] if records were forgotten: load the checkpoint, discard the batches that were sent, and read the log again. Other errors
    /// as they occur.
    pub fn flush(
        &mut self,
        checkpoint: &mut Checkpoint,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        self.revalidate(checkpoint, batch)?;
        let postings = batch.parts.iter().map(|_| Vec::new()).collect();
        let may_fail_over = self.store.client.may_fail_over();
        let mut way = InFlight {
            halves: [Vec::new(), Vec::new()],
            postings,
            written: Vec::new(),
            may_fail_over,
        };
        let mut result = self.run(checkpoint, batch, &mut way);
        if may_fail_over && result.is_ok() {
            // The next batch replaces the redo data of this one, and of packets there is no other copy.
            result = self.store.client.replicate();
        }
        if result.is_err() {
            // Replies may be outstanding, or our knowledge of the server is wrong. The redo data in the store may
            // already be that of a later call than the one whose entries were refused.
            self.store.client.disconnect();
            let added = way.halves.into_iter().flatten().flat_map(|flight| flight.added);
            let owed = added.chain(way.postings.into_iter().flatten()).chain(way.written);
            let log = batch.log;
            self.store.writer_state.owed.extend(owed.map(|(posting, owner)| PendingPosting {
                log,
                posting,
                owner,
            }));
        }
        result?;
        if !batch.finish {
            checkpoint.acknowledged = batch.end;
        }
        self.spread_large()
    }

    /// After a reconnection: discards cached knowledge about the server, and compares the assumptions of the batch
    /// with the store.
    fn revalidate(&mut self, checkpoint: &Checkpoint, batch: &mut Batch) -> Result<(), StoreError> {
        // Connects if necessary, before the connection number is compared.
        self.check_marked()?;
        if self.store.writer_state.generation == self.store.client.generation() {
            return if self.store.writer_state.owed.is_empty() {
                Ok(())
            } else {
                self.flush_pending(&batch.log)
            };
        }
        self.store.writer_state.nets.clear();
        self.store.writer_state.large.clear();
        // An error reply closes a connection, even the refusal to show the server's run: the marks are loaded last,
        // over the connection that is kept.
        FUNCTIONS.load(&mut self.store.client)?;
        let run = self.store.client.run()?;
        self.flush_pending(&batch.log)?;
        let (marks, editions) = self.load_marks(&batch.log)?;
        // A restarted server may have lost rows that are cached here.
        let same = self.store.writer_state.generation == 0
            || (run.is_some() && run == self.store.writer_state.run);
        self.store.writer_state.run = run;
        self.store.writer_state.generation = self.store.client.generation();
        if same && marks == checkpoint.marks {
            let is_rewritten = editions != checkpoint.editions;
            return if is_rewritten { Err(StoreError::Rewritten) } else { Ok(()) };
        }
        batch.confirm(&marks);
        Err(StoreError::Conflict)
    }

    /// Writes the pending entries of the inverted index. Writing them twice does no harm.
    ///
    /// Those that Redis rejects stay pending: they block the batches of their own log only.
    fn flush_pending(&mut self, log: &[u8; 16]) -> Result<(), StoreError> {
        let owed = self.store.writer_state.owed.clone();
        let mut packed = Pipeline::default();
        let mut counts = Vec::with_capacity(owed.len());
        for PendingPosting { posting, owner, .. } in &owed {
            let before = packed.len();
            self.store.writer_state.add_posting(
                posting,
                posting.member(*owner),
                &self.store.keys,
                &mut packed,
            );
            counts.push(packed.len() - before);
        }
        self.store.client.send(&packed)?;
        let (mut rejected, mut result) = (Vec::new(), Ok(()));
        for (entry, count) in owed.into_iter().zip(counts) {
            let mut reply = Ok(());
            for _ in 0..count {
                reply = reply.and(self.store.client.answer().map(drop));
            }
            match reply.map_err(|error| error.at_key(&entry.posting.key)) {
                Ok(()) => {}
                Err(
                    error @ (StoreError::Server(_)
                    | StoreError::Refused(_)
                    | StoreError::Damaged { .. }),
                ) => {
                    if entry.log == *log {
                        result = result.and(Err(error));
                    }
                    rejected.push(entry);
                }
                Err(error) => {
                    // More replies may be outstanding.
                    self.store.client.disconnect();
                    return Err(error);
                }
            }
        }
        self.store.writer_state.owed = rejected;
        result
    }

    /// Sends and receives until every part is applied and added to the inverted index.
    fn run(
        &mut self,
        checkpoint: &mut Checkpoint,
        batch: &mut Batch,
        way: &mut InFlight,
    ) -> Result<(), StoreError> {
        let mut packed = Pipeline::default();
        loop {
            let mut idle = true;
            for (half, flights) in way.halves.iter_mut().enumerate() {
                // First the replies of this half's last round, then its next round.
                while let Some(flight) = flights.last_mut() {
                    idle = false;
                    let written = way.may_fail_over.then_some(&mut way.written);
                    self.apply_reply(flight, checkpoint, batch, &mut way.postings, written)?;
                    flights.pop();
                }
                packed.clear();
                for (index, (part, due)) in
                    batch.parts.iter().zip(&mut way.postings).enumerate().skip(half).step_by(2)
                {
                    let before = packed.len();
                    let added = std::mem::take(due);
                    let (replies, probes) =
                        self.store.writer_state.add_postings(&added, &self.store.keys, &mut packed);
                    let call = (!part.calls.is_empty()).then_some(part.calls.start);
                    if let Some(call) = call.and_then(|call| batch.calls.get(call)) {
                        packed.raw(batch.octets.get(call.octets.clone()).unwrap_or_default());
                    }
                    if packed.len() > before {
                        let added = added.into();
                        flights.push(PartRequest { part: index, added, replies, probes, call });
                    }
                }
                // Replies arrive in the order of the calls, and the next to process is taken from the end.
                flights.reverse();
                if !packed.is_empty() {
                    idle = false;
                    self.store.client.send(&packed)?;
                }
            }
            if idle {
                return Ok(());
            }
        }
    }

    /// Processes the replies to a request.
    fn apply_reply(
        &mut self,
        flight: &mut PartRequest,
        checkpoint: &mut Checkpoint,
        batch: &mut Batch,
        postings: &mut [Vec<(Posting, Pointer)>],
        mut written: Option<&mut Vec<(Posting, Pointer)>>,
    ) -> Result<(), StoreError> {
        while let (Some((posting, _)), Some(&replies)) =
            (flight.added.front(), flight.replies.front())
        {
            for _ in 0..replies {
                self.store.client.receive().map_err(|error| error.at_key(&posting.key))?;
            }
            let entry = flight.added.pop_front();
            flight.replies.pop_front();
            if let Some(written) = &mut written {
                written.extend(entry);
            }
        }
        for probe in &flight.probes {
            if reply::integer(&self.store.client.receive()?)? > LARGE {
                self.store.writer_state.large.push(probe.clone());
            }
        }
        let Some(number) = flight.call else { return Ok(()) };
        let partition = batch.parts.get(flight.part).map_or(0, |part| part.partition);
        let refused = |error: StoreError| {
            error.at_key(&format!("{}...", self.store.keys.partition(partition)))
        };
        let answer = reply::octets(self.store.client.receive().map_err(refused)?)?;
        let (Some(call), Some(part), Some(postings)) = (
            batch.calls.get(number),
            batch.parts.get_mut(flight.part),
            postings.get_mut(flight.part),
        ) else {
            return Err(StoreError::Reply);
        };
        let (verdict, rest) = answer.split_first().ok_or(StoreError::Reply)?;
        match verdict {
            b'A' => {}
            b'C' => return Err(StoreError::Conflict),
            // The store lost data or is another one: the cached rows are not its rows.
            b'E' if rest.is_empty() || rest == self.store.schema.epoch => {
                return Err(StoreError::Conflict);
            }
            b'E' => return Err(self.unlike(&self.store.keys.meta(partition, Kind::Record))),
            b'N' => return Err(StoreError::Rewritten),
            b'M' => return Err(StoreError::Held),
            b'H' => return Err(self.unlike(&String::from_utf8_lossy(rest))),
            b'F' => {
                let key = String::from_utf8_lossy(rest).into_owned();
                return Err(StoreError::LimitReached { key });
            }
            b'D' => {
                return Err(StoreError::Unavailable("a batch was applied unnoticed".to_owned()));
            }
            _ => return Err(StoreError::Reply),
        }
        let unknown = batch.unknown.get(call.unknown.clone()).unwrap_or_default();
        let (rows, _) = rest.as_chunks::<5>();
        for (&[flag, a, b, c, d], unknown) in rows.iter().zip(unknown) {
            if flag == b'3' {
                batch.unkept.push(unknown.index);
                batch.unkept_due += 1;
                continue;
            }
            batch.learned.push((unknown.index, u32::from_be_bytes([a, b, c, d])));
            if !matches!(flag, b'1' | b'2') || unknown.key.is_empty() {
                continue;
            }
            let key = batch.record_keys.get(unknown.key.clone()).unwrap_or_default();
            let (stored, _) = Stored::read(key).ok_or(StoreError::Reply)?;
            let long = unknown.long.and_then(|long| batch.long.get(long));
            if let FactBuf::Record(rdata) = stored.with_octets(long.map_or(&[], |long| long)) {
                let posting = Posting::of(rdata.as_rdata(), &self.store.keys, &self.store.router);
                postings.push((posting, Pointer::to(unknown.place)));
            }
        }
        if let Some(mark) = checkpoint.marks.get_mut(usize::from(part.partition)) {
            *mark = Some(call.mark);
        }
        batch.confirmed = batch.confirmed.saturating_add(call.sightings);
        part.calls.start = number + 1;
        Ok(())
    }

    /// Returns the error for a batch that found a key damaged, or marked by another store: the store may have been
    /// emptied, replaced or repaired since it was opened.
    fn unlike(&mut self, key: &str) -> StoreError {
        // Replies are outstanding.
        self.store.client.disconnect();
        let was_marked = self.store.schema.is_marked;
        match self.store.is_marked() {
            Ok(is_marked) => {
                self.store.schema.is_marked = is_marked;
                if was_marked && !is_marked {
                    StoreError::Conflict
                } else {
                    StoreError::damaged(key)
                }
            }
            Err(error) => error,
        }
    }

    /// Checks that the store is the one that was opened, and that its partitions are marked.
    pub(in crate::store) fn check_marked(&mut self) -> Result<(), StoreError> {
        self.store.schema.is_marked = self.store.is_marked()?;
        if !self.store.schema.is_marked {
            FUNCTIONS.load(&mut self.store.client)?;
            self.store.mark_partitions()?;
        }
        Ok(())
    }

    /// Spreads the posting sets that turned out to be large.
    fn spread_large(&mut self) -> Result<(), StoreError> {
        let mut large = std::mem::take(&mut self.store.writer_state.large);
        large.sort_by(|a, b| a.key.cmp(&b.key));
        large.dedup_by(|a, b| a.key == b.key);
        while let Some(set) = large.pop() {
            let Some((level, deeper)) = set.levels.split_first() else { continue };
            let function = &FUNCTIONS.spread;
            let divisor = (1_u64 << level.shift).to_string();
            let ways = level.ways.to_string();
            // There is no such key: while the slot moves, a master of a cluster then refuses the call, which needs all of
            // the children.
            let absent = format!("{}?", set.key);
            let words: [&[u8]; 8] = [
                b"FCALL",
                function.as_bytes(),
                b"2",
                set.key.as_bytes(),
                absent.as_bytes(),
                divisor.as_bytes(),
                ways.as_bytes(),
                level.format().as_bytes(),
            ];
            while reply::integer(&self.store.client.ask(&words)?)? > 0 {}
            if deeper.is_empty() {
                continue;
            }
            let children =
                (0..level.ways).map(|child| format!("{}{}", set.key, level.suffix(child)));
            let children: Vec<String> = children.collect();
            let mut packed = Pipeline::default();
            for child in &children {
                packed.command(&[b"SCARD", child.as_bytes()]);
            }
            for (key, size) in children.into_iter().zip(self.store.client.call(&packed)?) {
                if reply::integer(&size)? > LARGE {
                    large.push(Posting { key, upper: set.upper, levels: deeper, net: None });
                }
            }
        }
        Ok(())
    }
}

impl WriterState {
    /// Packs the commands that add records to the inverted index, and then those that read the sizes of some of its
    /// sets. Returns the number of replies for each entry, and these sets.
    fn add_postings(
        &mut self,
        due: &[(Posting, Pointer)],
        keys: &Keys,
        packed: &mut Pipeline,
    ) -> (VecDeque<usize>, Vec<Posting>) {
        let (mut replies, mut probes) = (VecDeque::with_capacity(due.len()), Vec::new());
        for (posting, owner) in due {
            let (member, before) = (posting.member(*owner), packed.len());
            self.add_posting(posting, member, keys, packed);
            replies.push_back(packed.len() - before);
            if Posting::is_probe(member) {
                probes.push(posting.clone());
            }
        }
        for probe in &probes {
            packed.command(&[b"SCARD", probe.key.as_bytes()]);
        }
        (replies, probes)
    }

    /// Packs the commands that add one record to the inverted index; the directory first, so that a reader that sees
    /// the member can also find its set.
    pub(crate) fn add_posting(
        &mut self,
        posting: &Posting,
        member: u64,
        keys: &Keys,
        packed: &mut Pipeline,
    ) {
        if let Some(net) = posting.net
            && !self.nets.contains(&net)
        {
            if self.nets.len() >= NETS {
                self.nets.clear();
            }
            self.nets.insert(net);
            let directory = Posting::directory(net, keys);
            packed.command(&[b"SADD", directory.as_bytes(), net.to_string().as_bytes()]);
        }
        packed.command(&[b"SADD", posting.key.as_bytes(), member.to_string().as_bytes()]);
    }
}

/// Packs the commands that remove an entry, wherever in its tree it is.
pub(in crate::store) fn pack_removal(posting: &Posting, member: u64, packed: &mut Pipeline) {
    let text = member.to_string();
    let mut key = posting.key.clone();
    packed.command(&[b"SREM", key.as_bytes(), text.as_bytes()]);
    for level in posting.levels {
        key.push_str(&level.suffix(level.child(member)));
        packed.command(&[b"SREM", key.as_bytes(), text.as_bytes()]);
    }
}
