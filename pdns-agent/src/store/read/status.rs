//! The state of a store, for `pdns status`.

use crate::observation::SENSOR_SEPARATOR;
use crate::store::layout::keys::{Kind, VERSION};
use crate::store::redis::capacity;
use crate::store::redis::reply;
use crate::store::redis::server::field;
use crate::store::write::sources::shared_sensors;
use crate::store::{Capacity, ForgetNote, Reader, SourceState, StoreError};

/// Statistics of a store.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// URL of the store, without a password.
    pub url: String,
    /// Prefix of its keys.
    pub prefix: String,
    /// Version of its layout.
    pub schema: u32,
    /// Partitions.
    pub partitions: u16,
    /// Names with records.
    pub names: u64,
    /// Records.
    pub records: u64,
    /// Names with negative answers.
    pub negative_names: u64,
    /// Negative answers.
    pub negatives: u64,
    /// Registrable domains of which not all names are kept.
    pub unkept_domains: u64,
    /// Names that are not kept: an estimate, in which a name counts once for each type.
    pub unkept_names: u64,
    /// Analysts' tags.
    pub tags: u64,
    /// Indicators that their sources list.
    pub indicators: u64,
    /// Memory of Redis, in bytes.
    pub capacity: Capacity,
    /// Version of the server.
    pub server: String,
    /// Sensor names by number, as [`Reader::sensors`] has them.
    pub sensors: Vec<String>,
    /// Logs, most recently written first.
    pub sources: Vec<([u8; 16], SourceState)>,
    /// Note of what was forgotten last.
    pub forgotten: Option<ForgetNote>,
    /// Settings that the operator should change.
    pub advice: Vec<String>,
}

impl Summary {
    /// Iterates over the names of all sensors.
    pub fn sensor_names(&self) -> impl Iterator<Item = &str> {
        // Sensors that once shared a number have numbers of their own now.
        let names = self.sensors.iter().map(String::as_str);
        names.filter(|name| !name.is_empty() && !name.contains(SENSOR_SEPARATOR))
    }

    /// Returns the conditions that cost data, or already did, for the operator to fix.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.capacity.warnings();
        if self.forgotten.as_ref().is_some_and(|note| note.is_short) {
            warnings.push(
                "the budget of memory ([retention] max_memory) could not be kept: what is left is tagged or new; give more \
                 memory, or shorter times"
                    .to_owned(),
            );
        }
        if let Some(names) = shared_sensors(&self.sensors) {
            let count = names.split(SENSOR_SEPARATOR).count();
            warnings.push(format!(
                "{count} sensors shared one mark until the store was migrated to schema version 4: what each of them saw \
                 until then cannot be told apart ({names})"
            ));
        }
        warnings
    }
}

/// Settings that keep the store compact, each with its minimum value and the reason.
const SETTINGS: &[(&str, u64, &str)] = &[
    ("hash-max-listpack-value", 4096, "the store takes a fifth more memory"),
    ("hash-max-listpack-entries", 128, "the store takes more memory"),
    ("set-max-intset-entries", 8192, "the inverse index takes several times the memory"),
];

impl Reader<'_> {
    /// Warnings about keys that the server evicted or may evict, which would be missing in answers; none if this user may
    /// not ask.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn eviction_warnings(&mut self) -> Result<Vec<String>, StoreError> {
        let capacity = capacity::capacity(&mut self.store.client)?;
        Ok(capacity.map(|capacity| capacity.eviction_warnings()).unwrap_or_default())
    }

    /// Reads the statistics of the store.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn summary(&mut self) -> Result<Summary, StoreError> {
        let partitions: Vec<u8> = self.store.partitions().collect();
        let mut counts = [(0, 0); 2];
        for (count, kind) in counts.iter_mut().zip([Kind::Record, Kind::Negative]) {
            for meta in self.metas(kind, partitions.iter().copied())? {
                count.0 += meta.names;
                count.1 += u64::from(meta.rows - meta.empty);
            }
        }
        let infos: Vec<String> = self
            .store
            .client
            .ask_each(&[b"INFO"])?
            .into_iter()
            .map(|info| Ok(String::from_utf8_lossy(&reply::octets(info?)?).into_owned()))
            .collect::<Result<_, StoreError>>()?;
        let capacity = Capacity::from_infos(&infos);
        let mut versions: Vec<&str> =
            infos.iter().map(|info| field(info, "redis_version").unwrap_or_default()).collect();
        versions.sort_unstable();
        versions.dedup();
        let mut server = versions.join(", ");
        if infos.len() > 1 {
            server = format!("{server}, a cluster with {} masters", infos.len());
        }
        let persistent = infos.iter().all(|info| field(info, "aof_enabled") == Some("1"));
        let mut sources = self.sources()?;
        sources
            .sort_by(|(_, a), (_, b)| b.updated.cmp(&a.updated).then_with(|| a.path.cmp(&b.path)));
        let mut advice = self.setting_advice();
        if !persistent {
            advice.push(
                "appendonly is off: after a crash Redis is back at its last snapshot, and logs that are \
                 gone by then cannot be read again"
                    .to_owned(),
            );
        }
        let [(names, records), (negative_names, negatives)] = counts;
        let tags = self.tags_count()?;
        let domains = self.unkept_domains(None)?;
        let unkept_names = self.count_unkept(&domains)?;
        Ok(Summary {
            tags,
            indicators: self.intel_sources()?.iter().map(|source| source.listed).sum(),
            url: self.store.client.options().shown_url(),
            prefix: self.store.client.options().prefix.clone(),
            schema: VERSION,
            partitions: self.store.router.partitions(),
            names,
            records,
            negative_names,
            negatives,
            unkept_domains: domains.len() as u64,
            unkept_names,
            capacity,
            server,
            sensors: self.sensors()?,
            sources,
            forgotten: self.forgotten()?,
            advice,
        })
    }

    /// Lists the changes to make in the configuration of Redis; nothing if this user may not read it.
    fn setting_advice(&mut self) -> Vec<String> {
        let mut advice = Vec::new();
        for &(name, least, why) in SETTINGS {
            let words: [&[u8]; 3] = [b"CONFIG", b"GET", name.as_bytes()];
            let Ok(values) = self.store.client.ask_each(&words) else { return Vec::new() };
            let is_below = values.into_iter().flatten().any(|value| {
                let pairs = reply::pairs(value).unwrap_or_default();
                let set = pairs.first().and_then(|(_, value)| std::str::from_utf8(value).ok());
                set.and_then(|set| set.parse::<u64>().ok()).is_some_and(|set| set < least)
            });
            if is_below {
                advice.push(format!("{name} is below {least}: {why}"));
            }
        }
        advice
    }
}
