//! What is told of a request: plain values, the same as JSON from a running gateway and from a file.

use serde::{Deserialize, Serialize};

use super::changes::{Look, of_fields};
use super::masked;
use super::parts::Part;
use crate::balance::Balance;
use crate::exchange::Exchange;
use crate::route::pattern::Pattern;
use crate::snapshot::{Listener, Snapshot};
use crate::upstream::care::Care;
use crate::upstream::service::Service;

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// How it would end.
    pub outcome: Outcome,
    /// The same in a few words.
    pub verdict: String,
    /// The status, where the gateway itself answers.
    pub status: Option<u16>,
    /// The stable word for why the gateway itself answers.
    pub reason: Option<String>,
    /// The policy that answers, if one does.
    pub by: Option<String>,
    /// The revision of the configuration that was asked.
    pub revision: u64,
    /// The listener it came in on.
    pub listener: String,
    /// What the listener asks of connections before it looks for a route.
    #[serde(default)]
    pub door: Vec<String>,
    /// The request as the gateway sees it.
    pub request: Seen,
    /// The route that takes it.
    pub route: Option<Taken>,
    /// The nearest other routes.
    pub others: Vec<Passed>,
    /// The policies of the route in the order of running.
    pub policies: Vec<Step>,
    /// The request as the service gets it.
    pub upstream: Option<Sent>,
    /// The parts of the answer, where it is made of several.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// The answer, where the gateway itself gives one.
    pub answer: Option<Response>,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It goes to a service.
    Forwarded,
    /// The gateway answers it, with a status below 400.
    Answered,
    /// The gateway refuses it.
    Refused,
}

/// The request as the gateway sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The canonical host, without port.
    pub host: String,
    /// The canonical path.
    pub path: String,
    /// The query as it came.
    pub query: Option<String>,
    /// The client's address.
    pub client: String,
    /// Whether the connection comes from a trusted proxy.
    pub trusted_proxy: bool,
    /// The field lines as they came.
    pub headers: Vec<(String, String)>,
    /// Fields that were removed on receipt, because they belong to the connection or are not believed.
    pub removed: Vec<String>,
}

/// The route that takes the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Its key in the configuration.
    pub key: String,
    /// Why it is this one.
    pub why: String,
    /// What its pattern took from the path.
    pub captures: Vec<(String, String)>,
}

/// A route that does not take the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// Its key in the configuration.
    pub route: String,
    /// What speaks against it.
    pub why: String,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub policy: String,
    /// What it says: `go`, `answered 403 ip_denied`, `not reached`, ...
    pub verdict: String,
    /// The status of its answer.
    pub status: Option<u16>,
    /// The stable word for its refusal.
    pub reason: Option<String>,
    /// Whether it only watches.
    pub shadow: bool,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// One thing that was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which: `path`, `header X-User`, ...
    pub what: String,
    /// What it was; none if there was none.
    pub before: Option<String>,
    /// What it is now; none if there is none.
    pub after: Option<String>,
}

/// The request as the service gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The service.
    pub service: String,
    /// Its targets as written.
    pub targets: Vec<String>,
    /// The addresses they stand for, as far as this gateway has resolved them.
    pub endpoints: Vec<String>,
    /// How one is chosen.
    pub balance: String,
    /// What is done for the request besides sending it once.
    #[serde(default)]
    pub care: Vec<String>,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// The field lines as they are sent.
    pub headers: Vec<(String, String)>,
    /// What differs from the fields as they came.
    pub changes: Vec<Change>,
}

/// The answer of the gateway itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The field lines, without those that frame the message.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Explanation {
    /// Nothing decided yet.
    pub(super) fn of(snapshot: &Snapshot, listener: &Listener) -> Explanation {
        Explanation {
            outcome: Outcome::Refused,
            verdict: String::new(),
            status: None,
            reason: None,
            by: None,
            revision: snapshot.revision,
            listener: listener.name.to_string(),
            door: at_the_door(listener),
            request: Seen::default(),
            route: None,
            others: Vec::new(),
            policies: Vec::new(),
            upstream: None,
            parts: Vec::new(),
            answer: None,
        }
    }
}

