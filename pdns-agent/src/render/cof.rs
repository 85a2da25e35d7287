//! Passive DNS Common Output Format (draft-dulaunoy-dnsop-passive-dns-cof-12, 2024-08-27).
//!
//! Requirements of clients beyond the draft's text (measured with dnsdbq and `PyPDNS`): no empty lines, a line feed
//! after the last line too, integers for times and counts, no final dots. `rdata` is always an array, as in the
//! draft's schema. A type without a mnemonic is a JSON number, as in its text. Our own fields: `ttl_min`, `ttl_max`,
//! `ttl_last`; `pdns_inferred` if owner and type were only inferred; `pdns_count_is_lower_bound` if more were seen
//! than the store can count; `pdns_unsolicited` if the record was seen only in responses to no observed query;
//! `pdns_imported` if no sensor of this store saw it, and all that is known of it comes from elsewhere;
//! `pdns_partial` if the source had only the host of an MX, SRV or SOA record, so that its other fields are zero;
//! `pdns_tags` with the kinds of tags in effect on either end, and `pdns_rrname_tags` and `pdns_rdata_tags` with
//! those of each; `pdns_score` with the score of the owner name from 0 to 100, if it was asked for; `pdns_subject` or `pdns_why` if the result has such a value for a row. `origin` is the URI of the
//! server that answered (misp-modules reads it without checking that it exists); `pdns` itself has none. `sensor_id`
//! is a string, as in the draft; several sensors are joined with commas.

use super::json::{Json, Object};
use super::{Item, Mark, NameScores, RenderOptions, Renderer, field, judged};
use crate::observation::Seen;
use crate::query::{End, TagSet};
use crate::rdata::FinalDot;
use crate::record::{FactBuf, StoredRecord};
use std::io::{self, Write};
use std::sync::Arc;

/// The COF renderer. Negative answers and names that are not kept have no RDATA and thus no representation in COF: they are
/// left out and counted.
/// Items that are not rows are written as JSON.
pub(super) struct Cof {
    look: RenderOptions,
    other: Json,
    left_out: u64,
}

impl Cof {
    pub(super) fn new(look: RenderOptions) -> Self {
        Self { other: Json::new(look.clone()), look, left_out: 0 }
    }

    fn record(
        &self,
        row: &StoredRecord,
        rdata: &crate::rdata::RdataBuf,
        mark: Option<(Mark, &str)>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let seen = &row.seen;
        let mut object = Object::begin(out)?;
        object.field("rrname", &row.rrname.as_str())?;
        match rdata.rrtype.mnemonic() {
            Some(mnemonic) => object.field("rrtype", &mnemonic)?,
            None => object.field("rrtype", &rdata.rrtype.0)?,
        }
        object.field("rdata", &[rdata.as_rdata().to_text(FinalDot::Without)])?;
        object.field("time_first", &seen.time_first)?;
        object.field("time_last", &seen.time_last)?;
        object.field("count", &seen.count)?;
        if seen.is_count_saturated() {
            object.field("pdns_count_is_lower_bound", &true)?;
        }
        if seen.ttl_min != Seen::NO_TTL {
            object.field("ttl_min", &seen.ttl_min)?;
            object.field("ttl_max", &seen.ttl_max)?;
        }
        if seen.ttl_last != Seen::NO_TTL {
            object.field("ttl_last", &seen.ttl_last)?;
        }
        let sensors = self.look.sensor_list(&row.sensors);
        if !sensors.is_empty() {
            object.field("sensor_id", &sensors)?;
        }
        if let Some(origin) = &self.look.origin {
            object.field("origin", origin)?;
        }
        if field::is_inferred(seen) {
            object.field("pdns_inferred", &true)?;
        }
        if field::is_unsolicited(seen) {
            object.field("pdns_unsolicited", &true)?;
        }
        if seen.is_imported() {
            object.field("pdns_imported", &true)?;
        }
        if rdata.partial {
            object.field("pdns_partial", &true)?;
        }
        let tags = self.look.tags.of_row(row);
        if !tags.is_empty() {
            let both = [tags.at(End::Rrname), tags.at(End::Rdata)].concat();
            object.field("pdns_tags", &judged::kinds(&both))?;
        }
        for (name, end) in [("pdns_rrname_tags", End::Rrname), ("pdns_rdata_tags", End::Rdata)] {
            let kinds = judged::kinds(tags.at(end));
            if !kinds.is_empty() {
                object.field(name, &kinds)?;
            }
        }
        if let Some(score) = self.look.scores.as_ref().and_then(|scores| scores.get(&row.rrname)) {
            object.field("pdns_score", score)?;
        }
        if let Some((name, mark)) = mark {
            object.field(&format!("pdns_{}", name.name()), &mark)?;
        }
        object.end()
    }
}

impl Renderer for Cof {
    fn item(&mut self, item: &Item<'_>, out: &mut dyn Write) -> io::Result<()> {
        let (row, mark) = match *item {
            Item::Record(row) => (row, None),
            Item::Marked { row, name, mark } => (row, Some((name, mark))),
            _ => return self.other.item(item, out),
        };
        match &row.fact {
            FactBuf::Record(_) if row.unkept.is_some() => {
                self.left_out += 1;
                Ok(())
            }
            FactBuf::Record(rdata) => self.record(row, rdata, mark, out),
            FactBuf::Negative { .. } => {
                self.left_out += 1;
                Ok(())
            }
        }
    }

    fn left_out(&self) -> u64 {
        self.left_out
    }

    fn set_scores(&mut self, scores: &Arc<NameScores>) {
        self.look.scores = Some(Arc::clone(scores));
        self.other.set_scores(scores);
    }

    fn set_tags(&mut self, tags: &Arc<TagSet>) {
        self.look.tags = Arc::clone(tags);
        self.other.set_tags(tags);
    }
}
