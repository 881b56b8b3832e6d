//! What would become of a request, and why: the road without sockets.
//!
//! Takes a snapshot and a question; writes the request as a client would, reads it with the limits of the listener and
//! calls, one after the other, the very functions that the road calls. Sends nothing, resolves nothing, counts nothing.
//! Secrets never stand in what it gives.

mod changes;
mod masked;
mod question;
mod text;
mod told;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use http1::RequestParser;

pub use question::{Question, Unclear};
pub use told::{Change, Explanation, Outcome, Passed, Response, Seen, Sent, Step, Taken};

use crate::exchange::{Client, Exchange, Secure};
use crate::fault::{Fault, response};
use crate::http::preflight;
use crate::policies::{self, Bound, Stop};
use crate::route::compiled::{Action, Route};
use crate::route::params::Params;
use crate::route::table::Lookup;
use crate::route::trace::Outcome as Traced;
use crate::serve::{self, door};
use crate::snapshot::{Listener, Snapshot};
use crate::upstream::breaker::State;
use crate::upstream::care::Care;
use crate::upstream::health::Rank;
use crate::upstream::request;
use crate::upstream::service::{EndpointSettings, Service};
use crate::values::random::Random;
use changes::Look;

/// How many routes that lost are told.
const OTHERS: usize = 5;

/// Tells what would become of the request that is asked about.
///
/// # Errors
/// [`Unclear`] when the question is none that a client could put to this snapshot.
pub fn explain(snapshot: &Snapshot, question: &Question) -> Result<Explanation, Unclear> {
    let listener = match &question.listener {
        Some(name) => snapshot.listener(name).ok_or_else(|| Unclear::no_listener(name, snapshot))?,
        None => usual_listener(snapshot, question).ok_or_else(Unclear::no_listeners)?,
    };
    let head = question.to_wire()?;
    let peer = SocketAddr::new(question.from, 0);
    let mut exchange = Exchange { rehearsal: true, ..Exchange::default() };
    // A path alone comes as the listener speaks.
    let https = question.is_https().unwrap_or(listener.tls.is_some());
    exchange.client = Client { peer, local: listener.address, ip: peer.ip(), trusted: false, https };
    if https && listener.tls.is_some() {
        let server_name = question.server_name();
        exchange.secure = Some(Rc::new(Secure { version: "TLSv1.3", server_name, ..Secure::default() }));
    }
    let told = Explanation::of(snapshot, listener);
    let mut rehearsal = Rehearsal { snapshot, listener, exchange, told };
    if let Err(fault) = rehearsal.road(&head) {
        rehearsal.fail(&fault);
    }
    Ok(rehearsal.told)
}

/// The first listener that speaks as the URL says, else the first.
fn usual_listener<'s>(snapshot: &'s Snapshot, question: &Question) -> Option<&'s Arc<Listener>> {
    let https = question.is_https();
    let fits = |listener: &&Arc<Listener>| https.is_none_or(|https| https == listener.tls.is_some());
    snapshot.listeners.iter().find(fits).or(snapshot.listeners.first())
}

/// One exchange on its way, and what was told of it so far.
struct Rehearsal<'s> {
    snapshot: &'s Snapshot,
    listener: &'s Listener,
    exchange: Exchange,
    told: Explanation,
}

