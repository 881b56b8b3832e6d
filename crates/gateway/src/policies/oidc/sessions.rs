//! The sessions: who has one passes, who has none is invited to log in, and what is about to end is renewed.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http1::{Method, names};

use super::{Logins, Oidc};
use crate::exchange::{Exchange, Identity, Verdict, caller};
use crate::identity::jose::{Token, Unproven};
use crate::identity::memory::{Now, now};
use crate::identity::oidc::{Session, Tokens, Trouble, seconds};
use crate::identity::{Check, Finding, Recalled, Refusal};
use crate::policies::Settings;

/// How long a worker remembers a session, and one that could not be renewed.
const REMEMBERED: Duration = Duration::from_secs(60);
const REMEMBERED_UNRENEWED: Duration = Duration::from_secs(5);
/// How long a request that may go on anyway waits for a renewal, and how long one waits for keys of the provider.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// What sessions are sealed for.
const PURPOSE: &str = "session";

impl Logins {
    /// The session of a request, if it has one that is not over.
    pub(super) fn session(&self, exchange: &Exchange) -> Option<Session> {
        let value = self.cookies.session(exchange)?;
        let session = Session::from_text(&self.sealer.open(PURPOSE, &value)?)?;
        (seconds(exchange.record.started_at) < session.end(self.length)).then_some(session)
    }

    /// Who a session is about.
    fn identity(&self, session: &Session) -> Option<Rc<Identity>> {
        let mut identity = self.rules.identity_of(Oidc::NAME, session.claims()?).ok()?;
        caller::add(&mut identity.scopes, session.scope.split(' ').filter(|scope| !scope.is_empty()));
        self.callers.find_by_claims(&mut identity);
        self.callers.tell(&mut identity);
        Some(Rc::new(identity))
    }

    /// Keeps a session in the memory of the worker, but not until it should be renewed.
    fn remember(&self, value: &[u8], identity: &Rc<Identity>, until: u64, most: Duration, now: Now) {
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(until));
        self.realm.keep(0, value, identity, (most, until), now);
    }

    /// Proves an ID token. Waits for the keys of the provider where they are just being fetched.
    pub(super) async fn prove(&self, text: &str, at: SystemTime) -> Result<Identity, String> {
        for last in [false, true] {
            let token = Token::parse(text.as_bytes()).map_err(|bad| bad.why().to_owned())?;
            let unproven = match self.keys.keys() {
                Some(keys) => match keys.prove(&token) {
                    Ok(()) => {
                        let judged = self.rules.judge_as(Oidc::NAME, token, at);
                        return judged
                            .map(|(identity, _)| identity)
                            .map_err(|refusal| refusal.why.into_owned());
                    }
                    Err(unproven) => unproven,
                },
                None => Unproven::UnknownKey,
            };
            let fetched = self.keys.ask().filter(|_| !last && unproven == Unproven::UnknownKey);
            let Some(mut fetched) = fetched else { break };
            // In time or not, what is there then decides.
            let _ = tokio::time::timeout(PATIENCE, fetched.changed()).await;
        }
        Err("the ID token is not signed by a key of the provider".to_owned())
    }

    /// The lines that set a session.
    pub(super) fn cookie_lines(&self, exchange: &Exchange, session: &Session) -> Option<Vec<Vec<u8>>> {
        let sealed = self.sealer.seal(PURPOSE, &session.to_text())?;
        let left = session.end(self.length).saturating_sub(seconds(exchange.record.started_at));
        self.cookies.set_session(exchange, &sealed, left)
    }

    /// What comes of newer tokens: the session that goes on.
    async fn renewed(&self, tokens: &Tokens, before: &Session, at: SystemTime) -> Option<Session> {
        let session = Session::new(tokens, Some(before), &self.scope, seconds(at))?;
        if let Some(id_token) = &tokens.id_token {
            // The same person, or no renewal (OpenID Connect Core 1.0 section 12.2).
            let identity = self.prove(id_token, at).await.ok()?;
            let claims = before.claims()?;
            let same = identity.subject.as_deref() == claims.get("sub").and_then(serde_json::Value::as_str);
            if !same {
                return None;
            }
        }
        Some(session)
    }

    /// Renews a session, and lets pass meanwhile who may.
    fn renew<'a>(&'a self, exchange: &Exchange, value: Vec<u8>, session: Session, must: u64) -> Finding<'a> {
        let now = now(exchange);
        let second = seconds(now.1);
        let last = must.saturating_add(self.grace.as_secs());
        let go_on = move |session: &Session| {
            let Some(identity) = self.identity(session).filter(|_| second < last) else {
                return Finding::Failed(Refusal::undecided("the provider of logins does not answer"));
            };
            self.remember(&value, &identity, last, REMEMBERED_UNRENEWED, now);
            Finding::Held(identity)
        };
        if exchange.rehearsal {
            return go_on(&session);
        }
        let asked = session.refresh_token.as_deref().and_then(|token| self.party.renew(token));
        let Some(told) = asked else { return go_on(&session) };
        // Whoever may go on anyway does not wait long: what comes of it is kept for the next request.
        let patience = if second < last { PATIENCE } else { self.party.settings().timeout };
        Finding::Wait(Box::pin(async move {
            let tokens = match tokio::time::timeout(patience, told).await {
                Ok(Ok(Ok(tokens))) => tokens,
                // The provider knows the session no more.
                Ok(Ok(Err(Trouble::Refused))) => return Finding::Absent,
                _ => return go_on(&session),
            };
            let Some(session) = self.renewed(&tokens, &session, now.1).await else { return Finding::Absent };
            let Some(identity) = self.identity(&session) else { return Finding::Absent };
            Finding::HeldWith(
                identity,
                Box::new(move |exchange| {
                    exchange.cookies = self.cookie_lines(exchange, &session).unwrap_or_default();
                }),
            )
        }))
    }
}

