//! The header alone: rows of ttheader.md §1.6, limits of §1.5, block rules of §1.4.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::base::Code;

/// A frame with this area (protocol id, transforms, blocks), padded, and a payload of 8 bytes.
fn frame(area: &[u8]) -> BytesMut {
    let mut area = area.to_vec();
    area.resize(area.len().next_multiple_of(4), 0);
    let mut out = BytesMut::new();
    out.put_u32((10 + area.len() + 8) as u32);
    out.put_u32(0x1000_0000);
    out.put_i32(7);
    out.put_u16((area.len() / 4) as u16);
    out.put_slice(&area);
    out.put_slice(&[0xEE; 8]);
    out
}

fn read(mut bytes: BytesMut) -> Result<Option<(Header, usize)>> {
    Header::read(&mut bytes, &Limits::DEFAULT)
}

fn header(blocks: &[u8]) -> Header {
    read(frame(&[&[0, 0], blocks].concat())).unwrap().unwrap().0
}

fn written(fill: impl FnOnce(&mut HeaderWriter<'_>)) -> Result<Header> {
    let mut out = BytesMut::from(&b"before"[..]);
    let mut writer = HeaderWriter::begin(&mut out, 1, -5);
    fill(&mut writer);
    let result = writer.finish(3);
    if let Err(error) = result {
        assert_eq!(&out[..], b"before", "a failed header was left behind");
        return Err(error);
    }
    let mut out = out.split_off(6);
    out.put_slice(b"pay");
    let (header, payload_len) = Header::read(&mut out, &Limits::DEFAULT).unwrap().unwrap();
    assert_eq!((payload_len, &out[..]), (3, &b"pay"[..]));
    assert_eq!((header.flags(), header.seq()), (1, -5));
    Ok(header)
}

#[test]
fn each_way_to_fail_has_its_text() {
    let mut bad_magic = frame(&[0, 0]);
    bad_magic[4] = 0x11;
    let mut no_words = frame(&[0, 0]);
    no_words[12..14].fill(0);
    let blocks = |blocks: &[u8]| frame(&[&[0, 0], blocks].concat());
    let kv = |what: &str, hex: &str| format!("ttHeader read kv info failed, {what}, headerInfo=0x{hex}");
    let cases = [
        (bad_magic, "not TTHeader protocol (first4Bytes=0x00000016, second4Bytes=0x11000000)".to_string()),
        (no_words, "invalid header length[0]".into()),
        (frame(&[2, 0]), "unsupported ProtocolID[2]".into()),
        (frame(&[1, 0]), "unsupported ProtocolID[1]".into()),
        (frame(&[0xFF, 9]), "unsupported ProtocolID[255]".into()),
        (frame(&[0, 3]), "need read 3 transformIDs, but not enough".into()),
        (frame(&[0, 2]), "2 transformIDs, but transforms are not supported".into()),
        (blocks(&[2, 0]), kv("invalid infoIDType[0x2]", "00000200")),
        (blocks(&[0xFF, 0]), kv("invalid infoIDType[0xff]", "0000ff00")),
        (blocks(&[0, 1]), kv("error reading str kv info size: EOF", "00000001")),
        (blocks(&[0x10, 0]), kv("error reading int kv info size: EOF", "00001000")),
        (blocks(&[0x11, 0]), kv("error reading acl token: EOF", "00001100")),
        (blocks(&[0x11, 0, 9, 0, 0, 0]), kv("error reading acl token: EOF", "0000110009000000")),
        (blocks(&[1, 0, 1, 0, 1, b'k']), kv("error reading str kv info: EOF", "000001000100016b")),
        (blocks(&[1, 0, 2, 0, 0, 0]), kv("error reading str kv info: EOF", "0000010002000000")),
        (blocks(&[0x10, 0, 1, 0, 5, 0]), kv("error reading int kv info: EOF", "0000100001000500")),
        (blocks(&[0, 0, 0, 0x10, 255, 255]), kv("error reading int kv info: EOF", "000000000010ffff")),
    ];
    for (bytes, text) in cases {
        let error = read(bytes).unwrap_err();
        assert_eq!((error.code(), error.text()), (Code::BadHeader, &text[..]));
    }
    let long = read(frame(&[&[0, 0, 2][..], &[0; 65_000]].concat())).unwrap_err();
    assert!(long.text().len() < 300, "{long}");
}

#[test]
fn lengths_that_lie_are_refused() {
    for (length, code) in [
        (0, Code::BadHeader),
        (13, Code::BadHeader),
        ((64 << 20) + 1, Code::FrameTooLarge),
        (u32::MAX, Code::FrameTooLarge),
    ] {
        let mut bytes = frame(&[0, 0]);
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(read(bytes).unwrap_err().code(), code, "LENGTH {length}");
    }
    for (length, payload_len) in [(14u32, 0), (15, 1), (64 << 20, (64 << 20) - 14)] {
        let mut bytes = frame(&[0, 0]);
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(read(bytes).unwrap().unwrap().1, payload_len);
    }
    // HS = 0xFFFF needs 262,140 bytes; the first ones are not enough and reserve nothing.
    let mut bytes = frame(&[0, 0]);
    bytes[..4].copy_from_slice(&300_000u32.to_be_bytes());
    bytes[12..14].fill(0xFF);
    let capacity = bytes.capacity();
    assert!(Header::read(&mut bytes, &Limits::DEFAULT).unwrap().is_none());
    assert_eq!(bytes.capacity(), capacity);
}

#[test]
fn accepted_protocol_ids() {
    let accepted: Vec<u8> = (0..=255).filter(|id| read(frame(&[*id, 0])).is_ok()).collect();
    assert_eq!(accepted, [0, 3, 4, 0x10, 0x11]);
}

#[test]
fn blocks_repeat_and_zero_bytes_stand_between_them() {
    let blocks = [
        &[0, 0, 1, 0, 1, 0, 1, b'k', 0, 1, b'1', 0][..],
        &[0x10, 0, 1, 0, 22, 0, 1, 2],
        &[1, 0, 0],
        &[0, 0x11, 0, 1, b't'],
        &[1, 0, 3, 0, 1, b'k', 0, 1, b'2', 0, 0, 0, 0, 0, 1, 0xFF, 0, 2, 0xC0, 0],
        &[0x10, 0, 2, 0, 22, 0, 1, b'4', 0, 3, 0, 0, 0],
    ];
    let header = header(&blocks.concat());
    assert_eq!(header.string(b"k"), Some(&b"2"[..]));
    assert_eq!(header.string(b""), Some(&b""[..]));
    assert_eq!(header.string(&[0xFF]), Some(&[0xC0, 0][..]));
    assert_eq!(header.string(b"RPC_TRANSIT_gdpr-token"), Some(&b"t"[..]));
    assert_eq!(header.string(b"absent"), None);
    assert_eq!(header.int(22), Some(&b"4"[..]));
    assert_eq!(header.int(3), Some(&b""[..]));
    assert_eq!(header.int(4), None);
    assert_eq!(header.strings().count(), 5);
    assert_eq!(header.ints().count(), 3);
}

#[test]
fn a_header_is_complete_at_its_last_byte_and_nothing_is_taken_before() {
    let mut whole = BytesMut::new();
    let mut writer = HeaderWriter::begin(&mut whole, 0, 9);
    writer.acl(b"tok").string(b"RPC_", b"k", b"v").int(1, b"framed");
    writer.finish(0).unwrap();
    for n in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..n]);
        assert!(Header::read(&mut part, &Limits::DEFAULT).unwrap().is_none());
        assert_eq!(part.len(), n);
    }
    assert_eq!(read(whole).unwrap().unwrap().0.string(b"RPC_k"), Some(&b"v"[..]));
}

