//! Frames alone: golden bytes of §13, rows of §1.6 and §14 (1)–(13).

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::base::{Biz, Code, Encoding, Error, Limits, Metainfo, MetainfoKind, Result};
use crate::wire::thrift::ApplicationException;
use crate::wire::ttheader::HeaderWriter;
use crate::wire::{biz, metainfo};

pub(crate) mod golden;

const HEADER_BYTES: usize = HeaderWriter::MAX_INFO_BYTES;

fn decoder() -> Decoder {
    Decoder::new(Limits::DEFAULT, HEADER_BYTES)
}

fn decode(bytes: &[u8]) -> Result<Option<Decoded>> {
    decoder().decode(&mut BytesMut::from(bytes))
}

fn frame(bytes: &[u8]) -> Frame {
    match decode(bytes) {
        Ok(Some(Decoded::Frame(frame))) => frame,
        other => panic!("{other:?}"),
    }
}

fn refused(bytes: &[u8]) -> (i32, Error) {
    match decode(bytes) {
        Ok(Some(Decoded::Refused { id, error })) => (id, error),
        other => panic!("{other:?}"),
    }
}

fn strings(frame: &Frame) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    frame.header.strings().map(|(key, value)| (text(key), text(value))).collect()
}

/// A frame with this area after offset 14, padded.
fn raw(flags: u16, id: i32, area: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut area = area.to_vec();
    area.resize(area.len().next_multiple_of(4), 0);
    let mut out = BytesMut::new();
    out.put_u32((10 + area.len() + payload.len()) as u32);
    out.put_u16(0x1000);
    out.put_u16(flags);
    out.put_i32(id);
    out.put_u16((area.len() / 4) as u16);
    out.put_slice(&area);
    out.put_slice(payload);
    out.to_vec()
}

/// Int block of a DATA frame.
const INTS: &[u8] = b"\x10\0\x02\0\x09\0\x01M\0\x1b\0\x013";

fn data_area(protocol_id: u8) -> Vec<u8> {
    [&[protocol_id, 0], INTS].concat()
}

fn encoded(head: Head<'_>, fill: impl FnOnce(&mut HeaderWriter<'_>), payload: &[u8]) -> Result<Vec<u8>> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = encode(&mut out, head, fill, payload);
    if result.is_err() {
        assert_eq!(&out[..], b"before", "a failed frame was left behind");
    }
    result.map(|()| out[6..].to_vec())
}

fn head(kind: FrameType) -> Head<'static> {
    Head { id: 1, kind, method: b"Bidi", encoding: Encoding::THRIFT_BINARY, ints: &[] }
}

fn pair(key: &'static str, value: &'static str) -> impl Fn(&mut HeaderWriter<'_>) {
    move |writer| _ = writer.string(b"", key.as_bytes(), value.as_bytes())
}

fn exception(type_id: i32, text: &'static str) -> Bytes {
    exception::write(1, b"Bidi", &ApplicationException::new(type_id, text)).unwrap().freeze()
}

fn message(n: i32, text: &[u8]) -> Vec<u8> {
    let mut out = b"\x08\0\x01".to_vec();
    out.extend_from_slice(&n.to_be_bytes());
    out.extend_from_slice(b"\x0b\0\x02");
    out.extend_from_slice(&(text.len() as i32).to_be_bytes());
    out.extend_from_slice(text);
    out.push(0);
    out
}

