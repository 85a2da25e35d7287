//! Queries the store for a request, and passes the results to the sink.

use super::apex::Apexes;
use super::frame::{AnswerEnd, Frame};
use super::object::{Data, Object, Sums, dotted};
use super::owner::Owner;
use super::pattern::Pattern;
use super::request::{DnsdbLookup, RdataKey, Request, SEARCHED};
use super::sink::Sink;
use super::types::Types;
use crate::name::{Name, NameBuf};
use crate::query::{Pager, Text, Walk, on_addresses, walk};
use crate::rdata::{FinalDot, Rdata, RdataBuf, Target};
use crate::record::{FactBuf, StoredRecord};
use crate::rr::RrType;
use crate::serve::http_error::HttpError;
use crate::serve::stream::Out;
use crate::store::{Kind, Reader, StoreError};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Maximum number of records held of one RRset; further ones begin another result for the same RRset.
const MAX_SET: usize = 10_000;
/// Maximum number of distinct RDATA that a search by pattern may find.
const MAX_FOUND: usize = 100_000;

/// Result of a store query: a break ends the answer.
type Flow = Result<ControlFlow<AnswerEnd>, StoreError>;

/// Answers a request.
///
/// # Errors
/// Errors of the store, after the client was informed.
pub(super) fn run(
    store: &mut Reader<'_>,
    request: &Request,
    frame: Frame,
    out: &mut Out,
) -> Result<(), StoreError> {
    let Ok(mut sink) = Sink::begin(out, frame, &request.parameters, request.is_summary) else {
        // The client has disconnected.
        return Ok(());
    };
    let asked = match &request.what {
        DnsdbLookup::Owner(owner) => {
            let zones = Zones {
                needed: !request.is_summary || request.bailiwick.is_some(),
                has_rdata: !request.is_summary,
                wanted: request.bailiwick.as_ref(),
                apexes: Apexes::default(),
            };
            sets(store, &owner.walk(), None, request.types, Shape::Sets(zones), &mut sink)
        }
        DnsdbLookup::FlexNames(pattern) => {
            let shape = Shape::Names { is_verbose: request.parameters.verbose };
            let all = Walk::Text(Text::default());
            sets(store, &all, Some(pattern), request.types, shape, &mut sink)
        }
        DnsdbLookup::FlexRdata(pattern) => found_rdata(store, request, pattern, &mut sink),
        DnsdbLookup::Rdata(key) => records(store, request, key, &mut sink),
    };
    match asked {
        Ok(ControlFlow::Continue(())) => sink.end(AnswerEnd::Whole),
        Ok(ControlFlow::Break(end)) => sink.end(end),
        Err(error) => {
            sink.fail(HttpError::from(&error));
            return Err(error);
        }
    }
    Ok(())
}

/// Form of the results made from the records of an owner and type.
enum Shape<'r> {
    /// RRsets.
    Sets(Zones<'r>),
    /// The name and the type.
    Names { is_verbose: bool },
}

/// The zones of RRsets.
struct Zones<'r> {
    /// True if the zones are needed.
    needed: bool,
    /// True if the RDATA of the RRsets are shown.
    has_rdata: bool,
    /// Return only RRsets of zones that match this.
    wanted: Option<&'r Owner>,
    apexes: Apexes,
}

impl Shape<'_> {
    /// Looks up everything needed for these names.
    fn learn(&mut self, store: &mut Reader<'_>, names: &[NameBuf]) -> Result<(), StoreError> {
        match self {
            Self::Sets(zones) if zones.needed => zones.apexes.learn(store, names),
            _ => Ok(()),
        }
    }

    /// Returns true if RDATA have to be held.
    fn has_rdata(&self) -> bool {
        matches!(self, Self::Sets(zones) if zones.has_rdata)
    }

    /// Returns the result, if it is wanted.
    fn object(&self, rrname: &NameBuf, rrtype: RrType, set: Set) -> Option<Object> {
        let Set { sums, mut rdata } = set;
        let (is_verbose, bailiwick, rdata) = match self {
            Self::Names { is_verbose } => (*is_verbose, None, Data::None),
            Self::Sets(zones) => {
                let zone = zones.needed.then(|| zones.apexes.of(rrname.as_name()));
                let is_wanted = zones.wanted.is_none_or(|wanted| {
                    zone.as_ref().is_some_and(|zone| wanted.has(zone.as_name()))
                });
                if !is_wanted {
                    return None;
                }
                rdata.sort_unstable();
                (true, zone, Data::Set(rdata))
            }
        };
        let rrname = Some(rrname.clone());
        Some(Object { sums, is_verbose, rrname, rrtype, bailiwick, rdata })
    }
}

