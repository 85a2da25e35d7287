//! Writes dns.log rows in Zeek's formats: TSV with its header, or JSON.

use crate::sample::model::mix;

/// The two formats of Zeek's ASCII writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tab-separated, with `#` lines before the rows.
    Tsv,
    /// One object per line, as on Security Onion.
    Json,
}

/// The answers of one reply in order, each with its TTL. Reused for the next row.
#[derive(Default)]
pub(crate) struct Answers {
    text: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

impl Answers {
    /// Removes the answers, but keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Adds an answer. `write` must not append octets that either format would have to escape.
    pub(crate) fn push(&mut self, ttl: u32, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.ends.push((self.text.len(), ttl));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let mut start = 0;
        self.ends.iter().map(move |&(end, ttl)| {
            let text = self.text.get(start..end).unwrap_or_default();
            start = end;
            (text, ttl)
        })
    }
}

/// Outcome of a question.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With answers.
    Answered,
    /// The name does not exist.
    Nxdomain,
    /// The name exists, but has no record of this type.
    Nodata,
    /// No reply was seen.
    Unanswered,
}

/// One row.
pub(crate) struct Row<'a> {
    /// Microseconds since the epoch.
    pub(crate) at: u64,
    /// Any number; the connection's id, client and port are derived from it.
    pub(crate) random: u64,
    /// Name in the question, without octets that either format would have to escape.
    pub(crate) query: &'a [u8],
    /// Type in the question.
    pub(crate) qtype: u16,
    /// Outcome of the question.
    pub(crate) ending: Ending,
    /// The answers; empty unless answered.
    pub(crate) answers: &'a Answers,
}

/// The header of a TSV log as written by Zeek 8.
const HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n\
    #open\t2026-01-05-00-00-00\n\
    #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\tquery\tqclass\tqclass_name\t\
    qtype\tqtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers\tTTLs\trejected\topcode\topcode_name\n\
    #types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tinterval\tstring\tcount\tstring\t\
    count\tstring\tcount\tstring\tbool\tbool\tbool\tbool\tcount\tvector[string]\tvector[interval]\tbool\tcount\tstring\n";

/// The 62 characters of a connection id, plus two repetitions, so that six bits select one.
const UID: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzAZ";

/// Appends everything before the first row.
pub(crate) fn begin(format: Format, out: &mut Vec<u8>) {
    if format == Format::Tsv {
        out.extend_from_slice(HEADER.as_bytes());
    }
}

/// Appends everything after the last row.
pub(crate) fn end(format: Format, out: &mut Vec<u8>) {
    if format == Format::Tsv {
        out.extend_from_slice(b"#close\t2026-01-06-00-00-00\n");
    }
}

/// Appends one row with its newline.
pub(crate) fn write(format: Format, row: &Row<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Tsv => tsv(row, out),
        Format::Json => json(row, out),
    }
}

fn tsv(row: &Row<'_>, out: &mut Vec<u8>) {
    time(row.at, out);
    out.push(b'\t');
    uid(row.random, out);
    out.extend_from_slice(b"\t198.51.100.");
    number(client(row), out);
    out.push(b'\t');
    number(port(row), out);
    out.extend_from_slice(b"\t203.0.113.53\t53\tudp\t");
    number(row.random >> 48, out);
    if row.ending == Ending::Answered {
        out.extend_from_slice(b"\t0.0");
        number(10_000 + row.random % 89_999, out);
        out.push(b'\t');
    } else {
        out.extend_from_slice(b"\t-\t");
    }
    out.extend_from_slice(row.query);
    out.extend_from_slice(b"\t1\tC_INTERNET\t");
    number(row.qtype.into(), out);
    out.push(b'\t');
    out.extend_from_slice(type_name(row.qtype).as_bytes());
    out.extend_from_slice(match row.ending {
        Ending::Answered => b"\t0\tNOERROR\tF\tF\tT\tT\t0\t".as_slice(),
        Ending::Nxdomain => b"\t3\tNXDOMAIN\tF\tF\tT\tF\t0\t",
        Ending::Nodata => b"\t0\tNOERROR\tF\tF\tT\tF\t0\t",
        Ending::Unanswered => b"\t-\t-\tF\tF\tT\tF\t0\t",
    });
    if row.ending == Ending::Answered {
        vector(row.answers, out, |(text, _), out| out.extend_from_slice(text));
        out.push(b'\t');
        vector(row.answers, out, |(_, ttl), out| {
            number(ttl.into(), out);
            out.extend_from_slice(b".000000");
        });
        out.extend_from_slice(b"\tF\t0\tquery\n");
    } else {
        out.extend_from_slice(b"-\t-\tF\t0\tquery\n");
    }
}

