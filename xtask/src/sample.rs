//! `cargo xtask sample`: a Zeek dns.log of any size, generated from a seed, for the demonstration and
//! benchmarks. The same arguments produce the same content.

pub(crate) mod model;
pub(crate) mod order;
pub(crate) mod row;

use anyhow::{Context as _, bail, ensure};
use model::{MAX_NAMES, Model, Space, mix};
use order::Order;
use row::{Answers, Ending, Format, Row};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Bytes buffered before they are written.
const BUFFER: usize = 1 << 20;

/// Options of `cargo xtask sample`.
#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    /// Rows to write
    #[arg(long)]
    pub(crate) rows: u64,
    /// Distinct names: each occurs in rows / names rows, give or take one
    #[arg(long)]
    pub(crate) names: u64,
    /// Format of the log
    #[arg(long, value_enum, default_value_t = Format::Tsv)]
    pub(crate) format: Format,
    /// File to write; `-` is standard output
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Seed; another one gives other names, addresses and another order
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Keep the rows of one name within about this many rows; 0 spreads them over the whole file
    #[arg(long, default_value_t = 0)]
    pub(crate) locality: u64,
    /// Percentage of rows about the names 0..NAMES, which a run without this option wrote; each other row is
    /// about a name that occurs in no other row
    #[arg(long, default_value_t = 100)]
    pub(crate) known: u8,
    /// Percentage of rows without an answer: seven in ten NXDOMAIN, the rest unanswered
    #[arg(long, default_value_t = 0)]
    pub(crate) negative: u8,
    /// Range of the addresses
    #[arg(long, value_enum, default_value_t = Space::Spread)]
    pub(crate) addresses: Space,
    /// Time of the first row, in seconds since the epoch
    #[arg(long, default_value_t = 1_767_571_200)]
    pub(crate) start: u32,
    /// Seconds from the first row to the last
    #[arg(long, default_value_t = 86_400)]
    pub(crate) span: u32,
}

impl Args {
    /// A small log of documentation addresses with all features of a real one.
    pub(crate) fn for_demo(rows: u64, names: u64) -> Self {
        Self {
            rows,
            names,
            format: Format::Tsv,
            out: PathBuf::new(),
            seed: 1,
            locality: 0,
            known: 100,
            negative: 12,
            addresses: Space::Documentation,
            start: 1_767_571_200,
            span: 86_400,
        }
    }

    /// A log with a realistic distribution of names and addresses, all answered.
    pub(crate) fn for_bench(rows: u64, names: u64) -> Self {
        Self { negative: 0, addresses: Space::Spread, ..Self::for_demo(rows, names) }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.names > 0, "--names must be at least 1");
        ensure!(self.known <= 100 && self.negative <= 100, "a percentage is at most 100");
        match self.names.checked_add(if self.known < 100 { self.rows } else { 0 }) {
            Some(numbers) if numbers <= MAX_NAMES => Ok(()),
            _ => bail!("more than {MAX_NAMES} names"),
        }
    }
}

/// Writes the sample to its file and reports the speed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    args.check()?;
    let begun = Instant::now();
    let mut out: Box<dyn Write> = if args.out.as_os_str() == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        let name = || format!("cannot create {}", args.out.display());
        Box::new(File::create(&args.out).with_context(name)?)
    };
    let octets =
        write(args, &mut out).with_context(|| format!("cannot write {}", args.out.display()))?;
    let seconds = begun.elapsed().as_secs_f64().max(1e-9);
    #[expect(clippy::cast_precision_loss, reason = "a rate to read")]
    let (rows, megabytes) = (args.rows as f64 / seconds, octets as f64 / seconds / 1e6);
    eprintln!("{} rows, {octets} octets: {rows:.0} rows/s, {megabytes:.0} MB/s", args.rows);
    Ok(())
}

/// Writes header, rows and footer; returns the number of bytes written.
pub(crate) fn write(args: &Args, out: &mut dyn Write) -> std::io::Result<u64> {
    let mut buffer = Vec::with_capacity(BUFFER + 4096);
    let mut octets = 0;
    row::begin(args.format, &mut buffer);
    for_each_row(args, |row| {
        row::write(args.format, row, &mut buffer);
        if buffer.len() >= BUFFER {
            octets += buffer.len() as u64;
            out.write_all(&buffer)?;
            buffer.clear();
        }
        std::io::Result::Ok(())
    })?;
    row::end(args.format, &mut buffer);
    out.write_all(&buffer)?;
    out.flush()?;
    Ok(octets + buffer.len() as u64)
}

