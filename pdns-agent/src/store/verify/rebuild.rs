//! Computes the correct state of one part of the store from the remains of it.
//!
//! Pure: `store/verify/repair.rs` reads the remains (`store/verify/remains.rs`) and makes the changes. Names are
//! known from the log, records from buckets, aggregates from rows. Data known from two of them is kept; data known
//! from only one is removed and reported. The ends of rows, buckets and log follow from their content.

use crate::hash::Router;
use crate::name::{Name, NameBuf};
use crate::record::FactBuf;
use crate::store::layout::encoding::{RowRead, Stored, Value, read_row, row_of, write_row};
use crate::store::layout::extension::{LARGE, RowSensors, SETS, read_count, read_set, write_count};
use crate::store::layout::keys::{
    Buckets, Keys, Kind, LOG, LOG_STRIDE, Pointer, ROW, ROWS, Volume, low24,
};
use crate::store::layout::posting::Posting;
use crate::store::read::buckets::Meta;
use crate::store::redis::reply::Pairs;
use crate::store::verify::extensions::row_number;
use crate::store::verify::remains::{
    Remains, name_at, names_in, read_all, read_pair, read_pairs, row_in, shown, sum,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Size of a full block of rows, in octets.
pub(in crate::store) const ROW_BLOCK: usize = ROWS as usize * ROW;

/// A command to run on a key of the partition.
pub(in crate::store) struct Change {
    pub(in crate::store) command: &'static str,
    /// Suffix of the key.
    pub(in crate::store) suffix: String,
    pub(in crate::store) words: Vec<Vec<u8>>,
}

/// The changes of a repair.
#[derive(Default)]
pub(in crate::store) struct Plan {
    pub(in crate::store) changes: Vec<Change>,
    /// Data that cannot be restored, one sentence each.
    pub(in crate::store) lost: Vec<String>,
    /// Entries of the inverted index of removed records.
    pub(in crate::store) dangling: Vec<(Posting, u64)>,
    /// Rows whose sensors cannot be restored.
    pub(in crate::store) without_sensors: BTreeSet<u32>,
    /// True if rows may be given numbers that agents have cached for other rows.
    pub(in crate::store) is_renumbered: bool,
}

/// Context for rebuilding a part, besides its remains.
pub(in crate::store) struct Site<'a> {
    pub(in crate::store) kind: Kind,
    pub(in crate::store) volume: Volume,
    pub(in crate::store) keys: &'a Keys,
    pub(in crate::store) router: &'a Router,
    /// Long RDATA, by digest.
    pub(in crate::store) long: &'a HashMap<Vec<u8>, Vec<u8>>,
    /// Names of the partition that are known from other places, by hash.
    pub(in crate::store) names: &'a HashMap<u64, NameBuf>,
    /// True if a part without metadata has lost it.
    pub(in crate::store) is_marked: bool,
}

/// A record of a name: its key as stored, its decoded form, and its row.
struct Kept {
    key: Vec<u8>,
    row: u32,
}

/// A name that is kept.
struct KeptName {
    hash: u64,
    name: NameBuf,
    position: Option<u32>,
    is_wide: bool,
    day: u16,
    records: Vec<Kept>,
    /// Its current bucket, and its value there.
    found: (u32, Vec<u8>),
}

