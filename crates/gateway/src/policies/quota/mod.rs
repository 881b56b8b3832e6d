//! `quota`: how much may be used within a period of the calendar.
//!
//! Takes the key of a request, asks the ledger, and refuses with 429 when the quota is used up. What was used outlives
//! restarts: that is the `ledger`. Never waits for the disk.

mod calendar;
mod ledger;
mod settings;

use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use http1::{Method, NameBuf};
use serde_json::{Value, json};

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::{Allowance, Answer, Body, Exchange, Problem, Verdict};
use crate::observe::Figure;
use crate::observe::fill::{Fill, Used};
use crate::values::{PerWord, Source};
use calendar::Every;
use ledger::{LARGEST, Ledger, Period};
pub use settings::Quota;
use settings::Scope;

/// Type of the problem (draft-ietf-httpapi-ratelimit-headers-10 section 4.1).
const PROBLEM: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const SECOND: u64 = 1_000_000_000;
/// Accounts that are told at once.
const MOST_TOLD: usize = 1000;

impl Settings for Quota {
    const NAME: &'static str = "quota";
    const REFUSES: bool = true;

    fn compile(self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        self.compile_in(key, &Context::default(), faults)
    }

    fn compile_in(
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
        if context.state.is_none() && context.is_whole {
            let what = "a `quota` outlives restarts, and the file does not say where that is kept";
            faults
                .error(codes::BAD_POLICY, key.span(), what)
                .help("write `state: /var/lib/tidegate` at its top");
        }
        let per = sources(self.per, faults);
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
        let mut digest = Digest(digest::Context::new(&digest::SHA256));
        digest.0.update(self.identity.as_bytes());
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

    /// The answer to a question what was used.
    fn told(&self, used: u64, period: Period) -> Answer {
        let text = json!({
            "quota": self.name,
            "amount": self.amount,
            "used": used,
            "remaining": self.amount.saturating_sub(used),
            "period": shown(period),
        });
        let mut answer = Answer::empty(200, "quota_usage").with("Cache-Control", "no-store");
        let bytes = Arc::from(format!("{text}\n").into_bytes());
        answer.body = Body::Bytes { content_type: "application/json".into(), bytes };
        answer
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
        let per: Vec<String> = self.per.iter().map(Source::to_string).collect();
        let of = match self.scope {
            Scope::Service if !place.service.is_empty() => format!("service {}", place.service),
            Scope::Route | Scope::Service => format!("route {}", place.route),
            Scope::Global => "global".to_owned(),
        };
        let (given, every) = (self.given.as_deref().unwrap_or_default(), self.every.word());
        self.identity = format!("quota {of} {given} {every} {} per {}", self.zone, per.join(" "));
        let Some(state) = &self.state else { return };
        let ledger =
            place.lives.keep(&format!("quotas {}", state.display()), |before: Option<&Arc<Ledger>>| {
                before.cloned().unwrap_or_else(|| Arc::new(Ledger::new(state)))
            });
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
        if asks {
            return Verdict::answer(self.told(ledger.used(key, period), period));
        }
        let taken = if exchange.rehearsal {
            let used = ledger.used(key, period);
            if used < self.amount { Ok(used.saturating_add(1)) } else { Err(used) }
        } else {
            ledger.take(key, period, self.amount, 1, || self.label(exchange, key))
        };
        let (Ok(used) | Err(used)) = taken;
        let remaining = self.amount.saturating_sub(used);
        exchange.allowance = Some(Allowance { remaining, reset: left(period), window: length(period) });
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
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let accounts = ledger.accounts(MOST_TOLD).into_iter();
        let told = accounts.map(|(_, account)| {
            let [quota, key] = account.label;
            json!({ "quota": quota, "key": key, "used": account.used, "period": shown(account.period) })
        });
        told.collect()
    }

    fn fills(&self, tell: &mut dyn FnMut(Fill)) {
        let Some((key, used)) = self.ledger.as_ref().and_then(|ledger| ledger.fullest(&self.name)) else {
            return;
        };
        let whose = if key.is_empty() { String::new() } else { format!(" of `{key}`") };
        let what = format!("the quota `{}`{whose}", self.name);
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
    }
}

/// What a request is counted by. Faults are reported.
fn sources(per: Option<OneOrMany<Spanned<PerWord>>>, faults: &mut Diagnostics) -> Vec<Source> {
    let per = per.map_or_else(|| vec![PerWord::By(Source::Consumer).into()], OneOrMany::into_vec);
    if let Some(all) = per.iter().find(|word| ***word == PerWord::All).filter(|_| per.len() > 1) {
        let fault = faults.error(codes::BAD_POLICY, all.span(), "`all` stands beside sources in `per`");
        fault.help("write `per: all` for one quota for all, or leave `all` out");
    }
    let per = per.into_iter().filter_map(|word| match word.into_inner() {
        PerWord::All => None,
        PerWord::By(source) => Some(source),
    });
    per.collect()
}

/// A digest as a hasher; the same for all processes.
struct Digest(digest::Context);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().first_chunk::<8>().map_or(0, |part| u64::from_be_bytes(*part))
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
