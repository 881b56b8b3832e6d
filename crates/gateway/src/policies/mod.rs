//! What a route does besides forwarding: one file for each policy, one line for each in the list.
//!
//! Takes an exchange on its way; each policy lets it pass, changes it, or answers. Policies never see sockets, and
//! run in the one order of [`LIST`] whatever the order in the file; answers come back up through those that ran.

pub mod ip;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::config::{Diagnostics, Kind as NodeKind, Node, Spanned, codes, decode_key};
use crate::exchange::{Answer, Exchange, Verdict};

/// All policies, in the order of running.
pub static LIST: &[Kind] = &[
    // Who may come at all, before anything is spent on a request.
    kind::<ip::Ip>(),
];

/// What a user writes for a policy. Its doc comments are the manual and the schema.
pub trait Settings: DeserializeOwned + JsonSchema {
    /// Its key in the configuration, its name in metrics and logs.
    const NAME: &'static str;
    /// Whether it may refuse a request, and so knows `mode: shadow`.
    const REFUSES: bool;

    /// Makes it ready to run. `key` is where it stands: faults that its type could not know are reported there, or at
    /// a [`Spanned`] value of its own.
    fn compile(self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Box<dyn Policy>>;
}

/// A policy, compiled and ready to run on any worker.
pub trait Policy: Send + Sync {
    /// Looks at the request, before anything is sent to a service.
    fn request<'a>(&'a self, _exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Go
    }

    /// Looks at the head of the answer, the service's or our own, before the client gets it.
    fn response(&self, _exchange: &mut Exchange) {}
}

type Compile = fn(&Spanned<String>, &Node, &mut Diagnostics) -> Option<Box<dyn Policy>>;

/// One line of the list.
pub struct Kind {
    /// The policy's key in the configuration.
    pub name: &'static str,
    /// Whether it may refuse a request, and so knows `mode: shadow`.
    pub refuses: bool,
    /// The schema of its settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    compile: Compile,
}

const fn kind<S: Settings>() -> Kind {
    Kind {
        name: S::NAME,
        refuses: S::REFUSES,
        schema: |generator| S::json_schema(generator),
        compile: |key, node, faults| decode_key::<S>(key, node, faults)?.compile(key, faults),
    }
}

impl Kind {
    /// Makes a policy of its settings as written.
    pub fn bind(&self, key: &Spanned<String>, settings: &Node, faults: &mut Diagnostics) -> Option<Bound> {
        let (settings, mode) = if self.refuses { without_mode(settings) } else { (settings.clone(), None) };
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
        let policy = (self.compile)(key, &settings, faults)?;
        Some(Bound { name: self.name, policy, shadow })
    }
}

/// Takes `mode`, which every policy that refuses knows, out of its settings.
fn without_mode(settings: &Node) -> (Node, Option<Node>) {
    let NodeKind::Map(entries) = &settings.kind else { return (settings.clone(), None) };
    let (mode, rest): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|entry| *entry.key == "mode");
    let settings = Node { span: settings.span, kind: NodeKind::Map(rest) };
    (settings, mode.into_iter().next().map(|entry| entry.value))
}

/// A policy in its place on a route.
pub struct Bound {
    /// Its name in the configuration, in metrics and logs.
    pub name: &'static str,
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// Whether it only watches: what it refuses is counted and passes.
    pub shadow: bool,
}

/// Runs the policies of a route on the request, in order; the first refusal ends it.
pub async fn request(bound: &[Bound], exchange: &mut Exchange) -> Result<(), Box<Answer>> {
    for Bound { name, policy, shadow } in bound {
        exchange.record.policies_run = exchange.record.policies_run.saturating_add(1);
        let Some(answer) = decide(policy.request(exchange)).await else { continue };
        if *shadow {
            exchange.record.shadowed.push((name, answer.reason));
            continue;
        }
        exchange.record.refused_by = Some(name);
        return Err(answer);
    }
    Ok(())
}

async fn decide(mut verdict: Verdict<'_>) -> Option<Box<Answer>> {
    loop {
        match verdict {
            Verdict::Go => return None,
            Verdict::Answer(answer) => return Some(answer),
            Verdict::Wait(future) => verdict = future.await,
        }
    }
}

/// Runs those policies on the answer that have seen the request, in reverse order.
pub fn response(bound: &[Bound], exchange: &mut Exchange) {
    let ran = exchange.record.policies_run;
    for Bound { policy, .. } in bound.iter().take(ran).rev() {
        policy.response(exchange);
    }
}
