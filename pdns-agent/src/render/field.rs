//! Named values of an item, for the formats that programs read.

use super::{Item, RenderOptions, judged};
use crate::enrich::Network;
use crate::name::Name;
use crate::observation::Seen;
use crate::query::{End, GroupKey, NameSum, Relation};
use crate::rdata::FinalDot;
use crate::record::{FactBuf, StoredRecord, Unkept};
use crate::tag::Tag;
use std::borrow::Cow;

/// A value of an item.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A count or a number of seconds.
    Number(u64),
    /// A count of observations, and whether it is a lower bound.
    Count(u64, bool),
    /// Seconds since the epoch.
    Time(u32),
    /// Days since 1970-01-01.
    Day(u32),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<Cow<'a, str>>),
    /// Names of sensors.
    Sensors(Vec<&'a str>),
    /// A number with digits after the decimal point.
    Decimal(f64),
    /// Tags; for a record, each with the end that it is in effect on.
    Tags(Vec<(Option<End>, &'a Tag)>),
    /// Infrastructure shared with threats.
    Relations(&'a [Relation]),
    /// Unknown, or not applicable.
    Absent,
}

/// A value with its name, which is the same in every format.
pub(super) type Field<'a> = (&'static str, Value<'a>);

/// Returns the values of an item; the same names in the same order for all items of one kind.
pub(super) fn fields<'a>(item: &Item<'a>, look: &'a RenderOptions) -> Vec<Field<'a>> {
    match *item {
        Item::Marked { row, name, mark } => {
            let mut fields = of_row(row, look);
            fields.push((name.name(), Value::Text(Cow::Borrowed(mark))));
            fields
        }
        Item::Record(row) => of_row(row, look),
        Item::Group { group, by } => {
            let key = match &group.key {
                GroupKey::Name(name) => Value::Text(Cow::Borrowed(name.as_str())),
                GroupKey::Address(address) => Value::Text(Cow::Owned(address.to_string())),
                GroupKey::RrType(rrtype) => Value::Text(Cow::Owned(rrtype.to_string())),
                GroupKey::Depth(depth) => Value::Number((*depth).into()),
            };
            let mut fields = vec![
                (by, key),
                ("names", Value::Number(group.names)),
                ("records", Value::Number(group.records)),
                ("count", Value::Count(group.count, group.is_least)),
                ("time_first", Value::Time(group.time_first)),
                ("time_last", Value::Time(group.time_last)),
                ("tags", of_one(of_key(look, &group.key))),
            ];
            if let GroupKey::Address(address) = &group.key {
                network(&mut fields, look.network(Some(*address)));
            }
            fields
        }
        Item::Sum(NameSum { rrname, sum }) => vec![
            ("rrname", Value::Text(Cow::Borrowed(rrname.as_str()))),
            ("records", Value::Number(sum.records)),
            ("count", Value::Count(sum.count, sum.is_least)),
            ("time_first", Value::Time(sum.time_first)),
            ("time_last", Value::Time(sum.time_last)),
            ("tags", of_one(look.tags.of_name(rrname.as_name()))),
        ],
        Item::Day { day, of, names, .. } => {
            vec![("day", Value::Day(day)), (of, Value::Number(names))]
        }
        Item::New { rrname, time_first } => vec![
            ("rrname", Value::Text(Cow::Borrowed(rrname))),
            ("time_first", Value::Time(time_first)),
            ("tags", of_one(of_text(look, rrname))),
        ],
        Item::Tag(tag) => judged::tag(tag),
        Item::Indicator(tag, by) => judged::indicator(tag, by),
        Item::Cells(cells) => super::cells::fields(cells),
        Item::TagEvent(event) => judged::event(event),
        Item::Near(near, there) => judged::near(near, there),
        Item::Neighbour(neighbour, limits) => judged::neighbour(neighbour, limits),
    }
}

/// Returns the values of a row.
fn of_row<'a>(row: &'a StoredRecord, look: &'a RenderOptions) -> Vec<Field<'a>> {
    let text = |text: String| Value::Text(Cow::Owned(text));
    let (rrtype, rdata, outcome, partial) = match &row.fact {
        FactBuf::Record(rdata) if row.unkept.is_some() => {
            (rdata.rrtype, Value::Absent, Value::Absent, false)
        }
        FactBuf::Record(rdata) => {
            let right = rdata.as_rdata().to_text(FinalDot::Without);
            (rdata.rrtype, text(right), Value::Absent, rdata.partial)
        }
        FactBuf::Negative { qtype, outcome } => {
            (*qtype, Value::Absent, text(outcome.to_string()), false)
        }
    };
    let seen = &row.seen;
    let sensors = look.sensors(&row.sensors).collect();
    let mut fields = vec![
        ("rrname", Value::Text(Cow::Borrowed(row.rrname.as_str()))),
        ("rrtype", text(rrtype.to_string())),
        ("rdata", rdata),
        ("outcome", outcome),
        ("count", Value::Count(seen.count, seen.is_count_saturated())),
        ("time_first", Value::Time(seen.time_first)),
        ("time_last", Value::Time(seen.time_last)),
        ("ttl_min", ttl(seen, seen.ttl_min)),
        ("ttl_max", ttl(seen, seen.ttl_max)),
        ("ttl_last", ttl(seen, seen.ttl_last)),
        ("sensors", Value::Sensors(sensors)),
        ("inferred", Value::Flag(is_inferred(seen))),
        ("unsolicited", Value::Flag(is_unsolicited(seen))),
        ("imported", Value::Flag(seen.is_imported())),
        ("partial", Value::Flag(partial)),
        ("tags", tags(look.tags.of_row(row).each().map(|(end, tag)| (Some(end), tag)))),
    ];
    let unkept = row.unkept.as_deref();
    fields.push((
        "names_not_kept",
        unkept.map_or(Value::Absent, |unkept| Value::Number(unkept.names)),
    ));
    fields.push((
        "names_not_kept_sample",
        unkept.map_or(Value::Absent, |unkept| {
            let sample = unkept.sample.iter().map(|name| Cow::Borrowed(name.as_str()));
            Value::List(sample.collect())
        }),
    ));
    network(&mut fields, look.network(row.address()));
    if let Some(scores) = &look.scores {
        let score = scores.get(&row.rrname);
        fields.push(("score", score.map_or(Value::Absent, |score| Value::Number((*score).into()))));
    }
    fields
}

/// Appends what tables say of the network of an address.
fn network(fields: &mut Vec<Field<'_>>, network: Option<Network>) {
    let Some(network) = network else { return };
    let country = network.country().map(str::to_owned);
    let organisation = network.organisation.as_deref().map(str::to_owned);
    let text = |text: Option<String>| text.map_or(Value::Absent, |text| Value::Text(text.into()));
    let asn = network.asn.map_or(Value::Absent, |asn| Value::Number(asn.into()));
    fields.extend([("as_number", asn), ("as_organization", text(organisation))]);
    fields.push(("country_code", text(country)));
}

/// Returns the tags of the key of a group.
pub(super) fn of_key<'a>(look: &'a RenderOptions, key: &GroupKey) -> Vec<&'a Tag> {
    match key {
        GroupKey::Name(name) => look.tags.of_name(name.as_name()),
        GroupKey::Address(address) => look.tags.of_address(*address),
        GroupKey::RrType(_) | GroupKey::Depth(_) => Vec::new(),
    }
}

/// Wraps tags, if there are any.
fn tags<'a>(tags: impl Iterator<Item = (Option<End>, &'a Tag)>) -> Value<'a> {
    let tags: Vec<_> = tags.collect();
    if tags.is_empty() { Value::Absent } else { Value::Tags(tags) }
}

