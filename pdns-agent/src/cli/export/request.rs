//! The arguments of `pdns export`, checked.

use crate::cli::args::export::{Export, FormatArg};
use crate::cli::moment;
use crate::cli::query_args::{UsageError, quoted};
use crate::config::Sharing;
use crate::exchange::{List, ListOptions};
use crate::name::NameBuf;
use crate::query::{ExportConditions, Filter, MAX_DESCRIBED, TagFilter};
use crate::tag::TagKind;
use std::path::Path;

/// Name of the response policy zone, if none is given.
const DEFAULT_ZONE: &str = "rpz";

/// Parsed arguments.
pub(super) struct ExportRequest {
    pub(super) list: List,
    pub(super) kinds: Vec<TagKind>,
    pub(super) conditions: ExportConditions,
    pub(super) limit: usize,
    /// For descriptions only.
    pub(super) filter: Filter,
    /// Contents of the list besides what the store knows.
    pub(super) options: ListOptions,
}

impl ExportRequest {
    /// Parses the arguments.
    pub(super) fn new(args: &Export, sharing: &Sharing, now: u32) -> Result<Self, UsageError> {
        let list = match args.format {
            Some(FormatArg::List(list)) => list,
            Some(FormatArg::Output(_)) | None => return Err(UsageError::NoList),
        };
        let command = list.info().command;
        let refuse = |flag| Err(UsageError::Flag { command, flag });
        let mut kinds = Vec::new();
        for filter in &args.tag {
            match filter {
                TagFilter::Kind(kind) => kinds.push(*kind),
                TagFilter::Any => kinds.extend(TagKind::ALL),
                TagFilter::None => return Err(UsageError::NoKind),
            }
        }
        if list == List::IpDescriptions {
            if let Some(flag) = args.conditions.first_given() {
                return refuse(flag);
            }
        } else {
            if let Some(flag) = args.times.first_given() {
                return refuse(flag);
            }
            if kinds.is_empty() {
                return Err(UsageError::NoKind);
            }
        }
        let is_suricatas =
            matches!(list, List::SuricataDataset | List::SuricataNdjson | List::SuricataIprep);
        for (flag, is_given, applies) in [
            ("--url", args.page.is_some(), list.has_pages()),
            ("--zone", args.zone.is_some(), list == List::Rpz),
            ("--rules", args.rules.is_some(), is_suricatas),
            ("--categories", args.categories.is_some(), list == List::SuricataIprep),
        ] {
            if is_given && !applies {
                return refuse(flag);
            }
        }
        let file = args.out.as_deref().filter(|path| path.as_os_str() != "-");
        if list == List::MispFeed && file.is_none() {
            return Err(UsageError::NoDirectory);
        }
        if args.rules.is_some() && !file.is_some_and(fits_rule) {
            return Err(UsageError::RulesOf);
        }
        let limit = args.limit.unwrap_or(list.info().most);
        if list == List::IpDescriptions && !(1..=MAX_DESCRIBED).contains(&limit) {
            return Err(UsageError::Descriptions);
        }
        let zone = args.zone.as_deref().unwrap_or(DEFAULT_ZONE);
        let zone = NameBuf::parse(zone).ok().filter(|zone| !zone.as_name().is_root());
        let zone = zone.ok_or_else(|| {
            UsageError::Zone(quoted(args.zone.as_deref().unwrap_or(DEFAULT_ZONE)))
        })?;
        Ok(Self {
            list,
            kinds,
            conditions: conditions(args, list, sharing, now)?,
            limit,
            filter: Filter { fence: args.times.fence(now)?, ..Filter::default() },
            options: ListOptions {
                page: args.page.clone(),
                identity: sharing.identity.clone(),
                zone,
                serial: now,
                sensors: Vec::new(),
            },
        })
    }
}

/// Parses the conditions on subjects.
fn conditions(
    args: &Export,
    list: List,
    sharing: &Sharing,
    now: u32,
) -> Result<ExportConditions, UsageError> {
    let typed = &args.conditions;
    let after = typed.max_age.as_deref().map(|age| moment("--max-age", age, now)).transpose()?;
    Ok(ExportConditions {
        sources: typed.source.clone(),
        confidence_min: typed.confidence_min.unwrap_or(0),
        listed_after: after.map(|after| after.start),
        only_seen: typed.seen,
        max_tlp: typed.max_tlp.unwrap_or(list.max_tlp()),
        default_tlp: sharing.default_tlp,
    })
}

/// Returns true if a path means the same within a rule.
fn fits_rule(path: &Path) -> bool {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"/._-".contains(&octet);
    path.to_str().is_some_and(|path| !path.is_empty() && path.bytes().all(fits))
}