#[test]
fn a_truncated_area_fails_but_never_panics() {
    let blocks = [1, 0, 1, 0, 1, b'k', 0, 1, b'v', 0x10, 0, 1, 0, 1, 0, 1, b'x', 0x11, 0, 1, b't'];
    for n in 0..blocks.len() {
        let _ = check(&[&[0, 0], &blocks[..n]].concat());
    }
    assert!(check(&[]).is_err());
    assert!(check(&[0]).is_err());
}

#[test]
fn slices_share_memory_and_foreign_views_are_copied() {
    let header = header(&[1, 0, 1, 0, 1, b'k', 0, 2, b'v', b'w', 0x11, 0, 1, b't']);
    let value = header.string(b"k").unwrap();
    let owned = header.slice(value);
    assert_eq!((&owned[..], owned.as_ptr()), (&b"vw"[..], value.as_ptr()));
    let (acl, _) = header.strings().nth(1).unwrap();
    assert_eq!(header.slice(acl), "RPC_TRANSIT_gdpr-token");
    assert_eq!(header.slice(b"elsewhere"), "elsewhere");
    assert_eq!(header.slice(b""), "");
    assert_eq!(Header::default().slice(b"x"), "x");
}

#[test]
fn the_acl_token_leaves_the_string_block_however_its_key_is_cut() {
    for cut in [0, 3, 12, 22] {
        let (prefix, key) = keys_acl().split_at(cut);
        let mut out = BytesMut::new();
        let mut writer = HeaderWriter::begin(&mut out, 0, 0);
        writer.string(prefix, key, b"tok").string(b"", b"k", b"v");
        writer.finish(0).unwrap();
        assert_eq!(&out[14..], b"\0\0\x11\0\x03tok\x01\0\x01\0\x01k\0\x01v\0\0\0");
    }
}

fn keys_acl() -> &'static [u8] {
    crate::wire::keys::ACL_TOKEN
}

