//! `guard`: watches how clients behave, and slows, limits, challenges or blocks those that behave abnormally.
//!
//! On the road it counts what a client does (`table`), reads its level and does what belongs to that (`act`); what the level is, the
//! control side says once a second (`watch`, `memory`, `usual`, `score`, `ladder`). `challenge`, `code` and `pass` let people go
//! on. Must never judge on the road, and never punish a consumer for a neighbour behind the same address.

mod act;
mod challenge;
mod check;
mod code;
mod figures;
mod hash;
pub mod ladder;
mod memory;
mod page;
mod pass;
pub mod score;
mod settings;
pub mod table;
mod told;
mod usual;
pub mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http1::{Framing, names};

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::fault::response;
use crate::identity::Callers;
use crate::identity::tried::{self, Tried};
use crate::observe::Figure;
use crate::values::random::Random;
use crate::values::{Cidr, Rate, Source};
use act::Act;
use challenge::{Challenge, refusal};
use code::Codes;
use ladder::{CHALLENGE, LIMIT};
use pass::Sealer;
pub use settings::Guard;
use settings::Scope;
use table::{Seen, State, Who};
pub use usual::Failures;
pub use watch::{Change, Guard as Live, Rules};

/// The identity of what outlives reloads.
pub const LIVE: &str = "guard";
/// Requests that wait at a time.
const MOST_WAITING: u64 = 1_000;
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// Letters of a secret, at least.
const LEAST_SECRET: usize = 32;

impl Settings for Guard {
    const NAME: &'static str = "guard";
    const REFUSES: bool = true;
    const EVERY_ANSWER: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        self.check(key, context, faults);
        if faults.errors() > before {
            return None;
        }
        let name = self.name.as_ref().map_or(LIVE, |name| name.as_str()).to_owned();
        let calm = self.calm;
        let learns = u32::try_from(self.learns.get().as_secs()).unwrap_or(u32::MAX);
        let rules =
            Rules { name, rungs: self.rungs(), calm: calm.per_second() as f32, shadow: false, learns };
        let secret = self.challenge.secret.as_ref().map(|secret| secret.expose().as_bytes().to_vec());
        Some(Box::new(Compiled {
            rules: Arc::new(rules),
            place: key.clone(),
            scope: self.scope,
            watch: 0,
            live: None,
            failures: Arc::default(),
            route: String::new(),
            trusted: self.trusted,
            credentials: self.credentials.into_vec(),
            delay: self.levels.slow.delay.get(),
            every: millis_of(self.levels.limit.rate),
            calm: millis_of(calm),
            challenge: Challenge {
                sealer: Sealer::new(secret.as_deref().unwrap_or_default()),
                bits: *self.challenge.difficulty,
                lasts: self.challenge.lasts.get(),
                codes: None,
                elsewhere: self
                    .challenge
                    .url
                    .as_ref()
                    .map(|url| (url.as_str().to_owned(), secret.clone().unwrap_or_default())),
            },
            has_secret: secret.is_some(),
            callers: self.challenge.totp.then(|| context.callers.clone()),
            shadow: false,
        }))
    }
}

fn millis_of(rate: Rate) -> u64 {
    ((1_000.0 / rate.per_second()) as u64).max(1)
}

/// The policy, ready to run.
struct Compiled {
    rules: Arc<Rules>,
    place: Spanned<String>,
    scope: Scope,
    watch: u32,
    live: Option<Arc<Live>>,
    failures: Arc<Failures>,
    route: String,
    trusted: Vec<Cidr>,
    credentials: Vec<Source>,
    delay: Duration,
    /// Milliseconds for each request of who is limited, and of who has met the challenge.
    every: u64,
    calm: u64,
    challenge: Challenge,
    has_secret: bool,
    /// Whose authenticators are asked for codes; none where nobody's are.
    callers: Option<Arc<Callers>>,
    shadow: bool,
}

/// In the notes of a request that passed although its client is on a level.
struct Passed;

impl Compiled {
    fn is_trusted(&self, exchange: &Exchange) -> bool {
        !self.trusted.is_empty() && self.trusted.iter().any(|network| network.contains(exchange.client.ip))
    }

