//! What is different about a call of gRPC: its deadline, its patience with two directions that rest in turn, its status.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ::http1::Name;

use crate::exchange::Exchange;
use crate::http::grpc::{self, Form};
use crate::http::timer::Timers;

/// Takes the deadline of a call over: the route's time is not longer than the client wants to wait.
pub(super) fn take_deadline(exchange: &mut Exchange) {
    if form(exchange).is_none() {
        return;
    }
    let told = Name::new(grpc::TIMEOUT).ok().and_then(|name| exchange.request.fields.get(name));
    let Some(deadline) = told.and_then(grpc::timeout) else {
        // Who speaks JSON waits as long as the route lets it.
        if exchange.plan.transcode.is_some() {
            exchange.plan.deadline = exchange.plan.timeout;
        }
        return;
    };
    let plan = &mut exchange.plan;
    if plan.timeout.is_none_or(|time| deadline <= time) {
        plan.timeout = Some(deadline);
        plan.is_client_deadline = true;
    }
    plan.deadline = Some(deadline);
}

/// The form of a call, as its client speaks it.
pub(super) fn form(exchange: &Exchange) -> Option<Form> {
    exchange.plan.grpc_web.or_else(|| Form::of_fields(&exchange.request.fields))
}

/// Tells the service what is left of the client's deadline.
pub(super) fn pass_deadline(exchange: &mut Exchange) {
    let Some(deadline) = exchange.plan.deadline else { return };
    let left = deadline.saturating_sub(exchange.record.elapsed());
    if let Ok(name) = Name::new(grpc::TIMEOUT) {
        exchange.request.fields.set(name, grpc::timeout_text(left).as_bytes());
    }
}

/// What is told of a time is cut off at its unit, which for times below a day is a millisecond at most.
const CUT_OFF: Duration = Duration::from_millis(1);

/// Whether a status means that the time of a call ran out: a service that was told it counts it as well.
pub(super) fn ran_out(exchange: &Exchange, status: u16) -> bool {
    let gave_up = [grpc::CANCELLED, grpc::DEADLINE_EXCEEDED].map(u16::from).contains(&status);
    let over = |deadline| exchange.record.elapsed().saturating_add(CUT_OFF) >= deadline;
    gave_up && exchange.plan.deadline.is_some_and(over)
}

/// A call under way. Either side may rest while the other speaks: only when both are silent it has ended.
pub(super) struct Call {
    /// The form its client speaks.
    pub(super) form: Form,
    timers: Rc<Timers>,
    moved: Cell<u64>,
    idle: Duration,
}

impl Call {
    pub(super) fn begin(form: Form, timers: &Rc<Timers>, idle: Duration) -> Call {
        Call { form, timers: timers.clone(), moved: Cell::new(timers.now()), idle }
    }

    /// Something went either way.
    pub(super) fn moved(&self) {
        self.moved.set(self.timers.now());
    }

    /// Whether nothing has for too long.
    pub(super) fn is_silent(&self) -> bool {
        let silent = self.timers.now().saturating_sub(self.moved.get());
        u128::from(silent) >= self.idle.as_millis()
    }
}