#[test]
fn worked_frames_decode_and_are_written_byte_for_byte() {
    use FrameType::*;
    for (name, total, info, payload, _) in golden::FRAMES {
        let bytes = golden::bytes(name);
        assert_eq!(bytes.len(), *total, "{name}");
        assert_eq!(14 + info + payload, *total, "{name}");
        assert_eq!(frame(&bytes).payload.len(), *payload, "{name}");
    }
    assert_eq!(golden::FRAMES.len(), 16);

    let mut meta = Metainfo::new();
    meta.set(MetainfoKind::Persistent, "lid", "42");
    let f1 = |writer: &mut HeaderWriter<'_>| {
        writer.string(b"", b"isn", b"EchoService");
        metainfo::write_after_acl(&meta, writer);
    };
    let biz404 = Biz { code: 404, message: "not found".into(), extra: vec![] };
    let biz10001 = Biz { code: 10001, message: "no money".into(), extra: vec![("k".into(), "v".into())] };
    let mut acl = Metainfo::new();
    acl.set(MetainfoKind::Transient, "gdpr-token", "tok");
    acl.set(MetainfoKind::Transient, "k", "v");
    let f16 = |writer: &mut HeaderWriter<'_>| {
        metainfo::write_acl(&acl, writer);
        writer.string(b"", b"isn", b"EchoService");
        metainfo::write_after_acl(&acl, writer);
    };
    let none = |_: &mut HeaderWriter<'_>| {};
    let recv_timeout = "stream Recv timeout, timeout config={Timeout:50ms DisableCancelRemote:false}";
    let written = [
        ("F1", encoded(head(Header), f1, b"")),
        ("F2", encoded(head(Data), none, &message(1, b"ping"))),
        ("F3", encoded(head(Header), pair("h1", "v1"), b"")),
        ("F4", encoded(head(Data), none, &message(1, b"pong"))),
        ("F5", encoded(head(Trailer), none, b"")),
        ("F6", encoded(head(Trailer), pair("t1", "v1"), b"")),
        ("F7", encoded(head(Header), none, b"")),
        ("F8", encoded(head(Trailer), |writer| biz::write(&biz404, writer), b"")),
        ("F9", encoded(head(Trailer), |writer| biz::write(&biz10001, writer), b"")),
        ("F10", encoded(head(Trailer), none, &exception(6, "biz error: boom"))),
        (
            "F11",
            encoded(head(Rst), pair("ttscp", "A"), &exception(12015, "stream timeout, timeout in ctx: 50ms")),
        ),
        ("F12", encoded(head(Rst), pair("ttscp", "A,B"), &exception(12014, recv_timeout))),
        ("F13", encoded(head(Rst), pair("ttscp", "Egress"), &exception(1204, "proxy timeout"))),
        ("F14", encoded(head(Rst), none, b"")),
        ("F15", encoded(head(Meta), pair("rip", "10.0.0.1:8888"), b"")),
        ("F16", encoded(Head { id: i32::MIN, ..head(Header) }, f16, b"")),
    ];
    for (name, bytes) in written {
        assert_eq!(bytes.unwrap(), golden::bytes(name), "{name}");
    }
}

