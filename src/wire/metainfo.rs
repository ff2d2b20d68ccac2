//! Metainfo as strings of a header (ttheader.md §2.3).

use bytes::Bytes;

use crate::base::{Metainfo, MetainfoKind};
use crate::wire::keys;
use crate::wire::ttheader::{Header, HeaderWriter};

/// Adds what a request carries: transient and persistent pairs. Upstream pairs end here, backward
/// pairs travel the other way, and a receiver would ignore empty keys and values.
pub fn write(metainfo: &Metainfo, header: &mut HeaderWriter<'_>) {
    write_except(metainfo, header, None);
}

/// As [`write()`] without the ACL token, which [`write_acl`] has put in front.
pub fn write_after_acl(metainfo: &Metainfo, header: &mut HeaderWriter<'_>) {
    write_except(metainfo, header, acl(metainfo).map(|(key, _)| key));
}

/// Adds only the ACL token, whose block comes before all others.
pub fn write_acl(metainfo: &Metainfo, header: &mut HeaderWriter<'_>) {
    if let Some((_, token)) = acl(metainfo) {
        header.acl(token);
    }
}

fn acl(metainfo: &Metainfo) -> Option<(&'static [u8], &Bytes)> {
    let key = keys::ACL_TOKEN.strip_prefix(keys::PREFIX_TRANSIENT)?;
    let token = metainfo.get(MetainfoKind::Transient, key)?;
    (!token.is_empty()).then_some((key, token))
}

fn write_except(metainfo: &Metainfo, header: &mut HeaderWriter<'_>, acl: Option<&[u8]>) {
    for (kind, key, value) in metainfo.iter() {
        if kind == MetainfoKind::Transient && acl == Some(&key[..]) {
            continue;
        }
        let prefix = match kind {
            MetainfoKind::Transient => keys::PREFIX_TRANSIENT,
            MetainfoKind::Persistent => keys::PREFIX_PERSISTENT,
            MetainfoKind::Backward | MetainfoKind::Upstream => continue,
        };
        if !key.is_empty() && !value.is_empty() {
            header.string(prefix, key, value);
        }
    }
}

/// What a request brought, as its handler sees it: transient pairs have become upstream, so that
/// they are readable but never sent on.
pub fn read_request(header: &Header) -> Metainfo {
    if !header.may_have_other_strings() {
        return Metainfo::new();
    }
    // The upstream prefix starts with the transient one, so it is tested first; a key that is
    // nothing but the longer prefix is ignored, not read as transient `UPSTREAM_`.
    const PREFIXES: [(&[u8], MetainfoKind); 3] = [
        (keys::PREFIX_UPSTREAM, MetainfoKind::Upstream),
        (keys::PREFIX_TRANSIENT, MetainfoKind::Upstream),
        (keys::PREFIX_PERSISTENT, MetainfoKind::Persistent),
    ];
    let pairs = header.strings().filter_map(|(key, value)| {
        let (kind, key) =
            PREFIXES.iter().find_map(|(prefix, kind)| Some((*kind, key.strip_prefix(*prefix)?)))?;
        let useful = !key.is_empty() && !value.is_empty();
        useful.then(|| (kind, header.slice(key), header.slice(value)))
    });
    pairs.collect()
}

/// Adds what a reply carries: backward pairs, without a prefix. The protocol's own keys cannot be
/// set this way.
pub fn write_backward(metainfo: &Metainfo, header: &mut HeaderWriter<'_>) {
    for (kind, key, value) in metainfo.iter() {
        if kind == MetainfoKind::Backward && !key.is_empty() && !is_protocols_own(key) {
            header.string(&[], key, value);
        }
    }
}

/// What a reply brought: all its strings except the protocol's own. Volo's prefix is taken off
/// (ttheader.md §11).
pub fn read_backward(header: &Header) -> Metainfo {
    if !header.may_have_strings() {
        return Metainfo::new();
    }
    let pairs = header.strings().filter(|(key, _)| !is_protocols_own(key)).filter_map(|(key, value)| {
        let key = key.strip_prefix(keys::PREFIX_BACKWARD).unwrap_or(key);
        let owned = |key| -> (MetainfoKind, Bytes, Bytes) {
            (MetainfoKind::Backward, header.slice(key), header.slice(value))
        };
        (!key.is_empty()).then(|| owned(key))
    });
    pairs.collect()
}

