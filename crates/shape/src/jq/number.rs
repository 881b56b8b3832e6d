//! Numbers as programs see them: whole ones exactly, others as IEEE 754 has them, and those that nobody changes as they were
//! written.

use std::cmp::Ordering;
use std::rc::Rc;

/// The largest number that is written without an exponent.
const PLAIN: f64 = 1e17;

/// A number.
#[derive(Clone, Debug)]
pub(super) enum Num {
    /// A whole one.
    Int(i64),
    /// Any other.
    Float(f64),
    /// As it was written, and what it counts as.
    Written(Rc<str>, f64),
}

impl Num {
    /// A number of JSON.
    pub(super) fn read(text: &str) -> Num {
        match text.parse::<i64>() {
            Ok(whole) if text != "-0" => Num::Int(whole),
            _ => Num::Written(text.into(), text.parse().unwrap_or(f64::NAN)),
        }
    }

    pub(super) fn of_len(length: usize) -> Num {
        i64::try_from(length).map_or(Num::Float(length as f64), Num::Int)
    }

    pub(super) fn as_f64(&self) -> f64 {
        match self {
            Num::Int(whole) => *whole as f64,
            Num::Float(number) | Num::Written(_, number) => *number,
        }
    }

    /// The whole number that it is.
    pub(super) fn as_whole(&self) -> Option<i64> {
        match self {
            Num::Int(whole) => Some(*whole),
            Num::Float(number) | Num::Written(_, number) => {
                // Beyond 2^53 not every whole number is one of these.
                let fits = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
                #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
                fits.then_some(*number as i64)
            }
        }
    }

    /// Both as whole numbers, where both were made as such.
    fn both(&self, other: &Num) -> Option<(i64, i64)> {
        match (self, other) {
            (Num::Int(left), Num::Int(right)) => Some((*left, *right)),
            _ => None,
        }
    }

    fn done(&self, other: &Num, whole: fn(i64, i64) -> Option<i64>, other_way: fn(f64, f64) -> f64) -> Num {
        match self.both(other).and_then(|(left, right)| whole(left, right)) {
            Some(result) => Num::Int(result),
            None => Num::Float(other_way(self.as_f64(), other.as_f64())),
        }
    }

    pub(super) fn plus(&self, other: &Num) -> Num {
        self.done(other, i64::checked_add, |left, right| left + right)
    }

    pub(super) fn minus(&self, other: &Num) -> Num {
        self.done(other, i64::checked_sub, |left, right| left - right)
    }

    pub(super) fn times(&self, other: &Num) -> Num {
        self.done(other, i64::checked_mul, |left, right| left * right)
    }

    /// What is no whole number becomes one with a fraction.
    pub(super) fn by(&self, other: &Num) -> Num {
        let exact = |left: i64, right: i64| match left.checked_rem(right) {
            Some(0) => left.checked_div(right),
            _ => None,
        };
        self.done(other, exact, |left, right| left / right)
    }

    /// The rest of a division; none of one by zero.
    pub(super) fn rest(&self, other: &Num) -> Option<Num> {
        match self.both(other) {
            Some((_, 0)) => None,
            Some((left, right)) => Some(Num::Int(left.checked_rem(right).unwrap_or(0))),
            None => Some(Num::Float(self.as_f64() % other.as_f64())),
        }
    }

    pub(super) fn negated(&self) -> Num {
        match self {
            Num::Int(whole) => whole.checked_neg().map_or(Num::Float(-(*whole as f64)), Num::Int),
            Num::Float(number) | Num::Written(_, number) => Num::Float(-number),
        }
    }

    pub(super) fn size(&self) -> f64 {
        self.as_f64().abs()
    }

    /// What JSON says for it. What is no number is `null`, what is beyond all numbers the largest one, as in jq.
    pub(super) fn text(&self) -> String {
        match self {
            Num::Int(whole) => whole.to_string(),
            Num::Written(text, _) => text.to_string(),
            Num::Float(number) if number.is_nan() => "null".to_owned(),
            Num::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "1.7976931348623157e308" } else { "-1.7976931348623157e308" }.to_owned()
            }
            Num::Float(number) if number.fract() == 0.0 && number.abs() < PLAIN => format!("{number:.0}"),
            Num::Float(number) => serde_json::Number::from_f64(*number)
                .map_or_else(|| "null".to_owned(), |number| number.to_string()),
        }
    }

    /// All numbers in their order; what is none before them.
    pub(super) fn order(&self, other: &Num) -> Ordering {
        if let Some((left, right)) = self.both(other) {
            return left.cmp(&right);
        }
        let (left, right) = (self.as_f64(), other.as_f64());
        left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_they_are() {
        for text in ["0", "-1", "1.50", "1e400", "-0", "123456789012345678901234567890"] {
            assert_eq!(Num::read(text).text(), text);
        }
        let int = |whole| Num::Int(whole);
        assert_eq!(int(6).by(&int(2)).text(), "3");
        assert_eq!(int(1).by(&int(2)).text(), "0.5");
        assert_eq!(int(1).by(&int(0)).text(), "1.7976931348623157e308");
        assert!(int(1).rest(&int(0)).is_none());
        assert_eq!(int(i64::MIN).rest(&int(-1)).unwrap().text(), "0");
        assert_eq!(int(i64::MAX).plus(&int(1)).text(), "9.223372036854776e+18");
        assert_eq!(int(i64::MIN).negated().as_f64(), 9_223_372_036_854_775_808.0);
        assert_eq!(Num::read("1.50").plus(&int(1)).text(), "2.5");
        assert_eq!(Num::read("2.0").as_whole(), Some(2));
        assert_eq!(Num::Float(f64::NAN).text(), "null");
        assert_eq!(Num::Float(f64::NAN).order(&int(i64::MIN)), Ordering::Less);
        assert_eq!(int(1).order(&Num::Float(f64::NAN)), Ordering::Greater);
        assert_eq!(Num::Float(f64::NAN).order(&Num::Float(f64::NAN)), Ordering::Equal);
        assert_eq!(int(i64::MAX).order(&int(i64::MAX - 1)), Ordering::Greater);
    }
}
