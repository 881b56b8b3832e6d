//! What a user writes: the types of the file, how it is read, and every fault in it with its place.
//!
//! A file becomes a tree (`tree`), variables and included files come in (`variables`, `include`), types are read from
//! the tree (`decode`, `read`), and what types cannot say is checked (`check`). Every stage reports into one
//! `Diagnostics` and goes on, so that one run shows every fault. Nothing here runs: `snapshot` compiles it.

mod admin;
mod aggregate;
mod answers;
mod breaker;
mod case;
mod check;
pub mod codes;
mod consumer;
mod credentials;
mod decode;
mod diagnostic;
mod disk;
mod documents;
mod effective;
mod forms;
mod health;
mod include;
mod listener;
mod load;
mod mock;
mod node;
mod notify;
mod pairs;
pub mod patch;
mod pattern;
mod place;
mod process;
mod read;
mod redis;
mod render;
mod retry;
mod route;
mod schema;
mod service;
mod split;
mod syntax;
mod tls;
mod tree;
mod variables;
mod versions;

pub use admin::{Admin, AdminListen, AdminToken, Role, Rollups, RollupsMap, SocketMode, SocketPath};
pub use aggregate::{Aggregate, List as AggregateList, PartSettings, Select};
pub use answers::{Redirect, Respond, Status};
pub use breaker::{CircuitBreaker, CircuitOf, SlowShare};
pub use case::{
    Case, CaseClient, CaseLine, CaseOutcome, CaseRequest, CaseRequestMap, CaseUrl, Expected, NO_ROUTE,
};
pub use codes::Code;
pub use consumer::{ApiKey, Certificate, Consumer, IdentityToken, Login, RsaSignature, SigningKey};
pub use credentials::{
    AwsCredentials, BasicCredentials, Credentials, HeaderCredentials, OauthCredentials, QueryCredentials,
};
pub use decode::{decode, decode_key};
pub use diagnostic::{Diagnostic, Diagnostics, Note, Report, Severity};
pub use disk::Disk;
pub use documents::{DESCRIPTOR_INLINE, Document, Documents};
pub use effective::{Effective, Origin, Setting, effective};
pub(crate) use forms::written_as_it_is;
pub use health::{Eject, HealthCheck, Slow};
pub use listener::{Limits, Listener, ProxyProtocol, Timeouts};
pub use load::{Environment, Known, Loaded, System, admin_listen, load, load_draft, load_text};
pub use mock::{Mock, MockMap};
pub use node::{Entry, Form, Kind, Node, Scalar};
pub use notify::{NoticeKind, Notify, Receiver, Smtp, SmtpTls, syslog_place};
pub use pairs::{Named, OneOrMany, Pairs};
pub use pattern::{HostPattern, Method, PathPattern, RouteKey, Segment};
pub use place::{Files, Place, Span, Spanned};
pub use process::{AccessLog, Dns, Drain, Forwarded, Log, LogFormat, LogLevel, Workers};
pub use redis::{Redis, Sentinel};
pub use retry::Retry;
pub use route::{Action, Bundle, Defaults, Match, PathMatch, PathRegex, Regex, Route, Test, To, Use};
pub use schema::schema;
pub use service::{Balance, HostHeader, KeepAlive, Protocol, ProxyVersion, Queue, Service, Target};
pub use split::{Preference, Progress, Split, Sticky, StickyBy, StickyCookie, Times, WhenWorse};
pub use tls::{Acme, CertificateFiles, Challenge, ClientAuth, Hsts, ListenerTls, ServiceTls, TlsVersion};
pub use versions::{BrownOut, By as VersionBy, Version, Versions};

use crate::values::{Cidr, HeaderName, HeaderPattern, Name, Secret, Size, Template};
use schemars::JsonSchema;
use serde::Serialize;