/// What a listener answers for what a connection is, whatever is asked on it.
fn at_the_door(listener: &Listener) -> Vec<String> {
    let mut told = Vec::new();
    match (&listener.tls, listener.https_port) {
        (Some(_), Some(_)) => {
            told.push("speaks TLS; requests in clear are sent to https with 308".to_owned())
        }
        (Some(_), None) => told.push("speaks TLS; requests in clear get 400 plain_http".to_owned()),
        (None, Some(_)) => told.push("sends requests to https with 308".to_owned()),
        (None, None) => {}
    }
    if listener.tls.as_ref().is_some_and(|tls| tls.asks_certificates) {
        let text =
            "asks for client certificates; a host other than the name in the handshake gets 421 misdirected";
        told.push(text.to_owned());
    }
    told
}

impl Seen {
    pub(super) fn of(exchange: &Exchange, received: &Look) -> Seen {
        let removed = of_fields(&received.fields, &exchange.request.fields);
        let name = |what: &str| what.strip_prefix("header ").unwrap_or(what).to_owned();
        Seen {
            method: masked::text(exchange.request.method_text()),
            host: masked::text(&exchange.host),
            path: masked::text(&exchange.path),
            query: exchange.has_query.then(|| masked::query(&exchange.query)),
            client: exchange.client.ip.to_string(),
            trusted_proxy: exchange.client.trusted,
            headers: masked::lines(&received.fields),
            removed: removed.iter().map(|change| name(&change.what)).collect(),
        }
    }
}

impl Taken {
    /// `preflight` is the method that a preflight asks for, where that decided.
    pub(super) fn of(exchange: &Exchange, key: String, pattern: &Pattern, preflight: Option<&str>) -> Taken {
        let why = match preflight {
            Some(method) => format!("the preflight asks for {method}, which `{pattern}` takes"),
            None => format!("`{pattern}` is the most specific pattern that takes it"),
        };
        let captures = exchange.captures.iter();
        let captures = captures.map(|(name, value)| (masked::text(name), masked::text(value)));
        Taken { key, why, captures: captures.collect() }
    }
}

impl Step {
    pub(super) fn not_reached(policy: &str, shadow: bool) -> Step {
        Step {
            policy: policy.to_owned(),
            verdict: "not reached".to_owned(),
            status: None,
            reason: None,
            shadow,
            changes: Vec::new(),
        }
    }
}

impl Sent {
    pub(super) fn of(
        exchange: &Exchange,
        (service, care): (&Service, Option<&Care>),
        endpoints: Vec<String>,
        received: &Look,
    ) -> Sent {
        let head = masked::head(&exchange.request);
        let mut wire = Vec::new();
        http1::encode_request(&mut wire, &head, true);
        let wire = masked::text(&wire);
        let lines = wire.lines().skip(1).filter_map(|line| line.split_once(": "));
        Sent {
            service: service.name.to_string(),
            targets: service.targets.iter().map(|target| target.url.to_string()).collect(),
            endpoints,
            balance: balance(&service.balance),
            care: care.map(Care::told).unwrap_or_default(),
            method: masked::text(exchange.request.method_text()),
            target: masked::text(head.target()),
            headers: lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            changes: of_fields(&received.fields, &exchange.request.fields),
        }
    }
}

fn balance(balance: &Balance) -> String {
    match balance {
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::LeastRequest => "least_request".to_owned(),
        Balance::Random => "random".to_owned(),
        Balance::Ewma => "ewma".to_owned(),
        Balance::Hash(source) => format!("hash of {source}"),
    }
}

impl Response {
    pub(super) fn of(head: &http1::ResponseHead, body: &[u8]) -> Response {
        Response { status: head.status, headers: masked::lines(&head.fields), body: masked::text(body) }
    }
}
