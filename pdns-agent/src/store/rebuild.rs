//! One part of the store as it should be, worked out from what is left of it.
//!
//! Pure: `store/repair.rs` reads what is there ([`Remains`]) and makes the changes. Names are known from the log, records from
//! buckets, sums from rows; what two of them tell is kept, what only one tells is removed and named. Where rows, buckets and the
//! log end follows from what they hold.

use super::FactBuf;
use super::encoding::{RowRead, Stored, Value, read_row, records};
use super::entries::Meta;
use super::keys::{Buckets, FIRST_BITS, Keys, Kind, LOG, LOG_STRIDE, Pointer, ROW, ROWS, low24};
use super::posting::Posting;
use super::reply::Pairs;
use super::told::Told;
use crate::hash::Router;
use crate::name::{Name, NameBuf};
use crate::observation::Seen;
use crate::rdata::{FinalDot, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Octets of a full block of rows.
pub(super) const ROW_BLOCK: usize = ROWS as usize * ROW;

/// What is left of one part.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) meta: Option<Meta>,
    pub(super) rows: BTreeMap<u32, Vec<u8>>,
    pub(super) log: BTreeMap<u32, Vec<u8>>,
    pub(super) buckets: BTreeMap<u32, Pairs>,
    pub(super) wide: HashMap<u64, Pairs>,
    pub(super) days: Option<BTreeMap<u32, u64>>,
}

/// A command to run on a key of the partition.
pub(super) struct Change {
    pub(super) command: &'static str,
    /// What the key ends with.
    pub(super) suffix: String,
    pub(super) words: Vec<Vec<u8>>,
}

/// What a repair has to do.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    /// What cannot be restored, a sentence each.
    pub(super) lost: Vec<String>,
    /// Entries of the inverse index that records had which are removed.
    pub(super) dangling: Vec<(Posting, u64)>,
}

/// What the rebuilding of a part needs beside what is left of it.
pub(super) struct Site<'a> {
    pub(super) kind: Kind,
    pub(super) partition: u8,
    pub(super) keys: &'a Keys,
    pub(super) router: &'a Router,
    /// Long RDATA, by digest.
    pub(super) long: &'a HashMap<Vec<u8>, Vec<u8>>,
    /// Names of the partition that are known from elsewhere, by hash.
    pub(super) names: &'a HashMap<u64, NameBuf>,
}

/// A record of a name: its key as it is stored, what it reads as, its row.
struct Kept {
    key: Vec<u8>,
    row: u32,
}

/// A name that stays.
struct Entry {
    hash: u64,
    name: NameBuf,
    position: Option<u32>,
    is_wide: bool,
    day: u16,
    records: Vec<Kept>,
    /// Where it stands now, and its value there.
    found: (u32, Vec<u8>),
}

