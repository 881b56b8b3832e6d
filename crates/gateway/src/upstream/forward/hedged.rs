//! Requests that go to a further target while the first is still waited for.
//!
//! Tries run beside each other up to the head of an answer (`launch`), which stays with its connection or stream; the one whose
//! head is usable first goes on as every other, and the others are given up: connections of HTTP/1.1 close, streams of HTTP/2 are
//! reset. All of it stands on the heap, and only routes that want it come here.

mod launch;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use tokio::time::Sleep;

use self::launch::{Answering, Heard, Launch};
use super::super::breaker::target::{self, Leave};
use super::super::connection::Connection;
use super::super::health::attempt::Waiting;
use super::super::local::{Group, InFlight, LocalEndpoint};
use super::super::request;
use super::choice::Chosen;
use super::progress::{Progress, race};
use super::{Failed, Forward, MOST_CONNECTS, Switched, learn};
use crate::exchange::Exchange;
use crate::exchange::record::Attempt;
use crate::fault::Fault;
use crate::http::client::ClientConnection;

/// The first status that is not usable while another try is under way.
const UNUSABLE: u16 = 500;

/// A try under way.
struct Runner<'f> {
    run: Pin<Box<dyn Future<Output = Heard> + 'f>>,
    bib: Bib<'f>,
}

/// Whose a try is, and what is to be let go when it is over.
struct Bib<'f> {
    endpoint: Rc<LocalEndpoint>,
    /// The endpoint's place in its group.
    place: usize,
    /// Whether others had been asked before.
    is_hedge: bool,
    /// When the request was handed over, from its start.
    sent: Rc<Cell<Option<Duration>>>,
    begun: Instant,
    leave: Option<Leave>,
    waiting: Option<Waiting>,
    in_flight: InFlight,
    _place: Option<SemaphorePermit<'f>>,
}

/// A try that has the head of an answer.
struct Won<'f> {
    answering: Answering,
    status: u16,
    bib: Bib<'f>,
}

/// What happens while heads are waited for.
enum Event {
    /// The try at this place of the list is over.
    Ended(usize, Heard),
    /// It is time for a further target.
    Late,
    /// The client is at fault.
    Client(Fault),
    /// The route's time is over.
    Over,
}

/// Those who run for one request.
struct Field<'f> {
    runners: Vec<Runner<'f>>,
    /// An answer that is better than none.
    reserve: Option<Won<'f>>,
    /// When the next further target is asked.
    late: Option<Pin<Box<Sleep>>>,
    /// Tries that were begun without need for haste, and with.
    connects: usize,
    hedges: u32,
    /// Whether a service may have got something of the request.
    sent: bool,
    fault: Fault,
}

