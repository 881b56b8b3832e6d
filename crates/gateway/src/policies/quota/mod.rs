//! `quota`: how much may be used within a period of the calendar.
//!
//! Takes the key of a request, asks the ledger, and refuses with 429 when the quota is used up. What was used outlives
//! restarts: that is the `ledger`. Quotas that gateways share are asked of Redis first (`sharing`, `together`). Never
//! waits for the disk.

mod book;
mod calendar;
mod ledger;
mod settings;
mod sharing;
mod together;

use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http1::{Method, NameBuf};
use serde_json::{Value, json};

use super::per::{Scope, sources, words};
use super::shared::{Digest, Kept};
use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Allowance, Answer, Body, Exchange, Problem, Verdict};
use crate::observe::Figure;
use crate::observe::fill::{Fill, Used};
use crate::observe::said::said;
use crate::values::{PerWord, Source};
use calendar::Every;
use ledger::{LARGEST, Ledger, Owner, Period};
pub use settings::Quota;
use sharing::{Sharing, Wanted};

/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.1).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const SECOND: u64 = 1_000_000_000;
/// Accounts that are told at once.
const MOST_TOLD: usize = 1000;

impl Settings for Quota {
    const NAME: &'static str = "quota";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let amount = self.amount.get();
        if !(1..=LARGEST).contains(&amount) {
            let fault = faults.error(
                codes::BAD_POLICY,
                self.amount.span(),
                format!("a quota of {amount} cannot be kept"),
            );
            fault.help(format!("write a number from 1 to {LARGEST}"));
        }
        if let Some(usage) = self.usage.as_ref().filter(|usage| !usage.starts_with('/')) {
            let fault = faults.error(codes::BAD_POLICY, usage.span(), format!("`{}` is not a path", **usage));
            fault.help("write the path whole, as in `usage: /api/usage`");
        }
        let sharing = Sharing::read(&self, key, context, faults);
        if self.store == Kept::Local && context.state.is_none() && context.is_whole {
            let what = "a `quota` outlives restarts, and the file does not say where that is kept";
            faults
                .error(codes::BAD_POLICY, key.span(), what)
                .help("write `state: /var/lib/tidegate` at its top");
        }
        let per = sources(self.per, PerWord::By(Source::Consumer), faults);
        if faults.errors() > before {
            return None;
        }
        let every = self.every;
        let given = self.name.as_ref().map(ToString::to_string);
        let name = given.clone().unwrap_or_else(|| format!("{amount}/{}", every.word()));
        let first = (Period { start: 0, end: 0 }, 0);
        Some(Box::new(Compiled {
            policy: format!("\"{name}\";q={amount}").into_bytes(),
            left: format!("\"{name}\";r=").into_bytes(),
            names: [NameBuf::new("RateLimit-Policy").ok(), NameBuf::new("RateLimit").ok()],
            usage: self.usage.map(|usage| usage.into_inner().into_bytes()),
            zone: self.zone,
            scope: self.scope,
            state: context.state.clone(),
            now: ArcSwap::from_pointee(first),
            shadow: false,
            identity: String::new(),
            ledger: None,
            sharing,
            amount,
            every,
            per,
            given,
            name,
        }))
    }
}

/// The policy, ready to run.
struct Compiled {
    name: String,
    given: Option<String>,
    amount: u64,
    every: Every,
    zone: crate::values::Zone,
    per: Vec<Source>,
    scope: Scope,
    usage: Option<Vec<u8>>,
    /// `"name";q=1000000`.
    policy: Vec<u8>,
    /// `"name";r=`.
    left: Vec<u8>,
    names: [Option<NameBuf>; 2],
    shadow: bool,
    state: Option<PathBuf>,
    identity: String,
    ledger: Option<Arc<Ledger>>,
    /// Where it is counted with other gateways.
    sharing: Option<Sharing>,
    /// The period, and until when on the monotonic clock nobody has to look whether it is another.
    now: ArcSwap<(Period, u64)>,
}

