//! A window into Redis: sliced, pipelined, each slice atomic and applied once.
//!
//! Downstream of `aggregate`. For each partition of a batch one call of `pdns_upsert` is under way at
//! most, since the next one replaces the redo of the one before; the partitions take turns in two halves,
//! so that Redis works on one half while the replies of the other are read.

use super::checkpoint::{Checkpoint, Mark, slice};
use super::encoding::{kind_of, write_key, write_row};
use super::keys::{Keys, Kind, Pointer, low24};
use super::link::Packed;
use super::posting::{LARGE, Posting};
use super::rowcache::RowCache;
use super::{Store, StoreError, reply, schema};
use crate::aggregate::Window;
use crate::observation::Fact;
use std::collections::HashSet;

/// Records that one call should have: enough to spread its fixed cost, few enough that other clients
/// do not wait (facts: 31 records 2.2 ms, 312 records 9 ms at the 99th percentile, ingest saturated).
const SLICE: usize = 48;
/// IPv6 /48 that are remembered as entered into the directories.
const NETS: usize = 1 << 16;

/// What writing remembers between batches.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) rows: RowCache,
    nets: HashSet<u64>,
    /// Connection that this was learnt over.
    generation: u64,
    /// Sets that turned out large.
    large: Vec<Posting>,
}

/// One partition's part of a batch.
struct Part {
    partition: u8,
    /// Slice and index into the window of each record, in order of slice.
    items: Vec<(u16, u32)>,
    slices: u16,
    /// Items before this one are applied.
    from: usize,
    /// Whether the closing mark is written.
    closed: bool,
    /// New records of the last reply, to be entered into the inverse index.
    postings: Vec<(Posting, Pointer)>,
}

/// What was sent for one part and is not answered yet.
struct Flight {
    part: usize,
    /// Replies that only have to come.
    adds: usize,
    /// Sets whose size was asked for, after those.
    probes: Vec<Posting>,
    /// The call, last.
    call: Option<Call>,
}

struct Call {
    to: usize,
    mark: Mark,
    /// Window indices of the records whose rows were not known.
    unknown: Vec<u32>,
}

impl Store {
    /// Writes a window that holds the records of one log up to `end`, those that the checkpoint covers
    /// left out, and moves the checkpoint there.
    ///
    /// With `finish`, only the partitions whose batch to the same `end` stopped half-way are written, with
    /// the slices it had, and the acknowledged position stays.
    ///
    /// May be called again with the same arguments after [`StoreError::is_transient`] errors: what was
    /// applied is not applied again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else moved the checkpoint, or Redis lost data together with
    /// it: load the checkpoint and read the log again. Others as they come.
    pub fn flush(
        &mut self,
        log: &[u8; 16],
        checkpoint: &mut Checkpoint,
        window: &Window,
        end: u64,
        finish: bool,
    ) -> Result<(), StoreError> {
        self.renew(log, checkpoint, end)?;
        let parts = parts(checkpoint, window, end, finish);
        let result = self.run(log, checkpoint, window, end, parts);
        if result.is_err() {
            // Replies may be outstanding, or what we believe of the server is wrong.
            self.link.hang_up();
        }
        result?;
        if !finish {
            checkpoint.acknowledged = end;
        }
        self.spread_large()
    }

    /// After a new connection: what is known of the server is forgotten, redo is done, and marks that
    /// moved while the reply was lost are taken over.
    fn renew(
        &mut self,
        log: &[u8; 16],
        checkpoint: &mut Checkpoint,
        end: u64,
    ) -> Result<(), StoreError> {
        // Makes the connection, if there is none, before its number is compared.
        schema::same(&mut self.link, &self.keys, self.router.hasher())?;
        if self.memory.generation == self.link.generation() {
            return Ok(());
        }
        self.memory.rows.clear();
        self.memory.nets.clear();
        self.memory.large.clear();
        self.link.load_functions()?;
        let stored = self.load_marks(log)?;
        for (known, stored) in checkpoint.marks.iter_mut().zip(stored) {
            let ours = stored.is_some_and(|mark| mark.end == end);
            if *known != stored && !ours {
                return Err(StoreError::Conflict);
            }
            *known = stored;
        }
        self.memory.generation = self.link.generation();
        Ok(())
    }