    /// The client, by its credential where one is known.
    #[inline]
    fn who(&self, live: &Live, exchange: &Exchange) -> Who {
        match exchange.identity.as_ref().and_then(|identity| identity.name()) {
            Some(name) => live.consumer(name),
            None => Live::who(exchange.client.ip),
        }
    }

    /// The client that a request is judged by, with its level: its own; that of its address only for a consumer that nobody
    /// knows yet, where that address guesses credentials, so that a guess that was right is none the better.
    #[inline]
    fn judged<'l>(&self, live: &'l Live, exchange: &Exchange) -> Option<(table::Place<'l>, u64, State)> {
        let who = self.who(live, exchange);
        let find = |who: Who| {
            let key = live.table.key(self.watch, who);
            live.table.find(key).map(|place| (place, key, place.state()))
        };
        let own = find(who);
        if who.is_consumer && own.as_ref().is_none_or(|(.., state)| !state.established) {
            let address = find(Live::who(exchange.client.ip));
            let guesses = address.filter(|(.., state)| state.guesses && state.level >= CHALLENGE);
            return guesses.or(own);
        }
        own
    }

    /// Counts a request and what came of it.
    #[inline]
    fn note(&self, live: &Live, exchange: &mut Exchange) {
        let who = self.who(live, exchange);
        let key = live.table.key(self.watch, who);
        let Some(place) = live.table.place(key, self.watch, who) else { return };
        let status = exchange.response.status;
        let refused = exchange.record.refused_by == Some(Self::NAME);
        let seed = &live.table.seed;
        let mut seen = Seen {
            status,
            refused,
            path: seed.bytes(&exchange.path),
            agent: exchange.request.fields.get(names::USER_AGENT).map_or(0, |agent| seed.bytes(agent)),
            other: 0,
            bytes: match exchange.request.framing {
                Framing::Length(length) => length,
                _ => 0,
            },
        };
        if who.is_consumer {
            seen.other = seed.number(Live::who(exchange.client.ip).bits);
            if !place.state().named
                && let Some(name) = exchange.identity.as_ref().and_then(|identity| identity.name())
            {
                live.introduce(place, who, name);
            }
        } else if status == 401 && !refused {
            seen.other = self.credential(live, exchange).max(1);
            self.failures.note(key);
        }
        place.note(&seen, live.table.second());
    }

    /// The hash of the credential that failed.
    #[cold]
    fn credential(&self, live: &Live, exchange: &mut Exchange) -> u64 {
        let seed = &live.table.seed;
        if let Some(tried) = exchange.notes.take::<Tried>() {
            return seed.number(tried.0);
        }
        let shown = self.credentials.iter().find_map(|source| exchange.source(source));
        match shown {
            Some(shown) => seed.bytes(&shown),
            // A name and a password in a body, which is not read: each is another one.
            None if exchange.request.framing != Framing::None => seed.bytes(exchange.id.as_bytes()),
            None => 1,
        }
    }

    const NAME: &'static str = <Guard as Settings>::NAME;
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.shadow = place.shadow;
        self.route = place.route.to_owned();
        let live: Arc<Live> = place.lives.keep(LIVE, |before| {
            before.cloned().unwrap_or_else(|| Arc::new(Live::new(Random::from_system().next())))
        });
        let of = match self.scope {
            Scope::Service if !place.service.is_empty() => format!("service {}", place.service),
            Scope::Route | Scope::Service => format!("route {}", place.route),
            Scope::Global => "global".to_owned(),
        };
        let identity = format!("guard {of} {}", self.rules.name);
        let rules = Rules { shadow: place.shadow, ..(*self.rules).clone() };
        let rules = Arc::new(rules);
        let kept = place.lives.keep(&identity, |_| rules.clone());
        if *kept != *rules {
            let what = format!("the guard `{}` is shared with a route where it has other levels", rules.name);
            let fault = place.faults.error(codes::CONFLICT, self.place.span(), what);
            fault.help(
                "write it once, under `defaults` or in a bundle, or give them different names with `name`",
            );
        }
        self.rules = kept;
        self.watch = live.watch_of(&identity);
        self.failures = place.lives.keep(&format!("{identity} failures {}", place.route), |before| {
            before.cloned().unwrap_or_default()
        });
        if !self.has_secret {
            // One for the process, so that a reload asks nobody again.
            let secret = place.lives.keep("guard secret", |before| {
                before.cloned().unwrap_or_else(|| Arc::new(challenge::chance()))
            });
            self.challenge.sealer = Sealer::new(secret.as_slice());
        }
        if self.callers.is_some() {
            // What was typed before a reload is not to be typed again after it.
            let codes = |before: Option<&Arc<Codes>>| before.cloned().unwrap_or_default();
            self.challenge.codes = Some(place.lives.keep("guard codes", codes));
        }
        self.live = Some(live);
    }

    fn start(&self) {
        tried::want();
        if let Some(live) = &self.live {
            live.adopt(self.watch, &self.rules, &self.route, &self.failures);
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let Some(live) = &self.live else { return Verdict::Go };
        let Some(judged) = self.judged(live, exchange).filter(|(.., state)| state.level > 0) else {
            return Verdict::Go;
        };
        if self.is_trusted(exchange) {
            return Verdict::Go;
        }
        match self.act(live, exchange, judged) {
            Act::Pass => {
                exchange.notes.put(Passed);
                Verdict::Go
            }
            Act::Refuse(answer) => Verdict::Answer(answer),
            Act::Wait if self.shadow || exchange.rehearsal => Verdict::Go,
            Act::Wait => {
                exchange.notes.put(Passed);
                let Some(waiting) = Waiting::begin(&live.numbers.waiting) else {
                    return Verdict::answer(refusal(429, "guard_slow", 1));
                };
                Verdict::Wait(Box::pin(async move {
                    tokio::time::sleep(self.delay).await;
                    drop(waiting);
                    Verdict::Go
                }))
            }
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        let Some(live) = &self.live else { return };
        if exchange.rehearsal || self.is_trusted(exchange) {
            return;
        }
        self.note(live, exchange);
        // Whoever is on a level hears of nothing else, also where its credential was refused before: else it would learn which
        // of its guesses are right.
        let by_other = exchange.record.refused_by.is_some_and(|by| by != Self::NAME);
        if by_other
            && !self.shadow
            && exchange.identity.is_none()
            && exchange.notes.take::<Passed>().is_none()
        {
            self.answer_instead(live, exchange);
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        if let Some(live) = &self.live {
            live.figures(tell);
        }
    }
}

impl Compiled {
    #[cold]
    fn answer_instead(&self, live: &Live, exchange: &mut Exchange) {
        let Some(judged) = self.judged(live, exchange).filter(|(.., state)| state.level >= LIMIT) else {
            return;
        };
        let why = std::mem::take(&mut exchange.record.why);
        match self.act(live, exchange, judged) {
            Act::Refuse(answer) => {
                let body = response::respond(exchange, &answer);
                exchange.instead = Some(bytes::Bytes::copy_from_slice(&body));
                exchange.record.refused_by = Some(Self::NAME);
            }
            Act::Pass | Act::Wait => exchange.record.why = why,
        }
    }
}

/// A request that waits.
struct Waiting<'n>(&'n AtomicU64);

impl Waiting<'_> {
    fn begin(count: &AtomicU64) -> Option<Waiting<'_>> {
        let waiting = Waiting(count);
        (count.fetch_add(1, Ordering::AcqRel) < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};

    #[test]
    fn what_cannot_be_kept_is_told() {
        for (written, told) in [
            (
                "guard: { levels: { slow: { at: 70 } } }",
                "the level `limit` begins at 60, and the one below it at 70: write scores from 1 to 100, each higher than the one before",
            ),
            (
                "guard: { levels: { slow: { delay: 1m } } }",
                "a delay of 1m is too long: write at most 10s: whoever waits keeps a connection",
            ),
            (
                "guard: { challenge: { difficulty: 40 } }",
                "a difficulty of 40 is no work, or too much: write a number from 8 to 24",
            ),
            (
                "guard: { challenge: { secret: short } }",
                "the `secret` of the challenge is too short: it has at least 32 letters: openssl rand -base64 48",
            ),
            (
                "guard: { challenge: { url: \"https://verify.example/\" } }",
                "a verification elsewhere needs a `secret`, with which it seals its answers: write `secret: \"${GUARD_SECRET}\"` beside `url`",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }

    #[test]
    fn without_a_place_on_a_route_it_lets_pass() {
        assert!(run("guard: {}", &mut asked("GET", "/", &[])).is_none());
    }
}
