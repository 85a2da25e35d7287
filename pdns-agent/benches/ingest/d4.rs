//! The key layout of the D4 project's passive DNS server, for comparison: sets `r:` (name to RDATA) and `v:`
//! (RDATA to names), strings `s:` `l:` `o:` (first, last, count), six commands a record.
//!
//! D4's own programs send a command and wait for its reply; here they go in pipelines, in its favour.

use super::server::{Server, Spent};
use pdns_agent::decode::zeek::{Decoder, Options};
use pdns_agent::observation::Fact;
use pdns_agent::rdata::FinalDot;
use std::path::Path;

/// Observations in one pipeline.
const PIPELINE: usize = 64;

/// Loads a log; how many distinct records it had, and what the server spent.
pub(crate) fn load(server: &Server, log: &Path) -> (u64, Spent) {
    let octets = std::fs::read(log).expect("a log of our own making");
    let mut connection = server.connection();
    let before = server.spent();
    let mut decoder = Decoder::new(Options::default());
    let mut pipe = redis::pipe();
    let mut waiting = 0;
    for line in octets.split(|&octet| octet == b'\n') {
        decoder
            .line(line, &mut |observation| {
                let Fact::Record(rdata) = observation.fact else { return };
                let (name, number) = (observation.rrname, rdata.rrtype.0);
                let at = observation.seen.time_first;
                let rdata = rdata.to_text(FinalDot::Without);
                let of = format!("{name}:{rdata}:{number}");
                pipe.cmd("SADD").arg(format!("r:{name}:{number}")).arg(&rdata).ignore();
                pipe.cmd("SADD").arg(format!("v:{rdata}:{number}")).arg(name.as_str()).ignore();
                pipe.cmd("SET").arg(format!("s:{of}")).arg(at).arg("NX").ignore();
                pipe.cmd("GET").arg(format!("l:{of}")).ignore();
                pipe.cmd("SET").arg(format!("l:{of}")).arg(at).ignore();
                pipe.cmd("INCR").arg(format!("o:{of}")).ignore();
                waiting += 1;
            })
            .ok();
        if waiting >= PIPELINE {
            let () = pipe.query(&mut connection).expect("D4's commands are taken");
            pipe.clear();
            waiting = 0;
        }
    }
    let () = pipe.query(&mut connection).expect("D4's commands are taken");
    let spent = server.spent().since(before);
    let mut records = 0;
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg(["MATCH", "o:*", "COUNT", "10000"].as_slice())
            .query(&mut connection)
            .expect("the keys can be counted");
        records += keys.len() as u64;
        cursor = next;
        if cursor == 0 {
            return (records, spent);
        }
    }
}
