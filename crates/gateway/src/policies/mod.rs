//! What a route does besides forwarding: one file for each policy, one line for each in the list.
//!
//! Takes an exchange on its way; each policy lets it pass, changes it, or answers. Policies never see sockets, and
//! run in the one order of [`LIST`] whatever the order in the file; answers come back up through those that ran.

pub mod allow;
pub mod any_of;
pub mod api_key;
pub mod basic;
pub mod body_limit;
pub mod cache;
pub mod compress;
pub mod concurrency;
pub mod cors;
pub mod csrf;
pub mod ext_auth;
pub mod fallback;
pub mod filter;
mod gate;
pub mod grpc_web;
pub mod guard;
pub mod headers;
pub mod hedge;
pub mod hmac;
pub mod identity_keys;
pub mod introspection;
pub mod ip;
pub mod jwt;
mod kept;
pub mod lists;
pub mod mirror;
pub mod mtls;
pub mod oidc;
mod per;
pub mod quota;
pub mod rate_limit;
pub mod request;
pub mod response;
pub mod retry;
pub mod rewrite;
mod shared;
#[cfg(test)]
mod tests;
pub mod timeout;
pub mod transcode;
pub mod validate;
pub mod version;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Instant};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::config::{self, Diagnostics, Node, Redis, Spanned, codes, decode, decode_key};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::fault::Fault;
use crate::identity::{Callers, Shelf};
pub use crate::identity::{Lives, Remembered};
use crate::observe::Figure;
use crate::observe::fill::Fill;
use crate::upstream::care::Care;
use crate::upstream::service::Service;

/// All policies, in the order of running.
pub static LIST: &[Kind] = &[
    // Before whoever refuses: a page must be able to read the refusal, so browsers need their yes first, and an answer goes
    // back only through the policies that saw its request. A preflight says nothing but these settings, is never let
    // through, and carries no credentials, so there is nothing about it to refuse.
    kind::<cors::Cors>(),
    // Who may come at all, before anything is spent on a request.
    kind::<ip::Ip>(),
    kind::<lists::Lists>(),
    // Who it is, before anything is done for the request.
    kind::<mtls::Mtls>(),
    kind::<api_key::ApiKey>(),
    kind::<basic::Basic>(),
    kind::<jwt::Jwt>(),
    kind::<hmac::Hmac>(),
    kind::<introspection::Introspection>(),
    kind::<oidc::Oidc>(),
    kind::<any_of::AnyOf>(),
    kind::<guard::Guard>(),
    // Whether it may do that, once it is known who it is.
    kind::<csrf::Csrf>(),
    kind::<allow::Allow>(),
    kind::<identity_keys::IdentityKeys>(),
    // Once it is known who calls, since that is reported; before anything is spent on what has ended.
    kind::<version::Version>(),
    // After whoever says who calls, since limits may be by consumer; before whoever reads bodies or waits for anybody.
    kind::<rate_limit::RateLimit>(),
    // After it: what comes too fast shall not use up what is for a month.
    kind::<quota::Quota>(),
    // After whoever can refuse by itself, so that nobody else is asked about what is refused anyway.
    kind::<ext_auth::ExtAuth>(),
    // After whatever refuses without waiting: a place is taken for as long as the request lasts.
    kind::<concurrency::Concurrency>(),
    // What a request may cost: known before a policy reads its body or waits for anybody.
    kind::<body_limit::BodyLimit>(),
    kind::<timeout::Timeout>(),
    kind::<retry::Retry>(),
    kind::<hedge::Hedge>(),
    kind::<mirror::Mirror>(),
    // After whoever says who calls and how much it may be; before what is kept or reshaped, so that both directions are judged
    // as they are on the wire.
    kind::<validate::Validate>(),
    kind::<validate::OpenApi>(),
    // After whoever judges the request as it came: a call of gRPC-Web becomes one of gRPC.
    kind::<grpc_web::GrpcWeb>(),
    // After whoever may refuse the request: what is kept is for those only who might ask the service. Before whoever shapes
    // the answer in the same way for all, so that this is done once.
    kind::<cache::Cache>(),
    // Nearer to the service than the cache, which keeps what is compressed and so lets it be done once.
    kind::<compress::Compress>(),
    // After whoever judges the request as it came, before the headers.
    kind::<rewrite::Rewrite>(),
    // Last on the way in: by now everything is known that a header may tell the service. First on the way back: the
    // policies before it have the last word about the headers that are theirs.
    kind::<headers::Headers>(),
    // After the headers, which are not to hide from them what a body is; the filter first on the way back, so that nothing
    // else sees what it takes out.
    kind::<request::Request>(),
    kind::<response::Response>(),
    kind::<filter::Filter>(),
    // Sees the answer as the service gave it, since what it gives again goes back through all the others.
    kind::<fallback::Fallback>(),
    // Nearest to the service, so that all others see JSON both ways.
    kind::<transcode::Transcode>(),
];

