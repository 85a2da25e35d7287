//! Sums of what is not kept below a domain (`store/layout/unkept.rs`) are forgotten like records.

use crate::name::Name;
use crate::record::{FactBuf, StoredRecord};
use crate::store::forget::HELD;
use crate::store::layout::keys::Kind;
use crate::store::layout::unkept::SumKey;
use crate::store::verify::Change;
use crate::store::{Store, StoreError};

impl Store {
    /// Forgets the sums of a partition that are not to be kept, while it is held: they are added up by reading and writing.
    /// Returns how many.
    pub(super) fn forget_sums(
        &mut self,
        partition: u8,
        keep: &dyn Fn(&StoredRecord) -> bool,
        is_trial: bool,
    ) -> Result<u64, StoreError> {
        let gone = self.sums_to_forget(partition, keep)?.1;
        if gone == 0 || is_trial {
            return Ok(gone);
        }
        let token = self.hold(partition, HELD)?;
        let planned = self.sums_to_forget(partition, keep);
        let changes = planned.as_ref().map_or(&[][..], |(changes, _)| changes);
        let mended = self.mend(partition, &token, HELD, changes);
        self.mend(partition, &token, "0", &[])?;
        mended?;
        planned.map(|(_, gone)| gone)
    }

    /// Plans the removal of sums; returns how many there are of them.
    fn sums_to_forget(
        &mut self,
        partition: u8,
        keep: &dyn Fn(&StoredRecord) -> bool,
    ) -> Result<(Vec<Change>, u64), StoreError> {
        let directory = self.keys.unkept_domains(partition);
        let (mut changes, mut gone) = (Vec::new(), 0);
        let change = |command, suffix: String, words| Change { command, suffix, words };
        for (domain, _) in self.hash(&directory)? {
            let damaged = || StoreError::damaged(&directory);
            let text = std::str::from_utf8(&domain).ok();
            let name = text.and_then(|text| Name::from_canonical(text).ok()).ok_or_else(damaged)?;
            let hash = self.router.place(name).hash;
            let sums = self.reader().unkept(&[name.to_buf()], &[Kind::Record, Kind::Negative])?;
            let (kept, forgotten): (Vec<_>, Vec<_>) = sums.iter().partition(|sum| keep(sum));
            gone += forgotten.len() as u64;
            for sum in forgotten {
                let outcome = match sum.fact {
                    FactBuf::Negative { outcome, .. } => Some(outcome),
                    FactBuf::Record(_) => None,
                };
                let rrtype = sum.fact.as_fact().rrtype();
                let field = SumKey { rrtype, outcome }.to_octets();
                let registers = format!("uh{hash:016x}{}", crate::hex::encode(&field));
                changes.push(change("HDEL", format!("u{hash:016x}"), vec![field]));
                changes.push(change("DEL", registers, Vec::new()));
            }
            if kept.is_empty() {
                changes.push(change("HDEL", "u".to_owned(), vec![domain.clone()]));
                changes.push(change("DEL", format!("us{hash:016x}"), Vec::new()));
            }
        }
        Ok((changes, gone))
    }
}
