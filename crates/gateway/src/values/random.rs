//! A fast generator of random numbers for one worker (wyrand: Wang Yi, wyhash, public domain).
//!
//! For spreading load and naming exchanges. Never for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

/// The generator. Each worker has its own; nothing is shared.
pub struct Random(Cell<u64>);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Random {
        Random(Cell::new(seed))
    }

    /// A generator seeded by the operating system (through the keys of the standard library's hasher).
    pub fn from_system() -> Random {
        Random::new(std::hash::RandomState::new().build_hasher().finish())
    }

    /// The next 64 random bits.
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.0.set(state);
        let product = u128::from(state).wrapping_mul(u128::from(state ^ 0xe703_7ed1_a0b4_28db));
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// A number below `bound`, 0 for a bound of 0. The bias is below 2^-32 for bounds that fit in 32 bits.
    pub fn below(&self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_a_bound_are_spread_evenly() {
        let random = Random::new(7);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[random.below(5)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(random.below(0), 0);
    }
}