/// The schemas of all policies by name, for [`crate::config::schema`].
pub fn schemas(generator: &mut SchemaGenerator) -> Vec<(String, Schema)> {
    LIST.iter().map(|kind| (kind.name.to_owned(), schema_of(kind, generator))).collect()
}

/// The schema of a policy's settings, with the `mode` that every policy that refuses knows.
fn schema_of(kind: &Kind, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = (kind.schema)(generator);
    if !kind.refuses {
        return schema;
    }
    let mode = serde_json::json!({
        "enum": ["enforce", "shadow"],
        "default": "enforce",
        "description": "`shadow` decides, counts and logs what it would refuse, and lets it pass.",
    });
    // A policy with a short form keeps its map apart.
    let forms = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let names = forms.filter_map(|form| form["$ref"].as_str()?.rsplit('/').next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("mode".into(), mode);
        return schema;
    }
    for name in names {
        let form = generator.definitions_mut().get_mut(&name);
        if let Some(properties) = form.and_then(|form| form.get_mut("properties")?.as_object_mut()) {
            properties.insert("mode".into(), mode.clone());
        }
    }
    schema
}

/// The settings of a policy with its defaults filled in, for [`crate::config::effective`]. None when that would show
/// what `${...}` brought, which may be a secret: then they are shown as written.
pub fn shown(name: &str, settings: &Node) -> Option<Value> {
    let kind = LIST.iter().find(|kind| kind.name == name)?;
    let (own, mode) = if kind.refuses { settings.without("mode") } else { (settings.clone(), None) };
    if settings.has_variables() {
        return None;
    }
    let mut shown = (kind.shown)(&own)?;
    if let (Some(shown), true) = (shown.as_object_mut(), kind.refuses) {
        let mode = mode.as_ref().and_then(Node::text).unwrap_or("enforce");
        shown.insert("mode".into(), mode.into());
    }
    Some(shown)
}

/// What a user writes for a policy. Its doc comments are the manual and the schema.
pub trait Settings: DeserializeOwned + Serialize + JsonSchema {
    /// Its key in the configuration, its name in metrics and logs.
    const NAME: &'static str;
    /// Whether it may refuse a request, and so knows `mode: shadow`.
    const REFUSES: bool;
    /// Whether it shapes every answer of its route, also one that was made before the request came to it.
    const EVERY_ANSWER: bool = false;
    /// Whether it answers preflights, so that its route is found by those that ask for the route's methods.
    const TAKES_PREFLIGHTS: bool = false;

    /// Makes it ready to run. `key` is where it stands: faults that its type could not know are reported there, or at
    /// a [`Spanned`] value of its own. `context` is what stands beside the routes.
    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>>;
}

/// What stands beside the routes of a configuration, for policies that refer to it.
#[derive(Default)]
pub struct Context {
    /// The consumers.
    pub callers: Arc<Callers>,
    /// What policies of one configuration share.
    pub shelf: Shelf,
    /// The services that have a name.
    pub services: HashMap<String, Arc<Service>>,
    /// The versions of interfaces.
    pub versions: HashMap<String, config::Versions>,
    /// Bytes that kept answers may take; `None` for as many as usual.
    pub cache_memory: Option<u64>,
    /// The Redis that policies may share with those of other gateways.
    pub redis: Option<Redis>,
    /// The documents that routes point at.
    pub documents: validate::Contracts,
    /// What of kept answers is to outlive restarts.
    pub disk: config::Disk,
    /// The folder of what is to outlive restarts.
    pub state: Option<PathBuf>,
    /// Whether that is all there is: what a policy does not find is missing. Not so where a policy is looked at alone.
    pub is_whole: bool,
}

