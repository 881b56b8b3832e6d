//! The same value goes to the same endpoint, and few values move when endpoints come or go: a ring of points
//! (Karger et al., "Consistent hashing and random trees", 1997), 160 for each unit of weight.

use std::hash::{DefaultHasher, Hasher};

use super::Choice;

/// Points on the ring for each unit of weight: spreads ten endpoints within about 8 %.
const POINTS: u32 = 160;
/// Most points of one endpoint.
const MOST_POINTS: u32 = 16_000;

/// The ring: points in order, each with the place of its endpoint.
#[derive(Default)]
pub(super) struct Ring {
    points: Vec<(u64, usize)>,
}

/// Hash of a value (SipHash with fixed keys: all workers and all nodes agree).
pub fn hash(value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(value);
    hasher.finish()
}

impl Ring {
    pub(super) fn new<'a>(endpoints: impl Iterator<Item = (&'a str, u32)> + Clone) -> Ring {
        let smallest =
            endpoints.clone().map(|(_, weight)| weight).filter(|weight| *weight > 0).min().unwrap_or(1);
        let mut points = Vec::new();
        for (place, (name, weight)) in endpoints.enumerate() {
            let count =
                (u64::from(weight) * u64::from(POINTS) / u64::from(smallest)).min(u64::from(MOST_POINTS));
            points.extend((0..count).map(|point| (hash(format!("{name}#{point}").as_bytes()), place)));
        }
        points.sort_unstable();
        Ring { points }
    }

    pub(super) fn find(&self, hash: u64, choice: &Choice<'_>) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at_checked(start)?;
        after.iter().chain(before).map(|(_, place)| *place).find(|place| choice.allows(*place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Load;
    use crate::values::random::Random;

    fn owner(ring: &Ring, value: u32, tried: &[usize]) -> usize {
        let (random, load) = (Random::new(0), |_| Load::default());
        let choice = Choice { random: &random, load: &load, hash: None, tried };
        ring.find(hash(&value.to_be_bytes()), &choice).unwrap()
    }

    #[test]
    fn few_values_move_when_an_endpoint_goes() {
        let all = Ring::new(["a", "b", "c", "d"].into_iter().map(|name| (name, 1)));
        let fewer = Ring::new(["a", "b", "c"].into_iter().map(|name| (name, 1)));
        let moved = (0..10_000).filter(|value| owner(&all, *value, &[]) != owner(&fewer, *value, &[]));
        let moved: Vec<u32> = moved.collect();
        assert!(moved.iter().all(|value| owner(&all, *value, &[]) == 3), "only values of the lost one move");
        assert!((2_000..3_000).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn weights_and_failures_are_respected() {
        let ring = Ring::new([("a", 1), ("b", 3)].into_iter());
        let of_b = (0..10_000).filter(|value| owner(&ring, *value, &[]) == 1).count();
        assert!((6_900..8_100).contains(&of_b), "{of_b}");
        assert_eq!(owner(&ring, 1, &[1]), 0);
    }
}
