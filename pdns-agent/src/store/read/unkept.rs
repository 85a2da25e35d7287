//! What is not kept of domains with too many new names, read as records of a wildcard.

use crate::hash::NameLocation;
use crate::name::{Name, NameBuf};
use crate::rdata::RdataBuf;
use crate::record::{FactBuf, StoredRecord, Unkept};
use crate::store::layout::keys::Kind;
use crate::store::layout::unkept::{SumKey, read_estimate_field, read_sum};
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
            packed.command(&[b"HKEYS", self.store.keys.unkept_domains(partition).as_bytes()]);
        }
        let mut domains = Vec::new();
        for (partition, answer) in partitions.into_iter().zip(self.store.client.call(&packed)?) {
            for domain in reply::list(answer)? {
                let text = String::from_utf8(reply::octets(domain)?).ok();
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
                let NameLocation { partition, hash } = self.store.router.place(domain.as_name());
                packed.command(&[b"HGETALL", self.store.keys.unkept(partition, hash).as_bytes()]);
            }
            let sums = self.store.client.call(&packed)?;
            for (domain, answer) in domains.iter().zip(sums) {
                let pairs = reply::pairs(answer)?;
                if !pairs.is_empty() {
                    records.extend(self.unkept_below(domain, kinds, &pairs)?);
                }
            }
        }
        Ok(records)
    }

    /// Decodes the sums of one domain.
    fn unkept_below(
        &mut self,
        domain: &NameBuf,
        kinds: &[Kind],
        pairs: &reply::Pairs,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let NameLocation { partition, hash } = self.store.router.place(domain.as_name());
        let key = self.store.keys.unkept(partition, hash);
        let sample = self.store.keys.unkept_sample(partition, hash);
        let sample = self.store.client.ask(&[b"ZRANGE", sample.as_bytes(), b"0", b"-1"])?;
        let sample = reply::list(sample)?.into_iter().filter_map(|name| {
            let text = String::from_utf8(reply::octets(name).ok()?).ok()?;
            Some(Name::from_canonical(&text).ok()?.to_buf())
        });
        let mut sample: Vec<NameBuf> = sample.collect();
        sample.sort_unstable();
        let (mut sums, mut names) = (BTreeMap::new(), BTreeMap::new());
        for (field, value) in pairs {
            if let Some(sum) = read_estimate_field(field) {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                names.insert(sum, number.unwrap_or(0_u64));
            } else {
                let read = SumKey::read(field).zip(read_sum(value));
                let (sum, read) = read.ok_or_else(|| StoreError::damaged(&key))?;
                sums.insert(sum, read);
            }
        }
        let rrname = format!("*.{}", domain.as_str());
        let Ok(rrname) = Name::from_canonical(&rrname).map(Name::to_buf) else {
            return Ok(Vec::new());
        };
        let records = sums.into_iter().filter_map(|(sum, (seen, sensors))| {
            let (kind, fact) = match sum.outcome {
                None => {
                    let rrtype = sum.rrtype;
                    let octets = Box::default();
                    (Kind::Record, FactBuf::Record(RdataBuf { rrtype, octets, partial: true }))
                }
                Some(outcome) => {
                    (Kind::Negative, FactBuf::Negative { qtype: sum.rrtype, outcome })
                }
            };
            // An estimate may be missing or late; there was one name at least.
            let names = names.get(&sum).copied().unwrap_or(0).max(1);
            let unkept = Some(Box::new(Unkept { names, sample: sample.clone() }));
            let rrname = rrname.clone();
            kinds.contains(&kind).then_some(StoredRecord { rrname, fact, seen, sensors, unkept })
        });
        Ok(records.collect())
    }
}
