//! The gate: asks for one or several kinds of credential, lets pass who has one that holds, answers who has none.
//!
//! Takes an exchange and gives it its identity. Whatever came of it, the credentials are taken out of the request
//! before a service sees it, unless the configuration says otherwise. What an answer says is the same for every
//! credential that is not good; the reason stands in the decision record alone.

use std::borrow::Cow;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http1::names;

use super::patience::{Patience, Whose};
use super::{Callers, failures, patience, tried};
use crate::exchange::{Answer, Exchange, Identity, Verdict};
use crate::values::Rate;

/// The reason of a refusal that says nothing.
const BAD: &str = "bad_credentials";
/// The reason of a refusal of who brought nothing.
const NONE: &str = "no_credentials";

/// One kind of credential, ready to be checked.
pub trait Check: Send + Sync {
    /// The policy that this kind of credential belongs to.
    fn policy(&self) -> &'static str;

    /// Whether a request is for this check and not for the service, as that to which a login comes back.
    fn is_for(&self, _exchange: &Exchange) -> bool {
        false
    }

    /// Answers such a request.
    fn serve<'a>(&'a self, _exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Go
    }

    /// Whether it has something better than 401 for who has no credential.
    fn invites(&self, _exchange: &Exchange) -> bool {
        false
    }

    /// Says it.
    fn invite<'a>(&'a self, _exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Go
    }

    /// Looks for the credential in the request, and for it in the memory of the worker.
    fn recall(&self, exchange: &Exchange) -> Recalled;

    /// Checks the credential of the request.
    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a>;

    /// The beginning of the credential, by which failures are counted; empty for none.
    fn beginning(&self, _exchange: &Exchange) -> Vec<u8> {
        Vec::new()
    }

    /// Takes the credential out of the request.
    fn take(&self, exchange: &mut Exchange);

    /// What `WWW-Authenticate` says (RFC 9110 section 11.6.1), with the error where a credential was refused.
    fn challenge(&self, refusal: Option<&Refusal>) -> String;
}

impl<C: Check> Check for Arc<C> {
    fn policy(&self) -> &'static str {
        (**self).policy()
    }

    fn is_for(&self, exchange: &Exchange) -> bool {
        (**self).is_for(exchange)
    }

    fn serve<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        (**self).serve(exchange)
    }

    fn invites(&self, exchange: &Exchange) -> bool {
        (**self).invites(exchange)
    }

    fn invite<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        (**self).invite(exchange)
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        (**self).recall(exchange)
    }

    fn beginning(&self, exchange: &Exchange) -> Vec<u8> {
        (**self).beginning(exchange)
    }

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

/// What is known of a credential before it is checked.
pub enum Recalled {
    /// The request has no such credential.
    Absent,
    /// It held a short while ago, and this is whose it is.
    Held(Rc<Identity>),
    /// It must be checked.
    Unknown,
}

/// What came of a check.
pub enum Finding<'a> {
    /// The request has no such credential.
    Absent,
    /// It holds, and this is whose it is.
    Held(Rc<Identity>),
    /// It holds, and this is to be done to the exchange.
    HeldWith(Rc<Identity>, Box<dyn FnOnce(&mut Exchange) + 'a>),
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
    /// After which time to ask again, where that is known.
    pub wait: Option<Duration>,
    /// What the gateway knows and the client is not told.
    pub why: Cow<'static, str>,
}

