//! `ext_auth`: asks a service whether a request may pass.
//!
//! Takes what the configuration chose of the request, never its body; the status of the answer decides. Without an answer
//! in time nobody passes, unless the configuration says so, and then nobody has become known by it. What the service says
//! good may be remembered by the worker for a while.

mod remembered;
mod settings;

use std::borrow::Cow;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http1::{Method, Name, NameBuf, names};

use self::remembered::{Asked, Yes};
pub use self::settings::ExtAuth;
use self::settings::{OnFault, Settled, text_of};
use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::fault::Fault;
use crate::observe::Figure;
use crate::upstream::ask::ask;
use crate::upstream::service::Service;
use crate::values::nearest;

/// Lines of a refusal that the client gets in any case: without them it could not be understood.
const OF_REFUSALS: [&str; 3] = ["WWW-Authenticate", "Location", "Retry-After"];

impl Settings for ExtAuth {
    const NAME: &'static str = "ext_auth";
    const REFUSES: bool = true;

    fn compile(
        self,
        _: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let service = self.find(context, faults);
        let settled = self.settle(faults)?;
        if service.is_none() && context.is_whole {
            return None;
        }
        Some(Box::new(Compiled { settled, service, asked: Asked::new(), counts: Arc::default() }))
    }
}

impl ExtAuth {
    /// The service that is asked.
    fn find(&self, context: &Context, faults: &mut Diagnostics) -> Option<Arc<Service>> {
        let (name, place) = (self.service.as_str(), self.service.span());
        let Some(service) = context.services.get(name) else {
            if context.is_whole {
                let text = format!("unknown service `{name}` in `ext_auth`");
                let fault = faults.error(codes::UNKNOWN_NAME, place, text).label("no service has this name");
                let meant = nearest(name, context.services.keys().map(String::as_str));
                fault.help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
            }
            return None;
        };
        if service.proxy_protocol.is_some() {
            let text = format!("`ext_auth` cannot ask `{name}`, which wants the PROXY protocol");
            let fault = faults.error(codes::BAD_POLICY, place, text);
            fault.help("questions are the gateway's own and come from no client: leave `proxy_protocol` out");
            return None;
        }
        Some(service.clone())
    }
}

/// What was asked of all services for all routes.
#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    faults: AtomicU64,
    remembered: AtomicU64,
}

/// The policy, ready to run.
struct Compiled {
    settled: Settled,
    service: Option<Arc<Service>>,
    asked: Asked,
    counts: Arc<Counts>,
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.counts = place.lives.keep("ext_auth", |before| before.cloned().unwrap_or_default());
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        for (name, help, count) in [
            ("tidegate_ext_auth_asked", "Questions to authorisation services.", &self.counts.asked),
            ("tidegate_ext_auth_faults", "Questions that had no answer that decides.", &self.counts.faults),
            (
                "tidegate_ext_auth_remembered",
                "Requests that passed by an answer that was remembered.",
                &self.counts.remembered,
            ),
        ] {
            tell(Figure { name, help, counts: true, value: count.load(Ordering::Relaxed) });
        }
    }

    fn tells(&self, tell: &mut dyn FnMut(&str)) {
        self.settled.upstream.iter().for_each(|(name, _)| tell(text_of(name)));
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        // What the service is to say is nothing that a client says.
        for (_, folded) in &self.settled.upstream {
            exchange
                .request
                .fields
                .retain(|field| self.settled.asks_with(field.name) || !folded.matches(field.name));
        }
        let key = self.settled.cache.and_then(|_| self.settled.key(exchange));
        if let Some(yes) = key.as_ref().and_then(|key| self.asked.recall(key, exchange.record.started)) {
            self.counts.remembered.fetch_add(1, Ordering::Relaxed);
            self.pass(exchange, Some(&yes));
            return Verdict::Go;
        }
        if exchange.rehearsal {
            // Nobody is asked for the sake of an explanation.
            return Verdict::Wait(Box::pin(pending()));
        }
        Verdict::Wait(Box::pin(self.ask(exchange, key)))
    }

    fn response(&self, exchange: &mut Exchange) {
        for (name, value) in std::mem::take(&mut exchange.promised) {
            exchange.response.fields.push(name.as_name(), &value);
        }
    }
}

impl Compiled {
    async fn ask<'a>(&'a self, exchange: &'a mut Exchange, key: Option<Vec<u8>>) -> Verdict<'a> {
        let mut question = self.question(exchange);
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        let asked = match &self.service {
            Some(service) => ask(service, &mut question, self.settled.timeout).await,
            None => Err(Fault::NoEndpoint),
        };
        let status = question.response.status;
        match asked {
            Ok(()) if (200..300).contains(&status) => {
                let yes = self.settled.yes(&question);
                if let (Some(key), Some(most), true) = (key, self.settled.cache, yes.promised.is_empty()) {
                    self.asked.keep(key, &yes, most, exchange.record.started);
                }
                self.pass(exchange, Some(&yes));
                Verdict::Go
            }
            Ok(()) if self.settled.refuses.contains(&status) => {
                exchange.record.why = Cow::Owned(format!("the authorisation service answers {status}"));
                Verdict::answer(self.refusal(&question))
            }
            Ok(()) => self.fault(exchange, format!("the authorisation service answers {status}")),
            Err(fault) => self.fault(exchange, format!("the authorisation service: {}", fault.facts().code)),
        }
    }