fn is_protocols_own(key: &[u8]) -> bool {
    const OWN: [&[u8]; 5] =
        [keys::BIZ_STATUS, keys::BIZ_MESSAGE, keys::BIZ_EXTRA, keys::CONNECTION_RESET, keys::CRC32C];
    OWN.contains(&key)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::base::Limits;

    fn header(fill: impl FnOnce(&mut HeaderWriter<'_>)) -> Header {
        let mut out = BytesMut::new();
        let mut writer = HeaderWriter::begin(&mut out, 0, 0);
        fill(&mut writer);
        writer.finish(0).unwrap();
        Header::read(&mut out, &Limits::DEFAULT).unwrap().unwrap().0
    }

    fn pairs(metainfo: &Metainfo) -> Vec<(MetainfoKind, &str, &str)> {
        let text = |bytes: &'_ Bytes| -> &str { std::str::from_utf8(bytes).unwrap().to_owned().leak() };
        metainfo.iter().map(|(kind, key, value)| (kind, text(key), text(value))).collect()
    }

    fn all_kinds() -> Metainfo {
        let mut metainfo = Metainfo::new();
        metainfo.set(MetainfoKind::Transient, "t", "1");
        metainfo.set(MetainfoKind::Persistent, "p", "2");
        metainfo.set(MetainfoKind::Backward, "b", "3");
        metainfo.set(MetainfoKind::Upstream, "u", "4");
        metainfo.set(MetainfoKind::Transient, "gdpr-token", "acl");
        metainfo.set(MetainfoKind::Transient, "", "x");
        metainfo.set(MetainfoKind::Transient, "empty", "");
        metainfo
    }

    #[test]
    fn a_request_carries_transient_and_persistent_pairs() {
        let header = header(|writer| write(&all_kinds(), writer));
        let strings: Vec<(&[u8], &[u8])> = header.strings().collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"RPC_TRANSIT_t", b"1"), (b"RPC_PERSIST_p", b"2"), (b"RPC_TRANSIT_gdpr-token", b"acl")];
        assert_eq!(strings, expected);
        assert_eq!(
            pairs(&read_request(&header)),
            [
                (MetainfoKind::Upstream, "t", "1"),
                (MetainfoKind::Persistent, "p", "2"),
                (MetainfoKind::Upstream, "gdpr-token", "acl"),
            ]
        );
    }

    #[test]
    fn what_a_handler_got_transient_is_not_sent_on() {
        let received = read_request(&header(|writer| write(&all_kinds(), writer)));
        let sent_on = header(|writer| write(&received, writer));
        assert_eq!(sent_on.strings().collect::<Vec<_>>(), [(&b"RPC_PERSIST_p"[..], &b"2"[..])]);
    }

    #[test]
    fn the_acl_token_can_be_put_in_front_and_then_left_out() {
        let header = header(|writer| {
            write_acl(&all_kinds(), writer);
            writer.string(b"", b"isn", b"S");
            write_after_acl(&all_kinds(), writer);
        });
        let keys: Vec<&[u8]> = header.strings().map(|(key, _)| key).collect();
        assert_eq!(keys, [&b"RPC_TRANSIT_gdpr-token"[..], b"isn", b"RPC_TRANSIT_t", b"RPC_PERSIST_p"]);
    }

    #[test]
    fn prefixes_are_tested_longest_first_and_empties_ignored() {
        let header = header(|w| {
            for (key, value) in [
                ("RPC_TRANSIT_UPSTREAM_a", "1"),
                ("RPC_TRANSIT_UPSTREAM_", "2"),
                ("RPC_TRANSIT_", "3"),
                ("RPC_PERSIST_", "4"),
                ("RPC_PERSIST_b", ""),
                ("rpc_persist_c", "5"),
                ("isn", "6"),
                ("", "7"),
                ("RPC_PERSIST_d", "8"),
                ("RPC_PERSIST_d", "9"),
            ] {
                w.string(b"", key.as_bytes(), value.as_bytes());
            }
        });
        let read = read_request(&header);
        assert_eq!(pairs(&read), [(MetainfoKind::Upstream, "a", "1"), (MetainfoKind::Persistent, "d", "9")]);
    }

    #[test]
    fn backward_pairs_have_no_prefix_but_volos_is_understood() {
        let mut metainfo = all_kinds();
        metainfo.set(MetainfoKind::Backward, "crrst", "1");
        metainfo.set(MetainfoKind::Backward, "", "1");
        let sent = header(|writer| write_backward(&metainfo, writer));
        assert_eq!(sent.strings().collect::<Vec<_>>(), [(&b"b"[..], &b"3"[..])]);
        let reply = header(|w| {
            for key in ["b", "biz-status", "biz-message", "biz-extra", "crrst", "crc32c", "RPC_BACKWARD_v"] {
                w.string(b"", key.as_bytes(), b"1");
            }
            w.string(b"RPC_BACKWARD_", b"", b"1").string(b"", b"empty", b"");
        });
        let kind = MetainfoKind::Backward;
        assert_eq!(pairs(&read_backward(&reply)), [(kind, "b", "1"), (kind, "v", "1"), (kind, "empty", "")]);
    }

    #[test]
    fn thousands_of_pairs_cost_linear_time() {
        let header = header(|w| {
            (0..10_000).for_each(|n| _ = w.string(b"RPC_PERSIST_", format!("{n}").as_bytes(), b"v"))
        });
        assert_eq!(read_request(&header).len(), 10_000);
    }
}
