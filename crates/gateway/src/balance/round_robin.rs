//! By turns, smoothly by weight: 3:1 gives `a a b a`, never `a a a b` three times in a row.
//!
//! The order of one round is computed when the endpoints change (nginx's smooth weighted round robin); choosing is
//! one step along it. A request that needs a further endpoint takes a step of another walk along the same round: were it
//! one of the first, two endpoints of which one fails would have it asked first each time.

use std::cell::Cell;

use super::Choice;

/// Longest order of one round. Larger sums of weights are scaled down to it.
const LONGEST: u64 = 10_000;

/// One round, and where the worker stands in it.
pub(super) struct Turns {
    order: Vec<usize>,
    /// For what a request asks first.
    next: Cell<usize>,
    /// For what it asks besides.
    further: Cell<usize>,
}

impl Turns {
    pub(super) fn new(weights: &[u32], start: usize) -> Turns {
        let order = smooth(&scaled(weights));
        let start = start.checked_rem(order.len()).unwrap_or(0);
        Turns { order, next: Cell::new(start), further: Cell::new(start) }
    }

    pub(super) fn next(&self, choice: &Choice<'_>) -> Option<usize> {
        let walk = if choice.tried.is_empty() { &self.next } else { &self.further };
        for _ in 0..self.order.len() {
            let at = walk.get();
            walk.set(if at.saturating_add(1) < self.order.len() { at.saturating_add(1) } else { 0 });
            if let Some(place) = self.order.get(at).filter(|place| choice.allows(**place)) {
                return Some(*place);
            }
        }
        None
    }
}

/// Weights divided by what they have in common, and made small enough for one round.
fn scaled(weights: &[u32]) -> Vec<u64> {
    let common = weights.iter().fold(0, |common, weight| gcd(common, u64::from(*weight))).max(1);
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight) / common).sum();
    let shrink = sum.div_ceil(LONGEST).max(1);
    let scale = |weight: u32| (u64::from(weight) / common).div_ceil(shrink);
    weights.iter().map(|weight| scale(*weight)).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn smooth(weights: &[u64]) -> Vec<usize> {
    let sum: u64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    let mut order = Vec::new();
    for _ in 0..sum {
        for (credit, weight) in credit.iter_mut().zip(weights) {
            *credit = credit.saturating_add_unsigned(*weight);
        }
        let best = credit.iter_mut().enumerate().max_by_key(|(place, credit)| (**credit, usize::MAX - place));
        if let Some((place, credit)) = best {
            *credit = credit.saturating_sub_unsigned(sum);
            order.push(place);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, tests::counts};
    use super::*;

    #[test]
    fn turns_are_exact_and_smooth() {
        assert_eq!(smooth(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(counts(&Balance::RoundRobin, &[3, 1], 400, &[]), [300, 100]);
        assert_eq!(counts(&Balance::RoundRobin, &[0, 2], 10, &[]), [0, 10]);
    }

    #[test]
    fn what_is_asked_besides_takes_no_turn_and_is_spread_too() {
        let turns = Turns::new(&[1, 1, 1], 0);
        let random = crate::values::random::Random::new(5);
        let load = |_: usize| super::super::Load::default();
        let next = |tried: &[usize]| turns.next(&Choice { random: &random, load: &load, hash: None, tried });
        let mut further = [0; 3];
        for round in 0..6 {
            assert_eq!(next(&[]), Some(0), "round {round}");
            further[next(&[0]).unwrap()] += 1;
            assert_eq!((next(&[]), next(&[])), (Some(1), Some(2)), "round {round}");
        }
        assert_eq!(further, [0, 3, 3]);
        assert_eq!(next(&[0, 1, 2]), None);
    }

    #[test]
    fn large_weights_do_not_make_large_rounds() {
        assert_eq!(scaled(&[100, 300]), [1, 3]);
        let turns = Turns::new(&[u32::MAX, u32::MAX - 1, 1], 0);
        assert!(turns.order.len() <= LONGEST as usize + 3, "{}", turns.order.len());
        assert!(turns.order.contains(&2), "the smallest still gets a turn");
    }
}
