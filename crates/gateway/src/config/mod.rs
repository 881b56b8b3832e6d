//! What a user writes: the types of the file, how it is read, and every fault in it with its place.
//!
//! A file becomes a tree (`tree`), variables and included files come in (`variables`, `include`), types are read from
//! the tree (`decode`, `read`), and what types cannot say is checked (`check`). Every stage reports into one
//! `Diagnostics` and goes on, so that one run shows every fault. Nothing here runs: `snapshot` compiles it.

pub mod codes;
mod decode;
mod diagnostic;
mod listener;
mod load;
mod node;
mod pairs;
mod pattern;
mod place;
mod process;
mod read;
mod route;
mod service;
mod tree;

pub use codes::Code;
pub use decode::{decode, decode_key};
pub use diagnostic::{Diagnostic, Diagnostics, Note, Report, Severity};
pub use listener::{Limits, Listener, Timeouts};
pub use load::{Environment, Known, Loaded, System, load, load_text};
pub use node::{Entry, Form, Kind, Node, Scalar};
pub use pairs::{Named, OneOrMany, Pairs};
pub use pattern::{HostPattern, Method, PathPattern, RouteKey, Segment};
pub use place::{Files, Place, Span, Spanned};
pub use process::{AccessLog, Admin, AdminListen, Dns, Drain, Forwarded, Log, LogFormat, LogLevel, Workers};
pub use route::{
    Action, Bundle, Defaults, Match, PathMatch, PathRegex, Redirect, Regex, Respond, Route, Status, Test, To,
    Use,
};
pub use service::{Balance, HostHeader, KeepAlive, Service, Target};

use crate::values::{Cidr, HeaderPattern};
use serde::Serialize;

/// A whole configuration as written, with every default filled in. Equal when it means the same, wherever it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Addresses on which clients arrive, by name. `listen:` is one named `main`.
    pub listeners: Named<Listener>,
    /// The admin address.
    pub admin: Admin,
    /// How many workers serve clients.
    pub workers: Workers,
    /// Whose forwarding headers are believed; listeners may differ.
    pub trusted_proxies: Vec<Cidr>,
    /// Headers by which services know callers; removed from what clients send.
    pub client_identity_headers: Vec<HeaderPattern>,
    /// Which forwarding headers are sent to services.
    pub forwarded: Forwarded,
    /// Logs.
    pub log: Log,
    /// How the gateway ends.
    pub drain: Drain,
    /// How names become addresses.
    pub dns: Dns,
    /// How much one client may send; listeners may differ.
    pub limits: Limits,
    /// How long one client may take; listeners may differ.
    pub timeouts: Timeouts,
    /// What stands behind the gateway.
    pub services: Named<Service>,
    /// Bundles of policies.
    pub policies: Named<Bundle>,
    /// What applies to every route.
    pub defaults: Defaults,
    /// Which requests go where.
    pub routes: Named<Route>,
}
