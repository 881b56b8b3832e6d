//! The steps of a login: to the provider, back from it, and out again.
//!
//! Each answer says where the browser goes next; it is never kept by a cache.

use std::time::SystemTime;

use http1::names;
use serde_json::Value;

use super::Logins;
use super::sessions::PATIENCE;
use crate::exchange::source::query_value;
use crate::exchange::{Answer, Exchange, Verdict};
use crate::identity::oidc::{Login, Session, Tokens, Trouble, login, seconds};
use crate::identity::sending::encoded;

/// Logins that a browser may have under way at a time, one for each tab.
const MOST_UNDER_WAY: usize = 8;
/// Logins within so many seconds that came back without a session: then it goes round in circles.
const MOST_ROUNDS: u32 = 5;
const ROUNDS_FOR: u64 = 60;
/// Longest path that a browser is sent back to.
const LONGEST_BACK: usize = 2048;

const LOGIN: &str = "login";
const ROUNDS: &str = "rounds";

/// What a step came to: the answer, or a refusal and what the operator is told of it.
type Step = Result<Answer, (Answer, String)>;

fn to(location: String) -> Answer {
    Answer::empty(302, "login").with("Location", location).with("Cache-Control", "no-store")
}

fn problem(status: u16, reason: &'static str, detail: &str) -> Answer {
    Answer::problem(status, reason, detail).with("Cache-Control", "no-store")
}

fn unavailable(status: u16) -> Answer {
    problem(status, "login_unavailable", "the provider of logins does not answer; try again in a moment")
        .with("Retry-After", "5")
}

fn with_lines(mut answer: Answer, lines: Vec<Vec<u8>>) -> Answer {
    for line in lines {
        answer = answer.with("Set-Cookie", line);
    }
    answer
}

