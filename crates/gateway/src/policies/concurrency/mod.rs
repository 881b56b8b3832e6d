//! `concurrency`: how many requests may be under way at once.
//!
//! Takes a place for each request, or lets it wait for one, or refuses it. The place stays with the exchange until that
//! is over, however it ends.

mod gradient;
mod places;
mod settings;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, OnceLock};

use super::per::{Scope, sources, words};
use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Problem, Verdict};
use crate::observe::fill::{Fill, Used};
use crate::observe::said::said;
use crate::values::{Duration, PerWord, Source};
use places::{Held, Places};
pub use settings::Concurrency;
use settings::{ConcurrencyMap, Priority};

/// The most places there may be.
const MOST: u64 = 1_000_000;
/// Types of the problems (draft-ietf-httpapi-ratelimit-headers-10 sections 4.1 and 4.2).
const OF_ALL: (u16, &str, &str) = (
    503,
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    "Request cannot be satisfied due to temporary server capacity constraints",
);
const OF_ONE: (u16, &str, &str) = (
    429,
    "https://iana.org/assignments/http-problem-types#quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
);

impl Settings for Concurrency {
    const NAME: &'static str = "concurrency";
    const REFUSES: bool = true;

    fn compile(self, _: &Spanned<String>, _: &Context, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let map = match self {
            Concurrency::Map(map) => *map,
            Concurrency::Number(max) => ConcurrencyMap::of(max),
        };
        let max = *map.max;
        if !(1..=MOST).contains(&max) {
            let fault = faults.error(
                codes::BAD_POLICY,
                map.max.span(),
                format!("a `max` of {max} lets nobody in, or everybody"),
            );
            fault.help(format!("write a number from 1 to {MOST}"));
        }
        let per = sources(map.per, PerWord::All, faults);
        if let Some(adaptive) = &map.adaptive {
            let (what, help) = if !per.is_empty() {
                (
                    "`adaptive` follows the latency of a service, and `per` is about one client",
                    "leave one of them out",
                )
            } else if !(1..=max).contains(&adaptive.min) {
                ("the least of `adaptive` is nothing, or more than `max`", "write a `min` from 1 to `max`")
            } else {
                ("", "")
            };
            if !what.is_empty() {
                faults.error(codes::BAD_POLICY, adaptive.span(), what).help(help);
            }
        }
        if faults.errors() > before {
            return None;
        }
        let given = map.name.as_ref().map(ToString::to_string);
        Some(Box::new(Compiled {
            name: given.clone().unwrap_or_else(|| max.to_string()),
            given,
            max,
            places: Arc::new(Places::new(!per.is_empty())),
            per,
            scope: map.scope,
            queue: map.queue,
            wait: map.wait,
            priority: map.priority,
            least: map.adaptive.map(|adaptive| adaptive.min),
        }))
    }
}

impl ConcurrencyMap {
    fn of(max: Spanned<u64>) -> ConcurrencyMap {
        ConcurrencyMap {
            max,
            per: None,
            scope: Scope::Route,
            name: None,
            queue: 0,
            wait: Duration::from_millis(0),
            priority: Priority::High,
            adaptive: None,
        }
    }
}

/// The policy, ready to run.
struct Compiled {
    name: String,
    given: Option<String>,
    max: u64,
    per: Vec<Source>,
    scope: Scope,
    queue: u64,
    wait: Duration,
    priority: Priority,
    least: Option<u64>,
    places: Arc<Places>,
}

impl Compiled {
    /// How many may be under way before a request of this route is refused.
    fn limit(&self) -> u64 {
        let limit = self.places.limit(self.max);
        let share = match self.priority {
            Priority::High => 100,
            Priority::Normal => 95,
            Priority::Low => 80,
        };
        (limit.saturating_mul(share) / 100).max(1)
    }

    fn key(&self, exchange: &Exchange) -> u64 {
        static RANDOM: OnceLock<RandomState> = OnceLock::new();
        if self.per.is_empty() {
            return 0;
        }
        let mut hasher = RANDOM.get_or_init(RandomState::new).build_hasher();
        exchange.hash_per(&self.per, &mut hasher);
        hasher.finish()
    }

