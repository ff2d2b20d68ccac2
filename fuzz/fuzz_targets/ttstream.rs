//! Frames of streams are the same however their bytes are cut, and written again they say the same.
#![no_main]

use bytes::BytesMut;
use krpc::base::{Encoding, Limits};
use krpc::wire::ttheader::Entry;
use krpc::wire::ttstream::{Decoded, Decoder, Frame, FrameType, Head, encode, exception};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { frame_bytes: 64 << 10, ..Limits::DEFAULT };

/// Everything that comes out, as text, and whether the bytes were out of step at last.
fn read(data: &[u8], step: usize) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new(LIMITS, 32 << 10);
    let (mut buf, mut seen) = (BytesMut::new(), Vec::new());
    for part in data.chunks(step.max(1)) {
        buf.extend_from_slice(part);
        loop {
            assert!(decoder.missing(&buf) >= 1);
            match decoder.decode(&mut buf) {
                Ok(None) => break,
                Ok(Some(decoded)) => seen.push(format!("{decoded:?}")),
                Err(_) => return (seen, true),
            }
        }
        assert!(buf.len() <= LIMITS.frame_bytes + 4);
    }
    (seen, false)
}

fn write_again(frame: &Frame) {
    if frame.kind == FrameType::Data {
        return;
    }
    let method = frame.method();
    let encoding =
        if frame.header.protocol_id() == 0x11 { Encoding::PROTOBUF } else { Encoding::THRIFT_BINARY };
    let head = Head { id: frame.id, kind: frame.kind, method: &method, encoding, ints: &[] };
    let mut out = BytesMut::new();
    let strings = |header: &mut krpc::wire::HeaderWriter<'_>| {
        frame.header.strings().for_each(|(key, value)| _ = header.string(b"", key, value));
    };
    if encode(&mut out, head, strings, &frame.payload).is_err() {
        return;
    }
    let decoded = Decoder::new(Limits::DEFAULT, usize::MAX).decode(&mut out);
    let Ok(Some(Decoded::Frame(copy))) = decoded else { panic!("{decoded:?}") };
    assert_eq!((copy.id, copy.kind, &copy.payload), (frame.id, frame.kind, &frame.payload));
    assert_eq!(copy.method(), method);
    let strings = |frame: &Frame| -> Vec<(Vec<u8>, Vec<u8>)> {
        let strings = frame.header.entries().filter_map(|entry| match entry {
            Entry::String(key, value) => Some((key.to_vec(), value.to_vec())),
            Entry::Int(..) => None,
        });
        strings.collect()
    };
    assert_eq!(strings(&copy), strings(frame));
}

fuzz_target!(|data: &[u8]| {
    let Some((step, data)) = data.split_first() else { return };
    let whole = read(data, data.len());
    assert_eq!(read(data, usize::from(*step)), whole);
    let mut buf = BytesMut::from(data);
    let mut decoder = Decoder::new(LIMITS, 32 << 10);
    while let Ok(Some(decoded)) = decoder.decode(&mut buf) {
        if let Decoded::Frame(frame) = decoded {
            let _ = exception::read(&frame.payload, &LIMITS);
            write_again(&frame);
        }
    }
});