impl Compiled {
    /// The period that runs. Looks at the wall clock once a second.
    fn period(&self) -> Option<Period> {
        let (known, until) = **self.now.load();
        let mono = mono();
        if mono < until {
            return Some(known);
        }
        let wall = wall_nanos();
        let moment = i64::try_from(wall / SECOND).ok()?;
        let (start, end) = self.every.period(self.zone.get(), moment)?;
        let period = Period { start, end };
        self.now.store(Arc::new((period, mono.saturating_add(SECOND.saturating_sub(wall % SECOND)))));
        Some(period)
    }

    /// The key of a request, alike in all processes.
    fn key(&self, exchange: &Exchange) -> u64 {
        let mut digest = Digest::new();
        digest.write(self.identity.as_bytes());
        exchange.hash_per(&self.per, &mut digest);
        digest.finish()
    }

    /// Who it is, for people: what names somebody as it is, and of what may be a credential nothing.
    fn label(&self, exchange: &Exchange, key: u64) -> [String; 2] {
        let parts = self.per.iter().map(|source| match source {
            Source::Header(_) | Source::Cookie(_) | Source::Query(_) => format!("{source} #{key:016x}"),
            _ => match exchange.source(source) {
                Some(text) => String::from_utf8_lossy(&text).chars().take(200).collect(),
                None => "-".to_owned(),
            },
        });
        let parts: Vec<String> = parts.collect();
        [self.name.clone(), if parts.is_empty() { "all".to_owned() } else { parts.join(" ") }]
    }

    fn owner(&self, exchange: &Exchange, key: u64) -> Owner {
        Owner { label: self.label(exchange, key), shared: self.sharing.is_some() }
    }

    /// The answer to a question what was used; of a quota that gateways share, whether by all of them.
    fn told(&self, used: u64, period: Period, shared: Option<bool>) -> Answer {
        let mut text = json!({
            "quota": self.name,
            "amount": self.amount,
            "used": used,
            "remaining": self.amount.saturating_sub(used),
            "period": shown(period),
        });
        if let (Some(shared), Some(members)) = (shared, text.as_object_mut()) {
            members.insert("shared".to_owned(), shared.into());
        }
        let mut answer = Answer::empty(200, "quota_usage").with("Cache-Control", "no-store");
        let bytes = Arc::from(format!("{text}\n").into_bytes());
        answer.body = Body::Bytes { content_type: "application/json".into(), bytes };
        answer
    }

    /// Notes what is left when so much is used.
    fn note(&self, exchange: &mut Exchange, used: u64, period: Period) {
        let remaining = self.amount.saturating_sub(used);
        exchange.allowance = Some(Allowance { remaining, reset: left(period), window: length(period) });
    }