    /// Sends and receives until every part is applied and entered into the inverse index.
    fn run(
        &mut self,
        log: &[u8; 16],
        checkpoint: &mut Checkpoint,
        window: &Window,
        end: u64,
        mut parts: Vec<Part>,
    ) -> Result<(), StoreError> {
        let mut packed = Packed::default();
        let mut halves: [Vec<Flight>; 2] = [Vec::new(), Vec::new()];
        loop {
            let mut idle = true;
            for (half, flights) in halves.iter_mut().enumerate() {
                // First the replies of this half's last round, then its next round.
                for flight in flights.drain(..) {
                    idle = false;
                    let Some(part) = parts.get_mut(flight.part) else { continue };
                    self.land(flight, checkpoint, window, part)?;
                }
                packed.clear();
                for (index, part) in parts.iter_mut().enumerate().skip(half).step_by(2) {
                    let expected = checkpoint.marks.get(usize::from(part.partition));
                    let expected = expected.copied().flatten();
                    let flight = self.launch(log, part, expected, window, end, &mut packed);
                    flights.extend(flight.map(|flight| Flight { part: index, ..flight }));
                }
                if !packed.is_empty() {
                    idle = false;
                    self.link.send(&packed)?;
                }
            }
            if idle {
                return Ok(());
            }
        }
    }

    /// Packs a part's postings and its next slice; `None` when the part has neither.
    fn launch(
        &mut self,
        log: &[u8; 16],
        part: &mut Part,
        expected: Option<Mark>,
        window: &Window,
        end: u64,
        packed: &mut Packed,
    ) -> Option<Flight> {
        let before = packed.len();
        let mut probes = Vec::new();
        for (posting, owner) in part.postings.drain(..) {
            let member = posting.member(owner);
            self.memory.add_posting(&posting, member, &self.keys, packed);
            if Posting::is_probe(member) {
                probes.push(posting);
            }
        }
        let adds = packed.len() - before;
        for probe in &probes {
            packed.command(&[b"SCARD", probe.key.as_bytes()]);
        }
        let call =
            (!part.closed).then(|| self.pack_slice(log, part, expected, window, end, packed));
        (packed.len() > before).then_some(Flight { part: 0, adds, probes, call })
    }

