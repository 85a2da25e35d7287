//! Tables of addresses as text.
//!
//! | format | columns |
//! | --- | --- |
//! | iptoasn, with tabs | first address, last address, AS number, country, organisation |
//! | ip-location-db, with commas | first address, last address, then AS number and organisation, or the country |
//! | pyasn | prefix, AS number |
//! | CAIDA pfx2as | address, length of the prefix, AS numbers |
//!
//! A row of the first two without an AS number (`0`) or country (`None`, `Unknown`) says that nothing is known.

use super::ranges::{Collector, Ranges};
use super::{Network, TableError, country_code, organisation_name};
use ipnet::IpNet;
use std::net::IpAddr;

/// Format of a table.
#[derive(Clone, Copy)]
enum Format {
    /// Ranges with tabs.
    Tabs,
    /// Ranges with commas.
    Commas,
    Pyasn,
    Pfx2as,
}

/// Reads a table.
pub(super) fn read(bytes: &[u8]) -> Result<Ranges, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut format = None;
    let mut collector = Collector::default();
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let wrong = |reason: &str| TableError::Line { line: number, reason: reason.to_owned() };
        let Ok(line) = std::str::from_utf8(line) else {
            // Before a row was read it may be anything.
            return Err(format.map_or(TableError::Unknown, |_: Format| wrong("not UTF-8")));
        };
        let line = line.trim_end_matches('\r');
        // Comments of pyasn begin with a semicolon.
        if line.trim().is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let known = match format {
            Some(known) => known,
            None => *format.insert(recognised(line).ok_or(TableError::Unknown)?),
        };
        let (first, last, network) = row(known, line).map_err(wrong)?;
        if !collector.add(first, last, network) {
            return Err(wrong("the last address is before the first, or of another family"));
        }
    }
    match (format, collector.is_empty()) {
        (None, _) | (_, true) => Err(TableError::Empty),
        _ => Ok(collector.finish()),
    }
}

/// The format of a first row.
fn recognised(line: &str) -> Option<Format> {
    let is_address = |text: Option<&str>| text.is_some_and(|text| text.parse::<IpAddr>().is_ok());
    let columns = |separator| line.split(separator).map(str::trim);
    if is_address(columns('\t').next()) {
        let second = columns('\t').nth(1);
        if is_address(second) {
            return Some(Format::Tabs);
        }
        return second?.parse::<u8>().is_ok().then_some(Format::Pfx2as);
    }
    let unquoted = |text: &str| text.trim_matches('"').to_owned();
    let first_two: Vec<String> = columns(',').take(2).map(unquoted).collect();
    if let [first, second] = first_two.as_slice()
        && is_address(Some(first))
        && is_address(Some(second))
    {
        return Some(Format::Commas);
    }
    let mut words = line.split_whitespace();
    let is_prefix = words.next().is_some_and(|word| word.parse::<IpNet>().is_ok());
    (is_prefix && words.next().and_then(asn).is_some()).then_some(Format::Pyasn)
}

/// Reads a row; on error returns the reason.
fn row(format: Format, line: &str) -> Result<(IpAddr, IpAddr, Network), &'static str> {
    match format {
        Format::Tabs => range(line.split('\t').map(str::trim)),
        Format::Commas => {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .trim(csv::Trim::All)
                .from_reader(line.as_bytes());
            let mut record = csv::StringRecord::new();
            match reader.read_record(&mut record) {
                Ok(true) => range(record.iter()),
                _ => Err("not comma-separated values"),
            }
        }
        Format::Pyasn => {
            let mut words = line.split_whitespace();
            let net: Option<IpNet> = words.next().and_then(|word| word.parse().ok());
            let net = net.ok_or("the first column is not a prefix")?;
            let asn = words.next().and_then(asn).ok_or("the second column is not an AS number")?;
            Ok((net.network(), net.broadcast(), of_asn(asn)))
        }
        Format::Pfx2as => {
            let mut words = line.split_whitespace();
            let address: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
            let address = address.ok_or("the first column is not an address")?;
            let length = words.next().and_then(|word| word.parse().ok());
            let net = length.and_then(|length| IpNet::new(address, length).ok());
            let net = net.ok_or("the second column is not the length of a prefix")?;
            // Several origins are listed by how many peers saw them; the parts of a set have no order.
            let origins = words.next().ok_or("the third column, an AS number, is missing")?;
            let best = origins.split(['_', ',']).next().and_then(asn);
            let best = best.ok_or("the third column is not an AS number")?;
            Ok((net.network(), net.broadcast(), of_asn(best)))
        }
    }
}

fn of_asn(asn: u32) -> Network {
    Network { asn: (asn != 0).then_some(asn), ..Network::default() }
}

