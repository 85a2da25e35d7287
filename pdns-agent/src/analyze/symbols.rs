//! The alphabet of the language models: 38 symbols for the octets of a label, one for its start, one for its end.

/// Longest label that is scored, in octets; longer ones do not exist in DNS.
pub(crate) const MAX_LABEL: usize = 63;
/// Number of symbols.
pub(crate) const RADIX: usize = 40;
/// Symbol before the first octet.
pub(crate) const START: u8 = 0;
/// Symbol behind the last octet.
pub(crate) const END: u8 = 39;

/// The symbol of an octet; everything but letters, digits and the hyphen shares one.
pub(crate) const fn symbol(octet: u8) -> u8 {
    match octet {
        b'a'..=b'z' => octet - b'a' + 1,
        b'A'..=b'Z' => octet - b'A' + 1,
        b'-' => 27,
        b'0'..=b'9' => octet - b'0' + 28,
        _ => 38,
    }
}

/// The character that stands for a symbol in reasons.
pub(crate) const fn shown(symbol: u8) -> char {
    match symbol {
        START => '^',
        1..=26 => (b'a' + symbol - 1) as char,
        27 => '-',
        28..=37 => (b'0' + symbol - 28) as char,
        END => '$',
        _ => '?',
    }
}

/// A label as symbols, between three start symbols and one end symbol.
#[derive(Clone, Debug)]
pub(crate) struct Padded {
    symbols: [u8; MAX_LABEL + 4],
    length: usize,
}

impl Padded {
    /// The first 63 octets of a label.
    pub(crate) fn new(label: &[u8]) -> Self {
        let mut symbols = [START; MAX_LABEL + 4];
        let length = label.len().min(MAX_LABEL) + 4;
        for (to, &octet) in symbols.iter_mut().skip(3).zip(label.iter().take(MAX_LABEL)) {
            *to = symbol(octet);
        }
        if let Some(last) = symbols.get_mut(length - 1) {
            *last = END;
        }
        Self { symbols, length }
    }

    /// All symbols, padding included.
    pub(crate) fn all(&self) -> &[u8] {
        self.symbols.get(..self.length).unwrap_or_default()
    }

    /// The symbols of the octets alone.
    pub(crate) fn inner(&self) -> &[u8] {
        self.symbols.get(3..self.length - 1).unwrap_or_default()
    }
}

/// The number of a gram: its symbols as digits in base 40. Because no octet has symbol 0, grams of different length that
/// hold no start symbol have different numbers.
pub(crate) fn gram_key(symbols: &[u8]) -> u32 {
    symbols.iter().fold(0, |key, &symbol| key * 40 + u32::from(symbol))
}