    /// Packs the call for a part's next slice that has records, or the one that closes it.
    fn pack_slice(
        &self,
        log: &[u8; 16],
        part: &Part,
        expected: Option<Mark>,
        window: &Window,
        end: u64,
        packed: &mut Packed,
    ) -> Call {
        let rest = part.items.get(part.from..).unwrap_or_default();
        let current = rest.first().map_or(0, |&(slice, _)| slice);
        let items = rest.iter().take_while(|&&(slice, _)| slice == current);
        let mut known = [Vec::new(), Vec::new()];
        let mut highest = [-1_i64; 2];
        let mut unknown = [Vec::new(), Vec::new()];
        let mut taken = 0;
        for &(_, index) in items {
            taken += 1;
            let Some(tuple) = window.get(index as usize) else { continue };
            let kind = usize::from(kind_of(tuple.fact) == Kind::Negative);
            let row = self.memory.rows.get(tuple.place.hash, tuple.fact_hash);
            if let (Some(row), Some(fast), Some(most)) =
                (row, known.get_mut(kind), highest.get_mut(kind))
            {
                fast.extend(row.to_be_bytes());
                write_row(&tuple.seen, low24(tuple.place.hash), fast);
                *most = (*most).max(row.into());
            } else if let Some(list) = unknown.get_mut(kind) {
                list.push(index);
            }
        }
        let mark = if taken == rest.len() {
            Mark::finished(end)
        } else {
            Mark {
                done: expected.map_or(0, |mark| mark.done),
                end,
                slices: part.slices,
                applied: current + 1,
            }
        };
        self.pack_call(
            log,
            part.partition,
            expected,
            mark,
            &known,
            highest,
            &unknown,
            window,
            packed,
        );
        let [records, negatives] = unknown;
        let mut unknown = records;
        unknown.extend(negatives);
        Call { to: part.from + taken, mark, unknown }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of one call, as functions.lua lists them"
    )]
    fn pack_call(
        &self,
        log: &[u8; 16],
        partition: u8,
        expected: Option<Mark>,
        mark: Mark,
        known: &[Vec<u8>; 2],
        highest: [i64; 2],
        unknown: &[Vec<u32>; 2],
        window: &Window,
        packed: &mut Packed,
    ) {
        let mut long = Vec::new();
        let mut words = Packed::default();
        let mut key = Vec::with_capacity(64);
        let mut row = Vec::with_capacity(32);
        for (fast, list) in known.iter().zip(unknown) {
            words.word(fast).word(list.len().to_string());
            for &index in list {
                let Some(tuple) = window.get(index as usize) else { continue };
                key.clear();
                row.clear();
                if let Some(digest) = write_key(tuple.fact, self.router.hasher(), &mut key)
                    && let Fact::Record(rdata) = tuple.fact
                {
                    long.push((digest, rdata.octets));
                }
                write_row(&tuple.seen, low24(tuple.place.hash), &mut row);
                words
                    .word(tuple.place.hash.to_be_bytes())
                    .word(tuple.rrname.as_str())
                    .word(&key)
                    .word(&row);
            }
        }
        for (digest, octets) in &long {
            words.word(digest).word(octets);
        }
        let records: usize = unknown.iter().map(Vec::len).sum();
        // Six words before the two kinds, two and four a record for each of those, two for long RDATA.
        packed.begin(3 + 1 + 6 + 4 + records * 4 + long.len() * 2);
        packed.word("FCALL").word(&self.link.functions.upsert).word("1");
        packed.word(self.keys.partition(partition)).word(log);
        packed.word(expected.map_or(Vec::new(), |mark| mark.to_octets().to_vec()));
        packed.word(mark.to_octets());
        packed.word(schema::epoch(self.router.hasher()));
        for most in highest {
            packed.word(most.to_string());
        }
        packed.append(&words);
    }

    /// Takes the replies of a flight.
    fn land(
        &mut self,
        flight: Flight,
        checkpoint: &mut Checkpoint,
        window: &Window,
        part: &mut Part,
    ) -> Result<(), StoreError> {
        for _ in 0..flight.adds {
            self.link.receive()?;
        }
        for probe in flight.probes {
            if reply::integer(&self.link.receive()?)? > LARGE {
                self.memory.large.push(probe);
            }
        }
        let Some(call) = flight.call else { return Ok(()) };
        let answer = reply::octets(self.link.receive()?)?;
        let (verdict, rest) = answer.split_first().ok_or(StoreError::Reply)?;
        match verdict {
            b'A' => {
                let (rows, _) = rest.as_chunks::<5>();
                for (&[flag, a, b, c, d], &index) in rows.iter().zip(&call.unknown) {
                    let Some(tuple) = window.get(index as usize) else { continue };
                    let row = u32::from_be_bytes([a, b, c, d]);
                    self.memory.rows.insert(tuple.place.hash, tuple.fact_hash, row);
                    if let (b'1' | b'2', Fact::Record(rdata)) = (flag, tuple.fact) {
                        let posting = Posting::of(rdata, &self.keys, &self.router);
                        part.postings.push((posting, Pointer::to(tuple.place)));
                    }
                }
                if let Some(slot) = checkpoint.marks.get_mut(usize::from(part.partition)) {
                    *slot = Some(call.mark);
                }
                part.from = call.to;
                part.closed = !call.mark.is_open();
                Ok(())
            }
            b'E' => {
                // The store lost data or is another one: the rows we know are not its rows.
                self.memory.rows.clear();
                let ours = rest.is_empty() || rest == schema::epoch(self.router.hasher());
                if ours { Ok(()) } else { Err(StoreError::Replaced) }
            }
            b'C' => Err(StoreError::Conflict),
            b'D' => Err(StoreError::Unavailable("a batch was applied unnoticed".to_owned())),
            _ => Err(StoreError::Reply),
        }
    }

    /// Spreads the posting sets that turned out large.
    fn spread_large(&mut self) -> Result<(), StoreError> {
        let mut large = std::mem::take(&mut self.memory.large);
        large.sort_by(|a, b| a.key.cmp(&b.key));
        large.dedup_by(|a, b| a.key == b.key);
        while let Some(set) = large.pop() {
            let Some((level, deeper)) = set.levels.split_first() else { continue };
            let function = self.link.functions.spread.clone();
            let divisor = (1_u64 << level.shift).to_string();
            let ways = level.ways.to_string();
            let words: [&[u8]; 6] = [
                b"FCALL",
                function.as_bytes(),
                b"1",
                set.key.as_bytes(),
                divisor.as_bytes(),
                ways.as_bytes(),
            ];
            let words = [&words[..], &[level.format().as_bytes()]].concat();
            while reply::integer(&self.link.ask(&words)?)? > 0 {}
            if deeper.is_empty() {
                continue;
            }
            let children =
                (0..level.ways).map(|child| format!("{}{}", set.key, level.suffix(child)));
            let children: Vec<String> = children.collect();
            let mut packed = Packed::default();
            for child in &children {
                packed.command(&[b"SCARD", child.as_bytes()]);
            }
            for (key, size) in children.into_iter().zip(self.link.call(&packed)?) {
                if reply::integer(&size)? > LARGE {
                    large.push(Posting { key, upper: set.upper, levels: deeper, net: None });
                }
            }
        }
        Ok(())
    }
}