impl Forward<'_> {
    /// As [`Forward::run`], for a request that may be hedged.
    pub(super) async fn run_hedged(
        &self,
        group: &Group,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Fault> {
        let mut tried = Vec::new();
        loop {
            let (fault, sent) = match self.contest(group, exchange, client, &mut tried).await {
                Ok(won) => {
                    let (endpoint, place) = (won.bib.endpoint.clone(), won.bib.place);
                    let (leave, ended) = self.finish(won, exchange, client).await;
                    target::ended(leave, self.again.worker(), exchange, ended.as_ref().err());
                    match ended {
                        Ok(switched) => return Ok(switched),
                        Err(fault) => {
                            self.blame(exchange, &endpoint, &fault, true);
                            tried.push(place);
                            (fault, true)
                        }
                    }
                }
                Err(lost) => lost,
            };
            if client.responder.head_sent || !self.again.goes_on(exchange, &fault, sent) {
                return Err(fault);
            }
            self.pause(exchange, client, fault).await?;
        }
    }

    /// Lets targets run for it until one has a usable head.
    ///
    /// # Errors
    /// Why none has, and whether a service may have got something of the request.
    async fn contest<'s>(
        &'s self,
        group: &Group,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
        tried: &mut Vec<usize>,
    ) -> Result<Won<'s>, (Fault, bool)> {
        let mut field = Field::empty();
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(exchange.record.elapsed()));
        }
        let outcome = loop {
            if field.runners.is_empty() {
                if let Some(won) = field.reserve.take() {
                    break Ok(won);
                }
                if field.sent || !self.begin(&mut field, group, exchange, client, tried) {
                    break Err(field.fault.clone());
                }
            }
            match field.next(client).await {
                Event::Ended(nth, heard) => {
                    let bib = field.runners.swap_remove(nth).bib;
                    match heard {
                        Ok((answering, status)) => {
                            let won = Won { answering, status, bib };
                            if let Some(won) = self.judge(&mut field, won, exchange) {
                                break Ok(won);
                            }
                        }
                        Err(fault) => {
                            self.fail(&mut field, bib, &fault, exchange, tried);
                            if fault == Fault::Timeout {
                                break Err(fault);
                            }
                        }
                    }
                }
                Event::Late => self.hedge(&mut field, group, exchange, client, tried),
                Event::Client(fault) => break Err(fault),
                Event::Over => break field.reserve.take().ok_or(Fault::Timeout),
            }
        };
        client.total.disarm();
        match outcome {
            Ok(won) => {
                self.give_up(&mut field, exchange);
                self.crown(&won, exchange);
                Ok(won)
            }
            Err(fault) => {
                while let Some(runner) = field.runners.pop() {
                    self.fail(&mut field, runner.bib, &fault, exchange, tried);
                }
                Err((fault, field.sent))
            }
        }
    }

    /// Begins with an endpoint, where none is asked; false when there is none.
    fn begin<'s>(
        &'s self,
        field: &mut Field<'s>,
        group: &Group,
        exchange: &mut Exchange,
        client: &ClientConnection,
        tried: &mut Vec<usize>,
    ) -> bool {
        if field.connects >= MOST_CONNECTS {
            return false;
        }
        let Some(chosen) = self.choose(group, exchange, tried, &mut field.fault) else { return false };
        field.connects = field.connects.saturating_add(1);
        field.runners.push(self.launch(chosen, false, exchange, client));
        self.set_alarm(field);
        true
    }

    /// Sets the time for a further target, if there may be one.
    fn set_alarm(&self, field: &mut Field<'_>) {
        let hedge = self.again.hedge().filter(|hedge| field.hedges < hedge.most);
        let delay = hedge.and_then(|hedge| hedge.delay(self.service));
        field.late = delay.map(|delay| Box::pin(tokio::time::sleep(delay)));
    }

    /// Asks a further endpoint as well, if one is well, has room, and the budget allows it.
    fn hedge<'s>(
        &'s self,
        field: &mut Field<'s>,
        group: &Group,
        exchange: &mut Exchange,
        client: &ClientConnection,
        tried: &[usize],
    ) {
        let Some(hedge) = self.again.hedge() else { return };
        let busy =
            field.runners.iter().map(|runner| &runner.bib).chain(field.reserve.iter().map(|won| &won.bib));
        let mut out: Vec<usize> = busy.map(|bib| bib.place).chain(tried.iter().copied()).collect();
        // Not the fault by which those that have failed are asked again.
        let Some(chosen) = self.choose(group, exchange, &mut out, &mut Fault::NoAnswer) else { return };
        // One that has no share is the last resort, and this is no need.
        if chosen.1.shared.health.share() == 0 {
            return;
        }
        let place = self.service.door.as_ref().map(|door| door.try_enter());
        if matches!(place, Some(None)) || !self.again.takes_hedge(&hedge, exchange) {
            return;
        }
        let mut runner = self.launch(chosen, true, exchange, client);
        runner.bib._place = place.flatten();
        field.runners.push(runner);
        field.hedges = field.hedges.saturating_add(1);
        self.set_alarm(field);
    }

    /// Begins a try.
    fn launch<'s>(
        &'s self,
        (place, endpoint, leave): Chosen,
        is_hedge: bool,
        exchange: &mut Exchange,
        client: &ClientConnection,
    ) -> Runner<'s> {
        let settings = &endpoint.shared.settings;
        request::aim(exchange, self.service, settings);
        exchange.record.endpoint = Some(settings.address);
        exchange.record.tries = exchange.record.tries.saturating_add(1);
        let launch = Launch::new(self.service, &endpoint, exchange, client.limits.write_stall);
        let sent = launch.sent.clone();
        let bib = Bib {
            waiting: Waiting::begin(self.service, &endpoint),
            in_flight: endpoint.enter(),
            endpoint: endpoint.clone(),
            place,
            is_hedge,
            sent,
            begun: Instant::now(),
            leave,
            _place: None,
        };
        Runner { run: Box::pin(self.up_to_head(endpoint, launch)), bib }
    }

    /// Whether a head is the one to go on with. One of a failure waits for what the others have to say.
    fn judge<'s>(&self, field: &mut Field<'s>, won: Won<'s>, exchange: &mut Exchange) -> Option<Won<'s>> {
        let kept = field.reserve.take();
        if won.status >= UNUSABLE {
            if kept.is_none() && !field.runners.is_empty() {
                field.reserve = Some(won);
                return None;
            }
            let Some(kept) = kept else { return Some(won) };
            self.pass_over(won, exchange);
            if field.runners.is_empty() {
                return Some(kept);
            }
            field.reserve = Some(kept);
            return None;
        }
        if let Some(kept) = kept {
            self.pass_over(kept, exchange);
        }
        Some(won)
    }

    /// An answer that is a failure, where another is better: it counts as every other.
    fn pass_over(&self, lost: Won<'_>, exchange: &mut Exchange) {
        let Bib { endpoint, waiting, leave, .. } = lost.bib;
        if let Some(waiting) = waiting {
            waiting.answered(lost.status);
        }
        let fault = Fault::ServiceFailed(lost.status);
        self.blame(exchange, &endpoint, &fault, true);
        target::ended(leave, self.again.worker(), exchange, Some(&fault));
    }

    /// A try without a head.
    fn fail(
        &self,
        field: &mut Field<'_>,
        bib: Bib<'_>,
        fault: &Fault,
        exchange: &mut Exchange,
        tried: &mut Vec<usize>,
    ) {
        if let Some(sent) = bib.sent.get() {
            field.sent = true;
            exchange.record.sent = Some(exchange.record.sent.map_or(sent, |first| first.min(sent)));
        }
        self.blame(exchange, &bib.endpoint, fault, true);
        target::ended(bib.leave, self.again.worker(), exchange, Some(fault));
        tried.push(bib.place);
        field.fault = fault.clone();
    }

    /// Gives up those that are still under way. It says of their endpoints only that they would have taken longer.
    fn give_up(&self, field: &mut Field<'_>, exchange: &mut Exchange) {
        if let Some(lost) = field.reserve.take() {
            self.pass_over(lost, exchange);
        }
        for Runner { bib, .. } in field.runners.drain(..) {
            exchange.record.failed(Attempt {
                service: self.service.index,
                endpoint: bib.endpoint.shared.settings.address,
                outcome: Attempt::OUTPACED,
                status: 0,
            });
            bib.endpoint.outpaced(bib.begun.elapsed());
        }
    }

    /// Writes down whose answer it is.
    fn crown(&self, won: &Won<'_>, exchange: &mut Exchange) {
        exchange.record.endpoint = Some(won.bib.endpoint.shared.settings.address);
        exchange.record.reused = won.answering.is_reused();
        exchange.record.sent = won.bib.sent.get();
        if won.bib.is_hedge {
            self.again.hedge_won();
        }
    }

    /// Goes on with the answer whose head has come, as every try does; gives the leave back to tell the outcome.
    async fn finish(
        &self,
        won: Won<'_>,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> (Option<Leave>, Result<Option<Switched>, Fault>) {
        let Bib { endpoint, leave, waiting, in_flight, _place, .. } = won.bib;
        let progress = Progress::begin(waiting);
        let ended = match won.answering {
            Answering::Http1(connection) => {
                self.finish_http1((connection, &*endpoint, in_flight), &progress, exchange, client).await
            }
            Answering::Http2(mut stream) => {
                // A request without a body has gone out whole.
                let carried = self.carry(&mut stream, exchange, client, true, (&progress, None)).await;
                match carried {
                    Ok(()) => {
                        learn(exchange, &endpoint);
                        Ok(None)
                    }
                    Err(fault) => Err(stream.failed(fault, true, false).fault),
                }
            }
        };
        (leave, ended)
    }

    async fn finish_http1(
        &self,
        (mut connection, endpoint, in_flight): (Box<Connection>, &LocalEndpoint, InFlight),
        progress: &Progress,
        exchange: &mut Exchange,
        client: &mut ClientConnection,
    ) -> Result<Option<Switched>, Fault> {
        let socket = connection.incoming.socket.clone();
        if let Some(timeout) = exchange.plan.timeout {
            client.total.arm(timeout.saturating_sub(exchange.record.elapsed()));
        }
        let framing = exchange.request.framing;
        let ended = {
            // The request has gone out: what is left of that side is to watch the client.
            let (reader, limits) = (&mut client.reader, &client.limits);
            let up = pin!(self.upload(reader, limits, &socket, Vec::new(), framing, progress));
            let down = pin!(self.download(exchange, &mut client.responder, &mut connection, progress));
            race(up, down, progress, &client.total).await
        };
        client.total.disarm();
        let way = (connection, endpoint, in_flight);
        let concluded = self.conclude(ended, way, exchange, (progress.upload.get(), false));
        concluded.map_err(|Failed { fault, .. }| fault)
    }
}

impl Field<'_> {
    fn empty() -> Self {
        Field {
            runners: Vec::new(),
            reserve: None,
            late: None,
            connects: 0,
            hedges: 0,
            sent: false,
            fault: Fault::NoEndpoint,
        }
    }

    /// What happens next.
    async fn next(&mut self, client: &mut ClientConnection) -> Event {
        let ClientConnection { reader, total, .. } = client;
        let mut gone =
            pin!(async move { if reader.is_done() { reader.watch().await } else { pending().await } });
        poll_fn(|cx| {
            for (nth, runner) in self.runners.iter_mut().enumerate() {
                if let Poll::Ready(heard) = runner.run.as_mut().poll(cx) {
                    return Poll::Ready(Event::Ended(nth, heard));
                }
            }
            if let Poll::Ready(fault) = gone.as_mut().poll(cx) {
                return Poll::Ready(Event::Client(fault));
            }
            if total.expired(cx) {
                return Poll::Ready(Event::Over);
            }
            if self.late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready()) {
                self.late = None;
                return Poll::Ready(Event::Late);
            }
            Poll::Pending
        })
        .await
    }
}
