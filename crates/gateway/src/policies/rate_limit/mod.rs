//! `rate_limit`: how often requests may come.
//!
//! Takes the key of a request (its address, or what else `per` names), asks the store, and refuses with 429 what finds no
//! room. The arithmetic is `gcra`, what is remembered is in a `store`: `local` is a `table` that all workers share and
//! that outlives reloads. Must never wait where the store is local.

mod consumers;
mod counted;
mod fields;
mod gcra;
mod hashes;
mod local;
mod settings;
mod settled;
mod shared;
mod sharing;
mod store;

use std::hash::{Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use consumers::OfConsumers;
pub use settings::RateLimit;

use super::per::{Scope, words};
use super::shared::Digest;
use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Meter, Problem, Verdict};
use crate::observe::Figure;
use crate::observe::fill::{Fill, Used};
use crate::observe::said::said;
use crate::values::Source;
use counted::{Counted, at, now};
use fields::{Fields, Told};
use hashes::Hashes;
use local::{KEYS, Local};
use settings::Cost;
use settled::{MOST_LIMITS, Settled, Tier};
use sharing::Sharing;
use store::{Charge, Said};

/// The largest cost that an answer may tell.
const MOST_COST: i64 = 1_000_000_000;
/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.1).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

impl Settings for RateLimit {
    const NAME: &'static str = "rate_limit";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let (limits, map) = self.settle(key, faults);
        let sharing = Sharing::read(&map, key, context, faults);
        if faults.errors() > before {
            return None;
        }
        let told: Vec<Told> = limits.iter().flat_map(Settled::measures).map(Told::new).collect();
        let fields = Fields::new(map.headers, &told, told.len() == limits.len());
        // The large table comes with the place on a route.
        let counts = Arc::new(Counts::new(1));
        let mut first = 0;
        let may_correct = limits.iter().any(|limit| matches!(limit.cost, Cost::Map(_)));
        let limits = limits.into_iter().map(|limit| Window::new(limit, &mut first, &counts.random)).collect();
        Some(Box::new(Compiled { limits, told, fields, shadow: false, counts, sharing, may_correct }))
    }
}

/// The policy, ready to run.
struct Compiled {
    limits: Vec<Window>,
    /// All measures of all limits.
    told: Vec<Told>,
    fields: Fields,
    shadow: bool,
    counts: Arc<Counts>,
    /// Where it is counted with other gateways.
    sharing: Option<Sharing>,
    /// Whether an answer may tell what it costs.
    may_correct: bool,
}

/// One limit, ready to run.
struct Window {
    settled: Settled,
    grades: Vec<Grade>,
}

/// One tier of a limit, ready to run.
struct Grade {
    group: Option<String>,
    counted: Arc<Counted>,
    hashes: Hashes,
    /// The first of its measures.
    first: u32,
    /// Which limit it is, alike in all gateways.
    shared: u64,
}

/// What is remembered for all limits of the process: outlives every reload.
struct Counts {
    local: Local,
    random: RandomState,
    /// Requests that were decided without the others, because there was no answer.
    alone: AtomicU64,
}

impl Counts {
    fn new(keys: usize) -> Counts {
        Counts { local: Local::new(keys), random: RandomState::new(), alone: AtomicU64::new(0) }
    }
}

impl Window {
    /// A limit whose measures begin at `first`, which goes on behind them.
    fn new(settled: Settled, first: &mut u32, random: &RandomState) -> Window {
        let grades = settled.tiers.iter().map(|tier| {
            let counted = Arc::new(Counted::after(None, tier));
            let hashes = Hashes::new(random, counted.id);
            let grade = Grade { group: tier.group.clone(), counted, hashes, first: *first, shared: 0 };
            *first = first.saturating_add(u32::try_from(tier.measures().count()).unwrap_or(u32::MAX));
            grade
        });
        let grades = grades.collect();
        Window { settled, grades }
    }

    /// What this limit is for all revisions of a configuration.
    fn identity(&self, nth: usize, tier: &Tier, place: &Place<'_, '_>) -> String {
        let name = self.settled.given.clone().unwrap_or_else(|| nth.to_string());
        // What is counted by another key is another limit, even under the same name.
        let (of, per) = (self.settled.scope.of(place), words(&self.settled.per));
        let group = tier.group.as_ref().map_or(String::new(), |group| format!(" group {group}"));
        format!("rate_limit {of} {name} per {per}{group}")
    }

    fn cost(&self) -> u64 {
        match &self.settled.cost {
            Cost::Number(cost) => *cost,
            Cost::Map(told) => told.default,
        }
    }