/// Reads first and last address, and AS number, country and organisation, of which tables have different ones.
fn range<'l>(
    mut columns: impl Iterator<Item = &'l str>,
) -> Result<(IpAddr, IpAddr, Network), &'static str> {
    let mut address = || columns.next().and_then(|text| text.parse::<IpAddr>().ok());
    let first = address().ok_or("the first column is not an address")?;
    let last = address().ok_or("the second column is not an address")?;
    let third = columns.next().ok_or("the third column is missing")?;
    let Some(asn) = asn(third) else {
        let is_country = third.len() == 2 || matches!(third, "" | "None" | "Unknown" | "-");
        if !is_country {
            return Err("the third column is neither an AS number nor the code of a country");
        }
        return Ok((first, last, Network { country: country_code(third), ..Network::default() }));
    };
    let fourth = columns.next().unwrap_or_default();
    let network = match columns.next() {
        // Such a row has `Not routed` in place of an organisation.
        _ if asn == 0 => Network { country: country_code(fourth), ..Network::default() },
        Some(organisation) => Network {
            country: country_code(fourth),
            organisation: organisation_name(organisation),
            ..of_asn(asn)
        },
        None => Network { organisation: organisation_name(fourth), ..of_asn(asn) },
    };
    Ok((first, last, network))
}

/// Reads an AS number (RFC 5396: digits alone), with or without `AS` before it.
pub(super) fn asn(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(table: &str, address: &str) -> String {
        let ranges = match read(table.as_bytes()) {
            Ok(ranges) => ranges,
            Err(error) => return error.to_string(),
        };
        let network = ranges.of(address.parse().unwrap());
        let asn = network.asn.map_or_else(|| "-".to_owned(), |asn| format!("AS{asn}"));
        format!(
            "{asn} {} {}",
            network.organisation.as_deref().unwrap_or("-"),
            network.country().unwrap_or("-")
        )
    }

    #[test]
    fn each_format_is_read() {
        let iptoasn = "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n\
                       1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n\
                       2a00::\t2a00::ffff\t64496\tde\tEXAMPLE, Inc.\r\n";
        assert_eq!(said(iptoasn, "1.0.0.7"), "AS13335 CLOUDFLARENET US");
        assert_eq!(said(iptoasn, "1.0.2.1"), "- - -");
        assert_eq!(said(iptoasn, "2a00::1"), "AS64496 EXAMPLE, Inc. DE");
        assert_eq!(said(iptoasn, "9.9.9.9"), "- - -");
        let asns =
            "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n1.0.4.0,1.0.7.255,38803,Gtelecom\n";
        assert_eq!(said(asns, "1.0.0.0"), "AS13335 Cloudflare, Inc. -");
        assert_eq!(said(asns, "1.0.7.255"), "AS38803 Gtelecom -");
        let countries = "\"1.0.0.0\",\"1.0.0.255\",\"AU\"\n1.0.1.0,1.0.3.255,CN\n";
        assert_eq!(said(countries, "1.0.0.9"), "- - AU");
        let pyasn =
            "; IP-ASN32-DAT file\n; a comment\n1.0.0.0/8\t10\n1.2.0.0/16\t20\n1.2.3.0/24\t30\n";
        let found = ["1.9.0.0", "1.2.0.1", "1.2.3.4", "1.2.4.0"].map(|text| said(pyasn, text));
        assert_eq!(found, ["AS10 - -", "AS20 - -", "AS30 - -", "AS20 - -"]);
        let pfx2as = "1.0.0.0\t24\t13335\n1.0.4.0\t22\t38803_174\n1.0.8.0\t22\t7,8_9\n2001:db8::\t32\t64500\n";
        assert_eq!(said(pfx2as, "1.0.5.5"), "AS38803 - -");
        assert_eq!(said(pfx2as, "1.0.8.1"), "AS7 - -");
        assert_eq!(said(pfx2as, "2001:db8:1::"), "AS64500 - -");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (table, want) in [
            ("", "no row is in it"),
            ("; only comments\n\n", "no row is in it"),
            ("hello\n", "not a table of addresses"),
            (
                "1.0.0.0\t1.0.0.255\t13335\tUS\tX\n1.0.0.0\tx\t1\tUS\tX\n",
                "line 2: the second column",
            ),
            ("1.0.0.9\t1.0.0.0\t13335\tUS\tX\n", "line 1: the last address is before"),
            ("1.0.0.0/8\t10\n1.0.0.0/33\t10\n", "line 2: the first column is not a prefix"),
            ("1.0.0.0\t24\t10\n1.0.0.0\t99\t10\n", "line 2: the second column"),
            ("1.0.0.0\t24\t10\n1.0.0.0\t24\tx\n", "line 2: the third column"),
            ("1.0.0.0,1.0.0.1,US\n1.0.0.0,1.0.0.1,USA\n", "line 2: the third column is neither"),
            ("1.0.0.0\t1.0.0.255\t4294967296\tUS\tX\n", "line 1: the third column"),
        ] {
            let told = said(table, "1.0.0.0");
            assert!(told.starts_with(want), "{table:?}: {told}");
        }
        assert!(matches!(read(b"\xff\xfe1"), Err(TableError::Unknown)));
        assert!(matches!(read(b"1.0.0.0/8\t10\n\xff\n"), Err(TableError::Line { line: 2, .. })));
    }

    #[test]
    fn control_characters_of_names_are_removed() {
        let table = "1.0.0.0\t1.0.0.255\t5\tUS\tEVIL\u{1b}[31m\u{9b}X\n";
        assert_eq!(said(table, "1.0.0.0"), "AS5 EVIL [31m X US");
    }
}