/// A whole configuration as written, with every default filled in. Equal when it means the same, wherever it stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Config {
    /// The addresses on which clients arrive, by name: an address such as `0.0.0.0:8080`, or a map where one needs
    /// limits, time-outs or trusted proxies of its own.
    #[schemars(schema_with = "schema::listeners")]
    pub listeners: Named<Listener>,
    /// The admin address, with health, metrics, admin API and console: an address, a unix socket, `off`, or a map. Default
    /// 127.0.0.1:9900, which only this machine reaches.
    #[schemars(schema_with = "schema::admin")]
    pub admin: Admin,
    /// How many workers serve clients, each on a thread of its own: a number, or `auto` (the default) for one on each
    /// core.
    pub workers: Workers,
    /// Networks whose `Forwarded` and `X-Forwarded-*` headers are believed. Default: none, so that no client can claim
    /// another address.
    pub trusted_proxies: Vec<Cidr>,
    /// Headers by which services know callers; a `*` at the end stands for all names that begin so. They are removed
    /// from what clients send, `_` counting as `-`, so that nobody can pretend.
    #[schemars(extend("default" = schema::identity_headers()))]
    pub client_identity_headers: Vec<HeaderPattern>,
    /// Headers by which services learn who the caller is, on routes with a policy that finds out: names, and what stands
    /// in them, from `{consumer}`, `{subject}`, `{groups}`, `{scopes}`, `{roles}` and `{jwt.CLAIM}`. A header without a
    /// text is left out. Clients cannot send them, on no route and in no spelling.
    #[schemars(schema_with = "schema::written_identity_headers")]
    pub identity_headers: Pairs<Spanned<HeaderName>, Spanned<Template>>,
    /// The gateway's own signed word on who calls, in a header beside the others: a short-lived token (JWT, ES256) whose keys
    /// the admin address publishes at `/.well-known/jwks.json`. Default: none.
    pub identity_token: Option<IdentityToken>,
    /// Who calls, by name: credentials, groups, scopes and roles of each.
    #[schemars(schema_with = "schema::consumers")]
    pub consumers: Named<Consumer>,
    /// A secret that goes into the hashes of API keys, so that hashes alone cannot be tried out. `tidegate key` takes the
    /// same from the environment variable `TIDEGATE_KEY_SECRET`. Default: none, which is enough for keys made by
    /// `tidegate key new`.
    pub key_secret: Option<Secret>,
    /// Which forwarding headers are sent to services: `both` (the default), `x`, `rfc7239`, or `off`.
    pub forwarded: Forwarded,
    /// What is written where.
    pub log: Log,
    /// How the gateway ends.
    pub drain: Drain,
    /// How names of targets become addresses.
    pub dns: Dns,
    /// How much memory the answers may take that routes with a `cache` keep, all together. Default 256MiB.
    pub cache_memory: Size,
    /// How much one client may send. Listeners may say otherwise for themselves.
    pub limits: Limits,
    /// How long one client may take. Listeners may say otherwise for themselves.
    pub timeouts: Timeouts,
    /// Who is told of what happens: by webhook, Slack, syslog or e-mail. Default: nobody.
    pub notify: Notify,
    /// Where this gateway runs. Targets of the same `zone` get the requests while enough of them are well. Default: none, all
    /// targets are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Name>,
    /// The folder of what is to outlive restarts, such as what of quotas was used. It is made where it is not there; two
    /// gateways on one machine need two. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Spanned<String>>,
    /// What of kept answers outlives restarts, in the folder `state`. Default: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The Redis that several gateways share, for limits that hold over all of them: an address such as
    /// `redis://127.0.0.1:6379`, or a map. Default: none.
    #[schemars(schema_with = "schema::redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// What stands behind the gateway, by name: a URL, a list of targets, or a map.
    #[schemars(schema_with = "schema::services")]
    pub services: Named<Service>,
    /// The versions of interfaces, by the interface's name: how clients choose one, and until when there is which.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub versions: Named<Versions>,
    /// Bundles of policies by name: define once, `use` anywhere.
    #[schemars(schema_with = "schema::bundles")]
    pub policies: Named<Bundle>,
    /// Policies and bundles for every route that does not say otherwise.
    #[schemars(schema_with = "schema::defaults")]
    pub defaults: Defaults,
    /// Which requests go where: `[METHOD[,METHOD]] [host]/path`, or a name with a `match`. The most specific route wins;
    /// their order does not matter.
    #[schemars(schema_with = "schema::routes")]
    pub routes: Named<Route>,
    /// Tests by name: requests, and what is to become of them. `tidegate test` runs them, `tidegate check --test` too; a
    /// gateway that runs does not look at them.
    pub tests: Named<Case>,
    /// The documents that routes point at, as they were read.
    #[serde(skip)]
    #[schemars(skip)]
    pub documents: Documents,
}