    /// The tier that the caller is in.
    fn grade(&self, exchange: &Exchange) -> Option<&Grade> {
        if let [only] = self.grades.as_slice() {
            return Some(only);
        }
        let groups = exchange.identity.as_ref().map_or(&[][..], |identity| &identity.groups);
        let is_in = |grade: &&Grade| match &grade.group {
            Some(group) => groups.iter().any(|own| **own == **group),
            None => true,
        };
        self.grades.iter().find(is_in)
    }

    /// The tier that a measure belongs to.
    fn grade_of(&self, measure: u32) -> Option<&Grade> {
        self.grades.iter().rev().find(|grade| grade.first <= measure)
    }

    /// What the request asks of this limit.
    #[inline]
    fn charge(&self, exchange: &Exchange, now: u64) -> Charge {
        let Some(grade) = self.grade(exchange) else { return Charge::NONE };
        let hash = match self.settled.per.as_slice() {
            [Source::Ip] => grade.hashes.of_address(exchange.address_word()),
            sources => grade.hashes.of(sources, exchange),
        };
        grade.charge(hash, self.cost(), now)
    }
}

impl Grade {
    fn charge(&self, hash: u64, cost: u64, now: u64) -> Charge {
        let (flow, place) = self.counted.flow(now);
        let measure = self.first.saturating_add(u32::try_from(place).unwrap_or(u32::MAX));
        Charge { hash, flow, cost, measure }
    }
}

impl Compiled {
    /// Asks the only limit.
    #[inline]
    fn ask_one<'v>(&self, limit: &Window, exchange: &mut Exchange) -> Verdict<'v> {
        let now = at(exchange.record.resumed);
        let charge = limit.charge(exchange, now);
        let said = self.counts.local.take_one(&charge, now);
        exchange.meters.clear();
        exchange.meters.push(meter(&charge, &said));
        if said.passes { Verdict::Go } else { self.refuse(&[charge], &[said]) }
    }

    /// Asks all limits.
    fn ask<'v>(&self, exchange: &mut Exchange) -> Verdict<'v> {
        let now = at(exchange.record.resumed);
        let (mut charges, mut said) = ([Charge::NONE; MOST_LIMITS], [Said::NOTHING; MOST_LIMITS]);
        for (place, limit) in charges.iter_mut().zip(&self.limits) {
            *place = limit.charge(exchange, now);
        }
        let count = self.limits.len().min(MOST_LIMITS);
        let charges = charges.get(..count).unwrap_or_default();
        let said = said.get_mut(..count).unwrap_or_default();
        let passed = self.counts.local.take(charges, said, now, exchange.rehearsal);
        self.note(exchange, charges, said);
        if passed { Verdict::Go } else { self.refuse(charges, said) }
    }

    /// Notes what the limits said.
    fn note(&self, exchange: &mut Exchange, charges: &[Charge], said: &[Said]) {
        exchange.meters.clear();
        exchange.meters.extend(charges.iter().zip(said).map(|(charge, said)| meter(charge, said)));
    }

    /// The answer when one of them refused.
    #[cold]
    fn refuse<'v>(&self, charges: &[Charge], said: &[Said]) -> Verdict<'v> {
        let refused = || charges.iter().zip(said).filter(|(_, said)| !said.passes);
        let wait = refused().map(|(_, said)| seconds(said.level.wait)).max().unwrap_or(1).max(1);
        let told = refused().filter_map(|(charge, _)| self.told.get(charge.measure as usize));
        let violated: Vec<&str> = told.map(|told| told.name.as_str()).collect();
        let problem = Problem {
            kind: PROBLEM,
            title: "Request cannot be satisfied as assigned quota has been exceeded",
            detail: format!("too many requests: the next one has room in {wait} s"),
            members: vec![("violated-policies", violated.into())],
        };
        let answer = Answer::typed_problem(429, "rate_limited", problem);
        Verdict::answer(answer.with("Retry-After", wait.to_string()))
    }

