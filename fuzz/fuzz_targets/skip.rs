//! The resumable skip agrees with the reader, however the bytes arrive. The first byte of the input
//! chooses type and step.
#![no_main]

use bytes::Bytes;
use krpc::base::Limits;
use krpc::wire::kitex_protobuf;
use krpc::wire::thrift::{ApplicationException, BinaryReader, Skipper, TType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let Ok(ttype) = TType::from_byte(choice & 15) else { return };
    let step = usize::from(choice >> 4) + 1;
    let depth = Limits::DEFAULT.depth;

    let mut reader = BinaryReader::with_depth_limit(data, depth);
    let read = reader.skip(ttype);
    let at_once = Skipper::of(ttype, depth).advance(data);
    match (&read, &at_once) {
        (Ok(()), Ok(Some(len))) => assert_eq!(*len, reader.position()),
        // The reader compares counts with what remains, so it may stop before the skipper does.
        (Err(error), Ok(None)) => assert!(error.text().starts_with("buffer too short"), "{error}"),
        (Err(_), Err(_)) => {}
        _ => panic!("reader {read:?}, skipper {at_once:?}"),
    }

    let mut skipper = Skipper::of(ttype, depth);
    let mut seen = 0;
    let stepwise = loop {
        match skipper.advance(&data[..seen]) {
            Ok(None) if seen < data.len() => {
                assert!(skipper.needed() > seen);
                seen = data.len().min(seen + step);
            }
            other => break other,
        }
    };
    assert_eq!(stepwise, at_once);

    let body = Bytes::copy_from_slice(data);
    let _ = ApplicationException::read(&body, depth);
    if let Ok(exception) = kitex_protobuf::read_exception(&body) {
        let mut again = bytes::BytesMut::new();
        kitex_protobuf::write_exception(&exception, &mut again);
        assert_eq!(kitex_protobuf::read_exception(&again.freeze()).unwrap(), exception);
    }
});
