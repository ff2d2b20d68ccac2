//! The place where host and task of one stream meet, under any order of calls of the host and looks of the task,
//! and each of the stream's ends. No message is lost, doubled or out of order, nobody waits for ever or hears of
//! an end twice, and the task is told whenever it must look.
#![no_main]

use krpc::io::stream::world::{self, Dice};
use libfuzzer_sys::fuzz_target;

/// Each byte is a roll; without more of them, steps end.
struct Bytes<'a>(&'a [u8]);

impl Dice for Bytes<'_> {
    fn roll(&mut self, sides: u64) -> u64 {
        let Some((first, rest)) = self.0.split_first() else { return sides - 1 };
        self.0 = rest;
        u64::from(*first) % sides
    }

    fn goes_on(&mut self) -> bool {
        !self.0.is_empty()
    }
}

fuzz_target!(|data: &[u8]| world::play(Bytes(data)));
