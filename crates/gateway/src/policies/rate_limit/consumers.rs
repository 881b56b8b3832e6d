//! The limits of consumers: what each may ask, on all routes that learn who calls.
//!
//! Takes what stands under `rate_limit` of the consumers and makes a limit of each, which counts on every route the same. On
//! a route it runs before the route's own limit, whose fields are then what clients are told.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::{Bound, Context, LIST, Lives, Place, Policy, Settings};
use super::RateLimit;
use crate::config::{Config, Diagnostics, Entry, Form, Kind, Node, Scalar, Spanned, codes};
use crate::exchange::{Exchange, Verdict};
use crate::observe::Figure;

/// What is of the route, or of the caller, and so not for a consumer to say.
const NOT_HERE: [&str; 4] = ["per", "scope", "cost", "mode"];

/// The limits of all consumers that have one.
#[derive(Clone)]
pub struct OfConsumers(Arc<HashMap<Box<str>, Box<dyn Policy>>>);

impl OfConsumers {
    /// The limits of a configuration; `None` where no consumer has one.
    pub fn new(
        config: &Config,
        context: &Context,
        lives: &mut Lives<'_>,
        faults: &mut Diagnostics,
    ) -> Option<OfConsumers> {
        let kind = LIST.iter().find(|kind| kind.name == RateLimit::NAME)?;
        let mut limits = HashMap::new();
        for (name, consumer) in &config.consumers {
            let Some(written) = &consumer.rate_limit else { continue };
            faults.within(format!("consumer `{name}`"), |faults| {
                if has_more(written, faults) {
                    return;
                }
                let key = Spanned::new(RateLimit::NAME.to_owned(), written.span);
                let Some(bound) = kind.bind(&key, &for_all(written), context, faults) else { return };
                let mut policy = bound.policy;
                // A name that no route can have: routes begin with a slash, a method or a host.
                let route = format!("consumer {name}");
                policy.settle(&mut Place {
                    route: &route,
                    service: "",
                    http2: false,
                    shadow: false,
                    shape: "",
                    lives,
                    faults,
                });
                limits.insert(name.as_str().into(), policy);
            });
        }
        (!limits.is_empty()).then(|| OfConsumers(Arc::new(limits)))
    }

    /// Puts them among the policies of a route, if these learn who calls.
    pub fn join(&self, policies: &mut Vec<Bound>) {
        if !policies.iter().any(|bound| bound.policy.identifies()) {
            return;
        }
        let order = |name: &str| LIST.iter().position(|kind| kind.name == name);
        let place = policies.iter().position(|bound| order(bound.name) >= order(RateLimit::NAME));
        let place = place.unwrap_or(policies.len());
        let tells = !policies.iter().any(|bound| bound.name == RateLimit::NAME);
        let policy = Box::new(Joined { limits: self.clone(), tells });
        let bound = Bound {
            name: RateLimit::NAME,
            policy,
            shadow: false,
            every_answer: false,
            takes_preflights: false,
        };
        policies.insert(place, bound);
    }

    fn of(&self, exchange: &Exchange) -> Option<&dyn Policy> {
        let consumer = exchange.identity.as_ref()?.consumer.as_deref()?;
        self.0.get(consumer).map(|policy| &**policy)
    }
}

/// Reports what a consumer cannot say.
fn has_more(written: &Node, faults: &mut Diagnostics) -> bool {
    let limits = written.get("limits").unwrap_or(written).items();
    let entries = written.entries().iter().chain(limits.iter().flat_map(Node::entries));
    let mut more = entries.filter(|entry| NOT_HERE.contains(&entry.key.as_str())).peekable();
    let has = more.peek().is_some();
    for entry in more {
        let text = format!("the limit of a consumer cannot say `{}`", entry.key);
        let fault = faults.error(codes::BAD_POLICY, entry.key.span(), text);
        fault.help(
            "it counts all requests of that consumer, each as one: write it into the `rate_limit` of a route",
        );
    }
    has
}

/// Settings that count all requests together, which are those of one consumer.
fn for_all(written: &Node) -> Node {
    let entry = |key: &str, value: Node| Entry { key: Spanned::new(key.to_owned(), written.span), value };
    let word = Scalar { text: "all".to_owned(), form: Form::Plain };
    let all = || entry("per", Node { span: written.span, kind: Kind::Scalar(word.clone()) });
    if !written.entries().is_empty() {
        let entries = written.entries().iter().cloned().chain([all()]).collect();
        return Node::map(written.span, entries);
    }
    let key = if written.items().is_empty() { "rate" } else { "limits" };
    Node::map(written.span, vec![entry(key, written.clone()), all()])
}

/// The limits of consumers on one route.
struct Joined {
    limits: OfConsumers,
    /// Whether clients are told what is left: not where the route has a limit that tells.
    tells: bool,
}

impl Policy for Joined {
    fn start(&self) {
        self.limits.0.values().for_each(|limit| limit.start());
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.limits.of(exchange) {
            Some(limit) => limit.request(exchange),
            None => Verdict::Go,
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        if self.tells
            && let Some(limit) = self.limits.of(exchange)
        {
            limit.response(exchange);
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        // They are about the table that all share.
        if let Some(limit) = self.limits.0.values().next() {
            limit.figures(tell);
        }
    }
}
