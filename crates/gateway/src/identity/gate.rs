//! The gate: asks for one or several kinds of credential, lets pass who has one that holds, answers who has none.
//!
//! Takes an exchange and gives it its identity. Whatever came of it, the credentials are taken out of the request
//! before a service sees it, unless the configuration says otherwise. What an answer says is the same for every
//! credential that is not good; the reason stands in the decision record alone.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::Callers;
use crate::exchange::{Answer, Exchange, Identity, Verdict};

/// One kind of credential, ready to be checked.
pub trait Check: Send + Sync {
    /// Looks for the credential in the request and checks it.
    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a>;

    /// Takes the credential out of the request.
    fn take(&self, exchange: &mut Exchange);

    /// What `WWW-Authenticate` says (RFC 9110 section 11.6.1), with the error where a credential was refused.
    fn challenge(&self, refusal: Option<&Refusal>) -> String;
}

impl<C: Check> Check for Arc<C> {
    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        (**self).check(exchange)
    }

    fn take(&self, exchange: &mut Exchange) {
        (**self).take(exchange);
    }

    fn challenge(&self, refusal: Option<&Refusal>) -> String {
        (**self).challenge(refusal)
    }
}

/// What came of a check.
pub enum Finding<'a> {
    /// The request has no such credential.
    Absent,
    /// It holds, and this is whose it is.
    Held(Rc<Identity>),
    /// It is there and does not hold.
    Failed(Refusal),
    /// It is known when this has ended.
    Wait(Pin<Box<dyn Future<Output = Finding<'a>> + 'a>>),
}

/// Why a credential did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Status for the client.
    pub status: u16,
    /// Stable word for logs, metrics and the problem type.
    pub reason: &'static str,
    /// One sentence for the client.
    pub detail: &'static str,
    /// The error of RFC 6750 section 3.1, for bearer tokens.
    pub error: &'static str,
    /// The scopes that are needed, with spaces between, where they are missing.
    pub scope: String,
    /// What the gateway knows and the client is not told.
    pub why: Cow<'static, str>,
}

impl Refusal {
    /// A credential that is not good, for a reason that stays here.
    pub fn bad(why: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status: 401,
            reason: "bad_credentials",
            detail: "the credentials are not good",
            error: "invalid_token",
            scope: String::new(),
            why: why.into(),
        }
    }

    /// More than one credential, or one that cannot be read.
    pub fn unclear() -> Refusal {
        Refusal {
            status: 400,
            reason: "unclear_credentials",
            detail: "the request has more than one credential, or one that cannot be read",
            error: "invalid_request",
            scope: String::new(),
            why: Cow::Borrowed("two credentials in one place"),
        }
    }

    /// Nobody can tell at the moment whether it is good.
    pub fn undecided(why: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status: 503,
            reason: "identity_unavailable",
            detail: "credentials cannot be checked at the moment",
            error: "",
            scope: String::new(),
            why: why.into(),
        }
    }
}

/// How a gate treats what it found.
#[derive(Clone, Copy)]
pub struct GateSettings {
    /// Whether who has no credential, or none that holds, may pass without an identity.
    pub optional: bool,
    /// Whether the service gets the credential.
    pub forward_credentials: bool,
}

/// A gate: the checks, any of which is enough.
pub struct Gate {
    checks: Vec<Box<dyn Check>>,
    settings: GateSettings,
    callers: Arc<Callers>,
}

impl Gate {
    /// A gate of these checks, asked in this order.
    pub fn new(checks: Vec<Box<dyn Check>>, settings: GateSettings, callers: Arc<Callers>) -> Gate {
        Gate { checks, settings, callers }
    }

    /// Lets an exchange pass with the identity it has, or answers it.
    pub fn judge<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.ask(exchange, 0, None)
    }

    /// Asks the checks from this one on; `failed` is the first that failed before.
    fn ask<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        from: usize,
        mut failed: Option<(usize, Refusal)>,
    ) -> Verdict<'a> {
        for (place, check) in self.checks.iter().enumerate().skip(from) {
            match check.check(exchange) {
                Finding::Absent => {}
                Finding::Held(identity) => return self.pass(exchange, Some(&identity)),
                Finding::Failed(refusal) => _ = failed.get_or_insert((place, refusal)),
                Finding::Wait(finding) => {
                    return Verdict::Wait(Box::pin(self.wait(exchange, place, finding, failed)));
                }
            }
        }
        self.refuse(exchange, failed)
    }

    async fn wait<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        place: usize,
        mut finding: Pin<Box<dyn Future<Output = Finding<'a>> + 'a>>,
        mut failed: Option<(usize, Refusal)>,
    ) -> Verdict<'a> {
        loop {
            match finding.await {
                Finding::Absent => break,
                Finding::Held(identity) => return self.pass(exchange, Some(&identity)),
                Finding::Failed(refusal) => {
                    _ = failed.get_or_insert((place, refusal));
                    break;
                }
                Finding::Wait(next) => finding = next,
            }
        }
        self.ask(exchange, place.saturating_add(1), failed)
    }

    fn pass<'a>(&'a self, exchange: &mut Exchange, identity: Option<&Rc<Identity>>) -> Verdict<'a> {
        if !self.settings.forward_credentials {
            self.checks.iter().for_each(|check| check.take(exchange));
        }
        let Some(identity) = identity else { return Verdict::Go };
        if exchange.identity.is_some() {
            // A second gate on one route: what this one found holds, with the consumer that the first one knew.
            for name in self.callers.told_names() {
                exchange.request.fields.remove(name.as_name());
            }
        }
        let identity = match exchange.identity.take() {
            Some(first) if identity.consumer.is_none() && first.consumer.is_some() => {
                let mut both = Identity { consumer: first.consumer.clone(), ..(**identity).clone() };
                self.callers.tell(&mut both);
                Rc::new(both)
            }
            _ => identity.clone(),
        };
        for (name, value) in &identity.told {
            exchange.request.fields.push(name.as_name(), value);
        }
        exchange.identity = Some(identity);
        Verdict::Go
    }

    fn refuse<'a>(&'a self, exchange: &mut Exchange, failed: Option<(usize, Refusal)>) -> Verdict<'a> {
        let passing = self.pass(exchange, None);
        let why = match &failed {
            Some((_, refusal)) => refusal.why.clone(),
            None => Cow::Borrowed("no credentials"),
        };
        if self.settings.optional {
            if failed.is_some() {
                exchange.record.why = why;
            }
            return passing;
        }
        exchange.record.why = why;
        let mut answer = match &failed {
            Some((_, refusal)) => Answer::problem(refusal.status, refusal.reason, refusal.detail),
            None => Answer::problem(401, "no_credentials", "this needs credentials, see WWW-Authenticate"),
        };
        if answer.status < 500 {
            for (place, check) in self.checks.iter().enumerate() {
                let refusal =
                    failed.as_ref().filter(|(failed, _)| *failed == place).map(|(_, refusal)| refusal);
                answer = answer.with("WWW-Authenticate", check.challenge(refusal));
            }
        }
        Verdict::answer(answer)
    }
}