/// Generates each row in turn.
pub(crate) fn for_each_row<E>(
    args: &Args,
    mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let model = Model { seed: mix(args.seed), names: args.names, space: args.addresses };
    let mut order = Order::new(args.rows, args.names, args.locality, mix(!args.seed));
    let mut answers = Answers::default();
    let mut query = Vec::with_capacity(256);
    // One row's share of the span, in 2^-32 microseconds, so that no division is needed per row.
    let step = ((u128::from(args.span) * 1_000_000) << 32) / u128::from(args.rows.max(1));
    for number in 0..args.rows {
        let (mut name, mut nth) = order.at(number);
        let random = mix(mix(args.seed) ^ number);
        if (random >> 8) % 100 >= u64::from(args.known) {
            (name, nth) = (args.names + number, 0);
        }
        answers.clear();
        query.clear();
        let (qtype, ending) = if (random >> 24) % 100 < u64::from(args.negative) {
            let ending = if (random >> 40) % 10 < 7 {
                query.extend_from_slice(b"old.");
                Ending::Nxdomain
            } else {
                Ending::Unanswered
            };
            (if random & 1 == 0 { 1 } else { 28 }, ending)
        } else {
            (model.answer(name, nth, &mut answers), Ending::Answered)
        };
        model.name(name, &mut query);
        let offset = u64::try_from((step * u128::from(number)) >> 32).unwrap_or(u64::MAX);
        let at = u64::from(args.start) * 1_000_000 + offset;
        each(&Row { at, random, query: &query, qtype, ending, answers: &answers })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sample(args: &Args) -> String {
        let mut out = Vec::new();
        write(args, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_same_arguments_give_the_same_octets_and_all_are_plain() {
        let args = Args::for_demo(2000, 300);
        let text = sample(&args);
        assert_eq!(text, sample(&args));
        assert_ne!(text, sample(&Args { seed: 2, ..Args::for_demo(2000, 300) }));
        assert!(text.bytes().all(|octet| matches!(octet, b'\t' | b'\n' | b' '..=b'~')));
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 2000);
    }

    #[test]
    fn record_types_have_their_shares() {
        let mut args = Args::for_demo(60_000, 10_000);
        (args.negative, args.addresses) = (0, Space::Spread);
        let mut records = BTreeMap::new();
        for line in sample(&args).lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let mut owner = fields[9];
            for answer in fields[21].split(',') {
                let kind = match (fields[13], answer) {
                    (_, address) if address.parse::<std::net::IpAddr>().is_ok() => fields[13],
                    ("A" | "AAAA", _) => "CNAME",
                    (other, _) => other,
                };
                records.insert((owner.to_owned(), answer.to_owned()), kind.to_owned());
                if kind == "CNAME" {
                    owner = answer;
                }
            }
        }
        let share = |kind: &str| {
            let count = records.values().filter(|other| *other == kind).count();
            (count * 1000 / records.len(), kind.to_owned())
        };
        let per_name = records.len() * 100 / 10_000;
        assert!((150..170).contains(&per_name), "{per_name} records per hundred names");
        assert!((530..590).contains(&share("A").0), "{:?}", share("A"));
        assert!((170..210).contains(&share("AAAA").0), "{:?}", share("AAAA"));
        assert!((120..160).contains(&share("CNAME").0), "{:?}", share("CNAME"));
        assert!((55..75).contains(&share("PTR").0), "{:?}", share("PTR"));
    }

    #[test]
    fn a_second_file_repeats_the_share_it_should() {
        let names = |args: &Args| -> std::collections::HashSet<String> {
            let text = sample(args);
            let rows = text.lines().filter(|line| !line.starts_with('#'));
            rows.map(|line| line.split('\t').nth(9).unwrap().to_owned()).collect()
        };
        let mut args = Args::for_demo(10_000, 5000);
        (args.negative, args.addresses) = (0, Space::Spread);
        let first = names(&args);
        assert_eq!(first.len(), 5000);
        args.known = 90;
        let fresh = names(&args).difference(&first).count();
        assert!((900..1100).contains(&fresh), "{fresh}");
    }
}