/// What a policy learns of the place where it is to run.
pub struct Place<'a, 'p> {
    /// The route's key.
    pub route: &'a str,
    /// The service that the route asks; empty for none.
    pub service: &'a str,
    /// Whether that service may be asked over HTTP/2.
    pub http2: bool,
    /// Whether it only watches there.
    pub shadow: bool,
    /// What the route's policies make of answers: see [`Policy::shape`].
    pub shape: &'a str,
    /// What outlives a reload.
    pub lives: &'a mut Lives<'p>,
    /// Where it reports what it cannot do there.
    pub faults: &'a mut Diagnostics,
}

/// A policy, compiled and ready to run on any worker.
pub trait Policy: Send + Sync {
    /// Takes its place on a route: here it finds again what it remembered before a reload.
    fn settle(&mut self, _place: &mut Place<'_, '_>) {}

    /// Which version of an interface its route is, as the admin address tells it.
    fn version(&self) -> Option<version::Told<'_>> {
        None
    }

    /// Who has used how much of what it gives, as the admin address tells it.
    fn usage(&self) -> Vec<Value> {
        Vec::new()
    }

    /// What it makes of every answer, in a text that is another one whenever that is. Who keeps answers keeps them apart by
    /// it, so that none of before a reload goes out in its old shape.
    fn shape(&self) -> Option<&str> {
        None
    }

    /// Its snapshot is about to run for the first time: reads what it needs. May take a moment.
    fn start(&self) {}

    /// The process is about to end: keeps what it has to keep. May take a moment.
    fn close(&self) {}

    /// Tells its numbers. Those of one name are told once for all routes, so they are about all of them.
    fn figures(&self, _tell: &mut dyn FnMut(Figure)) {}

    /// Tells how much is in use of what it bounds, where that is one thing for all requests of the route.
    fn fills(&self, _tell: &mut dyn FnMut(Fill)) {}

    /// Whether it learns who calls.
    fn identifies(&self) -> bool {
        false
    }

    /// Says what the route is to do for its requests besides sending them once.
    fn care(&self, _care: &mut Care) {}

    /// Tells the names of headers by which it tells services what it found: they are taken from every request.
    fn tells(&self, _tell: &mut dyn FnMut(&str)) {}

    /// Looks at the request, before anything is sent to a service.
    fn request<'a>(&'a self, _exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Go
    }

    /// Looks at the head of the answer, the service's or our own, before the client gets it. It may put another answer in
    /// its place: the head into `response`, the body into [`Exchange::instead`].
    fn response(&self, _exchange: &mut Exchange) {}

    /// The service gave no answer. True when the policy has put one into the exchange, as above.
    fn rescue(&self, _exchange: &mut Exchange, _fault: &Fault) -> bool {
        false
    }
}

type Compile = fn(&Spanned<String>, &Node, &Context, &mut Diagnostics) -> Option<Box<dyn Policy>>;

/// One line of the list.
pub struct Kind {
    /// The policy's key in the configuration.
    pub name: &'static str,
    /// Whether it may refuse a request, and so knows `mode: shadow`.
    pub refuses: bool,
    /// Whether it shapes every answer, also one that was made before the request came to it.
    pub every_answer: bool,
    /// Whether it answers preflights, which then reach its route.
    pub takes_preflights: bool,
    /// The schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    shown: fn(&Node) -> Option<Value>,
    compile: Compile,
}

const fn kind<S: Settings>() -> Kind {
    Kind {
        name: S::NAME,
        refuses: S::REFUSES,
        every_answer: S::EVERY_ANSWER,
        takes_preflights: S::TAKES_PREFLIGHTS,
        schema: |generator| S::json_schema(generator),
        shown: |node| serde_json::to_value(decode::<S>(node, &mut Diagnostics::default())?).ok(),
        compile: |key, node, context, faults| {
            let before = faults.errors();
            let settings = decode_key::<S>(key, node, faults)?;
            // What had a fault is missing in the settings; what that leads to is not worth telling.
            if faults.errors() == before { settings.compile(key, context, faults) } else { None }
        },
    }
}

