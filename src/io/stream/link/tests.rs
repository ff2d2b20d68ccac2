//! A host and a task in turn, at random ([`world`]).

use super::world::{self, Dice};

struct Random {
    state: u64,
    steps: u32,
}

impl Dice for Random {
    fn roll(&mut self, sides: u64) -> u64 {
        let n = &mut self.state;
        *n ^= *n << 13;
        *n ^= *n >> 7;
        *n ^= *n << 17;
        (*n >> 11) % sides
    }

    fn goes_on(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }
}

#[test]
fn nothing_is_lost_or_doubled_in_any_order() {
    for seed in 1_u64..4000 {
        let played = std::panic::catch_unwind(|| {
            world::play(Random { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, steps: 120 });
        });
        assert!(played.is_ok(), "seed {seed}");
    }
}
