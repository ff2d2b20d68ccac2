//! Whole messages: the worked examples of ttheader.md §12 both ways, detection of §3, hostile input.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::base::{Code, Error, Limits, Message, Result};
use crate::wire::checksum::Checksum;
use crate::wire::kitex_protobuf;
use crate::wire::outbuf::OutBuf;
use crate::wire::thrift::ApplicationException;
use crate::wire::ttheader::HeaderWriter;

/// The bytes of a worked example.
fn example(name: &str) -> BytesMut {
    let mut bytes = BytesMut::new();
    let mut inside = false;
    for line in include_str!("../../../tests/golden/ttheader_examples.txt").lines() {
        if !line.starts_with(' ') {
            inside = line.split_whitespace().next() == Some(name);
        }
        let hex = line.get(1..).filter(|_| inside).unwrap_or_default().replace(' ', "");
        for at in (0..hex.len()).step_by(2) {
            bytes.put_u8(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        }
    }
    assert!(!bytes.is_empty(), "no example {name}");
    bytes
}

fn decode(bytes: &[u8]) -> Result<Option<Inbound>> {
    decode_with(Limits::DEFAULT, bytes)
}

fn decode_with(limits: Limits, bytes: &[u8]) -> Result<Option<Inbound>> {
    Decoder::new(limits).decode(&mut BytesMut::from(bytes))
}

fn whole(bytes: &[u8]) -> Inbound {
    let mut buf = BytesMut::from(bytes);
    let message = Decoder::new(Limits::DEFAULT).decode(&mut buf).unwrap().expect("a whole message");
    assert_eq!((message.size(), buf.len()), (bytes.len(), 0));
    message
}

fn refused(bytes: &[u8]) -> Error {
    decode(bytes).unwrap_err()
}

fn bytes_of(frame: &Outbound<'_>, fill: impl FnOnce(&mut HeaderWriter<'_>)) -> Result<Vec<u8>> {
    let mut out = OutBuf::new();
    out.put_slice(b"before");
    let result = encode(&mut out, frame, fill);
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = out.io_slices(&mut slices);
    let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(all.len(), out.len());
    if result.is_err() {
        assert_eq!(all, b"before", "a failed message was left behind");
    }
    result.map(|()| all[6..].to_vec())
}

/// Encodes what was decoded, metadata included, with the entries in the order they came.
fn again(message: &Inbound) -> Vec<u8> {
    let body = Message::new(message.layout.payload.encoding(), message.body.clone());
    let header = message.header.clone().unwrap_or_default();
    let frame = Outbound {
        layout: message.layout,
        flags: header.flags(),
        seq: message.seq,
        kind: message.kind,
        name: &message.name,
        body: &body,
    };
    let fill = |w: &mut HeaderWriter<'_>| {
        for entry in header.entries() {
            match entry {
                crate::wire::ttheader::Entry::String(key, value) => w.string(b"", key, value),
                crate::wire::ttheader::Entry::Int(key, value) => w.int(key, value),
            };
        }
    };
    bytes_of(&frame, fill).unwrap()
}

/// One line that says all about a message.
fn line(message: &Inbound) -> String {
    let Layout { ttheader, framed, payload } = message.layout;
    let form = [(ttheader, "ttheader+"), (framed, "framed+")].map(|(on, name)| if on { name } else { "" });
    let mut text =
        format!("{}{payload:?} {:?} {:?} {}", form.concat(), message.kind, message.name, message.seq);
    if let Some(header) = &message.header {
        text += &format!(" [{} {}", header.flags(), header.seq());
        header.strings().for_each(|(k, v)| text += &format!(" {}={}", k.escape_ascii(), v.escape_ascii()));
        header.ints().for_each(|(k, v)| text += &format!(" {k}={}", v.escape_ascii()));
        text += "]";
    }
    text
}

const HI: &[u8] = b"\x0c\0\x01\x0b\0\x01\0\0\0\x02hi\0\0";

