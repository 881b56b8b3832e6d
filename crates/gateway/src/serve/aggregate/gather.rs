//! The parts of an aggregate under way: each starts as soon as those before it are done, and all end with the first that the
//! whole cannot do without.
//!
//! Runs in the task of its exchange: to drop it is to give up every part.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Failed;
use super::part::{Failure, One};
use crate::aggregate::fresh::Fresh;
use crate::aggregate::text::Known;
use crate::aggregate::{Aggregate, Got, Part, Rule, State, ask, bit, merge};
use crate::exchange::Exchange;
use crate::exchange::record::PartTold;
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};

/// What became of all parts, or of the one that ends it.
pub(super) type Outcome = Result<Vec<State>, Failed>;

/// An aggregate under way.
pub(super) struct Gathering<'g> {
    pub(super) worker: &'g Worker,
    pub(super) view: &'g View,
    pub(super) listener: &'g Listener,
    aggregate: &'g Aggregate,
    pub(super) parent: &'g Exchange,
    said: RefCell<Said>,
    /// Requests that a part has sent.
    sent: Vec<Cell<u32>>,
}

/// What the parts say beside their answers.
#[derive(Default)]
pub(super) struct Said {
    pub(super) parts: Vec<PartTold>,
    pub(super) fresh: Fresh,
    pub(super) degraded: &'static str,
    /// Requests that are to be sent once the client has its answer, one holding the next.
    pub(super) errand: Option<Box<Exchange>>,
}

/// A part that ended.
struct Ended {
    result: Result<Got, Failure>,
    /// Why elements of its list are missing in an answer that is good otherwise.
    lacking: Option<&'static str>,
    took: Duration,
}

/// The requests of a part, ready to be sent.
enum Prepared {
    One(One),
    Each(Vec<Result<One, Failure>>),
}