impl Check for Logins {
    fn policy(&self) -> &'static str {
        Oidc::NAME
    }

    fn is_for(&self, exchange: &Exchange) -> bool {
        [&self.callback, &self.login, &self.logout].contains(&&exchange.path)
    }

    fn serve<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.step(exchange)
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        match self.cookies.session(exchange) {
            None => Recalled::Absent,
            Some(value) => {
                let known = self.realm.recall(0, &value, now(exchange));
                known.map_or(Recalled::Unknown, Recalled::Held)
            }
        }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        // A session that does not open is none: it cannot be guessed, and its owner may log in again.
        let (Some(value), Some(session)) = (self.cookies.session(exchange), self.session(exchange)) else {
            return Finding::Absent;
        };
        let now = now(exchange);
        if let Some((_, must)) = session.renewal.filter(|(should, _)| seconds(now.1) >= *should) {
            return self.renew(exchange, value.into_owned(), session, must);
        }
        let Some(identity) = self.identity(&session) else { return Finding::Absent };
        let end = session.end(self.length);
        let until = session.renewal.map_or(end, |(should, _)| should.min(end));
        self.remember(&value, &identity, until, REMEMBERED, now);
        Finding::Held(identity)
    }

    /// Who reads a page is shown where to log in; programs are told that they may not.
    fn invites(&self, exchange: &Exchange) -> bool {
        let reads = matches!(exchange.record.method, Method::Get | Method::Head);
        let fields = &exchange.request.fields;
        // What a script fetches is no page, whatever it accepts (Fetch Metadata).
        let fetched = fields
            .iter()
            .any(|field| field.name.eq_ignore_ascii_case(b"Sec-Fetch-Mode") && field.value != b"navigate");
        reads
            && !fetched
            && exchange.request.fields.get_all(names::ACCEPT).any(|accept| {
                accept.split(|byte| *byte == b',').any(|kind| {
                    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
                    kind.trim_ascii().eq_ignore_ascii_case(b"text/html")
                })
            })
    }

    fn invite<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let mut back = exchange.path.clone();
        if exchange.has_query {
            back.push(b'?');
            back.extend_from_slice(&exchange.query);
        }
        self.begin(exchange, String::from_utf8(back).unwrap_or_default())
    }

    fn take(&self, exchange: &mut Exchange) {
        self.cookies.take(exchange);
    }

    fn challenge(&self, _: Option<&Refusal>) -> String {
        "Cookie realm=\"tidegate\"".to_owned()
    }
}