impl Refusal {
    /// A credential that is not good, for a reason that stays here.
    pub fn bad(why: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status: 401,
            reason: BAD,
            detail: "the credentials are not good",
            error: "invalid_token",
            scope: String::new(),
            wait: None,
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
            wait: None,
            why: Cow::Borrowed("two credentials in one place"),
        }
    }

    /// The challenge of bearer tokens (RFC 6750 section 3).
    pub fn bearer(refusal: Option<&Refusal>) -> String {
        let mut text = "Bearer realm=\"tidegate\"".to_owned();
        if let Some(refusal) = refusal.filter(|refusal| !refusal.error.is_empty()) {
            text.push_str(&format!(
                ", error=\"{}\", error_description=\"{}\"",
                refusal.error, refusal.detail
            ));
            if !refusal.scope.is_empty() {
                text.push_str(&format!(", scope=\"{}\"", refusal.scope));
            }
        }
        text
    }

    /// So many have failed that none is looked at for a while.
    pub fn too_many(wait: Duration) -> Refusal {
        Refusal {
            status: 429,
            reason: "too_many_failures",
            detail: "too many credentials from here were not good; try again later",
            wait: Some(wait),
            ..Refusal::bad("too many credentials failed")
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
            wait: None,
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
    /// How often credentials may fail.
    pub patience: Patience,
}

/// How often credentials may fail where nothing else is said.
pub fn usual_patience() -> Rate {
    const USUAL: &str = "100/min";
    #[expect(clippy::expect_used, reason = "this very text is a rate")]
    USUAL.parse().expect("a rate")
}

/// A gate: the checks, any of which is enough.
pub struct Gate {
    policy: &'static str,
    checks: Vec<Box<dyn Check>>,
    settings: GateSettings,
    callers: Arc<Callers>,
}

impl Gate {
    /// The gate of a policy, of these checks, asked in this order.
    pub fn new(
        policy: &'static str,
        checks: Vec<Box<dyn Check>>,
        settings: GateSettings,
        callers: Arc<Callers>,
    ) -> Gate {
        Gate { policy, checks, settings, callers }
    }

    /// Lets an exchange pass with the identity it has, or answers it.
    pub fn judge<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if let Some(check) = self.checks.iter().find(|check| check.is_for(exchange)) {
            return check.serve(exchange);
        }
        self.ask(exchange, 0, None)
    }

    /// Puts on the answer what a check has to say to the browser.
    pub fn respond(&self, exchange: &mut Exchange) {
        if exchange.cookies.is_empty() {
            return;
        }
        for line in std::mem::take(&mut exchange.cookies) {
            exchange.response.fields.push(names::SET_COOKIE, &line);
        }
        // A cache that keeps it would hand the session to others.
        exchange.response.fields.set(names::CACHE_CONTROL, b"no-store");
    }

    /// Asks the checks from this one on; `failed` is the first that failed before.
    fn ask<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        from: usize,
        mut failed: Option<(usize, Refusal)>,
    ) -> Verdict<'a> {
        for (place, check) in self.checks.iter().enumerate().skip(from) {
            match check.recall(exchange) {
                Recalled::Absent => continue,
                Recalled::Held(identity) => return self.pass(exchange, Some(identity)),
                Recalled::Unknown => {}
            }
            if let Some(refusal) = self.slow(&**check, exchange) {
                if !exchange.rehearsal {
                    failures::count(check.policy(), refusal.reason);
                }
                _ = failed.get_or_insert((place, refusal));
                continue;
            }
            match check.check(exchange) {
                Finding::Absent => {}
                Finding::Held(identity) => return self.pass(exchange, Some(identity)),
                Finding::HeldWith(identity, done) => {
                    done(exchange);
                    return self.pass(exchange, Some(identity));
                }
                Finding::Failed(refusal) => self.note(place, refusal, exchange, &mut failed),
                // Nobody waits for the sake of an explanation, where there may be nothing that could end the wait.
                Finding::Wait(_) if exchange.rehearsal => return Verdict::Wait(Box::pin(pending())),
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
                Finding::Held(identity) => return self.pass(exchange, Some(identity)),
                Finding::HeldWith(identity, done) => {
                    done(exchange);
                    return self.pass(exchange, Some(identity));
                }
                Finding::Failed(refusal) => {
                    self.note(place, refusal, exchange, &mut failed);
                    break;
                }
                Finding::Wait(next) => finding = next,
            }
        }
        self.ask(exchange, place.saturating_add(1), failed)
    }

    /// The refusal for whom there is no patience left.
    fn slow(&self, check: &dyn Check, exchange: &Exchange) -> Option<Refusal> {
        if patience::is_untouched() {
            return None;
        }
        let (beginning, now) = (check.beginning(exchange), exchange.record.started);
        let whose = [Whose::Address(exchange.client.ip), Whose::Beginning(&beginning)];
        self.settings.patience.is_out(counted(&whose, &beginning), now).map(Refusal::too_many)
    }

    /// Keeps the first failure, and counts those that look like a guess.
    fn note(
        &self,
        place: usize,
        refusal: Refusal,
        exchange: &Exchange,
        failed: &mut Option<(usize, Refusal)>,
    ) {
        let check = self.checks.get(place);
        if !exchange.rehearsal {
            failures::count(check.map_or(self.policy, |check| check.policy()), refusal.reason);
        }
        if refusal.reason == BAD && !exchange.rehearsal {
            let beginning = check.map(|check| check.beginning(exchange)).unwrap_or_default();
            let whose = [Whose::Address(exchange.client.ip), Whose::Beginning(&beginning)];
            self.settings.patience.fail(counted(&whose, &beginning), exchange.record.started);
        }
        _ = failed.get_or_insert((place, refusal));
    }

    fn pass<'a>(&'a self, exchange: &mut Exchange, identity: Option<Rc<Identity>>) -> Verdict<'a> {
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
                let mut both = Identity { consumer: first.consumer.clone(), ..(*identity).clone() };
                self.callers.tell(&mut both);
                Rc::new(both)
            }
            _ => identity,
        };
        exchange.request.fields.append(&identity.told);
        exchange.identity = Some(identity);
        Verdict::Go
    }

    fn refuse<'a>(&'a self, exchange: &'a mut Exchange, failed: Option<(usize, Refusal)>) -> Verdict<'a> {
        if failed.is_none()
            && !self.settings.optional
            && let Some(check) = self.checks.iter().find(|check| check.invites(exchange))
        {
            return check.invite(exchange);
        }
        let before = if failed.is_some() { tried::before(exchange) } else { None };
        let passing = self.pass(exchange, None);
        tried::after(exchange, before);
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
        if failed.is_none() && !exchange.rehearsal {
            failures::count(self.policy, NONE);
        }
        let mut answer = match &failed {
            Some((_, refusal)) => Answer::problem(refusal.status, refusal.reason, refusal.detail),
            None => Answer::problem(401, NONE, "this needs credentials, see WWW-Authenticate"),
        };
        if let Some(wait) = failed.as_ref().and_then(|(_, refusal)| refusal.wait) {
            let seconds = wait.as_secs().saturating_add(1);
            return Verdict::answer(answer.with("Retry-After", seconds.to_string()));
        }
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

/// Without a beginning the address alone counts.
fn counted<'w, 'b>(whose: &'w [Whose<'b>], beginning: &[u8]) -> &'w [Whose<'b>] {
    if beginning.is_empty() { whose.get(..1).unwrap_or_default() } else { whose }
}