impl Memory {
    /// Memory that knows up to about `rows` rows.
    pub(crate) fn new(rows: usize) -> Self {
        Self { rows: RowCache::new(rows), ..Self::default() }
    }

    /// Packs what enters one record into the inverse index; the directory first, so that a reader that
    /// sees the member can also find its set.
    pub(crate) fn add_posting(
        &mut self,
        posting: &Posting,
        member: u64,
        keys: &Keys,
        packed: &mut Packed,
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

/// Cuts a window into the parts of a batch.
fn parts(checkpoint: &Checkpoint, window: &Window, end: u64, finish: bool) -> Vec<Part> {
    let mut by_partition: Vec<Vec<u32>> = vec![Vec::new(); checkpoint.marks.len()];
    for index in 0..window.len() {
        let Some(place) = window.place_of(index) else { continue };
        let list = by_partition.get_mut(usize::from(place.partition));
        if let (Some(list), Ok(index)) = (list, u32::try_from(index)) {
            list.push(index);
        }
    }
    let mut parts = Vec::new();
    for ((partition, indices), mark) in (0..=u8::MAX).zip(by_partition).zip(&checkpoint.marks) {
        let open = mark.filter(|mark| mark.is_open() && mark.end == end);
        if open.is_none() && (finish || indices.is_empty()) {
            continue;
        }
        if mark.is_some_and(|mark| mark.done >= end) {
            // Applied when this batch was tried before.
            continue;
        }
        let slices = match open {
            Some(mark) => mark.slices,
            None => u16::try_from(indices.len().div_ceil(SLICE)).unwrap_or(u16::MAX),
        };
        let applied = open.map_or(0, |mark| mark.applied);
        let mut items: Vec<(u16, u32)> = indices
            .into_iter()
            .filter_map(|index| {
                let place = window.place_of(index as usize)?;
                Some((slice(place.hash, slices), index))
            })
            .filter(|&(slice, _)| slice >= applied)
            .collect();
        items.sort_by_key(|&(slice, _)| slice);
        parts.push(Part { partition, items, slices, from: 0, closed: false, postings: Vec::new() });
    }
    parts
}
