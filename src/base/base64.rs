//! Base64 in the standard alphabet with padding (RFC 4648 §4), as binaries are in JSON.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Values of the letters; 255 for all other bytes.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [255; 256];
    let mut value = 0u8;
    while value < 64 {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let letter = ALPHABET[value as usize];
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let slot = &mut values[letter as usize];
        *slot = value;
        value += 1;
    }
    values
}

/// Appends the text of `bytes`.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len().div_ceil(3) * 4);
    let (groups, rest) = bytes.as_chunks::<3>();
    for [a, b, c] in groups {
        let word = u32::from_be_bytes([0, *a, *b, *c]);
        out.extend_from_slice(&[letter(word >> 18), letter(word >> 12), letter(word >> 6), letter(word)]);
    }
    match rest {
        [a] => out.extend_from_slice(&[letter(u32::from(*a) >> 2), letter(u32::from(*a) << 4), b'=', b'=']),
        [a, b] => {
            let word = u32::from_be_bytes([0, 0, *a, *b]);
            out.extend_from_slice(&[letter(word >> 10), letter(word >> 4), letter(word << 2), b'=']);
        }
        _ => {}
    }
}

#[inline]
fn letter(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    ALPHABET.get(usize::from(low & 63)).copied().unwrap_or(b'=')
}

/// Appends the bytes of `text`. Fails with the position of the first wrong character: one outside the
/// alphabet or wrong padding. As in Go, line breaks are skipped and unused bits ignored.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    out.reserve(text.len() / 4 * 3);
    let (groups, rest) = text.as_chunks::<4>();
    for (n, group) in groups.iter().enumerate() {
        match word(group) {
            Some(word) => {
                let [_, a, b, c] = word.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
            }
            // The last group, a wrong one, or line breaks.
            None => return decode_slowly(text, n * 4, out),
        }
    }
    if rest.is_empty() { Ok(()) } else { decode_slowly(text, groups.len() * 4, out) }
}

#[inline]
fn word(group: &[u8; 4]) -> Option<u32> {
    let [a, b, c, d] = group.map(value);
    let all = a | b | c | d;
    let word = (u32::from(a) << 18) | (u32::from(b) << 12) | (u32::from(c) << 6) | u32::from(d);
    (all < 64).then_some(word)
}

#[inline]
fn value(letter: u8) -> u8 {
    VALUES.get(usize::from(letter)).copied().unwrap_or(255)
}

/// One letter after the other, from a position where a group begins.
fn decode_slowly(text: &[u8], from: usize, out: &mut Vec<u8>) -> Result<(), usize> {
    let (mut group, mut letters) = (0u32, 0usize);
    let mut rest = text.iter().copied().enumerate().skip(from).filter(|(_, byte)| !b"\r\n".contains(byte));
    while let Some((at, byte)) = rest.next() {
        let value = value(byte);
        if value < 64 {
            group = (group << 6) | u32::from(value);
            letters += 1;
            if letters == 4 {
                let [_, a, b, c] = group.to_be_bytes();
                out.extend_from_slice(&[a, b, c]);
                (group, letters) = (0, 0);
            }
            continue;
        }
        if byte != b'=' || letters < 2 {
            return Err(at);
        }
        if letters == 2 && rest.next().map(|(_, byte)| byte) != Some(b'=') {
            return Err(at);
        }
        let [_, a, b, _] = (group << (6 * (4 - letters))).to_be_bytes();
        out.push(a);
        if letters == 3 {
            out.push(b);
        }
        return rest.next().map_or(Ok(()), |(at, _)| Err(at));
    }
    if letters == 0 { Ok(()) } else { Err(text.len()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = vec![];
        encode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn decoded(text: &str) -> Result<Vec<u8>, usize> {
        let mut out = vec![];
        decode(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let table: [(&[u8], &str); 8] = [
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xFB\xFF\xFE", "+//+"),
        ];
        for (bytes, text) in table {
            assert_eq!((encoded(bytes).as_str(), decoded(text)), (text, Ok(bytes.to_vec())));
        }
    }

    #[test]
    fn anything_else_is_refused_at_its_place() {
        let table = [
            ("Z", 1),
            ("Zg", 2),
            ("Zg=", 2),
            ("Zm8", 3),
            ("Zm9vZ", 5),
            ("Zg==Zg==", 4),
            ("Zm8=x", 4),
            ("=", 0),
            ("Z===", 1),
            ("Zm-v", 2),
            ("Zm9vZm_v", 6),
            ("Zm 9v", 2),
            ("Zg=x", 2),
        ];
        for (text, at) in table {
            assert_eq!(decoded(text), Err(at), "{text}");
        }
        // As in Go.
        assert_eq!(decoded("Zm\r\n9v\nZg\n=\n=\n").unwrap(), b"foof");
        assert_eq!(decoded("Zh==").unwrap(), b"f");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&encoded(&bytes)).unwrap(), bytes);
        }
    }
}
