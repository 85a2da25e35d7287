//! Rules that load the lists for Suricata, as a start for one's own.
//!
//! Their numbers are at the start of the range that is for local use (1,000,000 to 1,999,999).

use super::suricata_iprep::category;
use super::suricata_ndjson::VALUE_KEY;
use super::{List, ListInfo};
use crate::tag::TagKind;
use std::io::{self, Write};

/// The name of the data sets.
const SET: &str = "pdns-threat";

/// Writes the rules that load a list, which is in a file called `file`; false if Suricata does not read it.
pub(super) fn write(list: List, file: &str, out: &mut dyn Write) -> io::Result<bool> {
    let ListInfo { name, .. } = list.info();
    let rules = match list {
        List::SuricataDataset => format!(
            "alert dns any any -> any any (msg:\"pdns: query of a listed name\"; dns.query; \
             dataset:isset,{SET},type string,load {file}; classtype:trojan-activity; sid:1000501; rev:1;)\n"
        ),
        List::SuricataNdjson => format!(
            "alert dns any any -> any any (msg:\"pdns: query of a listed name\"; dns.query; to_lowercase; \
             dataset:isset,{SET},type string,load {file},format ndjson,context_key pdns,value_key {VALUE_KEY},\
             remove_key; classtype:trojan-activity; sid:1000502; rev:1;)\n"
        ),
        List::SuricataIprep => {
            let (_, category) = category(TagKind::Threat);
            format!(
                "alert ip any any -> any any (msg:\"pdns: packet of a listed address\"; \
                 iprep:any,{category},>,0; classtype:trojan-activity; sid:1000503; rev:1;)\n"
            )
        }
        _ => return Ok(false),
    };
    writeln!(out, "# Loads the {name} list of pdns. Change sid if you use it already.")?;
    out.write_all(rules.as_bytes())?;
    Ok(true)
}
