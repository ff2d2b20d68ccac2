//! A small generator: the same seed, the same run.

use std::time::Duration;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // Neighbours must not look alike.
        Dice((seed ^ seed >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// Up to `most`.
    pub fn size(&mut self, most: usize) -> usize {
        self.roll(most as u64 + 1) as usize
    }

    /// Once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize]
    }

    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.roll(most.as_micros() as u64 + 1))
    }
}
