//! What one exchange (one request and its response) knows on its way.
//!
//! Made once for each client connection and used again, so that the steady state allocates nothing. Every stage
//! reads and writes it; what was decided stands in [`Record`], from which logs, metrics, traces and `explain` are
//! told. Knows nothing of sockets.

pub mod answer;
pub mod caller;
pub mod captures;
pub mod digest;
pub mod expression;
pub mod identity;
pub mod judging;
pub mod passing;
mod per;
pub mod programs;
pub mod record;
pub mod secure;
pub mod shaping;
pub mod source;

use std::any::Any;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http1::{NameBuf, RequestHead, ResponseHead};

use crate::http::grpc::Form;
use crate::http::host::KnownHost;

pub use answer::{Answer, Body, Problem};
pub use caller::Identity;
pub use captures::Captures;
pub use expression::Expression;
pub use identity::{RequestId, Trace};
pub use judging::Judges;
pub use passing::{Coat, Notes, Tap};
pub use record::Record;
pub use secure::{ClientCert, Secure};
pub use shaping::Shaping;

/// One request and its response.
pub struct Exchange {
    /// The request as received; policies shape it into what the service gets.
    pub request: RequestHead,
    /// The response as the service gave it; policies shape it into what the client gets.
    pub response: ResponseHead,
    /// The one canonical path: routing, policies, cache keys and the service see these bytes.
    pub path: Vec<u8>,
    /// The query as it came, without the question mark; empty when there was none.
    pub query: Vec<u8>,
    /// Whether the target had a question mark.
    pub has_query: bool,
    /// The canonical host, without port; empty for an HTTP/1.0 request that named none.
    pub host: Vec<u8>,
    /// The host of the exchange before, which mostly is that of this one.
    pub known_host: KnownHost,
    /// What the route's pattern captured.
    pub captures: Captures,
    /// Who is at the other end.
    pub client: Client,
    /// What is known of the client's TLS connection to us; `None` in clear.
    pub secure: Option<Rc<Secure>>,
    /// Who sent the request, once a policy has found out; shared with the worker's memory of credentials that held.
    pub identity: Option<Rc<Identity>>,
    /// How the request is to be sent on.
    pub plan: Plan,
    /// The origin whose pages may read the answer, as `cors` found it; empty for none.
    pub reader: Vec<u8>,
    /// The identifier of this exchange, in logs and answers.
    pub id: RequestId,
    /// The W3C trace context this exchange takes part in.
    pub trace: Trace,
    /// The decisions and times of this exchange.
    pub record: Record,
    /// Lines of `Set-Cookie` for the answer, as a login that was renewed has them.
    pub cookies: Vec<Vec<u8>>,
    /// What the limits said that this exchange met, in their order.
    pub meters: Vec<Meter>,
    /// Header lines that a policy has promised to the answer, whoever gives it.
    pub promised: Vec<(NameBuf, Box<[u8]>)>,
    /// What a quota said that this exchange met.
    pub allowance: Option<Allowance>,
    /// What is held for this exchange until it is over; dropping gives it back.
    pub held: Vec<Box<dyn Any>>,
    /// Memory for whoever puts a value together.
    pub scratch: Vec<u8>,
    /// The body of an answer that goes out instead of the service's; its head is then [`Exchange::response`].
    pub instead: Option<Bytes>,
    /// Who takes a copy of the answer's body.
    pub tap: Option<Box<dyn Tap>>,
    /// Who takes a copy of the answer's body before it is coded.
    pub witness: Option<Box<dyn Tap>>,
    /// Who codes the answer's body.
    pub coat: Option<Box<dyn Coat>>,
    /// What is to become of the bodies.
    pub shaping: Option<Box<Shaping>>,
    /// Who judges bodies, if anybody does.
    pub judges: Option<Box<Judges>>,
    /// What policies keep until the answer is there.
    pub notes: Notes,
    /// A request that the gateway makes for itself once this one is answered.
    pub errand: Option<Box<Exchange>>,
    /// True in `explain`: policies decide and change nothing that outlives the exchange.
    pub rehearsal: bool,
}

/// The client's side of an exchange.
#[derive(Clone, Copy)]
pub struct Client {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The address the connection came in on.
    pub local: SocketAddr,
    /// The client's address: the peer's, or what trusted proxies said.
    pub ip: IpAddr,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// Whether the client speaks TLS, to us or to a trusted proxy.
    pub https: bool,
}

/// What a limit said of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// The key that was counted.
    pub key: u64,
    /// Which of the measures of the policy it was.
    pub measure: u32,
    /// The key as other gateways know it; 0 where they need not.
    pub shared: u128,
    /// Requests that may come at once after this one.
    pub remaining: u64,
    /// Seconds until that changes: until one has room again, or until nothing is consumed any more.
    pub reset: u64,
}

/// What a quota said of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// What is left in this period.
    pub remaining: u64,
    /// Seconds until the next one.
    pub reset: u64,
    /// Seconds from the beginning of this period to the next.
    pub window: u64,
}

