//! A header that is accepted can be walked, and written again it says the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use krpc::base::Limits;
use krpc::wire::ttheader::{Entry, Header, HeaderWriter};
use krpc::wire::{biz, metainfo};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buf = BytesMut::from(data);
    let Ok(Some((header, payload_len))) = Header::read(&mut buf, &Limits::DEFAULT) else { return };
    assert_eq!(header.wire_len() + buf.len(), data.len());
    let _ = (metainfo::read_request(&header), metainfo::read_backward(&header));

    let mut again = BytesMut::new();
    let mut writer = HeaderWriter::begin(&mut again, header.flags(), header.seq());
    writer.protocol_id(header.protocol_id());
    for entry in header.entries() {
        match entry {
            Entry::String(key, value) => writer.string(b"", key, value),
            Entry::Int(key, value) => writer.int(key, value),
        };
    }
    // Splitting a count-0 block apart may cost a header that was full to the last byte.
    if writer.finish(payload_len).is_err() {
        return;
    }
    let (copy, copy_len) = Header::read(&mut again, &Limits::DEFAULT).unwrap().unwrap();
    assert_eq!(copy_len, payload_len);
    assert_eq!(
        (copy.flags(), copy.seq(), copy.protocol_id()),
        (header.flags(), header.seq(), header.protocol_id())
    );
    assert!(copy.entries().eq(header.entries()));

    if let Some(status) = biz::read(&header) {
        let mut again = BytesMut::new();
        let mut writer = HeaderWriter::begin(&mut again, 0, 0);
        biz::write(&status, &mut writer);
        if writer.finish(0).is_ok() {
            let (copy, _) = Header::read(&mut again, &Limits::DEFAULT).unwrap().unwrap();
            let copy = biz::read(&copy).unwrap();
            assert_eq!((copy.code, copy.message), (status.code, status.message));
            // Bytes that are not UTF-8 do not survive JSON.
            let utf8 = |bytes: &Bytes| std::str::from_utf8(bytes).is_ok();
            if status.extra.iter().all(|(key, value)| utf8(key) && utf8(value)) {
                assert_eq!(copy.extra, status.extra);
            }
        }
    }
});