#[test]
fn worked_frames_say_what_the_table_says() {
    let f1 = frame(&golden::bytes("F1"));
    assert_eq!((f1.id, f1.kind, &f1.method()[..]), (1, FrameType::Header, &b"Bidi"[..]));
    let expected = [("isn", "EchoService"), ("RPC_PERSIST_lid", "42")];
    assert_eq!(strings(&f1), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let f2 = frame(&golden::bytes("F2"));
    assert_eq!((f2.kind, &f2.payload[..]), (FrameType::Data, &message(1, b"ping")[..]));
    assert_eq!(f2.header.entries().count(), 0);
    let status = biz::read_strict(&frame(&golden::bytes("F9")).header).unwrap().unwrap();
    assert_eq!((status.code, &status.message[..], status.extra.len()), (10001, &b"no money"[..], 1));
    for (name, type_id, text) in [("F10", 6, "biz error: boom"), ("F13", 1204, "proxy timeout")] {
        let read = exception::read(&frame(&golden::bytes(name)).payload, &Limits::DEFAULT).unwrap();
        assert_eq!((read.type_id, &read.message[..]), (type_id, text.as_bytes()));
    }
    let f16 = frame(&golden::bytes("F16"));
    assert_eq!(f16.id, i32::MIN);
    assert_eq!(f16.header.string(b"RPC_TRANSIT_gdpr-token"), Some(&b"tok"[..]));
}

#[test]
fn a_data_header_made_once_writes_the_same_bytes() {
    let header = DataHeader::new(1, b"Bidi", Encoding::THRIFT_BINARY).unwrap();
    assert!(!header.is_empty());
    let mut out = BytesMut::new();
    header.check(19).unwrap();
    header.write(&mut out, 19);
    out.put_slice(&message(1, b"ping"));
    assert_eq!(out, golden::bytes("F2"));
    assert_eq!(header.check(Limits::MAX_FRAME_BYTES).unwrap_err().code(), Code::EncodeFailed);
    assert_eq!(header.check(usize::MAX).unwrap_err().code(), Code::EncodeFailed);
    assert!(header.check(Limits::MAX_FRAME_BYTES - header.len() + 4).is_ok());
    let long = vec![b'm'; 65_536];
    assert_eq!(DataHeader::new(1, &long, Encoding::THRIFT_BINARY).unwrap_err().code(), Code::EncodeFailed);
}

#[test]
fn blocks_may_come_in_any_order_and_repeat() {
    let strings_a: &[u8] = b"\x01\0\x01\0\x03isn\0\x01A";
    let strings_b: &[u8] = b"\x01\0\x02\0\x03isn\0\x0bEchoService\0\x0fRPC_PERSIST_lid\0\x0242";
    let ints: &[u8] = b"\x10\0\x02\0\x1b\0\x012\0\x09\0\x04Bidi";
    let ints_before: &[u8] = b"\x10\0\x01\0\x1b\0\x019";
    for blocks in [
        vec![ints, strings_b],
        vec![strings_b, b"\0\0\0", ints],
        vec![strings_a, b"\0", ints, strings_b],
        vec![ints_before, strings_a, ints, b"\0", strings_b],
    ] {
        let area = [&[0x10, 0][..], &blocks.concat()].concat();
        let read = frame(&raw(2, 1, &area, b""));
        assert_eq!((read.kind, &read.method()[..]), (FrameType::Header, &b"Bidi"[..]));
        assert_eq!(read.header.string(b"isn"), Some(&b"EchoService"[..]));
        assert_eq!(read.header.string(b"RPC_PERSIST_lid"), Some(&b"42"[..]));
    }
}

#[test]
fn only_the_streaming_bit_of_the_flags_counts() {
    for flags in [0x0002, 0x0003, 0x000a, 0x0012, 0xffff] {
        assert_eq!(frame(&raw(flags, 1, &data_area(0x10), b"\0")).kind, FrameType::Data);
    }
    for flags in [0, 1, 0x10, 0xfffd] {
        let error = decode(&raw(flags, 1, &data_area(0x10), b"\0")).unwrap_err();
        assert_eq!(
            (error.code(), error.text()),
            (Code::BadHeader, &format!("unexpected header flags: {flags}")[..])
        );
    }
}

#[test]
fn protocol_ids_and_transforms() {
    for id in [0x00, 0x03, 0x04, 0x10, 0x11] {
        assert_eq!(frame(&raw(2, 1, &data_area(id), b"\0")).header.protocol_id(), id);
    }
    for id in [0x01, 0x02, 0x7f, 0xff] {
        let (stream, error) = refused(&raw(2, 7, &data_area(id), b"\0"));
        assert_eq!((stream, error.text()), (7, &format!("unsupported ProtocolID[{id}]")[..]));
    }
    let header = [&[0x10, 2, 9, 8][..], b"\x01\0\x01\0\x01k\0\x01v", b"\x10\0\x01\0\x1b\0\x012"].concat();
    assert_eq!(frame(&raw(2, 1, &header, b"")).header.string(b"k"), Some(&b"v"[..]));
    let (_, error) = refused(&raw(2, 1, &[0x10, 200], b""));
    assert_eq!(error.text(), "need read 200 transformIDs, but not enough");
}

#[test]
fn a_bad_frame_is_refused_alone_while_its_end_is_certain() {
    let good = golden::bytes("F2");
    let with_type = |digit: &[u8]| {
        let mut area = b"\x10\0\x10\0\x01\0\x1b\0".to_vec();
        area.push(digit.len() as u8);
        area.extend_from_slice(digit);
        raw(2, 3, &area, b"payload")
    };
    let cases = [
        (with_type(b"9"), "unexpected frame type: 9"),
        (with_type(b""), "unexpected frame type: "),
        (with_type(b"33"), "unexpected frame type: 33"),
        (raw(2, 3, b"\x10\0\x10\0\x01\0\x09\0\x01M", b""), "unexpected frame type: "),
        (raw(2, 3, &[0x10, 0], b""), "unexpected frame type: "),
        (
            raw(2, 3, b"\x10\0\x02\0", b"x"),
            "ttHeader read kv info failed, invalid infoIDType[0x2], headerInfo=0x10000200",
        ),
        (
            raw(2, 3, b"\x10\0\x01\0\x09\0", b"x"),
            "ttHeader read kv info failed, error reading str kv info: EOF, headerInfo=0x1000010009000000",
        ),
    ];
    for (bad, text) in cases {
        let (id, error) = refused(&bad);
        assert_eq!((id, error.code(), error.text()), (3, Code::BadHeader, text));
        // What follows is read, however the bytes are cut.
        for step in [1, 5, 1000] {
            let mut decoder = decoder();
            let (mut buf, mut seen) = (BytesMut::new(), Vec::new());
            for part in [&bad[..], &good].concat().chunks(step) {
                buf.extend_from_slice(part);
                while let Some(decoded) = decoder.decode(&mut buf).unwrap() {
                    seen.push(matches!(decoded, Decoded::Frame(_)));
                }
            }
            assert_eq!(seen, [false, true]);
            assert!(!decoder.is_mid_frame(&buf));
        }
    }
}

#[test]
fn lengths_are_checked_before_anything_is_reserved() {
    let fatal: [(&[u8], &str); 4] = [
        (
            b"\0\0\0\x46\x10\x01\0\x02\0\0\0\x01\0\x0f",
            "not TTHeader protocol (first4Bytes=0x00000046, second4Bytes=0x10010002)",
        ),
        (b"\0\0\0\x46\x10\0\0\x02\0\0\0\x01\0\0", "invalid header length[0]"),
        (b"\0\0\0\x0d\x10\0\0\x02\0\0\0\x01\0\x01", "LENGTH 13 cannot hold a header of 4 bytes"),
        (
            b"\xff\xff\xff\xff\x10\0\0\x02\0\0\0\x01\0\x01",
            "invalid data: payload size(4294967295) larger than the limit(1073741823)",
        ),
    ];
    for (bytes, text) in fatal {
        let mut buf = BytesMut::from(bytes);
        let error = decoder().decode(&mut buf).unwrap_err();
        assert_eq!(error.text(), text);
        assert!(buf.capacity() < 1024);
    }
    // Over our limit but still a frame: thrown away as it comes, without being kept.
    let limits = Limits { frame_bytes: 100, ..Limits::DEFAULT };
    let big = raw(2, 5, &data_area(0x10), &[0; 1000]);
    let mut decoder = Decoder::new(limits, 64);
    let mut buf = BytesMut::from(&big[..14]);
    match decoder.decode(&mut buf) {
        Ok(Some(Decoded::Refused { id: 5, error })) => assert_eq!(error.code(), Code::FrameTooLarge),
        other => panic!("{other:?}"),
    }
    for part in [&big[14..], &raw(2, 6, &data_area(0x10), b"\0")].concat().chunks(64) {
        buf.extend_from_slice(part);
        match decoder.decode(&mut buf).unwrap() {
            None => assert!(buf.len() < 64),
            Some(Decoded::Frame(frame)) => assert_eq!(frame.id, 6),
            other => panic!("{other:?}"),
        }
    }
    assert!(buf.is_empty() && decoder.decode(&mut buf).unwrap().is_none());
    let long_header = raw(2, 8, &[&[0x10, 0], INTS, &[0; 60]].concat(), b"");
    match Decoder::new(Limits::DEFAULT, 64).decode(&mut BytesMut::from(&long_header[..])) {
        Ok(Some(Decoded::Refused { id: 8, error })) => assert_eq!(error.code(), Code::FrameTooLarge),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_truncation_waits_and_every_cut_reads_the_same() {
    let all: Vec<u8> = golden::FRAMES.iter().flat_map(|(name, ..)| golden::bytes(name)).collect();
    let whole: Vec<Frame> = golden::FRAMES.iter().map(|(name, ..)| frame(&golden::bytes(name))).collect();
    for (name, total, ..) in golden::FRAMES {
        let bytes = golden::bytes(name);
        for n in 0..*total {
            let (mut decoder, mut buf) = (decoder(), BytesMut::from(&bytes[..n]));
            assert!(decoder.decode(&mut buf).unwrap().is_none());
            assert_eq!(decoder.is_mid_frame(&buf), n > 0);
            assert!((1..=16384).contains(&decoder.missing(&buf)));
            buf.extend_from_slice(&bytes[n..]);
            assert!(matches!(decoder.decode(&mut buf).unwrap(), Some(Decoded::Frame(_))));
        }
    }
    for step in [1, 2, 13, 14, 15, 64, all.len()] {
        let (mut decoder, mut buf, mut seen) = (decoder(), BytesMut::new(), Vec::new());
        for part in all.chunks(step) {
            buf.extend_from_slice(part);
            while let Some(Decoded::Frame(frame)) = decoder.decode(&mut buf).unwrap() {
                seen.push(frame);
            }
        }
        assert_eq!(format!("{seen:?}"), format!("{whole:?}"), "{step}");
    }
}

#[test]
fn payloads_share_the_buffer_and_headers_do_not() {
    let mut buf = BytesMut::from(&[golden::bytes("F2"), golden::bytes("F3")].concat()[..]);
    let range = buf.as_ptr_range();
    let mut decoder = decoder();
    let Some(Decoded::Frame(data)) = decoder.decode(&mut buf).unwrap() else { panic!() };
    assert!(range.contains(&data.payload.as_ptr()));
    let Some(Decoded::Frame(header)) = decoder.decode(&mut buf).unwrap() else { panic!() };
    assert!(!range.contains(&header.header.string(b"h1").unwrap().as_ptr()));
}

#[test]
fn an_exception_is_read_whatever_its_method_and_nothing_else_is() {
    let limits = Limits::DEFAULT;
    let nameless = exception::write(9, b"", &ApplicationException::new(6, "x")).unwrap().freeze();
    assert_eq!(exception::read(&nameless, &limits).unwrap().type_id, 6);
    for n in 0..nameless.len() {
        assert!(exception::read(&nameless.slice(..n), &limits).is_err(), "{n}");
    }
    for kind in [1, 2, 4] {
        let mut other = nameless.to_vec();
        other[3] = kind;
        let error = exception::read(&other.into(), &limits).unwrap_err();
        assert_eq!(error.text(), format!("thrift message type want Exception, but got {kind}"));
    }
    assert!(exception::read(&Bytes::from_static(b"\0\0\0\x01a\x03\0\0\0\0\0"), &limits).is_err());
}

#[test]
fn strings_up_to_65535_bytes_fit_and_a_longer_one_fails_that_frame_only() {
    let text = vec![b'v'; 65_536];
    let fill = |n: usize| encoded(head(FrameType::Trailer), |w| _ = w.string(b"", b"k", &text[..n]), b"");
    assert_eq!(frame(&fill(65_535).unwrap()).header.string(b"k").unwrap().len(), 65_535);
    assert_eq!(fill(65_536).unwrap_err().code(), Code::EncodeFailed);
}

#[test]
fn a_trailers_status_with_a_bad_extra_is_an_error() {
    let read = |status: &'static str, extra: &'static str| {
        let bytes = encoded(
            head(FrameType::Trailer),
            |w| {
                _ = w.string(b"", b"biz-status", status.as_bytes()).string(
                    b"",
                    b"biz-extra",
                    extra.as_bytes(),
                )
            },
            b"",
        );
        biz::read_strict(&frame(&bytes.unwrap()).header)
    };
    assert_eq!(read("5", "{").unwrap_err().text(), "malformed header info, extra: {");
    assert_eq!(read("5", r#"{"k":1}"#).unwrap_err().code(), Code::BadHeader);
    assert_eq!(read("5", "").unwrap().unwrap().code, 5);
    for status in ["", "0", "abc", "2147483648"] {
        assert_eq!(read(status, "{").unwrap(), None, "{status}");
    }
}

#[test]
fn int_pairs_are_ascending_and_the_frames_own_keys_win() {
    let pairs = |numbers: &[u16]| -> Vec<(u16, Bytes)> {
        numbers.iter().map(|n| (*n, Bytes::from_static(b"x"))).collect()
    };
    for (extra, expected) in [
        (vec![], vec![9, 27]),
        (vec![12], vec![9, 12, 27]),
        (vec![2, 9, 12, 27], vec![2, 9, 12, 27]),
        (vec![2, 3], vec![2, 3, 9, 27]),
    ] {
        let ints = pairs(&extra);
        let bytes = encoded(Head { ints: &ints, ..head(FrameType::Header) }, |_| {}, b"").unwrap();
        let read = frame(&bytes);
        assert_eq!(read.header.ints().map(|(key, _)| key).collect::<Vec<_>>(), expected);
        assert_eq!((read.kind, &read.method()[..]), (FrameType::Header, &b"Bidi"[..]));
    }
}

proptest! {
    #[test]
    fn frames_round_trip(
        id: i32,
        kind in prop::sample::select(&[FrameType::Meta, FrameType::Header, FrameType::Data, FrameType::Trailer, FrameType::Rst][..]),
        method in prop::collection::vec(any::<u8>(), 0..40),
        pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(any::<u8>(), 0..20)), 0..8),
        protobuf: bool,
        payload in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..400,
    ) {
        let encoding = if protobuf { Encoding::PROTOBUF } else { Encoding::THRIFT_BINARY };
        let head = Head { id, kind, method: &method, encoding, ints: &[] };
        let bytes = encoded(head, |w| pairs.iter().for_each(|(k, v)| _ = w.string(b"", k, v)), &payload).unwrap();
        let (mut decoder, mut buf) = (decoder(), BytesMut::new());
        let cut = cut.min(bytes.len() - 1);
        buf.extend_from_slice(&bytes[..cut]);
        prop_assert!(decoder.decode(&mut buf).unwrap().is_none());
        buf.extend_from_slice(&bytes[cut..]);
        let Some(Decoded::Frame(read)) = decoder.decode(&mut buf).unwrap() else { panic!() };
        prop_assert!(buf.is_empty());
        prop_assert_eq!((read.id, read.kind, &read.payload[..]), (id, kind, &payload[..]));
        prop_assert_eq!(read.header.protocol_id(), if protobuf { 0x11 } else { 0x10 });
        if kind != FrameType::Data {
            prop_assert_eq!(&read.method()[..], &method[..]);
            for (key, value) in read.header.strings() {
                prop_assert!(pairs.iter().any(|(k, v)| k == key && v == value));
            }
        }
    }

    #[test]
    fn any_bytes_are_decided(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = decoder();
        let mut buf = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decoder.decode(&mut buf) {}
    }
}
