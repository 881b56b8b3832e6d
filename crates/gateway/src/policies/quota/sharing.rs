//! How a quota is counted with other gateways, and what it does while they cannot be asked.

use std::sync::Arc;

use super::Compiled;
use super::ledger::{LARGEST, Ledger, Period};
use super::settings::Quota;
use super::together::{Said, Together};
use crate::config::{Diagnostics, Redis, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::policies::shared::{Kept, OnFault, Remote, redis_of, unknown};
use crate::policies::{Context, Lives};

/// Where a quota is counted with other gateways.
pub(super) struct Sharing {
    redis: Redis,
    on_fault: OnFault,
    together: Option<Arc<Together>>,
}

/// What a request wants of a quota.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To pass.
    Passage,
    /// To know what is used.
    Usage,
}

impl Sharing {
    /// What is said about it; none where the gateway counts alone. Faults are reported.
    pub(super) fn read(
        quota: &Quota,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Sharing> {
        if quota.store == Kept::Local {
            if let Some(on_fault) = &quota.on_fault {
                let what = "`on_fault` is about a quota that gateways share";
                faults.error(codes::BAD_POLICY, on_fault.span(), what).help("write `store: redis` beside it");
            }
            return None;
        }
        let redis = redis_of(context, key, faults)?;
        let on_fault = quota.on_fault.as_ref().map_or(OnFault::Local, |on_fault| **on_fault);
        Some(Sharing { redis, on_fault, together: None })
    }

    /// Finds what is known of the others, which outlives reloads.
    pub(super) fn settle(&mut self, ledger_is: &str, ledger: &Arc<Ledger>, lives: &mut Lives<'_>) {
        let (identity, remote) = Remote::kept(&self.redis, lives);
        let together = lives.keep(&format!("{identity} {ledger_is}"), |before: Option<&Arc<Together>>| {
            before.cloned().unwrap_or_else(|| Arc::new(Together::new(remote, ledger.clone())))
        });
        self.together = Some(together);
    }

    /// What is known of the others, once it has its place.
    pub(super) fn together(&self) -> Option<&Arc<Together>> {
        self.together.as_ref()
    }

    /// How much this gateway may let be used by itself.
    fn room(&self, amount: u64, others: u64) -> Option<u64> {
        match self.on_fault {
            OnFault::Local => Some(amount.saturating_sub(others)),
            OnFault::Open => Some(LARGEST),
            OnFault::Closed => None,
        }
    }
}

impl Compiled {
    /// Asks the others.
    pub(super) fn ask_others<'a>(
        &'a self,
        together: &'a Arc<Together>,
        exchange: &'a mut Exchange,
        of: (u64, Period),
        wanted: Wanted,
    ) -> Verdict<'a> {
        if !together.may_answer() {
            return self.alone(together, exchange, of, wanted);
        }
        Verdict::Wait(Box::pin(async move {
            match together.ask(of, self.amount, u64::from(wanted == Wanted::Passage)).await {
                Some(said) => self.heard(together, exchange, of, &said, wanted),
                None => self.alone(together, exchange, of, wanted),
            }
        }))
    }

    /// What the others said.
    fn heard<'v>(
        &self,
        together: &Together,
        exchange: &mut Exchange,
        (key, period): (u64, Period),
        said: &Said,
        wanted: Wanted,
    ) -> Verdict<'v> {
        if wanted == Wanted::Usage {
            return Verdict::answer(self.told(said.used, period, Some(true)));
        }
        self.note(exchange, said.used, period);
        if !said.takes {
            return Verdict::answer(self.refuse(period));
        }
        // There was room by the count of all, which is the one that holds.
        let _ = together.ledger().take(key, period, LARGEST, 1, || self.owner(exchange, key));
        Verdict::Go
    }

    /// What is done while there is no answer.
    fn alone<'v>(
        &self,
        together: &Arc<Together>,
        exchange: &mut Exchange,
        (key, period): (u64, Period),
        wanted: Wanted,
    ) -> Verdict<'v> {
        if wanted == Wanted::Usage {
            return Verdict::answer(self.told(together.known(key, period), period, Some(false)));
        }
        together.count_alone();
        let others = together.others(key, period);
        let room = self.sharing.as_ref().and_then(|sharing| sharing.room(self.amount, others));
        let Some(room) = room else { return Verdict::answer(unknown()) };
        let taken = together.ledger().take(key, period, room, 1, || self.owner(exchange, key));
        let (Ok(own) | Err(own)) = taken;
        self.note(exchange, others.saturating_add(own), period);
        if taken.is_err() {
            return Verdict::answer(self.refuse(period));
        }
        together.owe(key, period);
        Verdict::Go
    }
}