impl Site<'_> {
    fn suffix(&self, rest: &str) -> String {
        // The metadata is the same for all editions.
        let edition = if rest == "m" { String::new() } else { Volume::text(self.volume.edition) };
        format!("{}{edition}{rest}", self.kind.letter())
    }

    fn change(&self, command: &'static str, suffix: &str, words: Vec<Vec<u8>>) -> Change {
        Change { command, suffix: self.suffix(suffix), words }
    }

    /// Plans the changes that make the part sound.
    pub(in crate::store) fn plan(&self, remains: &Remains) -> Plan {
        let mut plan = Plan::default();
        if remains.is_nothing() {
            if !self.is_marked {
                return plan;
            }
            let key = self.keys.meta(self.volume.partition, self.kind);
            let what = match self.kind {
                Kind::Record => "records",
                Kind::Negative => "negative answers",
            };
            plan.lost.push(format!("{key}: all {what} of the partition, if there were any"));
        }
        let logged = self.logged(&remains.log);
        let mut taken: BTreeSet<u32> = BTreeSet::new();
        let mut entries: Vec<KeptName> = Vec::new();
        let mut met: BTreeSet<u64> = BTreeSet::new();
        let mut removed = Vec::new();
        for (&bucket, pairs) in &remains.buckets {
            for (field, value) in pairs {
                let hash = <[u8; 8]>::try_from(field.as_slice()).map(u64::from_be_bytes).ok();
                let hash = hash.filter(|&hash| met.insert(hash));
                let entry = hash.and_then(|hash| {
                    self.entry(hash, bucket, value, remains, &logged, &mut taken, &mut plan)
                });
                if let Some(entry) = entry {
                    entries.push(entry);
                } else {
                    let bucket = format!("b{bucket}");
                    removed.push(self.change("HDEL", &bucket, vec![field.clone()]));
                }
            }
        }
        let (rows, is_renumbered) = rows_used(remains, &taken);
        plan.is_renumbered = is_renumbered;
        self.plan_foreign_extensions(remains, &taken, &mut plan);
        let gone = self.plan_rows(remains, rows, &taken, &mut plan);
        self.name_gone(&gone, &logged, &met, remains, &mut plan);
        let buckets = Buckets::due(entries.len() as u64);
        let end = self.plan_log(remains, &mut entries, &mut plan);
        // Entries first, since what they refer to is correct only then; and those to be removed before any that move.
        let entry_changes = self.plan_entries(&entries, buckets, remains);
        plan.changes.splice(0..0, removed.into_iter().chain(entry_changes));
        let meta = Meta {
            rows,
            block: end.0,
            offset: end.1,
            buckets,
            names: entries.len() as u64,
            empty: rows.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX)),
            edition: self.volume.edition,
        };
        self.plan_meta(remains, &entries, meta, &mut plan);
        plan
    }

    /// Returns the positions of the names in the log, by hash.
    fn logged(&self, log: &BTreeMap<u32, Vec<u8>>) -> HashMap<u64, Vec<u32>> {
        let mut logged: HashMap<u64, Vec<u32>> = HashMap::new();
        for (position, name) in names_in(log) {
            let place = self.router.place(name);
            if place.partition == self.volume.partition {
                logged.entry(place.hash).or_default().push(position);
            }
        }
        logged
    }

    /// Returns the parts of a name and its records that are kept; `None` if there are none.
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
    ) -> Option<KeptName> {
        let key = self.keys.bucket(self.volume, self.kind, bucket);
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
            None => remains.wide.get(&hash).map_or_else(Vec::new, read_pairs),
        };
        let Some(name) = name else {
            let log = self.keys.log(self.volume, self.kind, value.log / LOG_STRIDE);
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
            let key = self.keys.wide(self.volume, self.kind, hash);
            plan.lost.push(format!("{key}: all records of {name} are gone"));
        }
        if let Some(pairs) = remains.wide.get(&hash).filter(|_| is_wide) {
            // If they were records, their rows show it.
            let unreadable = pairs.iter().filter(|pair| read_pair(pair).is_none());
            let fields: Vec<Vec<u8>> = unreadable.map(|(field, _)| field.clone()).collect();
            for fields in fields.chunks(500) {
                plan.changes.push(self.change("HDEL", &format!("w{hash:016x}"), fields.to_vec()));
            }
        }
        let mut records: Vec<Kept> = Vec::new();
        let mut first = u32::MAX;
        for (key, record, row) in stored {
            let fact = self.fact(&record);
            let seen = sum(hash, fact.as_ref(), row, remains).filter(|_| taken.insert(row));
            match (fact, seen) {
                (Some(fact), Some(seen)) => {
                    first = first.min(seen.time_first);
                    let what = || format!("{name} {}", shown(&fact));
                    self.plan_extension(row, remains, &what, plan);
                    records.push(Kept { key, row });
                }
                (fact, seen) => {
                    let at = match seen {
                        Some(_) => self.keys.long(self.volume),
                        None => self.keys.rows(self.volume, self.kind, row / ROWS),
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
        let day = u16::try_from(first / crate::store::read::scan::DAY).unwrap_or(u16::MAX);
        let found = (bucket, octets.to_vec());
        (!records.is_empty()).then_some(KeptName {
            hash,
            name,
            position,
            is_wide,
            day,
            records,
            found,
        })
    }

    /// Returns the fact of a record, unless its long RDATA is lost.
    fn fact(&self, record: &Stored) -> Option<FactBuf> {
        match record {
            Stored::Fact(fact) => Some(fact.clone()),
            Stored::Long { digest, .. } => {
                self.long.get(&digest[..]).map(|octets| record.clone().with_octets(octets))
            }
        }
    }

    /// Notes the entry of a removed record in the inverted index.
    fn dangle(&self, record: &Stored, hash: u64, plan: &mut Plan) {
        if let Some(FactBuf::Record(rdata)) = self.fact(record) {
            let posting = Posting::of(rdata.as_rdata(), self.keys, self.router);
            let member = posting.member(Pointer::new(self.volume.partition, low24(hash)));
            plan.dangling.push((posting, member));
        }
    }

    /// Plans the rows to keep; rows without a record are cleared. Returns the rows and counts that are dropped, by
    /// the bits of their owners.
    fn plan_rows(
        &self,
        remains: &Remains,
        used: u32,
        taken: &BTreeSet<u32>,
        plan: &mut Plan,
    ) -> BTreeMap<u32, (u64, u64)> {
        let mut gone: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for (&block, old) in &remains.rows {
            for (row, octets) in (block * ROWS..).zip(old.as_chunks::<ROW>().0) {
                if let Some(RowRead { seen, bits, .. }) = read_row(octets)
                    && seen.count > 0
                    && !taken.contains(&row)
                {
                    let (rows, count) = gone.entry(bits).or_default();
                    *rows += 1;
                    *count = count.saturating_add(seen.count);
                }
            }
            if block >= used.div_ceil(ROWS) {
                plan.changes.push(self.change("DEL", &format!("s{block}"), Vec::new()));
            }
        }
        for block in 0..used.div_ceil(ROWS) {
            let old = remains.rows.get(&block);
            let mut new = vec![0; ROW_BLOCK];
            for (slot, octets) in new.as_chunks_mut::<ROW>().0.iter_mut().enumerate() {
                let row = block * ROWS + u32::try_from(slot).unwrap_or(0);
                let there = old.and_then(|old| old.get(slot * ROW..(slot + 1) * ROW));
                if let Some(there) = there.filter(|_| taken.contains(&row)) {
                    octets.copy_from_slice(there);
                    if plan.without_sensors.contains(&row) {
                        forget_sensors(octets);
                    }
                }
            }
            self.plan_block(&format!("s{block}"), old, new, plan);
        }
        gone
    }

    /// Plans what a row that is kept has elsewhere, if that is lost.
    fn plan_extension(
        &self,
        row: u32,
        remains: &Remains,
        what: &dyn Fn() -> String,
        plan: &mut Plan,
    ) {
        let Some(read) = row_in(&remains.rows, row) else { return };
        let field = row.to_string().into_bytes();
        let value_in = |pairs: &Pairs| {
            pairs.iter().find(|(other, _)| *other == field).map(|(_, value)| value.clone())
        };
        if read.is_large()
            && value_in(&remains.counts).is_none_or(|count| read_count(&count).is_none())
        {
            let key = self.keys.large_counts(self.volume, self.kind);
            plan.lost.push(format!("{key}: the count of {}; it was at least {LARGE}", what()));
            let count = write_count(LARGE.into(), true).to_vec();
            plan.changes.push(self.change("HSET", "q", vec![field.clone(), count]));
        }
        let group = row / SETS;
        let set = remains.sets.get(&group).and_then(value_in);
        if read.sensors == RowSensors::Many && set.is_none_or(|set| read_set(&set).is_none()) {
            let key = self.keys.sensor_sets(self.volume, self.kind, row);
            plan.lost.push(format!("{key}: which sensors saw {}", what()));
            plan.without_sensors.insert(row);
        }
    }

    /// Plans the removal of counts and sensors that belong to no row which is kept.
    fn plan_foreign_extensions(&self, remains: &Remains, taken: &BTreeSet<u32>, plan: &mut Plan) {
        let row_of = |field: &[u8]| {
            let row = row_number(field).filter(|row| taken.contains(row))?;
            Some((row, row_in(&remains.rows, row)?))
        };
        let is_foreign = |field: &[u8]| !row_of(field).is_some_and(|(_, row)| row.is_large());
        let mut removed: Vec<(String, Vec<u8>)> = Vec::new();
        let counts = remains.counts.iter().map(|(field, _)| field);
        removed.extend(
            counts.filter(|field| is_foreign(field)).map(|field| ("q".to_owned(), field.clone())),
        );
        for (group, pairs) in &remains.sets {
            for (field, _) in pairs {
                let is_kept = row_of(field).is_some_and(|(row, read)| {
                    row / SETS == *group
                        && read.sensors == RowSensors::Many
                        && !plan.without_sensors.contains(&row)
                });
                if !is_kept {
                    removed.push((format!("g{group}"), field.clone()));
                }
            }
        }
        for (suffix, field) in removed {
            plan.changes.push(self.change("HDEL", &suffix, vec![field]));
        }
    }

    /// Reports owners whose rows are lost, and names of which nothing is left.
    fn name_gone(
        &self,
        gone: &BTreeMap<u32, (u64, u64)>,
        logged: &HashMap<u64, Vec<u32>>,
        met: &BTreeSet<u64>,
        remains: &Remains,
        plan: &mut Plan,
    ) {
        let mut owners: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let mut nameless: Vec<String> = Vec::new();
        for (&hash, positions) in logged {
            let name = positions.first().and_then(|&at| name_at(&remains.log, at));
            let Some(name) = name else { continue };
            if gone.contains_key(&low24(hash)) {
                owners.entry(low24(hash)).or_default().push(name.to_string());
            } else if !met.contains(&hash) {
                nameless.push(name.to_string());
            }
        }
        let at = self.keys.partition(self.volume.partition);
        // A name that is missing in the log is already reported.
        let said: BTreeSet<u32> = met.iter().map(|&hash| low24(hash)).collect();
        let what = match self.kind {
            Kind::Record => "records",
            Kind::Negative => "negative answers",
        };
        let (mut unknown, mut unknown_rows, mut unknown_count) = (0_u64, 0, 0);
        for (bits, (rows, count)) in gone {
            if let Some(names) = owners.get(bits) {
                let owner = names.join(" or ");
                plan.lost.push(format!(
                    "{at}: {rows} sums of {what} of {owner} that are gone, {count} answers in all"
                ));
            } else if !said.contains(bits) {
                (unknown, unknown_rows, unknown_count) =
                    (unknown + 1, unknown_rows + rows, unknown_count + count);
            }
        }
        if unknown > 0 {
            plan.lost.push(format!(
                "{at}: {unknown_rows} sums of {what} of {unknown} unknown names, {unknown_count} answers in all"
            ));
        }
        nameless.sort_unstable();
        for name in nameless {
            plan.lost.push(format!("{at}: all {what} of {name} are gone"));
        }
    }

    /// Writes a block unless it is correct.
    fn plan_block(&self, suffix: &str, old: Option<&Vec<u8>>, new: Vec<u8>, plan: &mut Plan) {
        if old == Some(&new) {
            return;
        }
        if old.is_some_and(|old| old.len() > new.len()) {
            plan.changes.push(self.change("DEL", suffix, Vec::new()));
        }
        plan.changes.push(self.change("SETRANGE", suffix, vec![b"0".to_vec(), new]));
    }

    /// Plans the log, with the names that are kept and no others; returns its end.
    fn plan_log(&self, remains: &Remains, entries: &mut [KeptName], plan: &mut Plan) -> (u32, u32) {
        let used = |block: &Vec<u8>| {
            let last = memchr::memrchr(b'\n', block.get(..LOG as usize).unwrap_or(block));
            u32::try_from(last.map_or(0, |last| last + 1)).unwrap_or(0)
        };
        // Behind the last name that is kept, unless the metadata has a later end in a block that exists.
        let last = entries.iter().filter_map(|entry| {
            let length = u32::try_from(entry.name.as_str().len() + 1).ok()?;
            let position = entry.position?;
            Some((position / LOG_STRIDE, position % LOG_STRIDE + length))
        });
        let last = last.max().unwrap_or((0, 0));
        let said = remains.meta.map(|meta| (meta.block, meta.offset));
        let said =
            said.filter(|&(block, _)| !entries.is_empty() && remains.log.contains_key(&block));
        let (mut block, mut offset) = said.map_or(last, |said| said.max(last));
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
            // Where a name was removed, empty lines are left: no line may hold anything but a name.
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

    fn plan_entries(
        &self,
        entries: &[KeptName],
        buckets: Buckets,
        remains: &Remains,
    ) -> Vec<Change> {
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
        // A hash that no entry refers to.
        let wide: BTreeSet<u64> =
            entries.iter().filter(|entry| entry.is_wide).map(|entry| entry.hash).collect();
        for hash in remains.wide.keys().filter(|hash| !wide.contains(hash)) {
            changes.push(self.change("DEL", &format!("w{hash:016x}"), Vec::new()));
        }
        changes
    }

    /// Plans the counts and ends.
    fn plan_meta(&self, remains: &Remains, entries: &[KeptName], meta: Meta, plan: &mut Plan) {
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
        if remains.meta.as_ref() != Some(&meta) {
            let words = meta
                .fields()
                .flat_map(|(field, number)| [field.to_vec(), number.to_string().into_bytes()]);
            plan.changes.push(self.change("HSET", "m", words.collect()));
        }
    }
}

/// Clears the sensors of a row that has them elsewhere.
fn forget_sensors(row: &mut [u8; ROW]) {
    let RowRead { seen, bits, told, .. } = row_of(row);
    let mut octets = Vec::with_capacity(ROW);
    write_row(&seen, RowSensors::Few(0), bits, told, &mut octets);
    row.copy_from_slice(&octets);
}

/// Returns the number of rows, and whether agents may have cached more of them, so that a number may be reused. A
/// count that exceeds the existing blocks is ignored.
fn rows_used(remains: &Remains, taken: &BTreeSet<u32>) -> (u32, bool) {
    let known = taken.last().map_or(0, |last| last + 1);
    let blocks =
        remains.rows.keys().last().map_or(0, |last| (u64::from(*last) + 1) * u64::from(ROWS));
    match &remains.meta {
        Some(meta) if (known..).contains(&meta.rows) && u64::from(meta.rows) <= blocks => {
            (meta.rows, false)
        }
        _ => (known, true),
    }
}
