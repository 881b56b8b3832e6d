//! `rate_limit`: how often requests may come.
//!
//! Takes the key of a request (its address, or what else `per` names), asks the store, and refuses with 429 what finds no
//! room. The arithmetic is `gcra`, what is remembered is in a `store`: `local` is a `table` that all workers share and
//! that outlives reloads. Must never wait where the store is local.

mod fields;
mod gcra;
mod local;
mod settings;
mod store;
mod table;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use settings::RateLimit;

use super::{Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Meter, Problem, Verdict};
use crate::observe::Figure;
use crate::values::Source;
use fields::Fields;
use gcra::Flow;
use local::{KEYS, Local};
use settings::{Cost, MOST_LIMITS, Scope, Settled};
use store::{Charge, Store, Taken};

/// The largest cost that an answer may tell.
const MOST_COST: i64 = 1_000_000_000;
/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.1).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

impl Settings for RateLimit {
    const NAME: &'static str = "rate_limit";
    const REFUSES: bool = true;

    fn compile(self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let (limits, headers) = self.settle(key, faults);
        if faults.errors() > before {
            return None;
        }
        let fields = Fields::new(headers, &limits);
        let limits = limits.into_iter().map(Window::new).collect();
        // The large table comes with the place on a route.
        Some(Box::new(Compiled { limits, fields, shadow: false, counts: Arc::new(Counts::new(1)) }))
    }
}

/// The policy, ready to run.
struct Compiled {
    limits: Vec<Window>,
    fields: Fields,
    shadow: bool,
    counts: Arc<Counts>,
}

/// One limit, ready to run.
struct Window {
    settled: Settled,
    counted: Arc<Counted>,
}

/// What is remembered for all limits of the process: outlives every reload.
struct Counts {
    local: Local,
    random: RandomState,
}

/// What a limit goes on with after a reload: who it is, and how its clock runs.
struct Counted {
    id: u64,
    flow: Flow,
}

impl Counts {
    fn new(keys: usize) -> Counts {
        Counts { local: Local::new(keys), random: RandomState::new() }
    }
}

impl Counted {
    /// The limit of these settings: a new one, or the one before with what it has counted.
    fn after(before: Option<&Counted>, settled: &Settled) -> Counted {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match before {
            Some(Counted { id, flow }) if flow.is(*settled.rate, settled.burst) => {
                Counted { id: *id, flow: *flow }
            }
            Some(Counted { id, flow }) => {
                Counted { id: *id, flow: flow.changed(*settled.rate, settled.burst, now()) }
            }
            None => Counted {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                flow: Flow::new(*settled.rate, settled.burst, now()),
            },
        }
    }
}

impl Window {
    fn new(settled: Settled) -> Window {
        let counted = Arc::new(Counted::after(None, &settled));
        Window { settled, counted }
    }

    /// What this limit is for all revisions of a configuration.
    fn identity(&self, nth: usize, place: &Place<'_, '_>) -> String {
        let name = self.settled.given.clone().unwrap_or_else(|| nth.to_string());
        // What is counted by another key is another limit, even under the same name.
        let per: Vec<String> = self.settled.per.iter().map(Source::to_string).collect();
        let of = match self.settled.scope {
            Scope::Service if !place.service.is_empty() => format!("service {}", place.service),
            Scope::Route | Scope::Service => format!("route {}", place.route),
            Scope::Global => "global".to_owned(),
        };
        format!("rate_limit {of} {name} per {}", per.join(" "))
    }

    fn cost(&self) -> u64 {
        match &self.settled.cost {
            Cost::Number(cost) => *cost,
            Cost::Map(told) => told.default,
        }
    }

    fn charge(&self, hash: u64) -> Charge {
        Charge { hash, flow: self.counted.flow, cost: self.cost() }
    }
}

impl Compiled {
    /// What a request asks of each limit.
    fn charges(&self, exchange: &Exchange) -> ([Charge; MOST_LIMITS], usize) {
        let nothing = Charge { hash: 0, flow: Flow::NONE, cost: 0 };
        let mut charges = [nothing; MOST_LIMITS];
        for (place, limit) in charges.iter_mut().zip(&self.limits) {
            let mut hasher = self.counts.random.build_hasher();
            exchange.hash_per(&limit.settled.per, limit.counted.id, &mut hasher);
            *place = limit.charge(std::hash::Hasher::finish(&hasher));
        }
        (charges, self.limits.len().min(MOST_LIMITS))
    }

    /// Notes what the limits said; the answer if one of them refused.
    fn decided(&self, exchange: &mut Exchange, charges: &[Charge], taken: &Taken) -> Option<Answer> {
        exchange.meters.clear();
        let levels = taken.levels().iter().zip(charges);
        exchange.meters.extend(levels.map(|((_, level), charge)| Meter {
            key: charge.hash,
            remaining: level.remaining,
            reset: seconds(level.wait),
        }));
        if taken.passed() {
            return None;
        }
        let refused = || {
            let levels = taken.levels().iter().zip(&self.limits);
            levels.filter(|((passes, _), _)| !passes)
        };
        let wait = refused().map(|((_, level), _)| seconds(level.wait)).max().unwrap_or(1).max(1);
        let violated: Vec<&str> = refused().map(|(_, limit)| limit.settled.name.as_str()).collect();
        let problem = Problem {
            kind: PROBLEM,
            title: "Request cannot be satisfied as assigned quota has been exceeded",
            detail: format!("too many requests: the next one has room in {wait} s"),
            members: vec![("violated-policies", violated.into())],
        };
        let answer = Answer::typed_problem(429, "rate_limited", problem);
        Some(answer.with("Retry-After", wait.to_string()))
    }

