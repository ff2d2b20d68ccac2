//! Eight bytes always decide, and no early answer is taken back.
#![no_main]

use krpc::wire::detect::{BYTES, detect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let last = detect(data);
    assert!(last.is_some() || data.len() < BYTES);
    for n in 0..data.len().min(BYTES) {
        let early = detect(&data[..n]);
        assert!(early.is_none() || early == last, "{early:?} at {n}, then {last:?}");
    }
});
