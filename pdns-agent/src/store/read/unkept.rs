//! Domains with too many new names: what is not kept of them, read as records of a wildcard.

use crate::hash::NameLocation;
use crate::name::{Name, NameBuf};
use crate::rdata::RdataBuf;
use crate::record::{FactBuf, StoredRecord, Unkept};
use crate::store::layout::keys::Kind;
use crate::store::layout::unkept::{SumKey, estimate, read_sum};
use crate::store::redis::client::Pipeline;
use crate::store::redis::reply;
use crate::store::{Reader, StoreError};
use std::collections::BTreeMap;

/// Domains whose sums are read in one pipeline.
const DOMAINS: usize = 256;

impl Reader<'_> {
    /// Lists the registrable domains of which not all names are kept, at or below a name or all of them, in text order.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn unkept_domains(&mut self, below: Option<Name<'_>>) -> Result<Vec<NameBuf>, StoreError> {
        let partitions: Vec<u8> = self.parts(below).into_iter().map(|part| part.0).collect();
        let mut packed = Pipeline::default();
        for &partition in &partitions {
            packed.command(&[b"HGETALL", self.store.keys.unkept_domains(partition).as_bytes()]);
        }
        let mut domains = Vec::new();
        for (partition, answer) in partitions.into_iter().zip(self.store.client.call(&packed)?) {
            for (domain, _) in reply::pairs(answer)? {
                let text = String::from_utf8(domain).ok();
                let name = text.as_deref().and_then(|text| Name::from_canonical(text).ok());
                let name = name.ok_or_else(|| {
                    StoreError::damaged(&self.store.keys.unkept_domains(partition))
                })?;
                if below.is_none_or(|apex| name.is_at_or_below(apex)) {
                    domains.push(name.to_buf());
                }
            }
        }
        domains.sort_unstable();
        Ok(domains)
    }

    /// Reads what is not kept below these domains, of these kinds: for each type, and each outcome of negative answers, a
    /// record of the wildcard below the domain.
    ///
    /// # Errors
    /// If Redis does not answer, or the stored data cannot be decoded.
    pub fn unkept(
        &mut self,
        domains: &[NameBuf],
        kinds: &[Kind],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut records = Vec::new();
        for domains in domains.chunks(DOMAINS) {
            let mut packed = Pipeline::default();
            for domain in domains {
                self.pack_unkept(&mut packed, domain);
            }
            let sums = self.store.client.call(&packed)?;
            for (domain, answer) in domains.iter().zip(sums) {
                records.extend(self.unkept_below(domain, kinds, answer)?);
            }
        }
        Ok(records)
    }

    /// Estimates how many names are not kept below these domains; a name counts once for each type.
    ///
    /// # Errors
    /// As [`Reader::unkept`].
    pub fn count_unkept(&mut self, domains: &[NameBuf]) -> Result<u64, StoreError> {
        let sums = self.unkept(domains, &[Kind::Record, Kind::Negative])?;
        Ok(sums.iter().filter_map(|sum| Some(sum.unkept.as_ref()?.names)).sum())
    }

    /// Packs the request for the sums of a domain.
    pub(in crate::store) fn pack_unkept(&self, packed: &mut Pipeline, domain: &NameBuf) {
        let NameLocation { partition, hash } = self.store.router.place(domain.as_name());
        packed.command(&[b"HGETALL", self.store.keys.unkept(partition, hash).as_bytes()]);
    }

    /// Decodes the sums of one domain.
    pub(in crate::store) fn unkept_below(
        &mut self,
        domain: &NameBuf,
        kinds: &[Kind],
        answer: redis::Value,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let pairs = reply::pairs(answer)?;
        if pairs.is_empty() || kinds.is_empty() {
            return Ok(Vec::new());
        }
        let NameLocation { partition, hash } = self.store.router.place(domain.as_name());
        let key = self.store.keys.unkept(partition, hash);
        let mut sums = BTreeMap::new();
        for (field, value) in &pairs {
            let read = SumKey::read(field).zip(read_sum(value));
            let (sum, read) = read.ok_or_else(|| StoreError::damaged(&key))?;
            sums.insert(sum, (field, read));
        }
        let mut packed = Pipeline::default();
        packed.command(&[b"HGETALL", self.store.keys.unkept_sample(partition, hash).as_bytes()]);
        for (field, _) in sums.values() {
            let registers = self.store.keys.unkept_registers(partition, hash, field);
            packed.command(&[b"GETRANGE", registers.as_bytes(), b"0", b"-1"]);
        }
        // Estimates may be missing or damaged: answers go on without them.
        let mut answers = self.store.client.call_each(&packed)?.into_iter().map(Result::ok);
        let sample = answers.next().flatten().and_then(|sample| reply::pairs(sample).ok());
        let sample = sample.unwrap_or_default().into_iter().filter_map(|(_, name)| {
            let text = String::from_utf8(name).ok()?;
            Some(Name::from_canonical(&text).ok()?.to_buf())
        });
        let mut sample: Vec<NameBuf> = sample.collect();
        sample.sort_unstable();
        let registers = answers.map(|registers| {
            registers.and_then(|found| reply::octets(found).ok()).unwrap_or_default()
        });
        let names: Vec<u64> = registers.map(|registers| estimate(&registers)).collect();
        let rrname = format!("*.{}", domain.as_str());
        let Ok(rrname) = Name::from_canonical(&rrname).map(Name::to_buf) else {
            return Ok(Vec::new());
        };
        let sums = sums.into_iter().zip(names);
        let records = sums.filter_map(|((sum, (_, (seen, sensors))), names)| {
            let (kind, fact) = match sum.outcome {
                None => {
                    let rrtype = sum.rrtype;
                    let octets = Box::default();
                    (Kind::Record, FactBuf::Record(RdataBuf { rrtype, octets, partial: true }))
                }
                Some(outcome) => (Kind::Negative, FactBuf::Negative { qtype: sum.rrtype, outcome }),
            };
            // There was one name at least, and no more than answers.
            let names = names.clamp(1, seen.count.max(1));
            let unkept = Some(Box::new(Unkept { names, sample: sample.clone() }));
            let rrname = rrname.clone();
            kinds.contains(&kind).then_some(StoredRecord { rrname, fact, seen, sensors, unkept })
        });
        Ok(records.collect())
    }
}