impl Logins {
    /// Answers a request for one of the paths of the policy.
    pub(super) fn step<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if exchange.rehearsal {
            return Verdict::answer(to("/".to_owned()));
        }
        if exchange.path == self.callback {
            return Verdict::Wait(Box::pin(async move {
                let step = self.come_back(exchange).await;
                Verdict::answer(self.told(exchange, step))
            }));
        }
        let cross_site = exchange.request.fields.iter().any(|field| {
            field.name.eq_ignore_ascii_case(b"Sec-Fetch-Site")
                && !matches!(field.value, b"same-origin" | b"same-site" | b"none")
        });
        if exchange.path == self.logout {
            if cross_site {
                return Verdict::answer(problem(
                    403,
                    "cross_site",
                    "this request comes from a page of another origin",
                ));
            }
            return Verdict::answer(self.end(exchange));
        }
        let asked = query_value(&exchange.query, "to");
        let back = asked.and_then(|asked| login::path_of_ours(std::str::from_utf8(&asked).ok()?));
        let back = back.unwrap_or_else(|| "/".to_owned());
        if self.session(exchange).is_some() {
            let location = self.origin(exchange).map(|origin| format!("{origin}{back}"));
            return Verdict::answer(to(location.unwrap_or(back)));
        }
        self.begin(exchange, back)
    }

    fn told(&self, exchange: &mut Exchange, step: Step) -> Answer {
        step.unwrap_or_else(|(answer, why)| {
            exchange.record.why = why.into();
            answer
        })
    }

    /// The origin that the browser knows the gateway by; none where cookies would go in clear over a network.
    fn origin(&self, exchange: &Exchange) -> Option<String> {
        let host = std::str::from_utf8(exchange.request.fields.get(names::HOST)?).ok()?;
        let name = exchange.host.as_slice();
        let local = matches!(name, b"localhost" | b"127.0.0.1" | b"[::1]" | b"::1");
        if !self.cookies.is_secure(exchange) && !local && !self.insecure_http {
            return None;
        }
        let scheme = if exchange.client.https { "https" } else { "http" };
        Some(self.url.clone().unwrap_or_else(|| format!("{scheme}://{host}")))
    }

    fn callback_of(&self, origin: &str) -> String {
        format!("{origin}{}", String::from_utf8_lossy(&self.callback))
    }

    /// Sends a browser to the provider, to come back to this path.
    pub(super) fn begin<'a>(&'a self, exchange: &'a mut Exchange, back: String) -> Verdict<'a> {
        let mut tried = self.party.tried();
        if self.party.endpoints().is_none() && !*tried.borrow_and_update() && !exchange.rehearsal {
            return Verdict::Wait(Box::pin(async move {
                // The provider is just being asked for the first time.
                let _ = tokio::time::timeout(PATIENCE, tried.changed()).await;
                let step = self.try_to_begin(exchange, back);
                Verdict::answer(self.told(exchange, step))
            }));
        }
        let step = self.try_to_begin(exchange, back);
        Verdict::answer(self.told(exchange, step))
    }

    fn try_to_begin(&self, exchange: &Exchange, back: String) -> Step {
        let Some(origin) = self.origin(exchange) else {
            let answer = problem(403, "login_in_clear", "a login needs https");
            return Err((answer, "a login would go in clear".to_owned()));
        };
        let now = seconds(exchange.record.started_at);
        if self.rounds(exchange, now) >= MOST_ROUNDS {
            let text = "the login goes round in circles: it succeeds, and the session does not come back. Are cookies allowed?";
            return Err((problem(403, "login_loop", text), "logins succeed and bring no session".to_owned()));
        }
        let Some(endpoints) = self.party.endpoints() else {
            return Err((unavailable(503), "the provider of logins has not said where they are".to_owned()));
        };
        let back = if back.len() > LONGEST_BACK { "/".to_owned() } else { back };
        let broken = || (unavailable(503), "the system gives no random numbers".to_owned());
        let login = Login::new(back, now).ok_or_else(broken)?;
        let sealed = self.sealer.seal(LOGIN, &login.to_text()).ok_or_else(broken)?;
        let cookie = login::cookie(&login.state).ok_or_else(broken)?;
        let name = self.cookies.name(exchange, &cookie);
        let mut lines = self.drop_oldest(exchange, now);
        lines.push(self.cookies.set(exchange, &name, &sealed, login::LONGEST));
        let url = endpoints.authorization.as_str();
        let joint = if url.contains('?') { '&' } else { '?' };
        let location = format!(
            "{url}{joint}response_type=code&client_id={}&redirect_uri={}&scope={}&state={}&nonce={}&code_challenge={}\
             &code_challenge_method=S256",
            encoded(&self.party.settings().client_id),
            encoded(&self.callback_of(&origin)),
            encoded(&self.scope),
            login.state,
            login.nonce,
            login.challenge(),
        );
        Ok(with_lines(to(location), lines))
    }

    /// Lines that take away what is left of logins that a browser did not end, so that there are not too many.
    fn drop_oldest(&self, exchange: &Exchange, now: u64) -> Vec<Vec<u8>> {
        let mut under_way = self.cookies.all(exchange, "login-");
        let begun = |value: &[u8]| {
            let login = Login::from_text(&self.sealer.open(LOGIN, value)?, now)?;
            Some(login.begun)
        };
        under_way.sort_by_cached_key(|(_, value)| std::cmp::Reverse(begun(value)));
        let old = under_way.iter().skip(MOST_UNDER_WAY.saturating_sub(1));
        old.map(|(name, _)| self.cookies.set(exchange, name, "", 0)).collect()
    }

    /// How many logins of this browser have succeeded within the last minute.
    fn rounds(&self, exchange: &Exchange, now: u64) -> u32 {
        let name = self.cookies.name(exchange, ROUNDS);
        let text = self.cookies.get(exchange, &name).and_then(|value| self.sealer.open(ROUNDS, value));
        let known: Option<(u32, u64)> = text.and_then(|text| serde_json::from_slice(&text).ok());
        known.filter(|(_, since)| now.saturating_sub(*since) < ROUNDS_FOR).map_or(0, |(rounds, _)| rounds)
    }

    /// Takes back a browser that the provider has sent.
    async fn come_back(&self, exchange: &Exchange) -> Step {
        let parameter = |name: &str| {
            query_value(&exchange.query, name).and_then(|value| String::from_utf8(value.into_owned()).ok())
        };
        let now = seconds(exchange.record.started_at);
        let late = |why: &str| {
            let text =
                "this login was not begun by this browser, or took too long; go back to the page you wanted";
            (problem(400, "login_expired", text), why.to_owned())
        };
        let origin = self.origin(exchange).ok_or_else(|| late("a login came back in clear"))?;
        let state = parameter("state").ok_or_else(|| late("the login has no state"))?;
        let cookie = login::cookie(&state).ok_or_else(|| late("the state of the login is none of ours"))?;
        let name = self.cookies.name(exchange, &cookie);
        let sealed = self.cookies.get(exchange, &name).and_then(|value| self.sealer.open(LOGIN, value));
        let begun = sealed.and_then(|text| Login::from_text(&text, now)).filter(|login| login.state == state);
        let Some(begun) = begun else {
            // A browser that goes back in its history comes here again, and is logged in already.
            return match self.session(exchange) {
                Some(_) => Ok(to(format!("{origin}/"))),
                None => Err(late("the browser has no cookie of this login")),
            };
        };
        let done = self.cookies.set(exchange, &name, "", 0);
        let step = self.redeem(exchange, &origin, &begun, parameter).await;
        step.map(|answer| with_lines(answer, vec![done.clone()]))
            .map_err(|(answer, why)| (with_lines(answer, vec![done]), why))
    }

    /// Gets the tokens of a login and begins its session.
    async fn redeem(
        &self,
        exchange: &Exchange,
        origin: &str,
        begun: &Login,
        parameter: impl Fn(&str) -> Option<String>,
    ) -> Step {
        let refused = |why: String| {
            (
                problem(
                    403,
                    "login_refused",
                    "the provider did not let this login pass; go back and try again",
                ),
                why,
            )
        };
        let issuer = parameter("iss");
        let says_issuer = self.party.endpoints().is_some_and(|endpoints| endpoints.says_issuer);
        if issuer.as_deref().map_or(says_issuer, |issuer| issuer != self.party.settings().issuer.as_str()) {
            return Err(refused("the login comes from another issuer (iss)".to_owned()));
        }
        if let Some(error) = parameter("error") {
            let error: String = error.chars().filter(char::is_ascii_graphic).take(64).collect();
            return Err(refused(format!("the provider says: {error}")));
        }
        let code = parameter("code").ok_or_else(|| refused("the provider gave no code".to_owned()))?;
        let silent = || (unavailable(502), "the provider of logins does not answer".to_owned());
        let told = self.party.redeem(&code, &begun.verifier, &self.callback_of(origin)).ok_or_else(silent)?;
        let patience = self.party.settings().timeout.saturating_add(std::time::Duration::from_secs(1));
        let tokens = match tokio::time::timeout(patience, told).await {
            Ok(Ok(Ok(tokens))) => tokens,
            Ok(Ok(Err(Trouble::Refused))) => {
                return Err(refused("the provider does not take the code".to_owned()));
            }
            _ => return Err(silent()),
        };
        let at = exchange.record.started_at;
        self.check_tokens(&tokens, begun, at).await.map_err(refused)?;
        self.welcome(exchange, origin, begun, &tokens)
    }

    /// Whether tokens are those of this login.
    async fn check_tokens(&self, tokens: &Tokens, begun: &Login, at: SystemTime) -> Result<(), String> {
        let id_token = tokens.id_token.as_deref().ok_or("there is no ID token")?;
        let identity = self.prove(id_token, at).await?;
        let claim = |name: &str| identity.claims.get(name).and_then(Value::as_str);
        if claim("nonce") != Some(&*begun.nonce) {
            return Err("the ID token is of another login (nonce)".to_owned());
        }
        // OpenID Connect Core 1.0 section 3.1.3.7.
        let many = identity.claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
        let own = self.party.settings().client_id.as_str();
        let other = claim("azp").map_or(many || identity.claims.contains_key("azp"), |azp| azp != own);
        if other || identity.subject.is_none() {
            return Err("the ID token is for another client (azp), or about nobody".to_owned());
        }
        Ok(())
    }

    /// Begins the session of a login and sends the browser back to its page.
    fn welcome(&self, exchange: &Exchange, origin: &str, begun: &Login, tokens: &Tokens) -> Step {
        let at = exchange.record.started_at;
        let session = Session::new(tokens, None, &self.scope, seconds(at));
        let lines = session.and_then(|session| self.cookie_lines(exchange, &session));
        let Some(mut lines) = lines else {
            let text =
                "the provider says more about you than a browser can carry; tell the operator of this site";
            return Err((
                problem(502, "login_too_large", text),
                "the session does not fit into cookies".to_owned(),
            ));
        };
        let rounds = self.rounds(exchange, seconds(at)).saturating_add(1);
        let text = format!("[{rounds},{}]", seconds(at));
        if let Some(sealed) = self.sealer.seal(ROUNDS, text.as_bytes()) {
            lines.push(self.cookies.set(exchange, &self.cookies.name(exchange, ROUNDS), &sealed, ROUNDS_FOR));
        }
        Ok(with_lines(to(format!("{origin}{}", begun.back)), lines))
    }

    /// Ends the session here and at the provider (OpenID Connect RP-Initiated Logout 1.0).
    fn end(&self, exchange: &Exchange) -> Answer {
        let lines = self.cookies.end_session(exchange);
        let Some(origin) = self.origin(exchange) else {
            return with_lines(to(self.after_logout.clone()), lines);
        };
        let after = format!("{origin}{}", self.after_logout);
        let endpoint = self.party.endpoints().and_then(|endpoints| endpoints.end_session.clone());
        let (Some(endpoint), Some(session)) = (endpoint, self.session(exchange)) else {
            return with_lines(to(after), lines);
        };
        let url = endpoint.as_str();
        let joint = if url.contains('?') { '&' } else { '?' };
        let location = format!(
            "{url}{joint}client_id={}&id_token_hint={}&post_logout_redirect_uri={}",
            encoded(&self.party.settings().client_id),
            session.id_token,
            encoded(&after),
        );
        with_lines(to(location), lines)
    }
}
