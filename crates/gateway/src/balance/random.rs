//! Drawn by weight.

use super::{Choice, Spread};

/// Draws a place by weight; `None` when the draw fell on one that was tried.
pub(super) fn draw(spread: &Spread, choice: &Choice<'_>) -> Option<usize> {
    let mut left = choice.random.below(usize::try_from(spread.total).unwrap_or(usize::MAX)) as u64;
    let place = spread.weights.iter().position(|weight| match left.checked_sub(u64::from(*weight)) {
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
