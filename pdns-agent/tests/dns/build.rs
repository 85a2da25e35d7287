//! Small messages, made by hand, and what a decoder makes of them as lines of text.

use pdns_agent::decode::dns::{Decoder, DnsOptions, DnsRejection, Ending};
use pdns_agent::decode::wire::{Flow, Message, Transport};
use pdns_agent::name::NameBuf;
use pdns_agent::observation::{Fact, Observation, Provenance};
use pdns_agent::rdata::FinalDot;
use pdns_agent::rr::RrType;
use pdns_agent::time::Timestamp;
use std::net::Ipv4Addr;

/// QR, and RD and RA: what a resolver tells its client.
pub(crate) const RESPONSE: u16 = 0x8180;
/// QR alone: what a server tells a resolver.
pub(crate) const DIRECT: u16 = 0x8000;
pub(crate) const QUERY: u16 = 0x0100;
pub(crate) const AUTHORITATIVE: u16 = 0x0400;
pub(crate) const TRUNCATED: u16 = 0x0200;

/// A message that is being made: no compression, so that each part stands for itself.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) octets: Vec<u8>,
}

pub(crate) fn wire(name: &str) -> Vec<u8> {
    // As it is written: `Name` would lower its case.
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

impl Builder {
    /// Id 7, these flags, no question.
    pub(crate) fn bare(flags: u16) -> Self {
        let mut octets = vec![0, 7];
        octets.extend(flags.to_be_bytes());
        octets.extend([0; 8]);
        Self { octets }
    }

    /// And one question.
    pub(crate) fn new(flags: u16, qname: &str, qtype: RrType) -> Self {
        Self::bare(flags).question(qname, qtype, 1)
    }

    pub(crate) fn question(mut self, qname: &str, qtype: RrType, class: u16) -> Self {
        self.octets[5] += 1;
        self.octets.extend(wire(qname));
        self.octets.extend(qtype.0.to_be_bytes());
        self.octets.extend(class.to_be_bytes());
        self
    }

    /// A record in section 1 to 3: answer, authority, additional.
    pub(crate) fn record(
        mut self,
        section: usize,
        owner: &[u8],
        rrtype: RrType,
        class: u16,
        ttl: u32,
        rdata: &[u8],
    ) -> Self {
        self.octets[5 + 2 * section] += 1;
        self.octets.extend(owner);
        self.octets.extend(rrtype.0.to_be_bytes());
        self.octets.extend(class.to_be_bytes());
        self.octets.extend(ttl.to_be_bytes());
        self.octets.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        self.octets.extend(rdata);
        self
    }

    pub(crate) fn answer(self, owner: &str, rrtype: RrType, rdata: &[u8]) -> Self {
        self.record(1, &wire(owner), rrtype, 1, 60, rdata)
    }

    pub(crate) fn authority(self, owner: &str, rrtype: RrType, rdata: &[u8]) -> Self {
        self.record(2, &wire(owner), rrtype, 1, 60, rdata)
    }

    pub(crate) fn additional(self, owner: &str, rrtype: RrType, rdata: &[u8]) -> Self {
        self.record(3, &wire(owner), rrtype, 1, 60, rdata)
    }

    /// An OPT record with this upper part of the RCODE.
    pub(crate) fn opt(self, extended_rcode: u8) -> Self {
        self.record(3, &[0], RrType::OPT, 1232, u32::from(extended_rcode) << 24, &[])
    }
}

pub(crate) fn soa(zone: &str) -> Vec<u8> {
    [wire(&format!("ns.{zone}")), wire(&format!("admin.{zone}")), vec![0; 20]].concat()
}

/// From a client to a server, each with a port.
pub(crate) fn flow(client_port: u16, server_port: u16) -> Flow {
    Flow {
        transport: Transport::Udp,
        from: (Ipv4Addr::new(192, 0, 2, 1).into(), client_port),
        to: (Ipv4Addr::new(198, 51, 100, 53).into(), server_port),
    }
}

/// A decoder, and the lines of what it emitted: name, type or outcome, RDATA, TTL, time, and `?` if unsolicited.
pub(crate) struct Capture {
    pub(crate) decoder: Decoder,
    lines: Vec<String>,
}

impl Capture {
    pub(crate) fn new(options: DnsOptions) -> Self {
        Self { decoder: Decoder::new(options), lines: Vec::new() }
    }

    /// A message at a time in seconds, in a flow.
    pub(crate) fn put(
        &mut self,
        seconds: f64,
        flow: Flow,
        octets: &[u8],
    ) -> Result<Ending, DnsRejection> {
        let at = time(seconds);
        let lines = &mut self.lines;
        let ending = self.decoder.message(
            &Message { at, flow, octets, is_cut: false },
            &mut |observation| {
                lines.push(line(&observation));
            },
        );
        assert_eq!(self.decoder.tally().messages, self.decoder.tally().endings());
        ending
    }

    pub(crate) fn query(
        &mut self,
        seconds: f64,
        message: &Builder,
    ) -> Result<Ending, DnsRejection> {
        self.put(seconds, flow(4000, 53), &message.octets)
    }

    pub(crate) fn response(
        &mut self,
        seconds: f64,
        message: &Builder,
    ) -> Result<Ending, DnsRejection> {
        self.put(seconds, flow(4000, 53).reversed(), &message.octets)
    }

    pub(crate) fn advance(&mut self, seconds: f64) {
        let lines = &mut self.lines;
        self.decoder.advance(time(seconds), &mut |observation| lines.push(line(&observation)));
    }

    /// What a capture has of a message that it cut, in a flow.
    pub(crate) fn glimpse(&mut self, seconds: f64, flow: Flow, octets: &[u8]) {
        let message = Message { at: time(seconds), flow, octets, is_cut: true };
        let lines = &mut self.lines;
        self.decoder.glimpse(&message, &mut |observation| lines.push(line(&observation)));
        assert_eq!(self.decoder.tally().messages, self.decoder.tally().endings());
    }

    /// The end of the capture.
    pub(crate) fn finish(&mut self) {
        let lines = &mut self.lines;
        self.decoder.finish(&mut |observation| lines.push(line(&observation)));
        assert_eq!(self.decoder.tally().messages, self.decoder.tally().endings());
    }

    /// What was emitted since the last time.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// How often something was left out, by label.
    pub(crate) fn omitted(&self) -> Vec<(&'static str, u64)> {
        self.decoder
            .tally()
            .omitted
            .iter()
            .map(|(omission, &count)| (omission.label(), count))
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "times of tests are small")]
fn time(seconds: f64) -> Timestamp {
    Timestamp::from_micros((seconds * 1e6).round() as i64)
}

pub(crate) fn line(observation: &Observation<'_>) -> String {
    // What comes out is canonical, and printable.
    assert!(NameBuf::parse(observation.rrname.as_str()).unwrap().as_name() == observation.rrname);
    let mark = match observation.provenance {
        Provenance::Exact => "",
        Provenance::Unsolicited => " ?",
        Provenance::Imported => " imported",
        Provenance::Inferred => " inferred",
    };
    let name = observation.rrname;
    match observation.fact {
        Fact::Record(rdata) => {
            let text = rdata.to_text(FinalDot::Without);
            format!("{name} {} {} {text}{mark}", observation.ttl.unwrap(), rdata.rrtype)
        }
        Fact::Negative { qtype, outcome } => {
            assert_eq!(observation.ttl, None);
            format!("{name} {qtype} {outcome}{mark}")
        }
    }
}

/// What one response tells, whose query was seen just before, and what is left out of it.
#[track_caller]
pub(crate) fn check(response: &Builder, want: &[&str], omitted: &[(&str, u64)]) {
    let mut capture = Capture::new(DnsOptions::default());
    let mut query = response.clone();
    query.octets[2] &= 0x79;
    capture.query(0.0, &query).unwrap();
    assert_eq!(capture.response(0.1, response), Ok(Ending::Response));
    assert_eq!(capture.take(), want);
    assert_eq!(capture.omitted(), omitted);
}
