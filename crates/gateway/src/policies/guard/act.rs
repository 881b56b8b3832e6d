//! What is done to a request of a client that is on a level.
//!
//! Takes the level and the request; gives whether it passes, waits, or is answered instead, and counts that.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Compiled;
use super::challenge::refusal;
use super::ladder::{BLOCK, CHALLENGE, LIMIT, SLOW};
use super::pass::Bearer;
use super::table::{Place, State};
use super::watch::Guard as Live;
use crate::exchange::{Answer, Exchange};
use crate::identity::Totp;

/// Requests that pass at once where only some pass.
const BURST: u64 = 10;

/// What is done to a request.
pub(super) enum Act {
    Pass,
    Wait,
    Refuse(Box<Answer>),
}

impl Act {
    fn refuse(answer: Answer) -> Act {
        Act::Refuse(Box::new(answer))
    }
}

impl Compiled {
    /// Does what belongs to the level of the client that the request is judged by.
    #[cold]
    pub(super) fn act(
        &self,
        live: &Live,
        exchange: &mut Exchange,
        (place, key, state): (Place<'_>, u64, State),
    ) -> Act {
        if let Some(why) = live.told(key) {
            exchange.record.why = Cow::Owned(why.to_string());
        }
        match state.level {
            SLOW => {
                self.count(live, exchange, 0);
                Act::Wait
            }
            LIMIT => self.paced(live, exchange, place, self.every),
            CHALLENGE => self.challenged(live, exchange, place, key),
            BLOCK => {
                self.count(live, exchange, 3);
                Act::refuse(refusal(403, "guard_block", self.keeps(BLOCK)))
            }
            _ => Act::Pass,
        }
    }

    fn count(&self, live: &Live, exchange: &Exchange, nth: usize) {
        if let Some(count) = live.numbers.acted.get(nth).filter(|_| !exchange.rehearsal) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Seconds for which a client stays on a level.
    fn keeps(&self, level: u8) -> u64 {
        let rung = self.rules.rungs.get(usize::from(level).saturating_sub(1));
        rung.map_or(60, |rung| u64::from(rung.keeps))
    }

    /// Lets one pass each so many milliseconds.
    fn paced(&self, live: &Live, exchange: &Exchange, place: Place<'_>, every: u64) -> Act {
        if exchange.rehearsal {
            return Act::Pass;
        }
        let now = live.millis(exchange.record.started);
        match place.has_room(now, every, BURST) {
            Ok(()) => Act::Pass,
            Err(millis) => {
                self.count(live, exchange, 1);
                Act::refuse(refusal(429, "guard_limit", millis.div_ceil(1_000)))
            }
        }
    }

    fn challenged(&self, live: &Live, exchange: &Exchange, place: Place<'_>, key: u64) -> Act {
        let (challenge, wait) = (&self.challenge, self.keeps(CHALLENGE));
        let (who, own) = (Live::who(exchange.client.ip), self.own_code(live, exchange, key));
        let bearer = Bearer { who, consumer: own.as_ref().map_or("", |(name, _)| name) };
        // A code is used up by being looked at, so that in shadow and in `explain` none is.
        let code = challenge.code(exchange).filter(|_| !self.shadow && !exchange.rehearsal);
        let (met, typed) = match (&own, code) {
            (Some((_, totp)), Some(code)) => match challenge.typed(exchange, (bearer, totp), code) {
                Ok(answer) => (Some(answer), None),
                Err(typed) => (None, Some(typed)),
            },
            (Some(_), None) => (None, None),
            (None, _) => (challenge.met(exchange, who), None),
        };
        if let Some(answer) = met {
            live.numbers.met.fetch_add(1, Ordering::Relaxed);
            return Act::refuse(answer);
        }
        if challenge.is_met(exchange, bearer) {
            return self.paced(live, exchange, place, self.calm);
        }
        self.count(live, exchange, 2);
        if typed.is_some() {
            live.numbers.wrong.fetch_add(1, Ordering::Relaxed);
        }
        Act::refuse(match own {
            Some(_) => challenge.ask_for_code(exchange, typed, wait),
            None => challenge.ask(exchange, who, wait),
        })
    }

    /// The consumer and its authenticator, where it is to type a code: not where it is judged by its address, so that a credential
    /// that was guessed is met as one that is wrong.
    fn own_code(&self, live: &Live, exchange: &Exchange, key: u64) -> Option<(Arc<str>, &Totp)> {
        let callers = self.callers.as_ref()?;
        let name = exchange.identity.as_ref()?.consumer.clone()?;
        let is_own = live.table.key(self.watch, live.consumer(&name)) == key;
        let totp = callers.code_of(&name).filter(|_| is_own)?;
        Some((name, totp))
    }
}
