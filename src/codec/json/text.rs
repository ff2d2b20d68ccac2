//! Numbers and strings as JSON text.

use std::io::Write;

use crate::base::json::{push_string, write_string};

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Appends an integer.
#[inline]
pub(super) fn push_integer(value: i64, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    if value < 0 {
        out.push(b'-');
    }
    if magnitude < 10 {
        let [.., digit] = magnitude.to_be_bytes();
        out.push(b'0' + digit);
    } else {
        push_digits(magnitude, out);
    }
}

fn push_digits(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while value >= 10 {
        let [.., pair] = (value % 100).to_be_bytes();
        value /= 100;
        at -= 2;
        let pair = usize::from(pair) * 2;
        if let (Some(slot), Some(pair)) = (digits.get_mut(at..at + 2), PAIRS.get(pair..pair + 2)) {
            slot.copy_from_slice(pair);
        }
    }
    if value > 0 {
        at -= 1;
        let [.., digit] = value.to_be_bytes();
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + digit;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends a finite double as Go does: the fewest digits that read back the same, with an exponent below
/// 1e-6 and from 1e21.
pub(super) fn push_double(value: f64, out: &mut Vec<u8>) {
    if !push_short_double(value, out) {
        push_any_double(value, out);
    }
}

/// Doubles of few digits, which most are.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "below 10^15"
)]
fn push_short_double(value: f64, out: &mut Vec<u8>) -> bool {
    let magnitude = value.abs();
    if !(1e-3..1e15).contains(&magnitude) {
        return false;
    }
    let mut power = 1.0;
    for decimals in 0..7usize {
        let scaled = magnitude * power;
        if scaled >= 1e15 {
            return false;
        }
        let whole = scaled.round() as u64;
        // At most 15 digits, and a division of exact numbers that is rounded once: these digits are the
        // value's, and no fewer would be.
        if whole as f64 / power == magnitude {
            if value < 0.0 {
                out.push(b'-');
            }
            let unit = power as u64;
            let (integer, fraction) = (whole / unit, whole % unit);
            if integer == 0 {
                out.push(b'0')
            } else {
                push_unsigned(integer, out)
            }
            if decimals > 0 {
                // A one in front keeps the zeros behind the point; the point takes its place.
                let point = out.len();
                push_unsigned(fraction + unit, out);
                if let Some(one) = out.get_mut(point) {
                    *one = b'.';
                }
            }
            return true;
        }
        power *= 10.0;
    }
    false
}

fn push_unsigned(value: u64, out: &mut Vec<u8>) {
    if value < 10 {
        let [.., digit] = value.to_be_bytes();
        out.push(b'0' + digit);
    } else {
        push_digits(value, out);
    }
}

fn push_any_double(value: f64, out: &mut Vec<u8>) {
    let magnitude = value.abs();
    let start = out.len();
    // Writing to a Vec cannot fail.
    let _ = if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    // Go writes the sign of an exponent in any case.
    let written = out.get(start..).unwrap_or_default();
    let exponent = written.iter().position(|byte| *byte == b'e').map(|at| start + at + 1);
    if let Some(at) = exponent.filter(|at| out.get(*at) != Some(&b'-')) {
        out.insert(at, b'+');
    }
}

/// Appends a quoted string, with U+FFFD for each byte that is not UTF-8.
#[cold]
pub(super) fn push_lossy(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        // The quotes of the pieces are taken away again.
        let before = out.len();
        push_string(chunk.valid().as_bytes(), out);
        out.pop();
        out.remove(before);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

/// Appends a quoted string that is safe inside of HTML, as Go escapes it.
pub(super) fn push_html_safe(text: &[u8], out: &mut Vec<u8>) {
    write_string(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer(value: i64) -> String {
        let mut out = vec![];
        push_integer(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn double(value: f64) -> String {
        let mut out = vec![];
        push_double(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_of_every_length() {
        let mut value = 1i64;
        for _ in 0..19 {
            for value in [value, value - 1, value + 1, value.wrapping_mul(9), -value, i64::MIN, i64::MAX] {
                assert_eq!(integer(value), value.to_string());
            }
            value = value.wrapping_mul(10);
        }
    }

    #[test]
    fn doubles_as_go_writes_them() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.05, "0.05"),
            (100.25, "100.25"),
            (2.34567890123456, "2.34567890123456"),
            (1e-6, "0.000001"),
            (1e-7, "1e-07"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (123456789012345680.0, "123456789012345680"),
            (f64::MAX, "1.7976931348623157e+308"),
        ];
        for (value, text) in table {
            // Go's JSON takes the zero out of e-07.
            assert_eq!(double(value), text.replace("e-0", "e-"), "{value}");
        }
    }

    #[test]
    fn escapes() {
        let mut out = vec![];
        assert!(push_string("a\"\\\n\r\t\u{8}\u{c}\0\u{1f}/<é".as_bytes(), &mut out));
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\"\\\n\r\t\u0008\u000c\u0000\u001f/<é""#);
        let mut out = vec![];
        assert!(!push_string(b"12345678\xff", &mut out));
        assert!(out.is_empty());
        push_lossy(b"a\"\xff\xe2\x80\n", &mut out);
        assert_eq!(out, br#""a\"\ufffd\ufffd\ufffd\n""#);
        for text in [&b"\xff"[..], b"", b"x"] {
            let mut out = vec![];
            push_lossy(text, &mut out);
            assert!(serde_json::from_slice::<String>(&out).is_ok(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn doubles_read_back_the_same_and_are_as_short_as_can_be(bits in any::<u64>(), whole in -1_000_000_000i64..1_000_000_000, decimals in 0..9) {
            for value in [f64::from_bits(bits), whole as f64 / 10f64.powi(decimals)] {
                if value.is_finite() {
                    let text = double(value);
                    prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
                    let digits = |text: &str| {
                        let mantissa = text.split('e').next().unwrap().replace(['.', '-'], "");
                        mantissa.trim_matches('0').len()
                    };
                    prop_assert_eq!(digits(&text), digits(&format!("{value:e}")), "{}", text);
                }
            }
        }

        #[test]
        fn strings_read_back_the_same(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut out = vec![];
            prop_assert!(push_string(text.as_bytes(), &mut out));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            let mut out = vec![];
            prop_assert_eq!(push_string(&bytes, &mut out), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
