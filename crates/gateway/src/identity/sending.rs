//! What the gateway proves itself to services with: the other direction of identity.
//!
//! Takes the settings of a service; puts the credential into the request in the place of whatever the client sent there.
//! Tokens are got on the control side, one for all workers and ahead of their end; a request waits a second at most for the
//! first one, and is not sent without.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use http1::{NameBuf, names};
use serde_json::Value;
use tokio::sync::watch;

use super::aws::AwsSigner;
use super::fetch::{Ask, Asker};
use super::jose::{base64url, unique};
use super::shelf::Shelf;
use crate::config::{Credentials, Diagnostics, OauthCredentials, codes};
use crate::exchange::Exchange;
use crate::exchange::source::decoded;
use crate::http::trust::Pattern;
use crate::observe::redact::Redaction;

/// How long a request waits for the first token.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the server of tokens may take, and the most bytes of its answer.
const SERVER_PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 256 * 1024;
/// The life of a token that says nothing of it, and the longest that is believed.
const USUAL_LIFE: u64 = 300;
const LONGEST_LIFE: u64 = 24 * 60 * 60;
/// The longest rest between two attempts while the server fails.
const RETRY_MOST: Duration = Duration::from_secs(30);

/// A credential for a service, ready to be sent.
pub enum Sending {
    /// This line, and no other of its name.
    Line(NameBuf, Pattern, Vec<u8>),
    /// This parameter, and no other of its name; the value as it stands in a query.
    Parameter(Box<str>, String),
    /// A token that is got for it.
    Token(Arc<TokenSource>),
    /// A signature, made when all else is known.
    Signature(Box<AwsSigner>),
}

impl Sending {
    /// Compiles the credential of a service; reports what is wrong with it.
    pub fn new(written: &Credentials, shelf: &Shelf, faults: &mut Diagnostics) -> Option<Sending> {
        let hidden = |name: &[u8]| Redaction::default().is_secret(name);
        let authorization = |value: String| line("Authorization", value.into_bytes());
        match written {
            Credentials::Bearer(token) => match is_value(token.expose()) {
                true => authorization(format!("Bearer {}", token.expose())),
                false => {
                    let fault =
                        faults.error(codes::BAD_VALUE, token.span(), "the token cannot stand in a header");
                    fault.help("write printable ASCII on one line");
                    None
                }
            },
            Credentials::Basic(basic) => {
                if basic.user.contains(':') {
                    let fault = faults.error(codes::BAD_VALUE, basic.user.span(), "a user name has no `:`");
                    fault.help("RFC 7617 section 2 has the password begin there");
                }
                authorization(basic_value(&basic.user, basic.password.expose()))
            }
            Credentials::Header(header) => {
                let name = header.name.as_str();
                if !name.eq_ignore_ascii_case("authorization") && !hidden(name.as_bytes()) {
                    let text = format!("`explain` would show the value of `{name}`");
                    let fault = faults.error(codes::BAD_VALUE, header.name.span(), text);
                    fault.help("credentials stand in headers such as Authorization, X-API-Key, X-Auth-Token");
                }
                if !is_value(header.value.expose()) {
                    let text = "this value cannot stand in a header";
                    let fault = faults.error(codes::BAD_VALUE, header.value.span(), text);
                    fault.help("write printable ASCII on one line");
                }
                line(name, header.value.expose().as_bytes().to_vec())
            }
            Credentials::Query(query) => {
                if !hidden(query.name.as_bytes()) {
                    let text = format!("logs would tell the value of the query parameter `{}`", *query.name);
                    let fault = faults.error(codes::BAD_VALUE, query.name.span(), text);
                    fault.help("name it so that it is known to be a secret: api_key, key, token");
                }
                Some(Sending::Parameter(query.name.as_str().into(), encoded(query.value.expose())))
            }
            Credentials::Aws(aws) => Some(Sending::Signature(Box::new(AwsSigner::new(aws, faults)))),
            Credentials::Oauth2(oauth) => {
                let url = &oauth.token_url;
                if !url.is_https() && !url.is_local() && !oauth.insecure_http {
                    let text = format!("the secret would go to {} for everybody on the way to read", **url);
                    let fault = faults.error(codes::BAD_VALUE, url.span(), text);
                    fault.help("use https, or say `insecure_http: true` if nobody else can be on the way");
                }
                Some(Sending::Token(shelf.source(oauth)))
            }
        }
    }

    /// Puts the credential into the request. False when there is none at the moment; then the request must not be sent.
    pub async fn send(&self, exchange: &mut Exchange) -> bool {
        if let Sending::Token(source) = self
            && source.header().is_none()
            && source.is_first()
        {
            let mut done = source.done.subscribe();
            if source.header().is_none() {
                let _ = tokio::time::timeout(PATIENCE, done.changed()).await;
            }
        }
        self.put(exchange)
    }

    /// As [`Sending::send`], with what is there now.
    pub fn put(&self, exchange: &mut Exchange) -> bool {
        match self {
            Sending::Line(name, folded, value) => {
                exchange.request.fields.retain(|field| !folded.matches(field.name));
                exchange.request.fields.push(name.as_name(), value);
                true
            }
            Sending::Parameter(name, value) => {
                let query = with_parameter(exchange.upstream_query().unwrap_or_default(), name, value);
                exchange.plan.query = Some(query);
                true
            }
            Sending::Token(source) => match source.header() {
                Some(token) => {
                    exchange.request.fields.set(names::AUTHORIZATION, &token.header);
                    true
                }
                None => false,
            },
            Sending::Signature(signer) => {
                signer.prepare(exchange);
                true
            }
        }
    }