fn json(row: &Row<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":");
    time(row.at, out);
    out.extend_from_slice(b",\"uid\":\"");
    uid(row.random, out);
    out.extend_from_slice(b"\",\"id.orig_h\":\"198.51.100.");
    number(client(row), out);
    out.extend_from_slice(b"\",\"id.orig_p\":");
    number(port(row), out);
    out.extend_from_slice(
        b",\"id.resp_h\":\"203.0.113.53\",\"id.resp_p\":53,\"proto\":\"udp\",\"trans_id\":",
    );
    number(row.random >> 48, out);
    if row.ending == Ending::Answered {
        out.extend_from_slice(b",\"rtt\":0.0");
        number(10_000 + row.random % 89_999, out);
    }
    out.extend_from_slice(b",\"query\":\"");
    out.extend_from_slice(row.query);
    out.extend_from_slice(b"\",\"qclass\":1,\"qclass_name\":\"C_INTERNET\",\"qtype\":");
    number(row.qtype.into(), out);
    out.extend_from_slice(b",\"qtype_name\":\"");
    out.extend_from_slice(type_name(row.qtype).as_bytes());
    out.extend_from_slice(match row.ending {
        Ending::Answered => b"\",\"rcode\":0,\"rcode_name\":\"NOERROR\"".as_slice(),
        Ending::Nxdomain => b"\",\"rcode\":3,\"rcode_name\":\"NXDOMAIN\"",
        Ending::Nodata => b"\",\"rcode\":0,\"rcode_name\":\"NOERROR\"",
        Ending::Unanswered => b"\"",
    });
    out.extend_from_slice(b",\"AA\":false,\"TC\":false,\"RD\":true,\"RA\":");
    let answered = row.ending == Ending::Answered;
    out.extend_from_slice(if answered { b"true" } else { b"false" });
    out.extend_from_slice(b",\"Z\":0");
    if answered {
        out.extend_from_slice(b",\"answers\":[");
        vector(row.answers, out, |(text, _), out| {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        });
        out.extend_from_slice(b"],\"TTLs\":[");
        vector(row.answers, out, |(_, ttl), out| {
            number(ttl.into(), out);
            out.extend_from_slice(b".0");
        });
        out.push(b']');
    }
    out.extend_from_slice(b",\"rejected\":false,\"opcode\":0,\"opcode_name\":\"query\"}\n");
}

/// Appends the answers, or a part of each, separated by commas.
fn vector(answers: &Answers, out: &mut Vec<u8>, each: impl Fn((&[u8], u32), &mut Vec<u8>)) {
    for (at, answer) in answers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        each(answer, out);
    }
}

fn client(row: &Row<'_>) -> u64 {
    1 + row.random % 250
}

fn port(row: &Row<'_>) -> u64 {
    // Above the ports of multicast DNS and LLMNR, 5353 and 5355, which a reader filters out.
    10_000 + (row.random >> 16) % 50_000
}

/// Appends `C` and 17 characters.
fn uid(random: u64, out: &mut Vec<u8>) {
    out.push(b'C');
    let (mut bits, mut left) = (random, 10);
    for _ in 0..17 {
        if left == 0 {
            (bits, left) = (mix(random), 10);
        }
        let at = usize::try_from(bits & 63).unwrap_or(0);
        out.push(UID.get(at).copied().unwrap_or(b'0'));
        bits >>= 6;
        left -= 1;
    }
}

/// Appends seconds with six decimals.
fn time(micros: u64, out: &mut Vec<u8>) {
    number(micros / 1_000_000, out);
    out.push(b'.');
    // A leading one preserves the zeros of the six digits, and is removed again.
    let start = out.len();
    number(1_000_000 + micros % 1_000_000, out);
    out.remove(start);
}

/// Appends a number in decimal.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Zeek's name for a type, for the types used in samples.
fn type_name(qtype: u16) -> &'static str {
    match qtype {
        1 => "A",
        2 => "NS",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        _ => "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(format: Format, ending: Ending) -> String {
        let mut answers = Answers::default();
        answers.push(300, |out| out.extend_from_slice(b"a.example"));
        answers.push(60, |out| out.extend_from_slice(b"192.0.2.1"));
        let mut out = Vec::new();
        let row = Row {
            at: 1_767_571_200_000_042,
            random: 7,
            query: b"www.example",
            qtype: 1,
            ending,
            answers: &answers,
        };
        write(format, &row, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let columns = HEADER.lines().find(|line| line.starts_with("#fields")).unwrap();
        let types = HEADER.lines().find(|line| line.starts_with("#types")).unwrap();
        for ending in [Ending::Answered, Ending::Nxdomain, Ending::Nodata, Ending::Unanswered] {
            let row = row_of(Format::Tsv, ending);
            assert_eq!(row.split('\t').count(), columns.split('\t').count() - 1);
            assert_eq!(row.split('\t').count(), types.split('\t').count() - 1);
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let row = row_of(Format::Tsv, Ending::Answered);
        assert!(row.starts_with("1767571200.000042\tC"), "{row}");
        assert!(
            row.contains("\ta.example,192.0.2.1\t300.000000,60.000000\tF\t0\tquery\n"),
            "{row}"
        );
        let row = row_of(Format::Json, Ending::Answered);
        assert!(row.starts_with("{\"ts\":1767571200.000042,\"uid\":\"C"), "{row}");
        assert!(
            row.contains(r#""answers":["a.example","192.0.2.1"],"TTLs":[300.0,60.0]"#),
            "{row}"
        );
        assert!(!row_of(Format::Json, Ending::Unanswered).contains("rcode"));
    }
}