impl Kind {
    /// Makes a policy of its settings as written. `context` is what stands beside the routes.
    pub fn bind(
        &self,
        key: &Spanned<String>,
        settings: &Node,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Bound> {
        let (settings, mode) = if self.refuses { settings.without("mode") } else { (settings.clone(), None) };
        let shadow = match mode.as_ref().map(|mode| (mode.text(), mode.span)) {
            None | Some((Some("enforce"), _)) => false,
            Some((Some("shadow"), _)) => true,
            Some((_, place)) => {
                let fault = format!("`mode` of `{}` is neither `enforce` nor `shadow`", self.name);
                faults
                    .error(codes::BAD_VALUE, place, fault)
                    .help("`shadow` decides, counts and logs, and lets pass");
                false
            }
        };
        let policy = (self.compile)(key, &settings, context, faults)?;
        let (every_answer, takes_preflights) = (self.every_answer, self.takes_preflights);
        Some(Bound { name: self.name, policy, shadow, every_answer, takes_preflights })
    }
}

/// A policy in its place on a route.
pub struct Bound {
    /// Its name in the configuration, in metrics and logs.
    pub name: &'static str,
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// Whether it only watches: what it refuses is counted and passes.
    pub shadow: bool,
    /// Whether it shapes every answer, also one that was made before the request came to it.
    pub every_answer: bool,
    /// Whether it answers preflights.
    pub takes_preflights: bool,
}

/// Why a request goes no further than to a policy.
pub enum Stop {
    /// It is answered with this.
    With(Box<Answer>),
    /// Its answer stands in the exchange.
    Answered,
}

/// Runs policies on the request, in order; the first answer ends it.
pub async fn request(bound: &[Bound], exchange: &mut Exchange) -> Result<(), Stop> {
    for Bound { name, policy, shadow, .. } in bound {
        exchange.record.policies_run = exchange.record.policies_run.saturating_add(1);
        let verdict = policy.request(exchange);
        // Nearly always: nothing is to be waited for, or undone.
        if matches!(verdict, Verdict::Go) && !*shadow {
            continue;
        }
        let waits = matches!(verdict, Verdict::Wait(_));
        let decided = decide(verdict).await;
        if waits {
            exchange.record.resumed = Instant::now();
        }
        // Who only watches has no body refused either.
        exchange.plan.digest.take_if(|digest| *shadow && digest.wanted_by == *name);
        let answer = match decided {
            Ok(()) => continue,
            Err(Stop::Answered) => return Err(Stop::Answered),
            Err(Stop::With(answer)) => answer,
        };
        if *shadow {
            exchange.record.shadowed.push((name, answer.reason));
            continue;
        }
        exchange.record.refused_by = Some(name);
        return Err(Stop::With(answer));
    }
    Ok(())
}

async fn decide(mut verdict: Verdict<'_>) -> Result<(), Stop> {
    loop {
        match verdict {
            Verdict::Go => return Ok(()),
            Verdict::Answer(answer) => return Err(Stop::With(answer)),
            Verdict::Answered => return Err(Stop::Answered),
            Verdict::Wait(future) => verdict = future.await,
        }
    }
}

/// Runs those policies on an answer that stand before the one that gave it: what stands behind has shaped it already.
pub fn answered(bound: &[Bound], exchange: &mut Exchange) {
    let before = exchange.record.policies_run.saturating_sub(1);
    response(bound.get(..before).unwrap_or_default(), exchange);
}

/// Looks for a policy that has an answer where the service gave none; the nearest to the service is asked first. Those
/// before it have shaped that answer then.
pub fn rescue(bound: &[Bound], exchange: &mut Exchange, fault: &Fault) -> bool {
    let ran = exchange.record.policies_run;
    let rescuer = bound.iter().take(ran).rposition(|bound| bound.policy.rescue(exchange, fault));
    if let Some(place) = rescuer {
        response(bound.get(..place).unwrap_or_default(), exchange);
    }
    rescuer.is_some()
}

/// Runs those policies on the answer that have seen the request, and those that shape every answer, in reverse order.
pub fn response(bound: &[Bound], exchange: &mut Exchange) {
    let ran = exchange.record.policies_run;
    for (place, Bound { policy, every_answer, .. }) in bound.iter().enumerate().rev() {
        if place < ran || *every_answer {
            policy.response(exchange);
        }
    }
}
