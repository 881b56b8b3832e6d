//! Drawn by weight.

use super::{Choice, Spread};

/// Draws a place by weight; `None` when the draw fell on one that was tried.
pub(super) fn draw(spread: &Spread, choice: &Choice<'_>) -> Option<usize> {
    draw_without(spread, choice, None)
}

/// The same among all places but one.
pub(super) fn draw_without(spread: &Spread, choice: &Choice<'_>, left_out: Option<usize>) -> Option<usize> {
    let weight_of = |place: usize| if Some(place) == left_out { 0 } else { u64::from(spread.weight(place)) };
    let total = spread.total.saturating_sub(left_out.map_or(0, |place| u64::from(spread.weight(place))));
    if total == 0 {
        return None;
    }
    let mut left = choice.random.below(usize::try_from(total).unwrap_or(usize::MAX)) as u64;
    let place = (0..spread.weights.len()).find(|place| match left.checked_sub(weight_of(*place)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    })?;
    choice.allows(place).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::super::{Balance, tests::counts};

    #[test]
    fn draws_follow_the_weights() {
        let counts = counts(&Balance::Random, &[3, 1, 0], 40_000, &[]);
        assert!((29_400..30_600).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
    }
}
