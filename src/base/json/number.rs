//! Numbers, with every digit that was written.

/// A number as it stands in the text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Number<'a> {
    text: &'a [u8],
    negative: bool,
    /// All digits, if there are at most 19 of them.
    digits: Option<u64>,
    /// How often the digits have to be multiplied by ten.
    exponent: i64,
    integer: bool,
}

/// Powers of ten that are exact as f64.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

impl<'a> Number<'a> {
    /// Reads the number at the front of `text`. On failure: how many bytes are right, and what is
    /// missing behind them.
    pub(super) fn read(text: &'a [u8]) -> Result<Number<'a>, (usize, &'static str)> {
        let byte_at = |at: usize| text.get(at).copied().unwrap_or(0);
        let negative = byte_at(0) == b'-';
        let mut at = usize::from(negative);
        let mut digits = Digits::default();
        match byte_at(at) {
            b'0' => at += 1,
            b'1'..=b'9' => at = digits.read(text, at),
            _ => return Err((at, "a number")),
        }
        let mut integer = true;
        let mut exponent = 0i64;
        if byte_at(at) == b'.' {
            integer = false;
            let fraction = at + 1;
            at = digits.read(text, fraction);
            if at == fraction {
                return Err((at, "a digit"));
            }
            exponent = -i64::try_from(at - fraction).unwrap_or(i64::MAX);
        }
        if matches!(byte_at(at), b'e' | b'E') {
            integer = false;
            let sign = byte_at(at + 1);
            let start = at + 1 + usize::from(matches!(sign, b'+' | b'-'));
            let mut power = Digits::default();
            at = power.read(text, start);
            if at == start {
                return Err((at, "a digit"));
            }
            // An exponent too long for the digits counter is as far away as any.
            let power = power.value().and_then(|power| i64::try_from(power).ok()).unwrap_or(1 << 40);
            let power = power.min(1 << 40);
            exponent = exponent.saturating_add(if sign == b'-' { -power } else { power });
        }
        let text = text.get(..at).unwrap_or_default();
        Ok(Number { text, negative, digits: digits.value(), exponent, integer })
    }

    /// The number as written.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether it has neither fraction nor exponent.
    pub fn is_integer(&self) -> bool {
        self.integer
    }

    /// Its value, if it is written without fraction and exponent and fits.
    pub fn as_i64(&self) -> Option<i64> {
        let digits = self.digits.filter(|_| self.integer)?;
        if self.negative { 0i64.checked_sub_unsigned(digits) } else { i64::try_from(digits).ok() }
    }

    /// The nearest double; infinite if there is none.
    pub fn as_f64(&self) -> f64 {
        let magnitude = match self.digits {
            // Both operands are exact, so that the result is rounded once.
            Some(digits) if digits <= 1 << 53 => {
                let power = usize::try_from(self.exponent.unsigned_abs()).ok().and_then(|n| POWERS.get(n));
                power.map(|power| {
                    #[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
                    let digits = digits as f64;
                    if self.exponent < 0 { digits / power } else { digits * power }
                })
            }
            _ => None,
        };
        match magnitude {
            Some(magnitude) if self.negative => -magnitude,
            Some(magnitude) => magnitude,
            // The grammar is a part of Rust's.
            None => std::str::from_utf8(self.text).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0),
        }
    }
}

/// A counter of decimal digits that notices when they do not fit.
#[derive(Default)]
struct Digits {
    value: u64,
    /// Digits behind leading zeros.
    count: usize,
}

impl Digits {
    /// Goes on with the digits at `at`; returns the position behind them.
    #[inline]
    fn read(&mut self, text: &[u8], mut at: usize) -> usize {
        while let Some(byte) = text.get(at) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            self.value = self.value.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.count += usize::from(self.count > 0 || digit > 0);
            at += 1;
        }
        at
    }

    fn value(&self) -> Option<u64> {
        (self.count <= 19).then_some(self.value)
    }
}

/// Value and length of an integer of at most 18 digits at the front of `text`; `None` for everything
/// else, also if a fraction or exponent follows.
#[inline]
pub(super) fn short_integer(text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut value = 0i64;
    let mut at = start;
    let behind = loop {
        let byte = text.get(at).copied().unwrap_or(0);
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break byte;
        }
        if at - start == 18 {
            return None;
        }
        value = value * 10 + i64::from(digit);
        at += 1;
    };
    let leading_zero = at - start > 1 && text.get(start) == Some(&b'0');
    if at == start || leading_zero || matches!(behind, b'.' | b'e' | b'E') {
        return None;
    }
    Some((if negative { -value } else { value }, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_and_bad_numbers() {
        for text in ["0", "-0", "1", "10", "-123", "0.5", "1e5", "1E+05", "1.25e-3", "0e0", "-0.0e-0"] {
            let number = Number::read(text.as_bytes()).unwrap();
            assert_eq!(number.text(), text.as_bytes());
            assert_eq!(number.as_f64().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        let bad = [
            ("", 0, "a number"),
            ("-", 1, "a number"),
            ("-a", 1, "a number"),
            ("+1", 0, "a number"),
            (".5", 0, "a number"),
            ("1.", 2, "a digit"),
            ("1.e5", 2, "a digit"),
            ("1e", 2, "a digit"),
            ("1e+", 3, "a digit"),
        ];
        for (text, good, wanted) in bad {
            assert_eq!(Number::read(text.as_bytes()), Err((good, wanted)), "{text}");
        }
        // What is behind is not looked at.
        assert_eq!(Number::read(b"01").unwrap().text(), b"0");
        assert_eq!(Number::read(b"1x").unwrap().text(), b"1");
    }

    #[test]
    fn integers_are_exact_or_absent() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("18446744073709551615", None),
            ("18446744073709551616", None),
            ("100000000000000000000000", None),
            ("9007199254740993", Some(9007199254740993)),
            ("1.0", None),
            ("1e2", None),
        ];
        for (text, value) in table {
            assert_eq!(Number::read(text.as_bytes()).unwrap().as_i64(), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn doubles_agree_with_the_standard_library(text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?") {
            let number = Number::read(text.as_bytes()).unwrap();
            prop_assert_eq!(number.text(), text.as_bytes());
            prop_assert_eq!(number.as_f64().to_bits(), text.parse::<f64>().unwrap().to_bits());
            if let Some((value, len)) = short_integer(text.as_bytes()) {
                prop_assert_eq!((Some(value), len), (number.as_i64(), text.len()));
            }
        }

        #[test]
        fn short_integers_agree_with_numbers(text in "-?[0-9]{0,20}[.eE,]?[0-9]?") {
            if let Some((value, len)) = short_integer(text.as_bytes()) {
                let number = Number::read(text.as_bytes()).unwrap();
                prop_assert_eq!(number.as_i64(), Some(value));
                prop_assert_eq!(number.text().len(), len);
            }
        }
    }
}