/// How the request is to be sent on: what policies changed.
#[derive(Clone, Default)]
pub struct Plan {
    /// Path for the service where it is not [`Exchange::path`].
    pub path: Option<Vec<u8>>,
    /// Query for the service where it is not [`Exchange::query`].
    pub query: Option<Vec<u8>>,
    /// Host for the service where it is not what the service's settings say.
    pub host: Option<Vec<u8>>,
    /// Time for the whole exchange until the answer's head is there.
    pub timeout: Option<Duration>,
    /// Most bytes of the request's body.
    pub body_limit: Option<u64>,
    /// The form of gRPC-Web that the client speaks, where it is translated.
    pub grpc_web: Option<Form>,
    /// The call of gRPC that a request of JSON becomes, and whose answer becomes JSON again.
    pub transcode: Option<Arc<transcode::Call>>,
    /// How long the client of a call waits for all of it, as it said (`grpc-timeout`).
    pub deadline: Option<Duration>,
    /// Whether [`Plan::timeout`] is that time.
    pub is_client_deadline: bool,
    /// What the body must be: then all of it is read and compared before a service gets any of it.
    pub digest: Option<Box<digest::BodyDigest>>,
}

/// What a policy says of a request.
pub enum Verdict<'a> {
    /// Go on.
    Go,
    /// Go no further: this is the answer.
    Answer(Box<Answer>),
    /// Go no further: the answer stands in the exchange, its body in [`Exchange::instead`].
    Answered,
    /// Ask again when this future has ended. Most policies never wait.
    Wait(Pin<Box<dyn Future<Output = Verdict<'a>> + 'a>>),
}

impl Verdict<'_> {
    /// The verdict that ends an exchange with an answer.
    pub fn answer<'a>(answer: Answer) -> Verdict<'a> {
        Verdict::Answer(Box::new(answer))
    }
}

impl Default for Exchange {
    fn default() -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Exchange {
            request: RequestHead::default(),
            response: ResponseHead::default(),
            path: Vec::new(),
            query: Vec::new(),
            has_query: false,
            host: Vec::new(),
            known_host: KnownHost::default(),
            captures: Captures::default(),
            client: Client { peer: nowhere, local: nowhere, ip: nowhere.ip(), trusted: false, https: false },
            secure: None,
            identity: None,
            plan: Plan::default(),
            reader: Vec::new(),
            id: RequestId::default(),
            trace: Trace::default(),
            record: Record::default(),
            cookies: Vec::new(),
            meters: Vec::new(),
            held: Vec::new(),
            allowance: None,
            promised: Vec::new(),
            scratch: Vec::new(),
            instead: None,
            tap: None,
            witness: None,
            coat: None,
            shaping: None,
            judges: None,
            notes: Notes::default(),
            errand: None,
            rehearsal: false,
        }
    }
}

impl Exchange {
    /// Forgets everything of the exchange before, keeping the allocations.
    pub fn clear(&mut self) {
        self.request.clear();
        self.response.clear();
        self.path.clear();
        self.query.clear();
        self.has_query = false;
        self.host.clear();
        self.captures.clear();
        self.secure = None;
        self.identity = None;
        self.plan = Plan::default();
        self.reader.clear();
        self.cookies.clear();
        self.meters.clear();
        self.held.clear();
        self.allowance = None;
        self.let_go();
        self.promised.clear();
        self.record.clear();
    }

    /// Lets go what others may be waiting for. To be called when the exchange is over.
    pub fn let_go(&mut self) {
        (self.instead, self.tap, self.coat, self.errand) = (None, None, None, None);
        (self.witness, self.judges, self.shaping) = (None, None, None);
        self.held.clear();
        self.notes.clear();
    }

    /// The same request once more, for the gateway itself: nobody waits for its answer.
    pub fn again(&self) -> Box<Exchange> {
        let mut again = Box::<Exchange>::default();
        again.take_request(self);
        again.plan.clone_from(&self.plan);
        again.record.method = self.record.method;
        again.record.route = self.record.route;
        again.record.policies_run = self.record.policies_run;
        again
    }

    /// Takes over what another exchange was asked, by whom and from where; not what was planned for it.
    pub fn take_request(&mut self, other: &Exchange) {
        self.request.clone_from(&other.request);
        self.path.clone_from(&other.path);
        self.query.clone_from(&other.query);
        self.has_query = other.has_query;
        self.host.clone_from(&other.host);
        self.captures.clone_from(&other.captures);
        (self.client, self.id, self.trace) = (other.client, other.id, other.trace);
        (self.secure, self.identity) = (other.secure.clone(), other.identity.clone());
    }

    /// The path the service gets.
    pub fn upstream_path(&self) -> &[u8] {
        self.plan.path.as_deref().unwrap_or(&self.path)
    }

    /// The query the service gets, and whether a question mark stands before it.
    pub fn upstream_query(&self) -> Option<&[u8]> {
        match &self.plan.query {
            Some(query) if query.is_empty() => None,
            Some(query) => Some(query),
            None => self.has_query.then_some(&self.query),
        }
    }
}