    /// Charges what the answer says that it cost.
    fn correct(&self, exchange: &Exchange) {
        for (limit, meter) in self.limits.iter().zip(&exchange.meters) {
            let Cost::Map(told) = &limit.settled.cost else { continue };
            let Some(said) = told_cost(exchange, told.header.as_str()) else { continue };
            let more = said.saturating_sub(i64::try_from(told.default).unwrap_or(i64::MAX));
            if more != 0 {
                self.counts.local.correct(&limit.charge(meter.key), more, now());
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
        for (nth, limit) in self.limits.iter_mut().enumerate() {
            let identity = limit.identity(nth, place);
            let settled = &limit.settled;
            limit.counted = place.lives.keep(&identity, |before: Option<&Arc<Counted>>| {
                Arc::new(Counted::after(before.map(|counted| &**counted), settled))
            });
            if !limit.counted.flow.is(*settled.rate, settled.burst) {
                let what = format!(
                    "the limit `{}` is shared with a route where it has another rate or burst",
                    settled.name
                );
                place
                    .faults
                    .error(codes::CONFLICT, settled.rate.span(), what)
                    .help("write one rate, or give them different names with `name`");
            }
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let (charges, count) = self.charges(exchange);
        let charges = charges.get(..count).unwrap_or_default();
        let taken = self.counts.local.take(charges, now(), exchange.rehearsal);
        match self.decided(exchange, charges, &taken) {
            None => Verdict::Go,
            Some(answer) => Verdict::answer(answer),
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        if exchange.meters.is_empty() {
            return;
        }
        // Only an answer of a service can tell a cost.
        if exchange.record.answered.is_some() && !exchange.rehearsal {
            self.correct(exchange);
        }
        if self.fields.tells() && !self.shadow {
            let limits = self.limits.iter();
            let limits = limits.map(|limit| (limit.settled.name.as_str(), limit.settled.rate.count()));
            self.fields.write(exchange, limits);
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

/// Whole seconds, rounded up; waits are exact to a few nanoseconds, which are no second more.
fn seconds(time: Duration) -> u64 {
    let time = time.saturating_sub(Duration::from_micros(1));
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// Nanoseconds on the monotonic clock since the process first asked. Requests are counted when they are decided on, not
/// when they began: a client that begins a thousand and ends them all at once has come a thousand times now.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = START.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, lines, run};
    use super::*;

    #[test]
    fn limits_that_cannot_be_kept_are_told() {
        for (written, told) in [
            ("rate_limit: []", "`rate_limit` names no limit: write a rate: `rate_limit: 100/min`"),
            ("rate_limit: {}", "`rate_limit` says no rate: write `rate: 100/min`, or `limits:` with several"),
            (
                "rate_limit: 18446744073709551615/s",
                "`18446744073709551615/s` is faster than a limit can count: write at most 10000000/s, or no limit",
            ),
            (
                "rate_limit: { rate: 1/s, burst: 0 }",
                "a `burst` of 0 cannot be kept: write a number from 1 to 281474976710656",
            ),
            (
                "rate_limit: { rate: 10/s, cost: 11 }",
                "one request counts for 11, and no more than 10 may come at once: no request could ever pass: write a \
                 smaller `cost` or a larger `burst`",
            ),
            (
                "rate_limit: { rate: 10/s, per: [ip, all] }",
                "`all` stands beside sources in `per`: write `per: all` to count all requests together, or leave `all` \
                 out",
            ),
            ("rate_limit: [10/s, 10/s]", "two limits are called `10/s`: give one of them another `name`"),
            (
                "rate_limit: { rate: 10/s, limits: [1/min] }",
                "`rate_limit` says both `rate` and `limits`: put the rate into the list",
            ),
            (
                "rate_limit: { limits: [1/min], burst: 7 }",
                "`burst` is about one limit and stands beside `limits`: write it into the limit that it is about",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }

    #[test]
    fn a_limit_without_a_place_on_a_route_counts_too() {
        let mut exchange = asked("GET", "/", &[]);
        let written = "rate_limit: { limits: [2/min, { rate: 9/min, per: [path.*, header.x-a], cost: 2 }] }";
        assert!(run(written, &mut exchange).is_none());
        let left: Vec<(u64, u64)> =
            exchange.meters.iter().map(|meter| (meter.remaining, meter.reset)).collect();
        assert_eq!(left, [(1, 30), (7, 14)]);
        assert!(lines(&exchange.response.fields).is_empty());
    }

    /// Prints what a limit adds to a request and its answer; in release that is the figure to compare.
    #[test]
    fn what_a_limit_adds() {
        const REQUESTS: u32 = 200_000;
        let mut bound = super::super::tests::bound("rate_limit: 1000/s").unwrap();
        let mut faults = Diagnostics::default();
        let mut lives = super::super::Lives::after(None);
        let mut place =
            Place { route: "/", service: "", shadow: false, lives: &mut lives, faults: &mut faults };
        let policy = &mut bound[0].policy;
        policy.settle(&mut place);
        let mut exchange = asked("GET", "/", &[]);
        let started = Instant::now();
        for nth in 0..REQUESTS {
            exchange.client.ip = std::net::Ipv4Addr::from_bits(nth % 1000).into();
            exchange.response.clear();
            assert!(matches!(policy.request(&mut exchange), Verdict::Go));
            policy.response(&mut exchange);
        }
        println!("{:?} for a request and its answer", started.elapsed() / REQUESTS);
        assert_eq!(lines(&exchange.response.fields).len(), 2);
    }
}