    /// Charges what the answer says that it cost.
    fn correct(&self, exchange: &Exchange) {
        for (limit, meter) in self.limits.iter().zip(&exchange.meters) {
            let Cost::Map(told) = &limit.settled.cost else { continue };
            let Some(said) = told_cost(exchange, told.header.as_str()) else { continue };
            let more = said.saturating_sub(i64::try_from(told.default).unwrap_or(i64::MAX));
            let Some(grade) = limit.grade_of(meter.measure).filter(|_| more != 0) else { continue };
            let now = now();
            let (flow, pace) = grade.counted.flow_in_force(now);
            let charge = Charge { hash: meter.key, flow, cost: limit.cost(), measure: meter.measure };
            self.counts.local.correct(&charge, more, now);
            if let Some(sharing) = &self.sharing {
                sharing.correct(grade, pace, &charge, meter.shared, more);
            }
        }
    }
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.shadow = place.shadow;
        self.counts = place
            .lives
            .keep("rate_limit", |before| before.cloned().unwrap_or_else(|| Arc::new(Counts::new(KEYS))));
        if let Some(sharing) = &mut self.sharing {
            sharing.settle(place.lives);
        }
        for (nth, limit) in self.limits.iter_mut().enumerate() {
            for at in 0..limit.grades.len() {
                let Some(tier) = limit.settled.tiers.get(at) else { continue };
                let identity = limit.identity(nth, tier, place);
                let counted = place.lives.keep(&identity, |before: Option<&Arc<Counted>>| {
                    Arc::new(Counted::after(before.map(|counted| &**counted), tier))
                });
                if !counted.tier().is_as(tier) {
                    let what = format!(
                        "the limit `{}` is shared with a route where it has another rate or burst",
                        tier.base.name
                    );
                    place
                        .faults
                        .error(codes::CONFLICT, limit.settled.place, what)
                        .help("write one rate, or give them different names with `name`");
                }
                if let Some(grade) = limit.grades.get_mut(at) {
                    grade.hashes = Hashes::new(&self.counts.random, counted.id);
                    grade.counted = counted;
                    let mut digest = Digest::new();
                    digest.write(identity.as_bytes());
                    grade.shared = digest.finish();
                }
            }
        }
    }

    fn start(&self) {
        self.limits.iter().flat_map(|limit| &limit.grades).for_each(|grade| grade.counted.begin());
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match &self.sharing {
            // In `explain` nobody else is asked.
            Some(sharing) if !exchange.rehearsal => return self.ask_others(sharing, exchange),
            _ => {}
        }
        match self.limits.as_slice() {
            [only] if !exchange.rehearsal => self.ask_one(only, exchange),
            _ => self.ask(exchange),
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        if exchange.meters.is_empty() {
            return;
        }
        // Only an answer of a service can tell a cost.
        if self.may_correct && exchange.record.answered.is_some() && !exchange.rehearsal {
            self.correct(exchange);
        }
        if self.fields.tells() && !self.shadow {
            self.fields.write(exchange, &self.told);
        }
    }

    fn fills(&self, tell: &mut dyn FnMut(Fill)) {
        let of_all = |limit: &&Window| {
            let Settled { per, scope, cost, tiers, .. } = &limit.settled;
            per.is_empty() && *scope == Scope::Route && tiers.len() == 1 && *cost == Cost::Number(1)
        };
        if self.shadow {
            return;
        }
        let now = now();
        for grade in self.limits.iter().filter(of_all).flat_map(|limit| &limit.grades) {
            let (_, place) = grade.counted.flow(now);
            let measure = grade.counted.tier().measure(place);
            let what = said!("the rate limit `{name}`", name = &*measure.name);
            tell(Fill { what, used: Used::Calls, most: measure.rate.per_second() });
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let table = &self.counts.local.table;
        tell(Figure {
            name: "tidegate_rate_limit_keys",
            help: "Places of the table of rate limits that hold a key.",
            counts: false,
            value: table.used(),
        });
        tell(Figure {
            name: "tidegate_rate_limit_dropped",
            help: "Keys of rate limits that had consumed something and were dropped for others.",
            counts: true,
            value: table.dropped(),
        });
        if let Some(sharing) = &self.sharing {
            sharing.figures(tell);
            tell(Figure {
                name: "tidegate_rate_limit_alone",
                help: "Requests that were decided without other gateways, because Redis did not answer.",
                counts: true,
                value: self.counts.alone.load(Ordering::Relaxed),
            });
        }
    }
}

/// The cost in a header of the answer.
fn told_cost(exchange: &Exchange, header: &str) -> Option<i64> {
    let mut fields = exchange.response.fields.iter();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(header.as_bytes()))?;
    let text = std::str::from_utf8(field.value).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are more than any cost.
    (!text.is_empty()).then(|| text.parse().map_or(MOST_COST, |cost: i64| cost.min(MOST_COST)))
}

/// What a limit said of a request.
#[inline]
fn meter(charge: &Charge, said: &Said) -> Meter {
    Meter {
        key: charge.hash,
        measure: charge.measure,
        shared: 0,
        remaining: said.level.remaining,
        reset: seconds(said.level.wait),
    }
}

/// Whole seconds of nanoseconds, rounded up; waits are exact to a few nanoseconds, which are no second more.
#[inline]
fn seconds(nanos: u64) -> u64 {
    nanos.saturating_sub(1_000).div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests;
