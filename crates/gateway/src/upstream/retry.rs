//! Whether a request is sent to its service once more, and when.
//!
//! Decided for one exchange by the settings of its route or service and the budget of the service. A request is sent
//! again when that can do no harm: its method may be repeated, or the service knows it by its `Idempotency-Key`, or has
//! got nothing of it. Never when bytes of an answer went to the client, and never by two gateways in a row: whoever sends
//! again says so in `Tidegate-Attempt`, and who reads that leaves it to him.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http1::{Method, Name, names};

use super::budget::Budget;
use super::failures::Failures;
use super::hedge::{self, Hedge};
use super::request;
use super::service::Service;
use crate::config;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::client::ClientReader;
use crate::values::random::Random;

/// Says which attempt this is; by it the next gateway knows that somebody sends again already.
const ATTEMPT: &[u8] = b"Tidegate-Attempt";
const IDEMPOTENCY_KEY: &[u8] = b"Idempotency-Key";

/// When requests are sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most, the first time included.
    pub attempts: u32,
    on: Failures,
    methods: Vec<Method>,
    backoff: Duration,
    max_backoff: Duration,
    per_try: Option<Duration>,
    /// In parts of a million.
    share: u32,
    max_body: usize,
    /// When it goes to a further target while the first is waited for.
    pub hedge: Option<Hedge>,
    /// What is said of it.
    pub told: String,
}

impl Retry {
    /// Nothing is sent again after a failure.
    pub fn once() -> Retry {
        Retry {
            attempts: 1,
            on: Failures::default(),
            methods: Vec::new(),
            backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
            per_try: None,
            share: 0,
            max_body: 0,
            hedge: None,
            told: String::new(),
        }
    }

    /// As written.
    pub fn new(written: &config::Retry) -> Retry {
        let methods = written.methods.iter().map(|method| Method::from_bytes(method.as_str().as_bytes()));
        let on: Vec<String> = written.on.iter().map(ToString::to_string).collect();
        Retry {
            attempts: written.attempts,
            on: Failures::of(written.on.iter()),
            methods: methods.collect(),
            backoff: written.backoff.get(),
            max_backoff: written.max_backoff.get(),
            per_try: written.per_try_timeout.map(|time| time.get()),
            share: written.budget.parts_per_million(),
            max_body: written.max_body.as_usize(),
            hedge: None,
            told: format!(
                "up to {} attempts on {}, budget {}",
                written.attempts,
                on.join(", "),
                written.budget
            ),
        }
    }
}

/// What is known of sending one exchange's request again.
pub struct Again<'a> {
    retry: Cell<Option<&'a Retry>>,
    budget: &'a Budget,
    worker: usize,
    made: Cell<u32>,
    /// Whether its method and its fields let it be sent again when the service may have got it.
    harmless: Cell<bool>,
    /// A repetition that was taken out of the budget and is not made yet.
    granted: Cell<bool>,
    /// Whether all of the body that was read is kept.
    kept: RefCell<Option<Rc<Cell<bool>>>>,
}

