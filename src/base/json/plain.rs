//! Runs of bytes that stand for themselves in a JSON string, found eight bytes at a time.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A run of bytes that need no escape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its length.
    pub len: usize,
    /// Whether all bytes that were looked at are ASCII; these may be a few more than the run.
    pub ascii: bool,
}

/// The bytes before the first quote, backslash or control character.
#[inline]
pub fn plain_run(bytes: &[u8]) -> Run {
    let mut len = 0;
    let mut seen = 0u64;
    let mut words = bytes;
    while let Some((word, rest)) = words.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        seen |= word;
        let stops = stops(word);
        if stops != 0 {
            let before = usize::try_from(stops.trailing_zeros() / 8).unwrap_or(0);
            return Run { len: len + before, ascii: seen & HIGH == 0 };
        }
        len += 8;
        words = rest;
    }
    for byte in words {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        seen |= u64::from(*byte);
        len += 1;
    }
    Run { len, ascii: seen & HIGH == 0 }
}

/// Marks the high bit of each byte that is a quote, a backslash or a control character. Bytes above the
/// first marked one may be marked wrongly.
#[inline]
fn stops(word: u64) -> u64 {
    let zero_bytes = |word: u64| word.wrapping_sub(LOW) & !word;
    let quotes = zero_bytes(word ^ (LOW * 0x22));
    let backslashes = zero_bytes(word ^ (LOW * 0x5C));
    let controls = word.wrapping_sub(LOW * 0x20) & !word;
    (quotes | backslashes | controls) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_stops_or_not_wherever_it_stands() {
        for byte in 0..=255u8 {
            let stops = matches!(byte, b'"' | b'\\' | 0..0x20);
            for (before, after) in (0..20).flat_map(|before| (0..20).map(move |after| (before, after))) {
                for filler in [b' ', b'!', b'#', b'[', b']', 0x7F, 0x80, 0xFF] {
                    let mut bytes = vec![filler; before + 1 + after];
                    bytes[before] = byte;
                    let run = plain_run(&bytes);
                    assert_eq!(run.len, if stops { before } else { bytes.len() }, "{bytes:?}");
                    let ascii = bytes[..run.len].is_ascii();
                    assert!(ascii || !run.ascii, "{bytes:?}");
                    assert!(run.ascii || !bytes.is_ascii(), "{bytes:?}");
                }
            }
        }
    }
}