#[test]
fn strings_end_at_65535_bytes() {
    let (fits, over) = (vec![b'x'; 65_535], vec![b'x'; 65_536]);
    let header = written(|w| {
        w.string(b"", b"k", &fits).int(1, &fits).acl(&fits);
    })
    .unwrap();
    assert_eq!(header.string(b"k"), Some(&fits[..]));
    assert_eq!(header.int(1), Some(&fits[..]));
    assert_eq!(written(|w| _ = w.string(b"", &fits, b"")).unwrap().string(&fits), Some(&b""[..]));
    let fills: [&dyn Fn(&mut HeaderWriter<'_>); 5] = [
        &|w| _ = w.string(b"", b"k", &over),
        &|w| _ = w.string(b"", &over, b""),
        &|w| _ = w.string(b"x", &fits, b""),
        &|w| _ = w.int(1, &over),
        &|w| _ = w.acl(&over),
    ];
    for fill in fills {
        // What comes after the failure does not hide it.
        let error = written(|w| {
            fill(w);
            w.int(2, b"ok");
        })
        .unwrap_err();
        assert_eq!(error.code(), Code::EncodeFailed);
        assert_eq!(error.text(), "string exceeded 65535B max size (actual: 65536B)");
    }
}

#[test]
fn the_header_ends_at_65535_words() {
    // Protocol id, transforms and block take 5 bytes; four pairs of 4 + n fill the rest exactly.
    let last = HeaderWriter::MAX_INFO_BYTES - 5 - 3 * (4 + 65_530) - 4;
    for (extra, ok) in [(0, true), (1, false)] {
        let result = written(|w| {
            for key in 0..3 {
                w.int(key, &[b'x'; 65_530]);
            }
            w.int(3, &vec![b'x'; last + extra]);
        });
        assert_eq!(result.is_ok(), ok);
        if let Err(error) = result {
            assert_eq!(error.text(), "invalid header length[262141], it ends at 262140");
        }
    }
    let many = written(|w| (0..65_533u16).for_each(|key| _ = w.int(key, b""))).unwrap();
    assert_eq!(many.ints().count(), 65_533);
}

#[test]
fn a_payload_that_no_frame_can_hold_is_refused() {
    let mut out = BytesMut::new();
    let error = HeaderWriter::begin(&mut out, 0, 0).finish(Limits::MAX_FRAME_BYTES - 13).unwrap_err();
    assert_eq!((error.code(), out.len()), (Code::EncodeFailed, 0));
    HeaderWriter::begin(&mut out, 0, 0).finish(Limits::MAX_FRAME_BYTES - 14).unwrap();
    assert_eq!(&out[..4], &[0x3F, 0xFF, 0xFF, 0xFF]);
    assert!(HeaderWriter::begin(&mut out, 0, 0).finish(usize::MAX).is_err());
    drop(HeaderWriter::begin(&mut out, 0, 0));
    assert_eq!(out.len(), 18);
}

#[derive(Clone, Debug)]
enum Put {
    Acl(Vec<u8>),
    String(Vec<u8>, Vec<u8>),
    Int(u16, Vec<u8>),
}

proptest! {
    #[test]
    fn a_walk_shows_what_steps_show(
        info in prop::collection::vec(prop_oneof![
            5 => 0..3u8,
            2 => Just(0x10u8),
            1 => Just(0x11u8),
            1 => any::<u8>(),
        ], 0..60),
        mesh: bool,
        stepped in 0..3usize,
    ) {
        let block = if mesh { Block::Strings } else { Block::None };
        let mut steps = Entries::new(&info, block, mesh);
        for _ in 0..stepped {
            let _ = steps.step();
        }
        let mut shown = Vec::new();
        let end = steps.clone().each(|entry| shown.push(entry));
        let mut expected = Vec::new();
        let expected_end = loop {
            match steps.step() {
                Ok(Some(entry)) => expected.push(entry),
                Ok(None) => break Ok(()),
                Err(flaw) => break Err(flaw),
            }
        };
        prop_assert_eq!((shown, end), (expected, expected_end));
    }

    #[test]
    fn whatever_is_written_is_read_in_order(puts in prop::collection::vec(prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Put::Acl),
        5 => (prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(key, value)| Put::String(key, value)),
        5 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(k, v)| Put::Int(k, v)),
    ], 0..40)) {
        let header = written(|w| for put in &puts {
            match put {
                Put::Acl(token) => w.acl(token),
                Put::String(key, value) => w.string(b"p", key, value),
                Put::Int(key, value) => w.int(*key, value),
            };
        }).unwrap();
        let read: Vec<(Option<u16>, Bytes, Bytes)> = header.entries().map(|entry| match entry {
            Entry::String(key, value) => (None, header.slice(key), header.slice(value)),
            Entry::Int(key, value) => (Some(key), Bytes::new(), header.slice(value)),
        }).collect();
        let expected: Vec<(Option<u16>, Bytes, Bytes)> = puts.into_iter().map(|put| match put {
            Put::Acl(token) => (None, Bytes::from_static(keys_acl()), token.into()),
            Put::String(key, value) => (None, [b"p", &key[..]].concat().into(), value.into()),
            Put::Int(key, value) => (Some(key), Bytes::new(), value.into()),
        }).collect();
        prop_assert_eq!(read, expected);
    }
}
