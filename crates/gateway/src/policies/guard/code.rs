//! What is remembered of the codes that consumers type: which were used, and how many were wrong.
//!
//! Takes a code; says whether it counts. Each counts once, so that who looks over a shoulder has nothing of it, and few are tried,
//! so that six digits are enough. All workers know of each other, and a reload forgets nothing.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::identity::Totp;
use crate::identity::patience::{Patience, Whose};
use crate::values::Rate;
use crate::values::table::Table;

/// Consumers whose last codes are remembered at a time. One is until its code would not be taken in any case.
const CONSUMERS: usize = 4096;
/// Wrong codes of one consumer, and in which time.
const MOST_WRONG: &str = "5/15m";

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// It counts.
    Right,
    /// It does not, or not again.
    Wrong,
    /// It was not looked at: too many were wrong. For so many seconds.
    TooOften(u64),
}

/// What is remembered.
pub(super) struct Codes {
    /// By the hash of a consumer the step of its last code.
    used: Table,
    secret: RandomState,
    patience: Patience,
}

impl Default for Codes {
    fn default() -> Codes {
        #[expect(clippy::expect_used, reason = "this very text is what it is read as")]
        let rate: Rate = MOST_WRONG.parse().expect("a rate");
        Codes { used: Table::new(CONSUMERS), secret: RandomState::new(), patience: Patience::new(rate) }
    }
}

impl Codes {
    /// Takes a code of a consumer at this second since 1970.
    pub(super) fn take(&self, consumer: &str, totp: &Totp, code: &[u8], second: u64) -> Typed {
        let (whose, now) = ([Whose::Code(consumer)], Instant::now());
        if let Some(left) = self.patience.is_out(&whose, now) {
            return Typed::TooOften(seconds(left));
        }
        let right = totp.step_of(code, second).is_some_and(|step| self.use_up(consumer, step, second));
        if right {
            return Typed::Right;
        }
        self.patience.fail(&whose, now);
        Typed::Wrong
    }

    /// Whether no code of this step or a later one was used before (RFC 6238 section 5.2).
    fn use_up(&self, consumer: &str, step: u64, second: u64) -> bool {
        let hash = self.secret.hash_one(consumer);
        let Some(place) = self.used.place(hash, second) else { return false };
        let mut last = place.read();
        while last < step {
            match place.change(last, step) {
                Ok(()) => {
                    place.lasts_until(Totp::end_of(step));
                    return true;
                }
                Err(Some(other)) => last = other,
                Err(None) => return false,
            }
        }
        false
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238 appendix B, and codes from there: of second 1111111109, and of the next step.
    fn totp() -> Totp {
        Totp::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }
    const FIRST: (&[u8], u64) = (b"081804", 1_111_111_109);
    const NEXT: &[u8] = b"050471";

    #[test]
    fn a_code_counts_once_and_none_before_it_counts_after_it() {
        let (codes, totp) = (Codes::default(), totp());
        let (code, second) = FIRST;
        assert_eq!(codes.take("once", &totp, code, second), Typed::Right);
        assert_eq!(codes.take("once", &totp, code, second + 20), Typed::Wrong);
        assert_eq!(codes.take("other", &totp, NEXT, second), Typed::Right, "a step early");
        assert_eq!(codes.take("other", &totp, code, second), Typed::Wrong, "it is older");
        assert_eq!(codes.take("once", &totp, NEXT, second + 30), Typed::Right);
    }

    #[test]
    fn after_five_that_were_wrong_none_is_looked_at() {
        let (codes, totp) = (Codes::default(), totp());
        let (code, second) = FIRST;
        for nth in 0..5 {
            assert_eq!(codes.take("guesser", &totp, b"000000", second), Typed::Wrong, "{nth}");
        }
        let Typed::TooOften(left) = codes.take("guesser", &totp, code, second) else {
            panic!("it was looked at");
        };
        assert!((1..=900).contains(&left), "{left}");
        assert_eq!(codes.take("another", &totp, code, second), Typed::Right);
    }

    #[test]
    fn of_many_who_type_a_code_at_once_one_goes_on() {
        let (codes, totp) = (Codes::default(), totp());
        let right = std::thread::scope(|scope| {
            let typing = (0..4).map(|_| scope.spawn(|| codes.take("many", &totp, FIRST.0, FIRST.1)));
            let typing: Vec<_> = typing.collect();
            let typed = typing.into_iter().map(|one| one.join().unwrap());
            typed.filter(|typed| *typed == Typed::Right).count()
        });
        assert_eq!(right, 1);
    }
}