#[test]
fn worked_examples_decode_to_what_they_say_and_encode_to_the_same_bytes() {
    let result_hi = [b"\x0c\0\0", &HI[3..]].concat();
    let unknown = b"\x0b\0\x01\0\0\0\x29unknown method Nope (service EchoService)\x08\0\x02\0\0\0\x01\0";
    let cases: &[(&str, &str, &[u8])] = &[
        ("A", r#"ttheader+ThriftBinary Call b"Echo" 1 [0 1]"#, HI),
        (
            "B",
            r#"ttheader+framed+ThriftBinary Call b"Echo" 2 [0 2 isn=EchoService 1=framed 3=cli 6=echo.svc 9=Echo 12=1000 20= 22=1]"#,
            HI,
        ),
        ("C", r#"ttheader+ThriftBinary Reply b"Echo" 1 [0 1 22=2]"#, &result_hi),
        ("D", r#"ttheader+framed+ThriftBinary Exception b"Nope" 2 [0 2 crrst=1 22=3]"#, unknown),
        (
            "E",
            r#"ttheader+framed+ThriftBinary Reply b"Echo" 2 [0 2 biz-status=404 biz-message=not found biz-extra={\"k\":\"v\"} 22=2]"#,
            b"\0",
        ),
        ("F", r#"framed+ThriftBinary Call b"Echo" 3"#, HI),
        ("G", r#"ThriftBinary Call b"Echo" 3"#, HI),
        ("H", r#"framed+ThriftBinary Oneway b"Ping" 4"#, b"\x0b\0\x01\0\0\0\x01x\0"),
        ("I", r#"framed+ThriftBinary Reply b"Echo" 3"#, b"\x0c\0\x01\x08\0\x01\0\0\0\x07\0\0"),
        ("J", r#"ttheader+framed+KitexProtobuf Call b"Echo" 5 [0 5]"#, b"\x0a\x02hi"),
        (
            "K",
            r#"framed+KitexProtobuf Exception b"Nope" 6"#,
            b"\x08\x14\x12\x1dunknown service , method Nope",
        ),
        ("L", r#"ttheader+ThriftBinary Reply b"none" 0 [0 0 crrst=1]"#, b"\0"),
        (
            "M",
            r#"ttheader+framed+ThriftBinary Call b"Echo" 7 [1 7 RPC_TRANSIT_gdpr-token=tok RPC_PERSIST_LOGID=abc RPC_TRANSIT_k=v crc32c=24e132c2 22=1]"#,
            HI,
        ),
        ("N", r#"ThriftBinary Call b"Echo" 3 [0 0 rip=10.0.0.1:80]"#, HI),
    ];
    for (name, expected, body) in cases {
        let bytes = example(name);
        let message = whole(&bytes);
        assert_eq!((&line(&message)[..], &message.body[..]), (*expected, *body), "example {name}");
        // A mesh header is never sent: the reply to N looks like G.
        let expected = if *name == "N" { example("G") } else { bytes };
        assert_eq!(again(&message), expected, "example {name}");
    }
    let exception = ApplicationException::read(&whole(&example("D")).body, 64).unwrap();
    assert_eq!(exception, ApplicationException::new(1, "unknown method Nope (service EchoService)"));
    let exception = kitex_protobuf::read_exception(&whole(&example("K")).body).unwrap();
    assert_eq!(exception, ApplicationException::new(20, "unknown service , method Nope"));
}

#[test]
fn a_message_is_complete_at_its_last_byte_however_it_is_cut() {
    for name in "ABCDEFGHIJKLMN".chars().map(String::from) {
        let bytes = example(&name);
        let expected = line(&whole(&bytes));
        // Byte by byte, then in two parts cut at every position.
        let mut decoder = Decoder::new(Limits::DEFAULT);
        let mut buf = BytesMut::new();
        for (n, byte) in bytes.iter().enumerate() {
            buf.put_u8(*byte);
            assert!(decoder.is_mid_message(&buf));
            let message = decoder.decode(&mut buf).unwrap();
            assert_eq!(message.is_some(), n + 1 == bytes.len(), "example {name}, byte {n}");
            if let Some(message) = message {
                assert_eq!(line(&message), expected);
                assert!(!decoder.is_mid_message(&buf));
            } else {
                let missing = decoder.missing(&buf);
                assert!((1..=bytes.len() - buf.len()).contains(&missing), "{name} {n}: {missing}");
            }
        }
        for cut in 0..bytes.len() {
            let mut buf = BytesMut::from(&bytes[..cut]);
            assert!(decoder.decode(&mut buf).unwrap().is_none());
            buf.put_slice(&bytes[cut..]);
            buf.put_slice(b"next");
            assert_eq!(line(&decoder.decode(&mut buf).unwrap().unwrap()), expected);
            assert_eq!(&buf[..], b"next");
        }
    }
}

#[test]
fn one_connection_may_mix_all_forms() {
    let order = "NGFABCDEHIJKLMGNFA";
    let mut buf = BytesMut::new();
    order.chars().for_each(|name| buf.put_slice(&example(&name.to_string())));
    let mut decoder = Decoder::new(Limits::DEFAULT);
    for name in order.chars() {
        let message = decoder.decode(&mut buf).unwrap().unwrap();
        assert_eq!(line(&message), line(&whole(&example(&name.to_string()))));
    }
    assert!(decoder.decode(&mut buf).unwrap().is_none());
    assert!(buf.is_empty());
}

#[test]
fn garbage_after_a_message_does_not_harm_it() {
    for name in ["A", "F", "G"] {
        let mut buf = example(name);
        buf.put_slice(b"\xff\xf4\xff\xfd\x06 telnet");
        let mut decoder = Decoder::new(Limits::DEFAULT);
        assert_eq!(decoder.decode(&mut buf).unwrap().unwrap().name, "Echo");
        let error = decoder.decode(&mut buf).unwrap_err();
        assert_eq!(error.code(), Code::BadPayload);
        assert_eq!(error.text(), "invalid payload (first4Bytes=0xfff4fffd, second4Bytes=0x6207465)");
    }
}

#[test]
fn foreign_protocols_are_refused_once_eight_bytes_are_there() {
    let cases: &[(&[u8], &str)] = &[
        (b"PRI * HTTP/2.0", "first4Bytes=0x50524920, second4Bytes=0x2a204854"),
        (b"GET / HTTP/1.1", "first4Bytes=0x47455420, second4Bytes=0x2f204854"),
        (b"\x82\x21\x01\x04Echo", "first4Bytes=0x82210104, second4Bytes=0x4563686f"),
        (b"\0\0\0\x10\x82\x21\x01\x04", "first4Bytes=0x10, second4Bytes=0x82210104"),
        (b"\0\0\0\x04Echo\x01\0\0\0\x01\0", "first4Bytes=0x4, second4Bytes=0x4563686f"),
        (b"\0\0\0\x12\0\0\0\x04Echo\x01\0\0\0\x01\0", "first4Bytes=0x12, second4Bytes=0x4"),
        // Kitex-protobuf without its frame length.
        (b"\x90\x01\0\x01\0\0\0\x04Echo", "first4Bytes=0x90010001, second4Bytes=0x4"),
    ];
    for (bytes, text) in cases {
        assert!(decode(&bytes[..7]).unwrap().is_none());
        let error = refused(&bytes[..8]);
        assert_eq!(
            (error.code(), error.text()),
            (Code::BadPayload, &format!("invalid payload ({text})")[..])
        );
    }
}

#[test]
fn types_other_than_the_four_are_refused_at_their_word() {
    for number in [0u16, 5, 6, 0x0101, 0xFFFF] {
        let [high, low] = number.to_be_bytes();
        for bytes in [
            [0x80, 1, high, low, 0, 0, 0, 0],
            [0, 0, 0, 9, 0x80, 1, high, low],
            [0, 0, 0, 9, 0x90, 1, high, low],
        ] {
            let error = refused(&bytes);
            assert_eq!(error.code(), Code::BadMessage);
            assert_eq!(error.text(), format!("invalid message type {number}"));
        }
    }
}

#[test]
fn names_may_be_missing_on_replies_only() {
    for (kind, ok) in [(1, false), (2, true), (3, true), (4, false)] {
        let envelope = [0x80, 1, 0, kind, 0, 0, 0, 0, 0, 0, 0, 7];
        let buffered = [&envelope[..], &[0]].concat();
        let framed = [&[0, 0, 0, 13][..], &buffered].concat();
        for bytes in [buffered, framed] {
            match decode(&bytes) {
                Ok(message) => assert!(ok && message.unwrap().seq == 7),
                Err(error) => {
                    assert!(!ok);
                    assert_eq!(error.text(), "method name that receive is empty");
                }
            }
        }
        let protobuf = [&[0, 0, 0, 12, 0x90, 1, 0, kind][..], &[0; 8]].concat();
        assert_eq!(refused(&protobuf).code(), Code::BadMessage);
    }
}

#[test]
fn an_envelope_stays_within_its_frame() {
    let framed = b"\0\0\0\x0c\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01";
    assert_eq!(refused(framed).text(), "ReadMessageBegin: buf too small");
    let mut longer = framed.to_vec();
    longer[3] = 0x0d;
    assert_eq!(whole(&longer).body, "");
    let protobuf = b"\0\0\0\x0c\x90\x01\0\x01\0\0\0\x01E\0\0\0\x01";
    assert_eq!(refused(protobuf).text(), "protobuf envelope runs past its frame");
    let tiny = b"\0\0\0\x02\x80\x01\0\x01";
    assert_eq!(refused(tiny).text(), "ReadMessageBegin: buf too small");
    let none = b"\0\0\0\0\x80\x01\0\x01";
    assert_eq!(refused(none).text(), "ReadMessageBegin: buf too small");
}

#[test]
fn inner_and_outer_length_must_agree() {
    for by in [-1i32, 1, 100] {
        let mut bytes = example("B");
        let inner = 94..98;
        let length = i32::from_be_bytes(bytes[inner.clone()].try_into().unwrap()) + by;
        bytes[inner].copy_from_slice(&length.to_be_bytes());
        let error = refused(&bytes);
        assert_eq!(error.code(), Code::BadPayload);
        assert_eq!(error.text(), format!("frame length {length} in a TTHeader payload of 34 bytes"));
    }
}

#[test]
fn a_payload_too_short_to_sniff_is_refused_at_once() {
    for len in 0..8u8 {
        let bytes = [0, 0, 0, 14 + len, 0x10, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        let error = refused(&bytes);
        assert_eq!(error.text(), format!("invalid payload, {len} bytes after the TTHeader"));
    }
}

#[test]
fn flags_and_seq_of_the_header_decide_nothing() {
    let mut bytes = example("A");
    // Streaming is told apart on a connection's first bytes only.
    bytes[6..12].copy_from_slice(b"\xff\xff\0\0\0\x63");
    let message = whole(&bytes);
    let header = message.header.unwrap();
    assert_eq!((header.flags(), header.seq(), message.seq), (0xFFFF, 99, 1));
}

#[test]
fn bytes_behind_the_stop_stay_in_the_body_of_a_frame() {
    let mut bytes = example("F");
    bytes[3] += 3;
    bytes.put_slice(b"abc");
    assert_eq!(whole(&bytes).body, [HI, b"abc"].concat());
}

#[test]
fn huge_claims_with_little_data_reserve_little() {
    let claims: &[&[u8]] = &[
        // 64 MiB frame, in a TTHeader and alone.
        b"\x04\0\0\0\x10\0\0\0\0\0\0\x01\0\x01\0\0\0\0\x80\x01\0\x01\0\0\0\x01E",
        b"\x04\0\0\0\x80\x01\0\x01\0\0\0\x01E",
        // A name, a string and a list of 60 million in a message without a length.
        b"\x80\x01\0\x01\x03\x90\0\0E",
        b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01\x0b\0\x01\x03\x90\0\0abc",
        b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01\x0f\0\x01\x03\x03\x90\0\0abc",
        b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01\x0f\0\x01\x0c\x7f\xff\xff\xff\0\0\0",
    ];
    for claim in claims {
        let mut buf = BytesMut::from(*claim);
        let mut decoder = Decoder::new(Limits::DEFAULT);
        assert!(decoder.decode(&mut buf).unwrap().is_none());
        assert!(buf.capacity() <= 64 << 10, "{} for {} bytes", buf.capacity(), claim.len());
        buf.put_bytes(0, 100_000 - buf.len());
        let _ = decoder.decode(&mut buf);
        assert!(buf.capacity() <= 400_000, "{}", buf.capacity());
    }
    let too_large: &[&[u8]] = &[
        b"\xff\xff\xff\xff\x10\0\0\0\0\0\0\x01\0\x01",
        b"\xff\xff\xff\xff\x80\x01\0\x01",
        b"\x04\0\0\x01\x80\x01\0\x01",
        b"\x80\x01\0\x01\x03\xff\xff\xff",
        b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01\x0b\0\x01\x7f\xff\xff\xff",
        b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01\x0f\0\x01\x0a\x7f\xff\xff\xff",
    ];
    for claim in too_large {
        let mut buf = BytesMut::from(*claim);
        let before = buf.capacity();
        let error = Decoder::new(Limits::DEFAULT).decode(&mut buf).unwrap_err();
        assert_eq!((error.code(), buf.capacity()), (Code::FrameTooLarge, before), "{claim:?}");
        assert!(error.text().ends_with("larger than the limit(67108864)"), "{error}");
    }
}

#[test]
fn the_frame_limit_counts_each_form() {
    for (name, size) in [("A", 44), ("F", 30), ("G", 30), ("N", 54)] {
        let bytes = example(name);
        for (frame_bytes, ok) in [(size, true), (size - 1, false)] {
            let result = decode_with(Limits { frame_bytes, ..Limits::DEFAULT }, &bytes);
            assert_eq!(result.as_ref().is_ok_and(Option::is_some), ok, "{name} {frame_bytes}");
            if let Err(error) = result {
                let text = format!("invalid data: payload size({size}) larger than the limit({frame_bytes})");
                assert_eq!((error.code(), error.text()), (Code::FrameTooLarge, &text[..]));
            }
        }
    }
    // Nobody can allow more than the protocol does.
    let limits = Limits { frame_bytes: usize::MAX, ..Limits::DEFAULT };
    assert!(decode_with(limits, b"\x40\0\0\0\x80\x01\0\x01").is_err());
    assert!(decode_with(limits, b"\x3f\xff\xff\xff\x80\x01\0\x01").unwrap().is_none());
}

#[test]
fn buffered_messages_end_at_their_stop_and_refuse_malformed_structs() {
    for (body, text) in [
        (&b"\x07\0\x01"[..], "unknown data type 7"),
        (b"\x0b\0\x01\xff\xff\xff\xff", "invalid data length at byte 3"),
    ] {
        let bytes = [&example("G")[..16], body].concat();
        let error = refused(&bytes);
        assert_eq!((error.code(), error.text()), (Code::Malformed, text));
    }
    for (depth, ok) in [(63, true), (64, true), (65, false)] {
        let bytes = [&example("G")[..16], &[12, 0, 1].repeat(depth - 1), &vec![0; depth]].concat();
        assert_eq!(decode(&bytes).is_ok_and(|message| message.is_some()), ok, "depth {depth}");
    }
    // An exception without a length ends at its own STOP.
    let mut exception = BytesMut::from(&b"\x80\x01\0\x03\0\0\0\0\0\0\0\0"[..]);
    ApplicationException::new(6, "no").write(&mut exception).unwrap();
    exception.put_slice(&example("G"));
    let mut decoder = Decoder::new(Limits::DEFAULT);
    let message = decoder.decode(&mut exception).unwrap().unwrap();
    assert_eq!(ApplicationException::read(&message.body, 64).unwrap().type_id, 6);
    assert_eq!(exception, example("G"));
}

#[test]
fn old_style_messages_are_read_by_option() {
    let limits = Limits { allow_old_style: true, ..Limits::DEFAULT };
    for name in ["Echo", "E", "$", "_ok", &"x".repeat(300)] {
        let mut message = BytesMut::new();
        message.put_u32(name.len() as u32);
        message.put_slice(name.as_bytes());
        message.put_slice(b"\x01\0\0\0\x09");
        message.put_slice(HI);
        let framed = [&(message.len() as u32).to_be_bytes()[..], &message].concat();
        for (bytes, expect_framed) in [(&message[..], false), (&framed[..], true)] {
            let inbound = decode_with(limits, bytes).unwrap().unwrap();
            assert_eq!((inbound.layout.framed, inbound.seq), (expect_framed, 9), "{name}");
            assert_eq!((&inbound.name[..], &inbound.body[..]), (name.as_bytes(), HI));
        }
    }
    assert_eq!(decode_with(limits, b"GET / HTTP/1.1").unwrap_err().code(), Code::BadPayload);
    assert!(decode_with(limits, b"\0\0\0\x04Echo\x07\0\0\0\x01").is_err());
    assert_eq!(line(&decode_with(limits, &example("G")).unwrap().unwrap()), line(&whole(&example("G"))));
}

#[test]
fn mesh_headers_fail_like_ttheaders() {
    let mut bytes = example("N");
    bytes[5] = 2;
    let error = refused(&bytes);
    assert_eq!(error.code(), Code::BadHeader);
    assert!(error.text().starts_with("meshHeader read kv info failed, error reading str kv info: EOF"));
    // A pair fewer than there is room for: what is left over in the header is ignored.
    let mut bytes = example("N");
    bytes[5] = 0;
    assert_eq!(whole(&bytes).header.unwrap().strings().count(), 0);
    let error = refused(b"\xff\xaf\0\x01\0\0\0\0\0");
    assert!(error.text().contains("error reading str kv info size: EOF"));
    assert!(whole(&example("N")).header.unwrap().is_mesh());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let body = Message::new(Encoding::PROTOBUF, Bytes::new());
    let frame = Outbound {
        layout: Layout { payload: Payload::KitexProtobuf, ..Layout::TTHEADER },
        flags: 0,
        seq: 1,
        kind: MessageType::Call,
        name: b"Echo",
        body: &body,
    };
    let error = bytes_of(&frame, |_| {}).unwrap_err();
    assert_eq!(error.text(), "protobuf just support 'framed' trans proto");
    let framed = Layout { framed: true, ..frame.layout };
    assert!(bytes_of(&Outbound { layout: framed, name: b"", ..frame }, |_| {}).is_err());
    assert!(bytes_of(&Outbound { layout: framed, ..frame }, |_| {}).is_ok());
    let error = bytes_of(&Outbound { layout: Layout::TTHEADER, ..frame }, |w| {
        w.string(b"", b"k", &[0; 65_536]);
    });
    assert_eq!(error.unwrap_err().code(), Code::EncodeFailed);
    // Without a TTHeader nobody is asked for metadata.
    bytes_of(&Outbound { layout: Layout::FRAMED, ..frame }, |_| panic!("asked")).unwrap();
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let huge = Message::from_segments(Encoding::RAW, vec![chunk; 1024]);
    let error = bytes_of(&Outbound { layout: Layout::BUFFERED, body: &huge, ..frame }, |_| {}).unwrap_err();
    assert_eq!(error.code(), Code::EncodeFailed);
}

#[test]
fn a_large_body_is_linked_on_the_way_out_and_shared_on_the_way_in() {
    let text = Bytes::from(vec![b'x'; 1 << 20]);
    let start = Bytes::from([&b"\x0b\0\x01"[..], &(1u32 << 20).to_be_bytes()].concat());
    let body =
        Message::from_segments(Encoding::THRIFT_BINARY, vec![start, text.clone(), Bytes::from_static(&[0])]);
    let frame = Outbound {
        layout: Layout::TTHEADER_FRAMED,
        flags: 0,
        seq: 1,
        kind: MessageType::Reply,
        name: b"Echo",
        body: &body,
    };
    let mut out = OutBuf::new();
    encode(&mut out, &frame, |_| {}).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(out.io_slices(&mut slices), 3);
    assert_eq!(slices[1].as_ptr(), text.as_ptr());
    let bytes = bytes_of(&frame, |_| {}).unwrap();
    let mut buf = BytesMut::from(&bytes[..]);
    let at = buf.as_ptr();
    let message = Decoder::new(Limits::DEFAULT).decode(&mut buf).unwrap().unwrap();
    assert_eq!(message.body, body.bytes());
    assert_eq!(message.body.as_ptr() as usize - at as usize, bytes.len() - message.body.len());
}

/// The last bytes of example M are its payload, from the frame's length on.
#[test]
fn a_payload_is_checked_against_its_checksum_before_it_is_read() {
    let limits = Limits { checksum: true, ..Limits::DEFAULT };
    let good = example("M");
    assert_eq!(&decode_with(limits, &good).unwrap().unwrap().body[..], HI);
    let payload_at = good.len() - HI.len() - 4 - Envelope::FIXED_BYTES - b"Echo".len();
    for at in payload_at..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        assert!(decode_with(limits, &bytes).is_err(), "byte {at}");
        // Lengths and versions are found out before, the rest by the checksum alone.
        if at > good.len() - HI.len() {
            let error = decode_with(limits, &bytes).unwrap_err();
            assert_eq!(error.code(), Code::ChecksumMismatch);
            assert_eq!(error.text(), "payload validation error: validation failed, err=24e132c2");
        }
    }
    // Upper case is another value; who does not check does not look.
    let at = good.windows(8).position(|bytes| bytes == b"24e132c2").unwrap();
    let mut upper = good.clone();
    upper[at..at + 8].make_ascii_uppercase();
    assert_eq!(decode_with(limits, &upper).unwrap_err().code(), Code::ChecksumMismatch);
    assert!(decode(&upper).unwrap().is_some());
    // No key, an empty value, no header at all.
    assert!(decode_with(limits, &example("B")).unwrap().is_some());
    assert!(decode_with(limits, &example("F")).unwrap().is_some());
    let empty = sent(b"hi", |header| {
        header.string(b"", b"crc32c", b"");
    });
    assert!(decode_with(limits, &empty).unwrap().is_some());
}

/// A call with this body, and 9,000 bytes more that are linked.
fn sent(text: &[u8], fill: impl FnOnce(&mut HeaderWriter<'_>)) -> Vec<u8> {
    let segments = vec![Bytes::copy_from_slice(text), Bytes::from(vec![7; 9000]), Bytes::from_static(b"!")];
    let body = Message::from_segments(Encoding::THRIFT_BINARY, segments);
    let frame = Outbound {
        layout: Layout::TTHEADER_FRAMED,
        flags: 0,
        seq: 1,
        kind: MessageType::Call,
        name: b"Echo",
        body: &body,
    };
    bytes_of(&frame, fill).unwrap()
}

#[test]
fn the_checksum_covers_the_frame_length_and_linked_segments_alike() {
    let limits = Limits { checksum: true, ..Limits::DEFAULT };
    let bytes = sent(b"first", |header| {
        // A pair of the host's with that key loses.
        header.string(b"", b"crc32c", b"mine").checksum().int(22, b"1");
    });
    let inbound = decode_with(limits, &bytes).unwrap().unwrap();
    let payload = &bytes[inbound.header.as_ref().unwrap().wire_len()..];
    assert_eq!(&payload[..4], (bytes.len() as u32 - 4 - (bytes.len() - payload.len()) as u32).to_be_bytes());
    let text = Checksum::of(payload).text();
    assert_eq!(inbound.header.unwrap().string(b"crc32c"), Some(&text[..]));
    for at in [bytes.len() - 1, bytes.len() - 5000, bytes.len() - 9003] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert_eq!(decode_with(limits, &bytes).unwrap_err().code(), Code::ChecksumMismatch);
    }
}

proptest! {
    #[test]
    fn any_message_round_trips(
        ttheader: bool, framed: bool, protobuf: bool, kind in 1u16..5, seq: i32, flags: u16,
        name in "[a-zA-Z]{1,20}",
        body in prop::collection::vec(any::<u8>(), 0..6000),
        pairs in prop::collection::vec((any::<u16>(), "[a-z]{0,9}", "[a-z]{0,9}"), 0..9),
        cut: prop::sample::Index,
    ) {
        let sized = ttheader || framed;
        let layout = Layout {
            ttheader,
            framed: framed || protobuf,
            payload: if protobuf { Payload::KitexProtobuf } else { Payload::ThriftBinary },
        };
        // Without a length only a struct has an end.
        let body = if sized || protobuf { body } else { HI.to_vec() };
        let message = Message::new(layout.payload.encoding(), body.clone().into());
        let kind = MessageType::from_number(kind).unwrap();
        let frame = Outbound { layout, flags, seq, kind, name: name.as_bytes(), body: &message };
        let bytes = bytes_of(&frame, |w| pairs.iter().for_each(|(number, key, value)| {
            w.string(b"", key.as_bytes(), value.as_bytes()).int(*number, value.as_bytes());
        })).unwrap();
        let mut decoder = Decoder::new(Limits::DEFAULT);
        let cut = cut.index(bytes.len());
        let mut buf = BytesMut::from(&bytes[..cut]);
        prop_assert!(decoder.decode(&mut buf).unwrap().is_none());
        buf.put_slice(&bytes[cut..]);
        let inbound = decoder.decode(&mut buf).unwrap().unwrap();
        prop_assert_eq!(inbound.size(), bytes.len());
        prop_assert_eq!((inbound.layout, inbound.kind, inbound.seq), (layout, kind, seq));
        prop_assert_eq!((&inbound.name[..], &inbound.body[..]), (name.as_bytes(), &body[..]));
        prop_assert_eq!(again(&inbound), bytes);
    }

    #[test]
    fn any_bytes_are_decided_without_a_panic(
        start in prop_oneof![
            Just(vec![]),
            Just(b"\0\0\0\x40\x10\0\0\0\0\0\0\x01\0\x04".to_vec()),
            Just(b"\xff\xaf\0\x08".to_vec()),
            Just(b"\x80\x01\0\x01\0\0\0\x01E\0\0\0\x01".to_vec()),
            Just(b"\0\0\0\x20\x80\x01\0\x01".to_vec()),
            Just(b"\0\0\0\x20\x90\x01\0\x01".to_vec()),
        ],
        rest in prop::collection::vec(prop_oneof![3 => 0..17u8, 1 => any::<u8>()], 0..100),
        old: bool,
    ) {
        let bytes = [start, rest].concat();
        let limits = Limits { allow_old_style: old, ..Limits::DEFAULT };
        let at_once = decode_with(limits, &bytes);
        let mut decoder = Decoder::new(limits);
        let mut buf = BytesMut::new();
        let mut stepwise = Ok(None);
        for byte in &bytes {
            buf.put_u8(*byte);
            stepwise = decoder.decode(&mut buf);
            if !matches!(stepwise, Ok(None)) { break }
        }
        let line = |result: Result<Option<Inbound>>| result.map(|message| message.map(|m| line(&m)));
        prop_assert_eq!(line(stepwise), line(at_once));
    }
}
