//! Business status errors as strings of a header (ttheader.md §6).

use std::borrow::Cow;

use bytes::Bytes;

use crate::base::{Biz, Code, Error, Result, json, last_wins};
use crate::wire::keys;
use crate::wire::ttheader::{Header, HeaderWriter};

/// Adds a status to a reply. Status 0 means no error and adds nothing.
pub fn write(biz: &Biz, header: &mut HeaderWriter<'_>) {
    if biz.code == 0 {
        return;
    }
    header.string(&[], keys::BIZ_STATUS, biz.code.to_string().as_bytes());
    header.string(&[], keys::BIZ_MESSAGE, &biz.message);
    if !biz.extra.is_empty() {
        let mut extra = Vec::new();
        json::write_string_object(&mut extra, biz.extra.iter().map(|(key, value)| (&key[..], &value[..])));
        header.string(&[], keys::BIZ_EXTRA, &extra);
    }
}

/// The status of a reply. A status that is missing, 0 or no i32 in decimal is none. An extra that is
/// not a JSON object of strings is dropped; Kitex would turn the call into an empty success.
pub fn read(header: &Header) -> Option<Biz> {
    let code = code(header)?;
    let extra = header.string(keys::BIZ_EXTRA).and_then(|text| json::read_string_object(text).ok());
    Some(with_extra(header, code, extra.unwrap_or_default()))
}

/// The status of a stream's trailer. As [`read`], but a bad extra is an error (ttstream.md §8).
pub fn read_strict(header: &Header) -> Result<Option<Biz>> {
    let Some(code) = code(header) else { return Ok(None) };
    let extra = match header.string(keys::BIZ_EXTRA).filter(|text| !text.is_empty()) {
        None => Vec::new(),
        Some(text) => json::read_string_object(text).map_err(|_| malformed_extra(text))?,
    };
    Ok(Some(with_extra(header, code, extra)))
}

fn code(header: &Header) -> Option<i32> {
    let code: i32 = std::str::from_utf8(header.string(keys::BIZ_STATUS)?).ok()?.parse().ok()?;
    (code != 0).then_some(code)
}

fn with_extra(header: &Header, code: i32, extra: json::StringPairs<'_>) -> Biz {
    let message = header.string(keys::BIZ_MESSAGE).map(|text| header.slice(text)).unwrap_or_default();
    let owned = |text: Cow<'_, [u8]>| match text {
        Cow::Borrowed(view) => header.slice(view),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let pairs = extra.into_iter().map(|(key, value)| (owned(key), owned(value)));
    Biz { code, message, extra: last_wins(pairs) }
}

#[cold]
fn malformed_extra(text: &[u8]) -> Error {
    let shown = String::from_utf8_lossy(text.get(..64).unwrap_or(text));
    Error::new(Code::BadHeader, format!("malformed header info, extra: {shown}"))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::base::Limits;

    fn header(fill: impl FnOnce(&mut HeaderWriter<'_>)) -> Result<Header> {
        let mut out = BytesMut::new();
        let mut writer = HeaderWriter::begin(&mut out, 0, 0);
        fill(&mut writer);
        writer.finish(0)?;
        Ok(Header::read(&mut out, &Limits::DEFAULT)?.unwrap().0)
    }

    fn read_strings(pairs: &[(&str, &str)]) -> Option<Biz> {
        read(
            &header(|w| pairs.iter().for_each(|(k, v)| _ = w.string(b"", k.as_bytes(), v.as_bytes())))
                .unwrap(),
        )
    }

    fn biz(code: i32, message: &str, extra: &[(&str, &str)]) -> Biz {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let extra = extra.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        Biz { code, message: bytes(message), extra }
    }

    #[test]
    fn a_status_round_trips_in_kitexs_own_text() {
        let sent = biz(404, "not found", &[("k", "<v>"), ("é", "\n")]);
        let header = header(|w| write(&sent, w)).unwrap();
        assert_eq!(header.string(b"biz-status"), Some(&b"404"[..]));
        let extra = header.string(b"biz-extra").unwrap();
        assert_eq!(extra, r#"{"k":"\u003cv\u003e","é":"\n"}"#.as_bytes());
        assert_eq!(read(&header), Some(sent));
    }

    #[test]
    fn a_message_is_always_written_and_an_empty_extra_never() {
        let header_of = |biz: Biz| header(|w| write(&biz, w)).unwrap();
        let bare = header_of(biz(-1, "", &[]));
        let strings: [(&[u8], &[u8]); 2] = [(b"biz-status", b"-1"), (b"biz-message", b"")];
        assert_eq!(bare.strings().collect::<Vec<_>>(), strings);
        assert_eq!(header_of(biz(0, "no", &[])).strings().count(), 0);
    }

    #[test]
    fn only_a_decimal_i32_other_than_0_is_a_status() {
        for text in
            ["", "0", "-0", "+0", "x", "1x", " 1", "1 ", "2147483648", "-2147483649", "1.0", "0x1", "é"]
        {
            assert_eq!(read_strings(&[("biz-status", text), ("biz-message", "m")]), None, "{text:?}");
        }
        assert_eq!(read_strings(&[("biz-message", "m"), ("biz-extra", "{}")]), None);
        for (text, code) in
            [("1", 1), ("+7", 7), ("007", 7), ("2147483647", i32::MAX), ("-2147483648", i32::MIN)]
        {
            assert_eq!(read_strings(&[("biz-status", text)]), Some(biz(code, "", &[])));
        }
    }

    #[test]
    fn a_bad_extra_is_dropped_and_the_rest_kept() {
        for extra in ["", "{", "null", "[]", r#"{"k":1}"#, r#"{"k":"v"}x"#, r#"{"k":{}}"#] {
            let read = read_strings(&[("biz-status", "5"), ("biz-message", "m"), ("biz-extra", extra)]);
            assert_eq!(read, Some(biz(5, "m", &[])), "{extra}");
        }
        let extra = r#" { "k" : "1" , "\u006b" : "2", "n":null } "#;
        let read = read_strings(&[("biz-status", "5"), ("biz-extra", extra)]);
        assert_eq!(read, Some(biz(5, "", &[("k", "2"), ("n", "")])));
    }

    #[test]
    fn what_does_not_fit_cannot_be_encoded() {
        let long = "x".repeat(65_536);
        for biz in [biz(1, &long, &[]), biz(1, "", &[("k", &long)])] {
            assert_eq!(header(|w| write(&biz, w)).unwrap_err().code(), Code::EncodeFailed);
        }
    }
}
