//! What keys are counted under: a hash of the limit and of what a request is counted by.
//!
//! Takes a limit and a request; gives a number that nobody outside can choose or foresee.

use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::exchange::Exchange;
use crate::values::Source;

/// What makes hashes of the keys of a limit.
pub(super) struct Hashes {
    /// That of the limit, to which keys are added.
    of_limit: DefaultHasher,
    /// Two secret numbers.
    secret: [u64; 2],
}

impl Hashes {
    /// Those of the limit of this number, for this process only.
    pub(super) fn new(random: &RandomState, limit: u64) -> Hashes {
        let mut of_limit = random.build_hasher();
        of_limit.write_u64(limit);
        let secret = [1, 2].map(|nth| {
            let mut hasher = of_limit.clone();
            hasher.write_u8(nth);
            hasher.finish()
        });
        Hashes { of_limit, secret }
    }

    /// The hash of a client's address. Where the hash of the standard library mixes whatever it is given, these are 64 bits of
    /// which a client chooses few, and one multiplication by a number that nobody knows spreads them.
    #[inline]
    pub(super) fn of_address(&self, address: u64) -> u64 {
        let [one, two] = self.secret;
        let product = u128::from(address ^ one) * u128::from(two | 1);
        (product >> 64) as u64 ^ product as u64
    }

    /// The hash of what these sources give.
    pub(super) fn of(&self, sources: &[Source], exchange: &Exchange) -> u64 {
        let mut hasher = self.of_limit.clone();
        exchange.hash_per(sources, &mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_spread_and_each_limit_has_its_own() {
        let random = RandomState::new();
        let (one, other) = (Hashes::new(&random, 1), Hashes::new(&random, 2));
        let mut seen = std::collections::HashSet::new();
        for address in (0..20_000).chain((0..20_000).map(|high| high << 44)).skip(1) {
            assert!(seen.insert(one.of_address(address)), "{address}");
            assert!(seen.insert(other.of_address(address)), "{address}");
        }
        // A thousand buckets, 80 hashes in each: one in a million has 130 or more.
        let mut buckets = [0u32; 1000];
        seen.iter().for_each(|hash| buckets[((u128::from(*hash) * 1000) >> 64) as usize] += 1);
        assert!(buckets.iter().all(|full| (20..160).contains(full)), "{buckets:?}");
    }
}