    #[cold]
    fn refuse(&self, period: Period) -> Answer {
        let wait = left(period).max(1);
        let problem = Problem {
            kind: PROBLEM,
            title: "Request cannot be satisfied as assigned quota has been exceeded",
            detail: format!("the quota of this {} is used up", self.every.word()),
            members: vec![("violated-policies", vec![self.name.as_str()].into())],
        };
        Answer::typed_problem(429, "quota_exceeded", problem).with("Retry-After", wait.to_string())
    }
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.shadow = place.shadow;
        let (of, per) = (self.scope.of(place), words(&self.per));
        let (given, every) = (self.given.as_deref().unwrap_or_default(), self.every.word());
        self.identity = format!("quota {of} {given} {every} {} per {per}", self.zone);
        let state = self.state.as_deref();
        if state.is_none() && self.sharing.is_none() {
            return;
        }
        let identity =
            state.map_or_else(|| "quotas".to_owned(), |state| format!("quotas {}", state.display()));
        let ledger = place.lives.keep(&identity, |before: Option<&Arc<Ledger>>| {
            before.cloned().unwrap_or_else(|| Arc::new(Ledger::new(state)))
        });
        if let Some(sharing) = &mut self.sharing {
            // What was counted by this gateway alone is nothing to the others.
            self.identity.insert_str(0, "shared ");
            sharing.settle(&identity, &ledger, place.lives);
        }
        self.ledger = Some(ledger);
    }

    fn start(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.start();
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        exchange.allowance = None;
        let Some(ledger) = &self.ledger else { return Verdict::Go };
        let Some(period) = self.period() else { return Verdict::Go };
        let key = self.key(exchange);
        let asks = exchange.request.method == Method::Get && self.usage.as_deref() == Some(&*exchange.path);
        let together = self.sharing.as_ref().and_then(Sharing::together);
        // In `explain` nobody else is asked.
        if let Some(together) = together.filter(|_| !exchange.rehearsal) {
            let wanted = if asks { Wanted::Usage } else { Wanted::Passage };
            return self.ask_others(together, exchange, (key, period), wanted);
        }
        let used =
            || together.map_or_else(|| ledger.used(key, period), |together| together.known(key, period));
        if asks {
            return Verdict::answer(self.told(used(), period, together.map(|_| false)));
        }
        let taken = if exchange.rehearsal {
            let used = used();
            if used < self.amount { Ok(used.saturating_add(1)) } else { Err(used) }
        } else {
            ledger.take(key, period, self.amount, 1, || self.owner(exchange, key))
        };
        let (Ok(used) | Err(used)) = taken;
        self.note(exchange, used, period);
        if taken.is_ok() { Verdict::Go } else { Verdict::answer(self.refuse(period)) }
    }

    fn response(&self, exchange: &mut Exchange) {
        let Some(allowance) = exchange.allowance.filter(|_| !self.shadow) else { return };
        let [Some(policy), Some(limit)] = &self.names else { return };
        let mut digits = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
        let [window, remaining, reset] = &mut digits;
        let window = window.format(allowance.window).as_bytes();
        let remaining = remaining.format(allowance.remaining).as_bytes();
        let reset = reset.format(allowance.reset).as_bytes();
        let fields = &mut exchange.response.fields;
        fields.push_parts(policy.as_name(), &[&self.policy, b";w=", window]);
        fields.push_parts(limit.as_name(), &[&self.left, remaining, b";t=", reset]);
    }

    fn usage(&self) -> Vec<Value> {
        if let Some(together) = self.sharing.as_ref().and_then(Sharing::together) {
            return together.usage();
        }
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let accounts = ledger.accounts(MOST_TOLD, false).into_iter();
        let told = accounts.map(|(_, account)| {
            let [quota, key] = account.owner.label;
            json!({ "quota": quota, "key": key, "used": account.used, "period": shown(account.period) })
        });
        told.collect()
    }

    fn fills(&self, tell: &mut dyn FnMut(Fill)) {
        let Some((key, used)) = self.ledger.as_ref().and_then(|ledger| ledger.fullest(&self.name)) else {
            return;
        };
        let name = &*self.name;
        let what = if key.is_empty() {
            said!("the quota `{name}`", name = name)
        } else {
            said!("the quota `{name}` of `{key}`", name = name, key = key)
        };
        tell(Fill { what, used: Used::Now(used), most: self.amount as f64 });
    }

    fn close(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.flush();
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let Some(ledger) = &self.ledger else { return };
        tell(Figure {
            name: "tidegate_quota_keys",
            help: "Places of the table of quotas that hold a key.",
            counts: false,
            value: ledger.keys(),
        });
        tell(Figure {
            name: "tidegate_quota_unwritten",
            help: "1 while what of quotas was used cannot be written to the disk.",
            counts: false,
            value: u64::from(ledger.fails()),
        });
        tell(Figure {
            name: "tidegate_quota_dropped",
            help: "Keys of quotas that were forgotten within their period, for others.",
            counts: true,
            value: ledger.dropped(),
        });
        if let Some(together) = self.sharing.as_ref().and_then(Sharing::together) {
            together.figures(tell);
        }
    }
}

/// Seconds until a period is over.
fn left(period: Period) -> u64 {
    u64::try_from(period.end.saturating_sub(wall())).unwrap_or(0)
}

fn length(period: Period) -> u64 {
    u64::try_from(period.end.saturating_sub(period.start)).unwrap_or(0)
}

/// A period in UTC.
fn shown(period: Period) -> Value {
    let moment = |second: i64| jiff::Timestamp::from_second(second).map(|moment| moment.to_string());
    json!({ "from": moment(period.start).unwrap_or_default(), "until": moment(period.end).unwrap_or_default() })
}

/// Nanoseconds on the monotonic clock since the process first asked.
fn mono() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed();
    since.as_secs().saturating_mul(SECOND).saturating_add(u64::from(since.subsec_nanos()))
}

fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
fn wall() -> i64 {
    i64::try_from(wall_nanos() / SECOND).unwrap_or(i64::MAX)
}
