//! The checksum of a payload: CRC-32C over everything behind the TTHeader (ttheader.md §9).

use crate::base::{Code, Error, Result};

/// Bytes of a bad value that an error shows.
const SHOWN_BYTES: usize = 64;

/// A CRC-32C (Castagnoli), as far as it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum(u32);

impl Checksum {
    /// Size of [`Checksum::text`].
    pub const BYTES: usize = 8;

    /// The checksum of some bytes.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(crc32c::crc32c(bytes))
    }

    /// The checksum of what came before and these bytes.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Checksum {
        Checksum(crc32c::crc32c_append(self.0, bytes))
    }

    /// As it stands in a header: lower-case hex digits, the highest first.
    pub fn text(self) -> [u8; Checksum::BYTES] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        std::array::from_fn(|place| {
            let nibble = (self.0 >> (28 - 4 * place)) & 0xF;
            DIGITS.get(nibble as usize).copied().unwrap_or(b'0')
        })
    }
}

/// Whether a payload is what its sender sent. A value that is empty is none, and passes.
pub fn check(expected: &[u8], payload: &[u8]) -> Result<()> {
    if expected.is_empty() || *expected == Checksum::of(payload).text() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(expected.get(..SHOWN_BYTES).unwrap_or(expected));
    let text = format!("payload validation error: validation failed, err={shown}");
    Err(Error::new(Code::ChecksumMismatch, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_castagnolis_and_written_as_kitex_does() {
        assert_eq!(&Checksum::of(b"123456789").text(), b"e3069283");
        assert_eq!(&Checksum::of(b"").text(), b"00000000");
        // RFC 3720, B.4.
        assert_eq!(&Checksum::of(&[0; 32]).text(), b"8a9136aa");
        assert_eq!(&Checksum::of(&[0xFF; 32]).text(), b"62a8ab43");
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..10_000u32).map(|number| number as u8).collect();
        for cut in [0, 1, 7, 4096, 10_000] {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(Checksum::of(first).and(second), Checksum::of(&bytes), "{cut}");
        }
    }

    #[test]
    fn what_passes_and_what_does_not() {
        for passing in [&b""[..], b"e3069283"] {
            assert_eq!(check(passing, b"123456789"), Ok(()));
        }
        for failing in [&b"E3069283"[..], b"e306928", b"e30692830", b"\xff", &[b'x'; 4097]] {
            let error = check(failing, b"123456789").unwrap_err();
            assert_eq!(error.code(), Code::ChecksumMismatch);
            assert!(error.text().len() < 300);
        }
        let error = check(b"E3069283", b"123456789").unwrap_err();
        assert_eq!(error.text(), "payload validation error: validation failed, err=E3069283");
    }
}