    /// What the service is asked, as a request of its own.
    fn question(&self, exchange: &Exchange) -> Box<Exchange> {
        let mut question = Box::new(Exchange::default());
        question.path.extend_from_slice(self.settled.path.as_bytes());
        question.request.method = Method::Get;
        let fields = &mut question.request.fields;
        for field in exchange.request.fields.iter().filter(|field| self.settled.asks_with(field.name)) {
            if let Ok(name) = Name::new(field.name) {
                fields.push(name, field.value);
            }
        }
        // Whom policies before this one found; clients cannot send these lines.
        if let Some(identity) = &exchange.identity {
            for name in identity.told.iter().filter_map(|line| Name::new(line.name).ok()) {
                fields.remove(name);
            }
            fields.append(&identity.told);
        }
        let mut text = exchange.path.clone();
        if exchange.has_query {
            text.push(b'?');
            text.extend_from_slice(&exchange.query);
        }
        let proto: &[u8] = if exchange.client.https { b"https" } else { b"http" };
        for (name, value) in
            [(&b"X-Forwarded-Method"[..], exchange.request.method_text()), (b"X-Forwarded-Uri", &text)]
        {
            if let Ok(name) = Name::new(name) {
                fields.push(name, value);
            }
        }
        fields.set(names::X_FORWARDED_PROTO, proto);
        fields.set(names::X_FORWARDED_HOST, exchange.request.fields.get(names::HOST).unwrap_or_default());
        fields.set(names::X_FORWARDED_FOR, exchange.client.ip.to_string().as_bytes());
        fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
        fields.set(names::TRACEPARENT, &exchange.trace.to_parent());
        question
    }

    /// Lets the exchange pass with what the service said; with nothing where it said nothing.
    fn pass(&self, exchange: &mut Exchange, yes: Option<&Yes>) {
        if !self.settled.forward_credentials {
            exchange.request.fields.remove(names::AUTHORIZATION);
        }
        for (_, folded) in &self.settled.upstream {
            exchange.request.fields.retain(|field| !folded.matches(field.name));
        }
        let Some(yes) = yes else { return };
        for (name, value) in &yes.told {
            exchange.request.fields.push(name.as_name(), value);
        }
        exchange.promised.extend(yes.promised.iter().cloned());
    }

    /// The answer of the service, as far as the client is to know it.
    fn refusal(&self, question: &Exchange) -> Answer {
        let status = question.response.status;
        let mut answer = Answer::problem(status, "ext_auth_refused", "this is not allowed");
        let told = self.settled.of_answer(&question.response.fields, &self.settled.client);
        answer.fields.extend(told.into_iter().map(|(name, value)| (name, value.into())));
        for name in OF_REFUSALS {
            let known = |(known, _): &(NameBuf, Vec<u8>)| {
                known.as_name().text().eq_ignore_ascii_case(name.as_bytes())
            };
            if answer.fields.iter().any(known) {
                continue;
            }
            let lines = question.response.fields.iter();
            for field in lines.filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
                answer = answer.with(name, field.value);
            }
        }
        let challenged =
            |(name, _): &(NameBuf, Vec<u8>)| name.as_name().text().eq_ignore_ascii_case(b"www-authenticate");
        if status == 401 && !answer.fields.iter().any(challenged) {
            // RFC 9110 section 15.5.2: a 401 without a challenge is none.
            answer = answer.with("WWW-Authenticate", "Bearer realm=\"tidegate\"");
        }
        answer
    }

    fn fault<'a>(&'a self, exchange: &mut Exchange, why: String) -> Verdict<'a> {
        self.counts.faults.fetch_add(1, Ordering::Relaxed);
        exchange.record.why = Cow::Owned(why);
        if self.settled.on_fault == OnFault::Allow {
            self.pass(exchange, None);
            return Verdict::Go;
        }
        let detail = "whether this is allowed cannot be found out at the moment";
        Verdict::answer(Answer::problem(503, "authorization_unavailable", detail))
    }
}

/// Shared by what is remembered and what is told.
type Lines = Vec<(NameBuf, Box<[u8]>)>;

impl Settled {
    /// What a good answer says.
    fn yes(&self, question: &Exchange) -> Rc<Yes> {
        let fields = &question.response.fields;
        Rc::new(Yes {
            told: self.of_answer(fields, &self.upstream),
            promised: self.of_answer(fields, &self.client),
        })
    }
}