impl Site<'_> {
    fn suffix(&self, rest: &str) -> String {
        format!("{}{rest}", self.kind.letter())
    }

    fn change(&self, command: &'static str, suffix: &str, words: Vec<Vec<u8>>) -> Change {
        Change { command, suffix: self.suffix(suffix), words }
    }

    /// What has to change for the part to be sound.
    pub(super) fn plan(&self, remains: &Remains) -> Plan {
        let mut plan = Plan::default();
        let logged = self.logged(&remains.log);
        let mut taken: BTreeSet<u32> = BTreeSet::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut met: BTreeSet<u64> = BTreeSet::new();
        for (&bucket, pairs) in &remains.buckets {
            for (field, value) in pairs {
                let hash = <[u8; 8]>::try_from(field.as_slice()).map(u64::from_be_bytes).ok();
                let hash = hash.filter(|&hash| met.insert(hash));
                let entry = hash.and_then(|hash| {
                    self.entry(hash, bucket, value, remains, &logged, &mut taken, &mut plan)
                });
                match entry {
                    Some(entry) => entries.push(entry),
                    None => {
                        let bucket = format!("b{bucket}");
                        plan.changes.push(self.change("HDEL", &bucket, vec![field.clone()]));
                    }
                }
            }
        }
        self.plan_rows(remains, &logged, &taken, &mut plan);
        let buckets = self.plan_buckets(remains, &entries);
        let end = self.plan_log(remains, &mut entries, &mut plan);
        let mut changes = self.plan_entries(&entries, buckets, remains);
        // Entries first: what they lead to is only then as they say.
        changes.append(&mut plan.changes);
        plan.changes = changes;
        self.plan_meta(remains, &entries, buckets, end, &taken, &mut plan);
        plan
    }

    /// Positions of the names in the log, by hash.
    fn logged(&self, log: &BTreeMap<u32, Vec<u8>>) -> HashMap<u64, Vec<u32>> {
        let mut logged: HashMap<u64, Vec<u32>> = HashMap::new();
        for (position, name) in names_in(log) {
            let place = self.router.place(name);
            if place.partition == self.partition {
                logged.entry(place.hash).or_default().push(position);
            }
        }
        logged
    }

    /// What stays of a name and its records; `None` if nothing does.
    #[expect(clippy::too_many_arguments, reason = "a part of `plan`, set apart for its length")]
    fn entry(
        &self,
        hash: u64,
        bucket: u32,
        octets: &[u8],
        remains: &Remains,
        logged: &HashMap<u64, Vec<u32>>,
        taken: &mut BTreeSet<u32>,
        plan: &mut Plan,
    ) -> Option<Entry> {
        let key = self.keys.bucket(self.partition, self.kind, bucket);
        let Some(value) = Value::read(octets) else {
            plan.lost.push(format!("{key}: what {hash:016x} held does not read"));
            return None;
        };
        let positions = logged.get(&hash).map_or(&[][..], Vec::as_slice);
        let position = positions.iter().find(|&&at| at == value.log).or(positions.first()).copied();
        let name = match position {
            Some(position) => name_at(&remains.log, position).map(Name::to_buf),
            None => self.names.get(&hash).cloned(),
        };
        let is_wide = value.records.is_none();
        let stored = match value.records {
            Some(octets) => read_all(octets),
            None => remains.wide.get(&hash).map_or_else(Vec::new, |pairs| read_pairs(pairs)),
        };
        let Some(name) = name else {
            let log = self.keys.log(self.partition, self.kind, value.log / LOG_STRIDE);
            plan.lost.push(format!(
                "{log}: the name with the hash {hash:016x} is gone, and its {} records with it",
                stored.len()
            ));
            for (_, record, _) in &stored {
                self.dangle(record, hash, plan);
            }
            if is_wide {
                plan.changes.push(self.change("DEL", &format!("w{hash:016x}"), Vec::new()));
            }
            return None;
        };
        if is_wide && stored.is_empty() {
            let key = self.keys.wide(self.partition, self.kind, hash);
            plan.lost.push(format!("{key}: all records of {name} are gone"));
        }
        let mut records: Vec<Kept> = Vec::new();
        let mut first = u32::MAX;
        for (key, record, row) in stored {
            let fact = self.fact(&record);
            let seen = self.sum(hash, fact.as_ref(), row, remains).filter(|_| taken.insert(row));
            match (fact, seen) {
                (Some(_), Some(seen)) => {
                    first = first.min(seen.time_first);
                    records.push(Kept { key, row });
                }
                (fact, seen) => {
                    let at = match seen {
                        Some(_) => self.keys.long(self.partition),
                        None => self.keys.rows(self.partition, self.kind, row / ROWS),
                    };
                    if seen.is_some() {
                        taken.remove(&row);
                    }
                    let what = fact.as_ref().map_or_else(|| "a record".to_owned(), shown);
                    plan.lost.push(format!("{at}: what was known of {name} {what} is gone"));
                    self.dangle(&record, hash, plan);
                    if is_wide {
                        let wide = format!("w{hash:016x}");
                        plan.changes.push(self.change("HDEL", &wide, vec![key]));
                    }
                }
            }
        }
        let day = u16::try_from(first / super::scan::DAY).unwrap_or(u16::MAX);
        let found = (bucket, octets.to_vec());
        (!records.is_empty()).then_some(Entry {
            hash,
            name,
            position,
            is_wide,
            day,
            records,
            found,
        })
    }

    /// The fact of a record, if its long RDATA is not lost.
    fn fact(&self, record: &Stored) -> Option<FactBuf> {
        match record {
            Stored::Fact(fact) => Some(fact.clone()),
            Stored::Long { digest, .. } => {
                self.long.get(&digest[..]).map(|octets| record.clone().with_octets(octets))
            }
        }
    }

    /// The sum in a row, if it can be that of such a record.
    fn sum(&self, hash: u64, fact: Option<&FactBuf>, row: u32, remains: &Remains) -> Option<Seen> {
        let RowRead { seen, bits, told } = row_in(&remains.rows, row)?;
        let told_of = fact.map(|fact| Told::of(fact.as_fact().rrtype()));
        let told = told == Told::NOTHING || told_of.is_none_or(|of| told == of);
        (seen.is_possible() && bits == low24(hash) && told).then_some(seen)
    }

    /// Notes the entry of the inverse index of a record that is removed.
    fn dangle(&self, record: &Stored, hash: u64, plan: &mut Plan) {
        if let Some(FactBuf::Record(rdata)) = self.fact(record) {
            let posting = Posting::of(rdata.as_rdata(), self.keys, self.router);
            let member = posting.member(Pointer::new(self.partition, low24(hash)));
            plan.dangling.push((posting, member));
        }
    }

    /// The rows that stay; those of no record are emptied.
    fn plan_rows(
        &self,
        remains: &Remains,
        logged: &HashMap<u64, Vec<u32>>,
        taken: &BTreeSet<u32>,
        plan: &mut Plan,
    ) {
        let used = self.rows_used(remains, taken);
        let mut gone: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for block in 0..used.div_ceil(ROWS) {
            let old = remains.rows.get(&block);
            let mut new = vec![0; ROW_BLOCK];
            for (slot, octets) in new.as_chunks_mut::<ROW>().0.iter_mut().enumerate() {
                let row = block * ROWS + u32::try_from(slot).unwrap_or(0);
                let there = old.and_then(|old| old.get(slot * ROW..(slot + 1) * ROW));
                let Some(there) = there.and_then(|there| <&[u8; ROW]>::try_from(there).ok()) else {
                    continue;
                };
                if taken.contains(&row) {
                    *octets = *there;
                } else if let Some(RowRead { seen, bits, .. }) = read_row(there)
                    && seen.count > 0
                {
                    let (rows, count) = gone.entry(bits).or_default();
                    *rows += 1;
                    *count += u64::from(seen.count);
                }
            }
            self.plan_block(&format!("s{block}"), old, new, plan);
        }
        for &block in remains.rows.keys().filter(|&&block| block >= used.div_ceil(ROWS)) {
            plan.changes.push(self.change("DEL", &format!("s{block}"), Vec::new()));
        }
        if gone.is_empty() {
            return;
        }
        let mut owners: HashMap<u32, Vec<String>> = HashMap::new();
        for positions in logged.values() {
            let name = positions.first().and_then(|&at| name_at(&remains.log, at));
            if let Some(name) = name {
                owners
                    .entry(low24(self.router.hasher().name(name)))
                    .or_default()
                    .push(name.to_string());
            }
        }
        let at = self.keys.partition(self.partition);
        for (bits, (rows, count)) in gone {
            let owner = owners
                .get(&bits)
                .map_or_else(|| "an unknown name".to_owned(), |names| names.join(" or "));
            plan.lost.push(format!(
                "{at}: {rows} sums of records of {owner} that are gone, {count} answers in all"
            ));
        }
    }

    /// How many rows there are: no number may be given twice, since agents remember them.
    fn rows_used(&self, remains: &Remains, taken: &BTreeSet<u32>) -> u32 {
        let known = taken.last().map_or(0, |last| last + 1);
        match &remains.meta {
            Some(meta) => meta.rows.max(known),
            None => remains.rows.keys().last().map_or(0, |last| (last + 1) * ROWS).max(known),
        }
    }

    /// Writes a block unless it is right.
    fn plan_block(&self, suffix: &str, old: Option<&Vec<u8>>, new: Vec<u8>, plan: &mut Plan) {
        if old == Some(&new) {
            return;
        }
        if old.is_some_and(|old| old.len() > new.len()) {
            plan.changes.push(self.change("DEL", suffix, Vec::new()));
        }
        plan.changes.push(self.change("SETRANGE", suffix, vec![b"0".to_vec(), new]));
    }

    /// How buckets are divided: as the meta has it, or as they lie.
    fn plan_buckets(&self, remains: &Remains, entries: &[Entry]) -> Buckets {
        let highest = entries.iter().map(|entry| entry.found.0 + 1).max().unwrap_or(0);
        let count = highest.clamp(1 << FIRST_BITS, 1 << 24);
        let bits = count.ilog2();
        let as_they_lie = Buckets { bits, split: count - (1 << bits) };
        let misplaced = |buckets: Buckets| {
            entries.iter().filter(|entry| buckets.of(low24(entry.hash)) != entry.found.0).count()
        };
        match remains.meta {
            Some(Meta { buckets, .. }) if misplaced(buckets) <= misplaced(as_they_lie) => buckets,
            _ => as_they_lie,
        }
    }

    /// The log, with the names that stay and no others; where it ends.
    fn plan_log(&self, remains: &Remains, entries: &mut [Entry], plan: &mut Plan) -> (u32, u32) {
        let used = |block: &Vec<u8>| {
            let last = memchr::memrchr(b'\n', block.get(..LOG as usize).unwrap_or(block));
            u32::try_from(last.map_or(0, |last| last + 1)).unwrap_or(0)
        };
        let there =
            remains.log.iter().next_back().map_or((0, 0), |(&block, text)| (block, used(text)));
        let (mut block, mut offset) = match &remains.meta {
            Some(meta) => (meta.block, meta.offset),
            None => there,
        };
        if remains.meta.is_none() {
            // Blocks that are gone may have followed.
            let named = entries.iter().filter_map(|entry| entry.position).max().unwrap_or(0);
            (block, offset) = (block, offset).max((named / LOG_STRIDE, named % LOG_STRIDE));
        }
        let mut blocks: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut write = |position: u32, name: &NameBuf| {
            let text = blocks.entry(position / LOG_STRIDE).or_insert_with(|| vec![0; LOG as usize]);
            let at = (position % LOG_STRIDE) as usize;
            let line = name.as_str().bytes().chain(std::iter::once(b'\n'));
            for (slot, octet) in text.iter_mut().skip(at).zip(line) {
                *slot = octet;
            }
        };
        for entry in entries.iter_mut() {
            let position = *entry.position.get_or_insert_with(|| {
                let length = u32::try_from(entry.name.as_str().len() + 1).unwrap_or(LOG);
                if offset + length > LOG {
                    (block, offset) = (block + 1, 0);
                }
                offset += length;
                block * LOG_STRIDE + offset - length
            });
            write(position, &entry.name);
        }
        let begun = u32::from(offset > 0);
        for number in 0..block + begun {
            let old = remains.log.get(&number);
            let mut new = blocks.remove(&number).unwrap_or_else(|| vec![0; LOG as usize]);
            // Where a name was removed lines without one are left: no line may hold anything but a name.
            let end = if number == block { offset } else { used(&new).max(old.map_or(0, used)) };
            for octet in new.iter_mut().take(end as usize).filter(|octet| **octet == 0) {
                *octet = b'\n';
            }
            self.plan_block(&format!("l{number}"), old, new, plan);
        }
        for number in remains.log.keys().filter(|&&number| number >= block + begun) {
            plan.changes.push(self.change("DEL", &format!("l{number}"), Vec::new()));
        }
        (block, offset)
    }

    fn plan_entries(&self, entries: &[Entry], buckets: Buckets, remains: &Remains) -> Vec<Change> {
        let mut changes = Vec::new();
        for entry in entries {
            let bucket = buckets.of(low24(entry.hash));
            let mut value = entry.position.unwrap_or(0).to_be_bytes().to_vec();
            value.extend(entry.day.to_be_bytes());
            if entry.is_wide {
                value.push(u8::MAX);
            } else {
                for record in &entry.records {
                    value.extend(&record.key);
                    value.extend(record.row.to_be_bytes());
                }
            }
            if (bucket, &value) == (entry.found.0, &entry.found.1) {
                continue;
            }
            let field = entry.hash.to_be_bytes().to_vec();
            changes.push(self.change("HSET", &format!("b{bucket}"), vec![field.clone(), value]));
            if bucket != entry.found.0 {
                let old = format!("b{}", entry.found.0);
                changes.push(self.change("HDEL", &old, vec![field]));
            }
        }
        // A hash that no entry leads to.
        let wide: BTreeSet<u64> =
            entries.iter().filter(|entry| entry.is_wide).map(|entry| entry.hash).collect();
        for hash in remains.wide.keys().filter(|hash| !wide.contains(hash)) {
            changes.push(self.change("DEL", &format!("w{hash:016x}"), Vec::new()));
        }
        changes
    }

    /// Counts and ends.
    fn plan_meta(
        &self,
        remains: &Remains,
        entries: &[Entry],
        buckets: Buckets,
        (block, offset): (u32, u32),
        taken: &BTreeSet<u32>,
        plan: &mut Plan,
    ) {
        let mut days: BTreeMap<u32, u64> = BTreeMap::new();
        for entry in entries {
            *days.entry(entry.day.into()).or_default() += 1;
        }
        if remains.days.as_ref() != Some(&days) && (remains.days.is_some() || !days.is_empty()) {
            plan.changes.push(self.change("DEL", "d", Vec::new()));
            let pairs: Vec<(u32, u64)> = days.into_iter().collect();
            for pairs in pairs.chunks(500) {
                let words =
                    pairs.iter().flat_map(|(day, names)| [day.to_string(), names.to_string()]);
                let words = words.map(String::into_bytes).collect();
                plan.changes.push(self.change("HSET", "d", words));
            }
        }
        let rows = self.rows_used(remains, taken);
        let held = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        let meta = Meta {
            rows,
            block,
            offset,
            buckets,
            names: entries.len() as u64,
            empty: rows.saturating_sub(held),
        };
        if remains.meta.as_ref() != Some(&meta) && (remains.meta.is_some() || rows > 0) {
            let words = meta
                .fields()
                .into_iter()
                .flat_map(|(field, number)| [field.to_vec(), number.to_string().into_bytes()]);
            plan.changes.push(self.change("HSET", "m", words.collect()));
        }
    }
}