impl<'s> Rehearsal<'s> {
    /// As `road` in `serve.rs`, step by step.
    fn road(&mut self, head: &[u8]) -> Result<(), Fault> {
        let parsed = RequestParser::new().parse(head, &self.listener.limits.head, &mut self.exchange.request);
        self.exchange.record.method = self.exchange.request.method;
        serve::name(&Random::from_system(), &mut self.exchange);
        parsed.map_err(Fault::Head)?;
        let received = Look::of(&self.exchange);
        let has_params = serve::receive(self.listener, &mut self.exchange);
        self.told.request = Seen::of(&self.exchange, &received);
        let has_params = has_params?;
        if let Some(answer) = door::answer(self.snapshot, self.listener, &self.exchange)? {
            let body = response::respond(&mut self.exchange, &answer);
            self.answered(&body, |status| format!("answered {status} at the door, before any route"));
            return Ok(());
        }
        let found = serve::find_route(self.snapshot, &mut self.exchange, has_params, &mut Params::default());
        if !matches!(found, Err(Fault::MethodRefused(_))) {
            self.tell_routes();
        }
        let route = found?;
        if self.policies(route) {
            return Ok(());
        }
        match &route.action {
            Action::Forward(..) | Action::Split(_) => {
                let aim = route.action.aim(&mut self.exchange, &Random::from_system());
                let aim = aim.ok_or(Fault::NoEndpoint)?;
                let service = self.snapshot.service(aim.service).ok_or(Fault::NoEndpoint)?;
                serve::body_limit(&self.exchange, self.listener)?;
                self.forward(service, aim.care, &received)?;
                if let (Some((split, chosen)), Some(sent)) = (aim.chosen, &mut self.told.upstream) {
                    sent.care.insert(0, split.told(chosen));
                }
            }
            Action::Respond(answer) => {
                let body = serve::answer(route, &mut self.exchange, answer);
                self.answered(&body, |status| format!("answered {status} by the route itself"));
            }
            Action::Mock(mock) => {
                let answer = mock.answer(&self.exchange);
                let body = serve::answer(route, &mut self.exchange, &answer);
                self.answered(&body, |status| format!("answered {status} by what is made up"));
            }
            Action::Redirect { status, location } => {
                let answer = serve::redirect(&self.exchange, *status, location);
                let body = serve::answer(route, &mut self.exchange, &answer);
                self.answered(&body, |status| format!("redirected with {status} by the route itself"));
            }
        }
        Ok(())
    }

    /// Runs the policies one by one. True when one of them has answered.
    fn policies(&mut self, route: &'s Route) -> bool {
        let mut refused = false;
        for bound in &route.policies {
            let mut step = Step::not_reached(bound.name, bound.shadow);
            if !refused {
                refused = self.policy(route, bound, &mut step);
            }
            self.told.policies.push(step);
        }
        refused
    }

    fn policy(&mut self, route: &Route, bound: &Bound, step: &mut Step) -> bool {
        let before = Look::of(&self.exchange);
        let watched = self.exchange.record.shadowed.len();
        // No policy waits for anybody else; one that did could not be rehearsed.
        let decided = policies::request(std::slice::from_ref(bound), &mut self.exchange).now_or_never();
        step.changes = before.changes(&Look::of(&self.exchange));
        let Some(decided) = decided else {
            step.verdict = "undecided: it would wait for somebody else".into();
            return false;
        };
        match decided {
            Ok(()) => {
                let reason = self.exchange.record.shadowed.get(watched).map(|(_, reason)| *reason);
                step.verdict = match reason {
                    Some(reason) => format!("would refuse with {reason}, but only watches"),
                    None => "go".into(),
                };
                step.reason = reason.map(str::to_owned);
                false
            }
            Err(Stop::Answered) => {
                policies::answered(&route.policies, &mut self.exchange);
                let from = format!("answered {} by what is kept", self.exchange.response.status);
                step.verdict = from.clone();
                step.status = Some(self.exchange.response.status);
                self.told.by = Some(bound.name.to_owned());
                let body = self.exchange.instead.take().unwrap_or_default();
                self.answered(&body, |_| format!("{from} of the policy `{}`", bound.name));
                true
            }
            Err(Stop::With(answer)) => {
                step.verdict = match &*self.exchange.record.why {
                    "" => format!("answered {} {}", answer.status, answer.reason),
                    why => format!("answered {} {}: {why}", answer.status, answer.reason),
                };
                (step.status, step.reason) = (Some(answer.status), Some(answer.reason.to_owned()));
                let body = serve::answer(route, &mut self.exchange, &answer);
                self.told.by = Some(bound.name.to_owned());
                self.answered(&body, |status| {
                    format!("answered {status} {} by the policy `{}`", answer.reason, bound.name)
                });
                true
            }
        }
    }