impl<'a> Again<'a> {
    /// Of a request that a worker is about to send.
    pub fn new(retry: Option<&'a Retry>, service: &'a Service, worker: usize) -> Again<'a> {
        Again {
            retry: Cell::new(retry),
            budget: &service.budget,
            worker,
            made: Cell::new(0),
            harmless: Cell::new(false),
            granted: Cell::new(false),
            kept: RefCell::new(None),
        }
    }

    /// The worker that sends it.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Whether the request is being sent once more.
    pub fn is_again(&self) -> bool {
        self.made.get() > 0
    }

    /// The time for the answer to one attempt.
    pub fn answer_timeout(&self, service: &Service) -> Duration {
        let per_try = self.retry.get().and_then(|retry| retry.per_try);
        per_try.map_or(service.answer_timeout, |per_try| per_try.min(service.answer_timeout))
    }

    /// The request is about to be sent for the first time. True when it may go to a further target while the first is
    /// waited for.
    pub fn begin(&self, exchange: &mut Exchange, reader: &mut ClientReader) -> bool {
        let Some(retry) = self.retry.get() else { return false };
        self.budget.begin(self.worker, exchange.record.started);
        let method = exchange.request.method;
        let (Ok(mark), Ok(key)) = (Name::new(ATTEMPT), Name::new(IDEMPOTENCY_KEY)) else { return false };
        let fields = &mut exchange.request.fields;
        if fields.contains(mark) {
            // Somebody before us sends again.
            self.retry.set(None);
            return false;
        }
        fields.set(mark, b"1");
        let is_known = method.is_idempotent() || fields.contains(key);
        self.harmless.set(is_known && retry.methods.contains(&method));
        if self.harmless.get() && !request::is_bodyless(exchange) {
            *self.kept.borrow_mut() = Some(reader.keep(retry.max_body));
        }
        retry.hedge.is_some() && hedge::is_for(exchange)
    }

    /// How the request is hedged.
    pub fn hedge(&self) -> Option<Hedge> {
        self.retry.get()?.hedge
    }

    /// Whether a further target may be asked now, by the budget; the request then says that it is sent once more.
    pub fn takes_hedge(&self, hedge: &Hedge, exchange: &mut Exchange) -> bool {
        let granted = self.budget.take_hedge(self.worker, std::time::Instant::now(), hedge.share);
        if granted && let Ok(mark) = Name::new(ATTEMPT) {
            let nth = exchange.record.tries.saturating_add(1);
            exchange.request.fields.set(mark, nth.to_string().as_bytes());
        }
        granted
    }

    /// A further target was faster than those before it.
    pub fn hedge_won(&self) {
        self.budget.hedge_won(self.worker);
    }

    /// Whether an answer of this status is passed over, because the request is sent again. That is then due.
    pub fn passes_over(&self, exchange: &Exchange) -> bool {
        let fault = Fault::ServiceFailed(exchange.response.status);
        // Who says when to come again does not want it now. So says an open circuit further on, too.
        let may = self.retry.get().is_some() && !exchange.response.fields.contains(names::RETRY_AFTER);
        let granted = may && self.grant(exchange, &fault, true);
        self.granted.set(granted);
        granted
    }

    /// Whether the request is sent again after this fault. `sent` says whether the service may have got something of it.
    pub fn goes_on(&self, exchange: &Exchange, fault: &Fault, sent: bool) -> bool {
        // An answer was either passed over, or it has gone to the client.
        let answered = matches!(fault, Fault::ServiceFailed(_));
        self.granted.take() || (!answered && self.grant(exchange, fault, sent))
    }

    fn grant(&self, exchange: &Exchange, fault: &Fault, sent: bool) -> bool {
        let Some(retry) = self.retry.get() else { return false };
        let kept = self.kept.borrow().as_ref().is_none_or(|whole| whole.get());
        let over = exchange.plan.timeout.is_some_and(|timeout| exchange.record.elapsed() >= timeout);
        retry.on.has(fault)
            && *fault != Fault::Timeout
            && self.made.get().saturating_add(1) < retry.attempts
            && (!sent || (self.harmless.get() && kept))
            && !over
            && self.budget.take(self.worker, std::time::Instant::now(), retry.share)
    }

    /// The next attempt is to be made: gives the rest before it.
    pub fn next(&self, exchange: &mut Exchange, random: &Random) -> Duration {
        let made = self.made.get().saturating_add(1);
        self.made.set(made);
        if let Ok(mark) = Name::new(ATTEMPT) {
            exchange.request.fields.set(mark, made.saturating_add(1).to_string().as_bytes());
        }
        let Some(retry) = self.retry.get() else { return Duration::ZERO };
        let doubled = retry.backoff.saturating_mul(1 << (made.saturating_sub(1)).min(16));
        let most = usize::try_from(doubled.min(retry.max_backoff).as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(random.below(most.saturating_add(1)) as u64)
    }
}