    /// Signs the request where it is to be signed: it is as it will be sent, but for what belongs to the connection.
    pub fn sign(&self, exchange: &mut Exchange) {
        if let Sending::Signature(signer) = self {
            signer.sign(exchange, SystemTime::now());
        }
    }
}

fn line(name: &str, value: Vec<u8>) -> Option<Sending> {
    Some(Sending::Line(NameBuf::new(name).ok()?, Pattern::new(name), value))
}

pub(super) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim_ascii() == text
}

pub(super) fn basic_value(user: &str, password: &str) -> String {
    let text = base64url::encode(format!("{user}:{password}").as_bytes()).replace('-', "+").replace('_', "/");
    let padding = ["", "", "==", "="].get(text.len() % 4).copied().unwrap_or_default();
    format!("Basic {text}{padding}")
}

/// A text as it stands in a form or a query (WHATWG URL, form encoding, with spaces as `%20`).
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn with_parameter(query: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(query.len() + name.len() + value.len() + 2);
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        if *decoded(pair.get(..equals).unwrap_or_default()) != *name.as_bytes() {
            out.extend_from_slice(pair);
            out.push(b'&');
        }
    }
    out.extend_from_slice(encoded(name).as_bytes());
    out.push(b'=');
    out.extend_from_slice(value.as_bytes());
    out
}

/// Gets tokens for one service.
pub struct TokenSource {
    settings: OauthCredentials,
    token: ArcSwapOption<Token>,
    done: watch::Sender<u64>,
}

/// A token that holds.
struct Token {
    header: Vec<u8>,
    until: Instant,
}

impl TokenSource {
    /// A source that has nothing yet.
    pub fn new(settings: OauthCredentials) -> Arc<TokenSource> {
        Arc::new(TokenSource { settings, token: ArcSwapOption::empty(), done: watch::Sender::new(0) })
    }

    /// What it gets tokens with.
    pub fn settings(&self) -> &OauthCredentials {
        &self.settings
    }

    fn header(&self) -> Option<Arc<Token>> {
        self.token.load_full().filter(|token| Instant::now() < token.until)
    }

    /// Whether no attempt has ended yet.
    fn is_first(&self) -> bool {
        *self.done.borrow() == 0
    }

    /// Gets a token; gives how long it lives.
    async fn fetch(&self, asker: &Asker) -> Result<Duration, String> {
        let oauth = &self.settings;
        let mut form = "grant_type=client_credentials".to_owned();
        for (name, value) in [("scope", &oauth.scope), ("audience", &oauth.audience)] {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        // RFC 6749 section 2.3.1: both are encoded before they are put together.
        let own = basic_value(&encoded(&oauth.client_id), &encoded(oauth.client_secret.expose()));
        let fields = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", own.as_str())];
        let body = Some(form.into_bytes());
        let asked =
            Ask { url: &oauth.token_url, fields: &fields, body, within: SERVER_PATIENCE, most: LARGEST };
        let told = asker.ask(asked).await?;
        if told.status != 200 {
            return Err(format!("it answers {}", told.status));
        }
        let answer = unique::object(&told.body).ok_or("its answer is no JSON object")?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let token = text("access_token").filter(|token| !token.is_empty() && is_value(token));
        let token = token.ok_or("its answer has no token that can be sent")?;
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err("its token is of a type that is not known".to_owned());
        }
        let life = answer.get("expires_in").map_or(Some(USUAL_LIFE), Value::as_u64);
        let life = Duration::from_secs(life.ok_or("its `expires_in` is no number")?.clamp(1, LONGEST_LIFE));
        let until = Instant::now().checked_add(life).ok_or("its token lives too long")?;
        self.token.store(Some(Arc::new(Token { header: format!("Bearer {token}").into_bytes(), until })));
        Ok(life)
    }

    /// Keeps a token at hand until it is no longer wanted.
    pub(super) fn keep(self: Arc<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let asker = Asker::new(self.settings.ca.as_deref());
            let mut failures = 0u32;
            loop {
                let got = match &asker {
                    Ok(asker) => self.fetch(asker).await,
                    Err(fault) => Err(fault.clone()),
                };
                let rest = match got {
                    Ok(life) => {
                        failures = 0;
                        life.saturating_mul(4) / 5
                    }
                    Err(fault) => {
                        let url = &*self.settings.token_url;
                        tracing::warn!(url = %url, "cannot get a token for a service: {fault}");
                        failures = failures.saturating_add(1);
                        Duration::from_secs(1u64 << failures.min(6)).min(RETRY_MOST)
                    }
                };
                self.done.send_modify(|done| *done = done.wrapping_add(1).max(1));
                tokio::time::sleep(rest).await;
            }
        })
    }
}

/// Why a request is not sent.
pub const NO_TOKEN: Cow<'static, str> = Cow::Borrowed("there is no token for the service");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_others_read_them() {
        assert_eq!(basic_value("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); // RFC 7617 section 2
        assert_eq!(basic_value("test", "123£"), "Basic dGVzdDoxMjPCow=="); // section 2.1
        assert_eq!(basic_value("a", "??>"), "Basic YTo/Pz4=");
        assert_eq!(encoded("a b&c=d/é~"), "a%20b%26c%3Dd%2F%C3%A9~");
        for (query, wish) in
            [("", "key=S"), ("a=1", "a=1&key=S"), ("key=evil&a=1&%6bey=evil&&b", "a=1&b&key=S")]
        {
            assert_eq!(with_parameter(query.as_bytes(), "key", "S"), wish.as_bytes(), "{query}");
        }
    }
}