    /// The request as the service would get it.
    fn forward(&mut self, service: &Service, care: Option<&Care>, received: &Look) -> Result<(), Fault> {
        let open = service.breaker.as_ref().filter(|breaker| breaker.state() == State::Open);
        if let Some(breaker) = open {
            let fault = Fault::CircuitOpen(breaker.rest());
            let Some(ladder) = care.and_then(|care| care.ladder.as_deref()) else { return Err(fault) };
            if !ladder.on.has(&fault) {
                return Err(fault);
            }
        }
        if let Some(credentials) = &service.credentials {
            // Without a token, as before the first one has come, the request is shown as it is.
            let _ = credentials.put(&mut self.exchange);
        }
        request::prepare(&mut self.exchange, service, self.snapshot.forwarding);
        let endpoints = service.live.endpoints();
        // Nobody has resolved anything for a snapshot that does not run.
        let is_known = service.live.generation() > 0;
        let first = endpoints.first().map(|endpoint| endpoint.settings.clone());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let settings = first.or_else(|| {
            let target = service.targets.first()?;
            let authority = target.url.authority().into();
            Some(EndpointSettings {
                address: nowhere,
                authority,
                weight: target.weight,
                peer: target.peer.clone(),
                protocol: target.protocol,
                rank: Rank::Near,
            })
        });
        if let Some(settings) = &settings {
            request::aim(&mut self.exchange, service, settings);
        }
        let known: Vec<String> = endpoints.iter().map(|known| known.told()).collect();
        self.told.upstream = Some(Sent::of(&self.exchange, (service, care), known, received));
        if settings.is_none() || (is_known && endpoints.is_empty()) {
            return Err(Fault::NoEndpoint);
        }
        self.told.outcome = Outcome::Forwarded;
        self.told.verdict = format!("forwarded to `{}`", service.name);
        Ok(())
    }

    fn fail(&mut self, fault: &Fault) {
        let facts = fault.facts();
        let body = serve::answer_fault(self.snapshot, &mut self.exchange, fault);
        self.answered(&body, |status| format!("refused with {status} {}: {}", facts.code, facts.detail));
    }

    /// Tells the answer that the gateway gives itself.
    fn answered(&mut self, body: &[u8], verdict: impl FnOnce(u16) -> String) {
        door::dress(self.listener, &mut self.exchange);
        let status = self.exchange.response.status;
        self.told.outcome = if status < 400 { Outcome::Answered } else { Outcome::Refused };
        self.told.status = Some(status);
        self.told.reason = Some(self.exchange.record.reason.to_owned()).filter(|reason| !reason.is_empty());
        self.told.verdict = verdict(status);
        // RFC 9110 section 9.3.2: an answer to HEAD has no body.
        let body = if self.exchange.record.method == http1::Method::Head { b"" } else { body };
        self.told.answer = Some(Response::of(&self.exchange.response, body));
    }

    /// Which route takes the request, and why the nearest others do not.
    fn tell_routes(&mut self) {
        let exchange = &self.exchange;
        let chosen = exchange.record.route;
        let lookup = Lookup {
            method: exchange.request.method,
            method_text: exchange.request.method_text(),
            host: &exchange.host,
            path: &exchange.path,
            query: &exchange.query,
            fields: &exchange.request.fields,
        };
        let mut steps = self.snapshot.table.trace(&lookup, OTHERS);
        let is_chosen = |place: &u32| Some(*place) == chosen;
        let takes_it = |steps: &[crate::route::trace::Step<'_, u32>]| {
            steps.iter().any(|step| is_chosen(step.value) && step.outcome == Traced::Matched)
        };
        let mut for_preflight = None;
        if chosen.is_some()
            && !takes_it(&steps)
            && let Some(asked) = preflight::asked_method(&exchange.request)
        {
            let lookup = Lookup { method: http1::Method::from_bytes(asked), method_text: asked, ..lookup };
            steps = self.snapshot.table.trace(&lookup, OTHERS);
            for_preflight = Some(masked::text(asked));
        }
        let key =
            |place: u32| self.snapshot.route(place).map_or_else(String::new, |route| route.key.to_string());
        let mut others: Vec<Passed> = Vec::new();
        let mut route = None;
        for step in &steps {
            if is_chosen(step.value) {
                if step.outcome == Traced::Matched {
                    route =
                        Some(Taken::of(exchange, key(*step.value), step.pattern, for_preflight.as_deref()));
                }
                continue;
            }
            let key = key(*step.value);
            let why = match &step.outcome {
                Traced::Matched => "takes the path only with, or only without, its ;parameters".to_owned(),
                Traced::Lost(reason) => reason.to_string(),
            };
            if !others.iter().any(|other| other.route == key) {
                others.push(Passed { route: key, why });
            }
        }
        (self.told.route, self.told.others) = (route, others);
    }
}