/// Records of one owner and type.
struct Set {
    sums: Sums,
    rdata: Vec<RdataBuf>,
}

/// Records of one owner, until the next one begins.
struct Owned {
    rrname: NameBuf,
    sets: BTreeMap<RrType, Set>,
}

impl Owned {
    fn new(rrname: NameBuf) -> Self {
        Self { rrname, sets: BTreeMap::new() }
    }

    /// Adds a record; returns the set if it is full.
    fn add(&mut self, sums: Sums, record: RdataBuf, has_rdata: bool) -> Option<(RrType, Set)> {
        let rrtype = record.rrtype;
        let set = self.sets.entry(rrtype).or_insert_with(|| Set { sums, rdata: Vec::new() });
        set.sums.join(sums);
        if has_rdata {
            set.rdata.push(record);
        }
        if set.rdata.len() < MAX_SET {
            return None;
        }
        self.sets.remove(&rrtype).map(|set| (rrtype, set))
    }

    /// Passes on all sets.
    fn end(self, shape: &Shape<'_>, sink: &mut Sink<'_>) -> ControlFlow<AnswerEnd> {
        for (rrtype, set) in self.sets {
            if let Some(object) = shape.object(&self.rrname, rrtype, set) {
                sink.take(&object)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Passes on results by owner and type, in text order of the names, then in numeric order of the types.
fn sets(
    store: &mut Reader<'_>,
    names: &Walk,
    pattern: Option<&Pattern>,
    types: Types,
    mut shape: Shape<'_>,
    sink: &mut Sink<'_>,
) -> Flow {
    let pulse = sink.out.pulse();
    let stop = || pulse.check().is_err();
    let sieve = |name: Name<'_>| pattern.is_none_or(|pattern| pattern.admits(&dotted(name)));
    let mut flow = ControlFlow::Continue(());
    walk(store, names, &sieve, sink.wanted(), &stop, &mut |store, names| {
        shape.learn(store, names)?;
        let mut owned: Option<Owned> = None;
        store.records_by_names(names, &mut |row| {
            flow = add(&mut owned, row, types, &shape, sink);
            as_break(flow)
        })?;
        if let Some(owned) = owned
            && flow.is_continue()
        {
            flow = owned.end(&shape, sink);
        }
        Ok(as_break(flow))
    })?;
    Ok(if flow.is_continue() { sink.check() } else { flow })
}

/// Adds a row to the records held of its owner; passes on all records of the previous owner.
fn add(
    owned: &mut Option<Owned>,
    row: StoredRecord,
    types: Types,
    shape: &Shape<'_>,
    sink: &mut Sink<'_>,
) -> ControlFlow<AnswerEnd> {
    let FactBuf::Record(record) = row.fact else { return ControlFlow::Continue(()) };
    if !types.has(record.rrtype) {
        return sink.check();
    }
    if let Some(before) = owned.take_if(|owned| owned.rrname != row.rrname) {
        before.end(shape, sink)?;
    }
    let owned = owned.get_or_insert_with(|| Owned::new(row.rrname));
    if let Some((rrtype, set)) = owned.add(Sums::from(&row.seen), record, shape.has_rdata())
        && let Some(object) = shape.object(&owned.rrname, rrtype, set)
    {
        sink.take(&object)?;
    }
    ControlFlow::Continue(())
}

/// Passes on single records, latest seen first.
fn records(store: &mut Reader<'_>, request: &Request, key: &RdataKey, sink: &mut Sink<'_>) -> Flow {
    let mut pager = Pager::new(None, sink.wanted());
    let mut flow = ControlFlow::Continue(());
    let mut take = |row: StoredRecord| {
        let is_wanted = match &row.fact {
            FactBuf::Record(record) => {
                request.types.has(record.rrtype) && matches(key, record.as_rdata())
            }
            FactBuf::Negative { .. } => false,
        };
        if is_wanted && sink.admits(Sums::from(&row.seen)) {
            pager.offer(row);
        }
        flow = sink.check();
        as_break(flow)
    };
    match key {
        RdataKey::Target(Owner::Exact(name)) => {
            store.records_targeting_name(name.as_name(), usize::MAX, &mut take)?;
        }
        // Wildcards of RDATA have no index.
        RdataKey::Target(_) => store.scan_records(Kind::Record, &mut take)?,
        RdataKey::Addresses(from, to) => {
            on_addresses(store, *from, *to, usize::MAX, &mut take)?;
        }
        RdataKey::Octets(octets) => by_octets(store, octets, &mut take)?,
    }
    // If time ran out before all records were read, show those that were read.
    let page = pager.finish();
    for row in page.rows {
        let FactBuf::Record(record) = row.fact else { continue };
        let object = Object {
            sums: Sums::from(&row.seen),
            is_verbose: true,
            rrname: Some(row.rrname),
            rrtype: record.rrtype,
            bailiwick: None,
            rdata: Data::One(record),
        };
        match sink.show(&object) {
            ControlFlow::Continue(()) => {}
            end @ ControlFlow::Break(_) => return Ok(end),
        }
    }
    if page.cut && flow.is_continue() {
        flow = ControlFlow::Break(AnswerEnd::Limit);
    }
    Ok(flow)
}

/// Returns true if a record matches the request.
fn matches(key: &RdataKey, rdata: Rdata<'_>) -> bool {
    match key {
        // The store has already searched for exactly these.
        RdataKey::Target(Owner::Exact(_)) | RdataKey::Addresses(..) => true,
        RdataKey::Target(owner) => match rdata.target() {
            Target::Name(name) => owner.has(name.as_name()),
            _ => false,
        },
        RdataKey::Octets(octets) => rdata.octets.eq_ignore_ascii_case(octets),
    }
}

/// Reads records with these octets as RDATA, through every index in which the store may have filed them.
fn by_octets(
    store: &mut Reader<'_>,
    octets: &[u8],
    take: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    store.records_by_rdata(octets, take)?;
    if let Ok(address) = <[u8; 4]>::try_from(octets) {
        store.records_by_address_range(address.into(), address.into(), usize::MAX, take)?;
    }
    if let Ok(address) = <[u8; 16]>::try_from(octets) {
        store.records_by_address_range(address.into(), address.into(), usize::MAX, take)?;
    }
    let mut names: Vec<NameBuf> = Vec::new();
    // The name is at the start, after a preference, or after the three numbers of SRV.
    for at in [0, 2, 6] {
        if let Some(Ok((name, _))) = octets.get(at..).map(NameBuf::from_wire)
            && !names.contains(&name)
        {
            store.records_targeting_name(name.as_name(), usize::MAX, take)?;
            names.push(name);
        }
    }
    Ok(())
}

/// RDATA that matched a pattern, of all owners together.
struct FoundRdata {
    sums: Sums,
    octets: Box<[u8]>,
}

/// Passes on RDATA that match a pattern, each once, regardless of owner; sorted by type and text.
fn found_rdata(
    store: &mut Reader<'_>,
    request: &Request,
    pattern: &Pattern,
    sink: &mut Sink<'_>,
) -> Flow {
    let mut found: BTreeMap<(RrType, String), FoundRdata> = BTreeMap::new();
    let mut flow = ControlFlow::Continue(());
    store.scan_records(Kind::Record, &mut |row| {
        flow = sink.check();
        let FactBuf::Record(record) = row.fact else { return as_break(flow) };
        if !SEARCHED.contains(&record.rrtype) || !request.types.has(record.rrtype) {
            return as_break(flow);
        }
        let text = record.as_rdata().to_text(FinalDot::With);
        if pattern.admits(&text) {
            let sums = Sums::from(&row.seen);
            let entry = found.entry((record.rrtype, text));
            entry
                .and_modify(|all| all.sums.add(sums))
                .or_insert(FoundRdata { sums, octets: record.octets });
            if found.len() > MAX_FOUND {
                flow = ControlFlow::Break(AnswerEnd::Limit);
            }
        }
        as_break(flow)
    })?;
    for ((rrtype, text), FoundRdata { sums, octets }) in found {
        let object = Object {
            sums,
            is_verbose: request.parameters.verbose,
            rrname: None,
            rrtype,
            bailiwick: None,
            rdata: Data::Found(text, octets),
        };
        match sink.show(&object) {
            ControlFlow::Continue(()) => {}
            end @ ControlFlow::Break(_) => return Ok(end),
        }
    }
    Ok(flow)
}

fn as_break(flow: ControlFlow<AnswerEnd>) -> ControlFlow<()> {
    if flow.is_break() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