/// The canonical names of a log with their positions.
pub(super) fn names_in(log: &BTreeMap<u32, Vec<u8>>) -> impl Iterator<Item = (u32, Name<'_>)> {
    log.iter().flat_map(|(&block, text)| {
        let text = text.get(..LOG as usize).unwrap_or(text);
        let mut at = 0_u32;
        text.split_inclusive(|&octet| octet == b'\n').filter_map(move |line| {
            let position = block * LOG_STRIDE + at;
            at += u32::try_from(line.len()).unwrap_or(0);
            let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
            Some((position, Name::from_canonical(line).ok()?))
        })
    })
}

/// The names that records point at.
pub(super) fn targets(remains: &Remains) -> impl Iterator<Item = NameBuf> + '_ {
    let values = remains.buckets.values().flatten().filter_map(|(_, value)| Value::read(value));
    let stored = values.filter_map(|value| value.records).flat_map(read_all);
    let stored = stored.chain(remains.wide.values().flat_map(|pairs| read_pairs(pairs)));
    stored.filter_map(|(_, record, _)| match record {
        Stored::Fact(FactBuf::Record(rdata)) => match rdata.as_rdata().target() {
            Target::Name(name) => Some(name),
            _ => None,
        },
        _ => None,
    })
}

fn name_at(log: &BTreeMap<u32, Vec<u8>>, position: u32) -> Option<Name<'_>> {
    let text = log.get(&(position / LOG_STRIDE))?.get((position % LOG_STRIDE) as usize..)?;
    let line = text.get(..memchr::memchr(b'\n', text)?)?;
    Name::from_canonical(std::str::from_utf8(line).ok()?).ok()
}