impl<'g> Gathering<'g> {
    pub(super) fn new(
        worker: &'g Worker,
        view: &'g View,
        listener: &'g Listener,
        aggregate: &'g Aggregate,
        parent: &'g Exchange,
    ) -> Gathering<'g> {
        let told = |part: &Part| PartTold {
            name: part.name.clone(),
            outcome: "not_asked",
            status: 0,
            requests: 0,
            took: Duration::ZERO,
        };
        let said = Said { parts: aggregate.parts.iter().map(told).collect(), ..Said::default() };
        let sent = vec![Cell::new(0); aggregate.parts.len()];
        Gathering { worker, view, listener, aggregate, parent, said: RefCell::new(said), sent }
    }

    /// What was said so far, however it ended.
    pub(super) fn into_said(self) -> Said {
        let mut said = self.said.into_inner();
        for (told, sent) in said.parts.iter_mut().zip(&self.sent) {
            told.requests = sent.get();
        }
        said
    }

    /// Asks all parts.
    pub(super) async fn run(&self) -> Outcome {
        let mut states: Vec<State> = self.aggregate.parts.iter().map(|_| State::Pending).collect();
        let mut under_way = pin!(FuturesUnordered::new());
        let (mut begun, mut done) = (0_u32, 0_u32);
        loop {
            let mut again = false;
            let ready: Vec<usize> = self.aggregate.ready(begun, done).collect();
            for place in ready {
                begun |= bit(place);
                let Some(part) = self.aggregate.parts.get(place) else { continue };
                match self.prepare(part, &states) {
                    Ok(prepared) => {
                        self.tell(place, |told| told.outcome = "canceled");
                        // Made where it stays: the road of a request is large, and would be copied twice.
                        under_way.push(Box::pin(self.ask(place, part, prepared)));
                    }
                    Err(failure) => {
                        done |= bit(place);
                        again = true;
                        let ended = Ended { result: Err(failure), lacking: None, took: Duration::ZERO };
                        self.settle(place, part, ended, &mut states)?;
                    }
                }
            }
            // What failed before it was asked may be what others waited for.
            if again {
                continue;
            }
            let Some((place, ended)) = under_way.next().await else { return Ok(states) };
            done |= bit(place);
            let Some(part) = self.aggregate.parts.get(place) else { continue };
            self.settle(place, part, ended, &mut states)?;
        }
    }

    fn tell(&self, place: usize, tell: impl FnOnce(&mut PartTold)) {
        if let Some(told) = self.said.borrow_mut().parts.get_mut(place) {
            tell(told);
        }
    }

    /// Takes the end of a part in.
    fn settle(&self, place: usize, part: &Part, ended: Ended, states: &mut [State]) -> Result<(), Failed> {
        let Ended { result, lacking, took } = ended;
        let outcome =
            result.as_ref().map_or_else(|failure| failure.code, |_| lacking.unwrap_or(PartTold::OK));
        let status = result.as_ref().map_or_else(|failure| failure.answered, |got| got.status);
        self.tell(place, |told| (told.outcome, told.status, told.took) = (outcome, status, took));
        let state = match (result, &part.rule) {
            (Ok(got), _) => State::Answered(got),
            (Err(failure), Rule::Required) => return Err(Failed { part: part.name.clone(), failure }),
            (Err(_), Rule::Optional) => State::Missing(None),
            // It was written as JSON, and is within the bounds or nothing.
            (Err(_), Rule::Default(default)) => State::Missing(merge::standing(part, default.clone()).ok()),
        };
        if let Some(known) = states.get_mut(place) {
            *known = state;
        }
        Ok(())
    }

    /// Makes the requests of a part.
    fn prepare(&self, part: &Part, states: &[State]) -> Result<Prepared, Failure> {
        let known = Known { exchange: self.parent, states, item: None };
        let Some(each) = &part.each else { return self.one(part, &known).map(Prepared::One) };
        let Some(document) = states.get(each.part).and_then(State::got).and_then(|got| got.document.as_ref())
        else {
            return Err(Failure::of_answer("missing_value"));
        };
        let items = document.items(&each.path.0).map_err(|refused| Failure::of_answer(refused.code()))?;
        let items = items.ok_or(Failure::of_answer("no_list"))?;
        if items.len() > each.most {
            return Err(Failure::of_answer("too_many_items"));
        }
        let one = |item| self.one(part, &Known { item: Some((document, item)), ..known });
        Ok(Prepared::Each(items.into_iter().map(one).collect()))
    }

    fn one(&self, part: &Part, known: &Known<'_>) -> Result<One, Failure> {
        let mut exchange = self.worker.take_exchange();
        exchange.clear();
        match ask::fill(part, known, &self.worker.random, &mut exchange) {
            Ok(body) => Ok(One { exchange, body }),
            Err(unfilled) => {
                self.worker.give_exchange(exchange);
                Err(Failure::unfilled(unfilled))
            }
        }
    }

    /// Sends the requests of a part.
    async fn ask(&self, place: usize, part: &Part, prepared: Prepared) -> (usize, Ended) {
        let started = std::time::Instant::now();
        let (result, lacking) = match prepared {
            Prepared::One(one) => (self.request(place, part, one).await, None),
            Prepared::Each(list) => match self.each(place, part, list).await {
                Ok((got, lacking)) => (Ok(got), lacking),
                Err(failure) => (Err(failure), None),
            },
        };
        (place, Ended { result, lacking, took: started.elapsed() })
    }

    /// Asks for each element of a list, some at a time. An element that fails is treated as the part would be.
    async fn each(
        &self,
        place: usize,
        part: &Part,
        list: Vec<Result<One, Failure>>,
    ) -> Result<(Got, Option<&'static str>), Failure> {
        let at_once = part.each.as_ref().map_or(1, |each| each.at_once.max(1));
        let mut answers: Vec<Option<Got>> = list.iter().map(|_| None).collect();
        let mut waiting = list.into_iter().enumerate();
        let mut under_way = pin!(FuturesUnordered::new());
        let (mut lacking, mut size) = (None, 0_usize);
        loop {
            while under_way.len() < at_once
                && let Some((nth, one)) = waiting.next()
            {
                under_way.push(Box::pin(async move {
                    match one {
                        Ok(one) => (nth, self.request(place, part, one).await),
                        Err(failure) => (nth, Err(failure)),
                    }
                }));
            }
            let Some((nth, result)) = under_way.next().await else { break };
            let answer = match (result, &part.rule) {
                (Ok(got), _) => Some(got),
                (Err(failure), Rule::Required) => return Err(failure),
                (Err(failure), Rule::Optional) => {
                    lacking = Some(failure.code);
                    None
                }
                (Err(failure), Rule::Default(default)) => {
                    lacking = Some(failure.code);
                    merge::standing(part, default.clone()).ok()
                }
            };
            size = size.saturating_add(answer.as_ref().map_or(0, |got| got.body.len()));
            // All of them together may be as large as one answer may be.
            if size > part.largest {
                return Err(Failure::of_answer("too_large"));
            }
            if let Some(known) = answers.get_mut(nth) {
                *known = answer;
            }
        }
        let got = merge::list(part, &answers).map_err(|refused| Failure::of_answer(refused.code()))?;
        Ok((got, lacking))
    }

    /// Sends one request of a part.
    async fn request(&self, place: usize, part: &Part, one: One) -> Result<Got, Failure> {
        if let Some(sent) = self.sent.get(place) {
            sent.set(sent.get().saturating_add(1));
        }
        let mut exchange = one.exchange;
        let result = self.send(part, &mut exchange, one.body).await;
        let said = &mut *self.said.borrow_mut();
        if result.is_ok() {
            said.fresh.add(&exchange.response.fields, exchange.record.started_at);
        }
        if said.degraded.is_empty() {
            said.degraded = exchange.record.degraded;
        }
        if let Some(mut errand) = exchange.errand.take() {
            errand.errand = said.errand.take();
            said.errand = Some(errand);
        }
        exchange.let_go();
        self.worker.give_exchange(exchange);
        result
    }
}
