//! The checksum of Redis' snapshots and of the values that `RESTORE` takes: CRC-64 with the polynomial of Jones.
//!
//! Part of `store/backup`. Eight bytes at a time: a snapshot has gigabytes.

/// The polynomial `ad93d23594c935a9`, reflected.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// `TABLES[n][b]`: the remainder of the byte `b` followed by `n` zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

#[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            let is_odd = remainder & 1 == 1;
            remainder >>= 1;
            if is_odd {
                remainder ^= POLYNOMIAL;
            }
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = tables[0][(before & 0xff) as usize] ^ before >> 8;
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// Returns the checksum of bytes that follow those with the checksum `crc`; that of no bytes is 0.
pub(super) fn crc64(mut crc: u64, bytes: &[u8]) -> u64 {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = (crc ^ u64::from_le_bytes(*word)).to_le_bytes();
        crc = at(t7, b0) ^ at(t6, b1) ^ at(t5, b2) ^ at(t4, b3);
        crc ^= at(t3, b4) ^ at(t2, b5) ^ at(t1, b6) ^ at(t0, b7);
    }
    for byte in rest {
        let [low, ..] = crc.to_le_bytes();
        crc = at(t0, low ^ byte) ^ crc >> 8;
    }
    crc
}

/// Returns the entry of a table. Each byte has one.
#[inline]
fn at(table: &[u64; 256], byte: u8) -> u64 {
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_that_of_redis() {
        // From the test in Redis' own `crc64.c`.
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    proptest! {
        #[test]
        fn pieces_have_the_checksum_of_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
        ) {
            let (one, other) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(crc64(crc64(0, one), other), crc64(0, &bytes));
            let mut single = 0;
            for byte in &bytes {
                single = crc64(single, &[*byte]);
            }
            prop_assert_eq!(single, crc64(0, &bytes));
        }
    }
}