    #[cold]
    fn refuse<'v>(&self) -> Verdict<'v> {
        let (status, kind, title) = if self.per.is_empty() { OF_ALL } else { OF_ONE };
        let problem = Problem {
            kind,
            title,
            detail: "too many requests are under way at once".to_owned(),
            members: vec![("violated-policies", vec![self.name.as_str()].into())],
        };
        let answer = Answer::typed_problem(status, "too_many_at_once", problem);
        Verdict::answer(answer.with("Retry-After", "1"))
    }
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        let (of, per) = (self.scope.of(place), words(&self.per));
        let given = self.given.as_deref().unwrap_or_default();
        let identity = format!("concurrency {of} {given} per {per}");
        let keyed = !self.per.is_empty();
        // A number that was adaptive and is fixed now begins anew; those who are under way give back to the old one.
        let identity = format!("{identity}{}", if self.least.is_some() { " adaptive" } else { "" });
        self.places = place.lives.keep(&identity, |before: Option<&Arc<Places>>| {
            before.cloned().unwrap_or_else(|| Arc::new(Places::new(keyed)))
        });
        if let Some(least) = self.least {
            self.places.adapt(least, self.max);
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let key = self.key(exchange);
        if exchange.rehearsal {
            return if self.places.is_free(key, self.limit()) { Verdict::Go } else { self.refuse() };
        }
        if let Some(held) = self.places.take(key, self.limit()) {
            exchange.held.push(Box::new(held));
            return Verdict::Go;
        }
        if self.queue == 0 {
            return self.refuse();
        }
        Verdict::Wait(Box::pin(async move {
            let waited = self.places.wait(key, || self.limit(), (self.queue, self.wait.get()));
            match waited.await {
                Some(held) => {
                    exchange.held.push(Box::new(held));
                    Verdict::Go
                }
                None => self.refuse(),
            }
        }))
    }

    fn fills(&self, tell: &mut dyn FnMut(Fill)) {
        if self.per.is_empty() {
            let what = said!("the concurrency limit `{name}`", name = &*self.name);
            tell(Fill { what, used: Used::Now(self.places.running()), most: self.limit() as f64 });
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        if self.least.is_none() {
            return;
        }
        let times = (exchange.record.sent, exchange.record.answered);
        let held = exchange.held.iter().find_map(|held| held.downcast_ref::<Held>());
        if let ((Some(sent), Some(answered)), Some(held)) = (times, held) {
            held.places().answered(answered.saturating_sub(sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, bound, fault, run};
    use super::{Fill, Used, said};

    #[test]
    fn how_many_are_under_way_is_told_where_all_count_together() {
        let told = |lines: &str| {
            let (policies, mut exchange) = (bound(lines).unwrap(), asked("GET", "/", &[]));
            let _ = futures_util::FutureExt::now_or_never(super::super::request(&policies, &mut exchange));
            let mut told = Vec::new();
            policies.iter().for_each(|bound| bound.policy.fills(&mut |fill| told.push(fill)));
            told
        };
        let what = said!("the concurrency limit `{name}`", name = "20");
        assert_eq!(told("concurrency: 20"), [Fill { what, used: Used::Now(1), most: 20.0 }]);
        assert_eq!(told("concurrency: { max: 20, per: ip }"), []);
    }

    #[test]
    fn numbers_that_mean_nothing_are_told() {
        for (written, told) in [
            ("concurrency: 0", "a `max` of 0 lets nobody in, or everybody: write a number from 1 to 1000000"),
            (
                "concurrency: { max: 5, per: [ip, all] }",
                "`all` stands beside sources in `per`: write `per: all` to count all requests together, or leave `all` out",
            ),
            (
                "concurrency: { max: 5, per: ip, adaptive: {} }",
                "`adaptive` follows the latency of a service, and `per` is about one client: leave one of them out",
            ),
            (
                "concurrency: { max: 5, adaptive: { min: 6 } }",
                "the least of `adaptive` is nothing, or more than `max`: write a `min` from 1 to `max`",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }

    #[test]
    fn a_place_stays_with_its_exchange() {
        let mut exchange = asked("GET", "/", &[]);
        assert!(run("concurrency: 1", &mut exchange).is_none());
        assert_eq!(exchange.held.len(), 1);
        exchange.clear();
        assert!(exchange.held.is_empty());
    }
}