fn row_in(blocks: &BTreeMap<u32, Vec<u8>>, row: u32) -> Option<RowRead> {
    let at = (row % ROWS) as usize * ROW;
    read_row(blocks.get(&(row / ROWS))?.get(at..at + ROW)?)
}

/// The records of a value: each with its key as it is stored, and its row. Ends at what it cannot read.
fn read_all(octets: &[u8]) -> Vec<(Vec<u8>, Stored, u32)> {
    let mut read = Vec::new();
    let mut rest = octets;
    for (stored, row) in records(octets).map_while(Result::ok) {
        let Some((_, after)) = Stored::read(rest) else { break };
        let key = rest.get(..rest.len() - after.len()).unwrap_or_default().to_vec();
        rest = after.get(4..).unwrap_or_default();
        read.push((key, stored, row));
    }
    read
}

fn read_pairs(pairs: &Pairs) -> Vec<(Vec<u8>, Stored, u32)> {
    let read = pairs.iter().filter_map(|(key, row)| {
        let row = u32::from_be_bytes(row.as_slice().try_into().ok()?);
        let (stored, rest) = Stored::read(key)?;
        rest.is_empty().then(|| (key.clone(), stored, row))
    });
    read.collect()
}

fn shown(fact: &FactBuf) -> String {
    match fact {
        FactBuf::Record(rdata) => {
            format!("{} {}", rdata.rrtype, rdata.as_rdata().to_text(FinalDot::Without))
        }
        FactBuf::Negative { qtype, outcome } => format!("{qtype} ({outcome})"),
    }
}
