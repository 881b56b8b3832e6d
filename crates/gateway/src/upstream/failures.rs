//! Sets of ways in which a service fails, and which of them a fault is.

use crate::fault::Fault;
use crate::values::Failure;

/// The first status that a set knows.
const FIRST: u16 = 400;

/// A set of ways to fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    words: u8,
    /// One bit for each status from [`FIRST`] on.
    statuses: [u64; 4],
}

impl Failures {
    /// The set of these.
    pub fn of<'f>(failures: impl IntoIterator<Item = &'f Failure>) -> Failures {
        let mut set = Failures::default();
        for failure in failures {
            match failure {
                Failure::Class5 => (500..600).for_each(|status| set.insert(status)),
                Failure::Status(status) => set.insert(*status),
                word => set.words |= bit(*word),
            }
        }
        set
    }

    fn insert(&mut self, status: u16) {
        if let Some((place, bit)) = place(status)
            && let Some(part) = self.statuses.get_mut(place)
        {
            *part |= bit;
        }
    }

    /// Whether an answer of this status is among them.
    pub fn has_status(&self, status: u16) -> bool {
        let Some((place, bit)) = place(status) else { return false };
        self.statuses.get(place).is_some_and(|part| part & bit != 0)
    }

    /// Whether this fault is among them.
    pub fn has(&self, fault: &Fault) -> bool {
        match failure(fault) {
            Some(Failure::Status(status)) => self.has_status(status),
            Some(word) => self.words & bit(word) != 0,
            None => false,
        }
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let nth = status.checked_sub(FIRST)?;
    Some((usize::from(nth / 64), 1 << (nth % 64)))
}

const fn bit(word: Failure) -> u8 {
    match word {
        Failure::Connect => 1,
        Failure::Reset => 2,
        Failure::Timeout => 4,
        Failure::Invalid => 8,
        Failure::OpenCircuit => 16,
        Failure::Full => 32,
        Failure::NoTarget => 64,
        Failure::Class5 | Failure::Status(_) => 0,
    }
}

/// The way to fail that a fault is; `None` for what is not the service's.
pub fn failure(fault: &Fault) -> Option<Failure> {
    Some(match fault {
        Fault::ConnectRefused | Fault::ConnectTimeout | Fault::TargetCertificate | Fault::TargetTls => {
            Failure::Connect
        }
        Fault::NoAnswer | Fault::AnswerCut => Failure::Reset,
        Fault::AnswerTimeout | Fault::AnswerStalled | Fault::Timeout => Failure::Timeout,
        Fault::AnswerHead(_)
        | Fault::AnswerBody(_)
        | Fault::AnswerUnasked
        | Fault::AnswerInvalid
        | Fault::AnswerProtocol => Failure::Invalid,
        Fault::CircuitOpen(_) => Failure::OpenCircuit,
        Fault::ServiceFull => Failure::Full,
        Fault::NoEndpoint => Failure::NoTarget,
        Fault::ServiceFailed(status) => Failure::Status(*status),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_it_was_made_of() {
        let set = Failures::of(&[Failure::Connect, Failure::Status(429), Failure::Class5]);
        for (fault, within) in [
            (Fault::ConnectRefused, true),
            (Fault::ServiceFailed(500), true),
            (Fault::ServiceFailed(599), true),
            (Fault::ServiceFailed(429), true),
            (Fault::ServiceFailed(404), false),
            (Fault::NoAnswer, false),
            (Fault::ClientGone, false),
        ] {
            assert_eq!(set.has(&fault), within, "{fault:?}");
        }
        assert!(!set.has_status(200) && !set.has_status(999) && set.has_status(503));
    }
}
