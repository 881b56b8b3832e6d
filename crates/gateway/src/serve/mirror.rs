//! Copies of requests for a service that only watches.
//!
//! Begun before the request goes to its service, sent when that has answered, by a task of their own: the client's exchange
//! waits for nothing of it, and what it costs is bounded by places.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http1::{Framing, Version};

use crate::exchange::Exchange;
use crate::http::client::{ClientConnection, ClientReader};
use crate::snapshot::Listener;
use crate::snapshot::worker::{View, Worker};
use crate::upstream::breaker;
use crate::upstream::care::Care;
use crate::upstream::forward::Forward;
use crate::upstream::mirror::{Answered, Mirror, Outcome, Place};
use crate::upstream::retry::Again;

/// A copy that waits for the real answer.
pub(super) struct Copy {
    mirror: Arc<Mirror>,
    place: Place,
    exchange: Box<Exchange>,
    /// The real answer, as far as it is to be compared.
    real: Rc<RefCell<Option<Rc<RefCell<Answered>>>>>,
}

/// Makes a copy of a request, if it is to be copied.
pub(super) fn begin(
    care: Option<&Care>,
    worker: &Worker,
    exchange: &mut Exchange,
    reader: &mut ClientReader,
) -> Option<Box<Copy>> {
    let mirror = care?.mirror.as_ref()?;
    let place = mirror.admit(exchange, &worker.random)?;
    if Mirror::keeps(exchange) {
        reader.keep(mirror.max_body);
    }
    let copy = Mirror::copy(exchange);
    Some(Box::new(Copy { mirror: mirror.clone(), place, exchange: copy, real: Rc::default() }))
}

impl Copy {
    /// What watches the real answer.
    pub(super) fn watch(&self) -> Watch {
        Watch { mirror: self.mirror.clone(), real: self.real.clone() }
    }

    /// Sends the copy on its way, now that the real service has answered, or has failed to.
    pub(super) fn send(
        self: Box<Copy>,
        worker: &Rc<Worker>,
        view: &Rc<View>,
        listener: &Listener,
        (answered, reader): (bool, &ClientReader),
    ) {
        let live = &self.mirror.live;
        if !answered {
            return live.count(Outcome::DroppedUnanswered);
        }
        let mut body = Vec::new();
        if Mirror::keeps(&self.exchange) {
            match reader.kept().filter(|kept| kept.len() <= self.mirror.max_body) {
                Some(kept) => body.extend_from_slice(kept),
                None => return live.count(Outcome::DroppedBody),
            }
        }
        let Some(listener) = view.snapshot.listener(&listener.name).cloned() else { return };
        let (worker, view) = (worker.clone(), view.clone());
        tokio::task::spawn_local(async move { self.run(&worker, &view, &listener, body).await });
    }

    async fn run(mut self: Box<Copy>, worker: &Worker, view: &View, listener: &Listener, body: Vec<u8>) {
        let mirror = self.mirror.clone();
        if Mirror::keeps(&self.exchange) {
            self.exchange.request.framing = Framing::Length(body.len() as u64);
        }
        let (limits, timer) = (listener.limits.clone(), worker.timers.timer());
        let mut client = ClientConnection::of_copy(limits, timer, body);
        client.responder.begin(
            self.exchange.request.method,
            Version::Http11,
            true,
            listener.limits.write_stall,
        );
        let now = Instant::now();
        self.exchange.record.begin(now, worker.wall_clock(now));
        self.exchange.plan.timeout = Some(mirror.timeout);
        let shadow = Rc::default();
        let watch = Watch { mirror: mirror.clone(), real: shadow };
        let asked = ask((worker, view, listener), &watch, &mut self.exchange, &mut client);
        let answered = tokio::time::timeout(mirror.timeout, asked).await.unwrap_or(false);
        let outcome = if answered { self.judge(&watch) } else { Outcome::Failed };
        mirror.live.count(outcome);
        drop(self.place);
    }

    /// Compares the two answers.
    fn judge(&self, watch: &Watch) -> Outcome {
        let (real, shadow) = (self.real.borrow(), watch.real.borrow());
        let (Some(real), Some(shadow)) = (&*real, &*shadow) else { return Outcome::Taken };
        let (real, shadow) = (real.borrow(), shadow.borrow());
        match self.mirror.compare.differences(&real, &shadow, self.mirror.max_answer) {
            None => Outcome::Incomparable,
            Some(found) if found.is_empty() => Outcome::Same,
            Some(found) => {
                self.mirror.live.sample(&self.exchange, &real, &shadow, &found);
                Outcome::Different
            }
        }
    }
}

/// Watches one answer.
pub(super) struct Watch {
    mirror: Arc<Mirror>,
    real: Rc<RefCell<Option<Rc<RefCell<Answered>>>>>,
}

impl Watch {
    /// The head has come, as the service gave it.
    pub(super) fn head(&self, exchange: &Exchange) {
        *self.real.borrow_mut() = self.mirror.compare.head(exchange);
    }

    /// The head is as it goes out; the body follows, unless another answer goes out instead.
    pub(super) fn body(&self, exchange: &mut Exchange) {
        let answered = self.real.borrow().clone();
        if let Some(answered) = answered {
            self.mirror.compare.watch(exchange, &answered, self.mirror.max_answer);
        }
    }
}

/// Asks the service that watches; false when it gave no answer.
async fn ask(
    (worker, view, listener): (&Worker, &View, &Listener),
    watch: &Watch,
    exchange: &mut Exchange,
    client: &mut ClientConnection,
) -> bool {
    let Some((service, local)) = view.service(watch.mirror.service) else { return false };
    let Ok(admitted) = breaker::admit(service) else { return false };
    let forward = Forward {
        service,
        local,
        random: &worker.random,
        timers: &worker.timers,
        forwarding: view.snapshot.forwarding,
        shape: &|exchange| {
            watch.head(exchange);
            watch.body(exchange);
        },
        trust: &listener.trust,
        again: Again::new(None, service, worker.index),
        below: None,
        closing: &|| false,
    };
    let outcome = forward.run(exchange, client).await;
    breaker::ended(admitted, worker.index, exchange, &outcome);
    outcome.is_ok()
}
