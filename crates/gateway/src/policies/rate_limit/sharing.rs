//! How a policy counts with other gateways, and what it does while they cannot be asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::settings::{Cost, RateLimitMap, Sync};
use super::shared::{Ask, Exact, Leases, Store};
use super::store::{Charge, Said};
use super::{Compiled, Grade, at};
use crate::config::{Diagnostics, Redis, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::observe::Figure;
use crate::policies::shared::{About, Digest, Kept, OnFault, Remote, redis_of, unknown};
use crate::policies::{Context, Lives};
use crate::values::Rate;

/// The largest lease.
const MOST_LEASED: u64 = 1_000_000;
/// The smallest lease that is taken where none is named.
const LEAST_LEASED: u64 = 10;

/// Where a policy is counted with other gateways.
pub(super) struct Sharing {
    redis: Redis,
    leases: bool,
    lease: Option<u64>,
    on_fault: OnFault,
    store: Option<Box<dyn Store>>,
}

impl Sharing {
    /// What is said about it; none where the gateway counts alone. Faults are reported.
    pub(super) fn read(
        map: &RateLimitMap,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Sharing> {
        let leases = map.sync.as_ref().is_some_and(|sync| **sync == Sync::Lease);
        if map.store == Kept::Local {
            let alone = map.sync.as_ref().map(|sync| ("sync", sync.span()));
            let alone = alone.or_else(|| map.lease.as_ref().map(|lease| ("lease", lease.span())));
            let alone = alone.or_else(|| map.on_fault.as_ref().map(|on_fault| ("on_fault", on_fault.span())));
            if let Some((word, place)) = alone {
                let what = format!("`{word}` is about a limit that gateways share");
                faults.error(codes::BAD_POLICY, place, what).help("write `store: redis` beside it");
            }
            return None;
        }
        if let Some(lease) = &map.lease {
            if !leases {
                let fault = faults.error(
                    codes::BAD_POLICY,
                    lease.span(),
                    "`lease` stands there and nothing is leased",
                );
                fault.help("write `sync: lease` beside it");
            }
            if !(1..=MOST_LEASED).contains(&**lease) {
                let fault = faults.error(
                    codes::BAD_POLICY,
                    lease.span(),
                    format!("a `lease` of {} is none", **lease),
                );
                fault.help(format!("write a number from 1 to {MOST_LEASED}"));
            }
        }
        let redis = redis_of(context, key, faults)?;
        let lease = map.lease.as_ref().map(|lease| **lease);
        let on_fault = map.on_fault.as_ref().map_or(OnFault::Local, |on_fault| **on_fault);
        Some(Sharing { redis, leases, lease, on_fault, store: None })
    }

    /// Finds the store that outlives reloads. It is another one when the settings of Redis are others.
    pub(super) fn settle(&mut self, lives: &mut Lives<'_>) {
        let (identity, remote) = Remote::kept(&self.redis, lives);
        self.store = Some(if self.leases {
            let leases = lives.keep(&format!("{identity} leases"), |before: Option<&Arc<Leases>>| {
                before.cloned().unwrap_or_else(|| Arc::new(Leases::new(remote)))
            });
            Box::new(leases)
        } else {
            Box::new(Exact(remote))
        });
    }

    /// Charges others what was known too late, by the rate and burst that hold now.
    pub(super) fn correct(&self, grade: &Grade, pace: (Rate, u64), charge: &Charge, slot: u128, more: i64) {
        if let Some(store) = &self.store {
            store.correct(self.ask_by(pace, grade, charge, slot), more);
        }
    }

    fn ask(&self, grade: &Grade, charge: &Charge, slot: u128) -> Ask {
        let nth = charge.measure.saturating_sub(grade.first) as usize;
        let measure = grade.counted.tier().measure(nth);
        self.ask_by((measure.rate, measure.burst), grade, charge, slot)
    }

    fn ask_by(&self, (rate, burst): (Rate, u64), grade: &Grade, charge: &Charge, slot: u128) -> Ask {
        let lease = self.lease.unwrap_or_else(|| (burst / 10).clamp(LEAST_LEASED, MOST_LEASED));
        Ask {
            hash: charge.hash_now(),
            slot,
            limit: grade.shared,
            per_micro: rate.per_second() / 1e6,
            burst,
            lease: lease.min(burst),
            cost: charge.cost,
        }
    }

    /// Tells its numbers.
    pub(super) fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let Some(store) = &self.store else { return };
        tell(Figure {
            name: "tidegate_rate_limit_redis_calls",
            help: "Times that Redis was asked about limits.",
            counts: true,
            value: store.remote().calls(About::Limits),
        });
        tell(Figure {
            name: "tidegate_rate_limit_redis_failures",
            help: "Times that Redis did not answer about limits, or not in time.",
            counts: true,
            value: store.remote().failures(About::Limits),
        });
    }
}

impl Compiled {
    /// Asks the limits that are counted with other gateways.
    pub(super) fn ask_others<'a>(&'a self, sharing: &'a Sharing, exchange: &'a mut Exchange) -> Verdict<'a> {
        let now = at(exchange.record.resumed);
        let charges: Vec<Charge> = self.limits.iter().map(|limit| limit.charge(exchange, now)).collect();
        let Some(store) = &sharing.store else { return self.alone(sharing, exchange, &charges, now) };
        if let Some(said) = store.at_once(&charges, now) {
            return self.told(exchange, &charges, &said, now);
        }
        let asks = self.limits.iter().zip(&charges).filter_map(|(limit, charge)| {
            let grade = limit.grade_of(charge.measure)?;
            let mut digest = Digest::new();
            exchange.hash_per(&limit.settled.per, &mut digest);
            Some(sharing.ask(grade, charge, digest.half()))
        });
        let Some(later) = store.take(asks.collect()) else {
            return self.alone(sharing, exchange, &charges, now);
        };
        Verdict::Wait(Box::pin(async move {
            match later.await {
                Some(said) => self.told(exchange, &charges, &said, now),
                None => self.alone(sharing, exchange, &charges, now),
            }
        }))
    }

    /// What the others said. What they let pass is counted here as well, so that nothing begins anew when they are gone.
    fn told<'v>(&self, exchange: &mut Exchange, charges: &[Charge], said: &[Said], now: u64) -> Verdict<'v> {
        let passed = said.iter().all(|said| said.passes);
        if passed {
            let mut own = vec![Said::NOTHING; charges.len()];
            self.counts.local.take(charges, &mut own, now, false);
        }
        self.note(exchange, charges, said);
        for nth in 0..self.limits.len() {
            let limit = self.limits.get(nth).filter(|limit| matches!(limit.settled.cost, Cost::Map(_)));
            let Some(limit) = limit else { continue };
            let mut digest = Digest::new();
            exchange.hash_per(&limit.settled.per, &mut digest);
            if let Some(meter) = exchange.meters.get_mut(nth) {
                meter.shared = digest.half();
            }
        }
        if passed { Verdict::Go } else { self.refuse(charges, said) }
    }

    /// What is done while there is no answer.
    fn alone<'v>(
        &self,
        sharing: &Sharing,
        exchange: &mut Exchange,
        charges: &[Charge],
        now: u64,
    ) -> Verdict<'v> {
        self.counts.alone.fetch_add(1, Ordering::Relaxed);
        match sharing.on_fault {
            OnFault::Local => {
                let mut said = vec![Said::NOTHING; charges.len()];
                let passed = self.counts.local.take(charges, &mut said, now, false);
                self.note(exchange, charges, &said);
                if passed { Verdict::Go } else { self.refuse(charges, &said) }
            }
            OnFault::Open => {
                exchange.meters.clear();
                Verdict::Go
            }
            OnFault::Closed => {
                exchange.meters.clear();
                Verdict::answer(unknown())
            }
        }
    }
}