/// Wraps the tags of a subject that has no ends.
fn of_one(found: Vec<&Tag>) -> Value<'_> {
    tags(found.into_iter().map(|tag| (None, tag)))
}

/// Returns the tags of a name in canonical text.
pub(super) fn of_text<'a>(look: &'a RenderOptions, rrname: &str) -> Vec<&'a Tag> {
    Name::from_canonical(rrname).map_or_else(|_| Vec::new(), |name| look.tags.of_name(name))
}

/// Wraps a TTL, if any was seen.
pub(super) fn ttl<'a>(seen: &Seen, ttl: u32) -> Value<'a> {
    if seen.ttl_min == Seen::NO_TTL || ttl == Seen::NO_TTL {
        Value::Absent
    } else {
        Value::Number(ttl.into())
    }
}

/// Formats a count for people: with a mark if more were seen than the store can count.
pub(super) fn count(number: u64, is_least: bool) -> String {
    if is_least { format!(">={number}") } else { number.to_string() }
}

/// Describes names that are not kept, for people.
pub(crate) fn not_kept(unkept: &Unkept) -> String {
    match unkept.names {
        1 => "(1 name not kept)".to_owned(),
        names => format!("(about {names} names not kept)"),
    }
}

/// Returns true if owner and type were only inferred, never read.
pub(super) fn is_inferred(seen: &Seen) -> bool {
    seen.flags == Seen::INFERRED
}

/// Returns true if it was seen only in responses to no observed query.
pub(super) fn is_unsolicited(seen: &Seen) -> bool {
    seen.flags == Seen::UNSOLICITED
}
