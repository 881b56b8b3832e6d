//! What types cannot say: names that refer to nothing, things that contradict each other, times that make no sense.
//!
//! Takes a configuration that may lack parts that had faults, and the tree for the places; reports only. Whatever was
//! not read is taken to be right, so that one mistake is not reported twice.

use super::codes;
use super::diagnostic::Diagnostics;
use super::node::{Kind, Node};
use super::place::{Span, Spanned};
use super::route::{Action, PathMatch, To, Use};
use super::{AdminListen, Config, Limits, Listener, Protocol, ProxyProtocol, Segment, Service, Timeouts};
use crate::values::{Address, Duration, Source, nearest};
use std::collections::{HashMap, HashSet};

/// Checks a whole configuration.
pub(super) fn config(config: &Config, tree: &Node, diagnostics: &mut Diagnostics) {
    let checking = Checking { config, tree };
    checking.listeners(diagnostics);
    checking.process(diagnostics);
    for (name, service) in &config.services {
        checking.service(name, service, diagnostics);
    }
    checking.references(diagnostics);
    checking.redirects(diagnostics);
    checking.foreign_paths(diagnostics);
    checking.unused(diagnostics);
}

struct Checking<'c> {
    config: &'c Config,
    tree: &'c Node,
}

impl Checking<'_> {
    /// Where the value at a path of keys stands, if it is written.
    fn written(&self, path: &[&str]) -> Option<Span> {
        let mut node = self.tree;
        let mut span = self.tree.span;
        for key in path {
            let entry = node.entries().iter().find(|entry| *entry.key == *key)?;
            node = &entry.value;
            span = if matches!(node.kind, Kind::Scalar(_)) { node.span } else { entry.key.span() };
        }
        Some(span)
    }

    /// Where the value at a path of keys stands, or else the nearest thing around it.
    fn at(&self, path: &[&str]) -> Span {
        let around = path.split_last().map(|(_, around)| around);
        self.written(path).or_else(|| around.map(|around| self.at(around))).unwrap_or(self.tree.span)
    }

    fn listeners(&self, diagnostics: &mut Diagnostics) {
        let written = |key: &str| {
            self.tree.get(key).is_some_and(|node| !node.is_null() && *node != Node::map(node.span, vec![]))
        };
        if !written("listen") && !written("listeners") {
            diagnostics
                .error(codes::NO_LISTENER, self.tree.span, "nothing says where clients arrive")
                .help("add `listen: 0.0.0.0:8080`");
        }
        let mut names: HashMap<&str, Span> = HashMap::new();
        let mut addresses: HashMap<Address, (Span, String)> = HashMap::new();
        if let AdminListen::At(address) = self.config.admin.listen {
            let place = self.written(&["admin", "listen"]).or_else(|| self.written(&["admin"]));
            addresses.insert(address, (place.unwrap_or(Span::NONE), "the admin address".into()));
        }
        for (name, listener) in &self.config.listeners {
            if let Some(first) = names.insert(name, name.span()) {
                diagnostics
                    .error(
                        codes::CONFLICT,
                        name.span(),
                        "`listen` is the listener `main`, and there is another one",
                    )
                    .note(first, "the other one")
                    .help("give one of them another name under `listeners`");
            }
            let address = &listener.address;
            let taken = addresses.get(address).filter(|_| address.get().port() != 0);
            if let Some((first, by)) = taken {
                diagnostics
                    .error(
                        codes::CONFLICT,
                        address.span(),
                        format!("the address {} is taken by {by}", **address),
                    )
                    .note(*first, "taken here")
                    .help("give each its own port");
            } else {
                addresses.insert(**address, (address.span(), format!("listener `{name}`")));
            }
            self.listener(name, listener, diagnostics);
        }
    }

    /// Limits and time-outs of one listener. What it inherits is reported where it is written.
    fn listener(&self, name: &str, listener: &Listener, diagnostics: &mut Diagnostics) {
        let place = |part: &str, key: &str| match self.written(&["listeners", name, part, key]) {
            Some(own) => (own, format!(" of listener `{name}`")),
            None => (self.at(&[part, key]), String::new()),
        };
        let Limits { request_line, header, headers, header_count, connections, connections_per_client } =
            &listener.limits;
        let Timeouts { handshake, head, body_idle, write_idle, max_requests, max_age, .. } =
            &listener.timeouts;
        for (part, key, zero) in [
            ("limits", "request_line", request_line.is_zero()),
            ("limits", "header", header.is_zero()),
            ("limits", "headers", headers.is_zero()),
            ("limits", "header_count", *header_count == 0),
            ("limits", "connections", *connections == 0),
            ("timeouts", "handshake", handshake.is_zero()),
            ("limits", "connections_per_client", *connections_per_client == 0),
            ("timeouts", "head", head.is_zero()),
            ("timeouts", "body_idle", body_idle.is_zero()),
            ("timeouts", "write_idle", write_idle.is_zero()),
            ("timeouts", "max_requests", *max_requests == 0),
            ("timeouts", "max_age", max_age.is_zero()),
        ] {
            let (span, subject) = place(part, key);
            nothing(zero, &format!("`{part}.{key}`{subject}"), span, diagnostics);
        }
        if listener.proxy_protocol != ProxyProtocol::Off && listener.trusted_proxies.is_empty() {
            let span = self.at(&["listeners", name, "proxy_protocol"]);
            diagnostics
                .error(
                    codes::CONFLICT,
                    span,
                    format!("listener `{name}` takes the PROXY protocol from nobody"),
                )
                .help("name the proxies that send it: `trusted_proxies: [10.0.0.0/8]`");
        }
        if header > headers && !headers.is_zero() {
            let ((one, subject), (all, _)) = (place("limits", "header"), place("limits", "headers"));
            let message =
                format!("one header{subject} may be larger ({header}) than all together ({headers})");
            diagnostics
                .error(codes::CONFLICT, one, message)
                .note(if all == self.tree.span { Span::NONE } else { all }, "all together")
                .help("raise `headers` or lower `header`");
        }
    }

    fn process(&self, diagnostics: &mut Diagnostics) {
        self.config.admin.check(self.at(&["admin", "rollups"]), diagnostics);
        let drain = &self.config.drain;
        nothing(drain.timeout.is_zero(), "`drain.timeout`", self.at(&["drain", "timeout"]), diagnostics);
        nothing(drain.handover.is_zero(), "`drain.handover`", self.at(&["drain", "handover"]), diagnostics);
        let mut longer = |part: &str, long: (&str, Duration), short: (&str, Duration)| {
            if short.1 > long.1 {
                let message = format!(
                    "`{part}.{}` ({}) is longer than `{part}.{}` ({})",
                    short.0, short.1, long.0, long.1
                );
                diagnostics
                    .error(codes::CONFLICT, self.at(&[part, short.0]), message)
                    .note(self.written(&[part, long.0]).unwrap_or(Span::NONE), format!("`{}`", long.0))
                    .help("shorten the one or lengthen the other");
            }
        };
        longer("drain", ("timeout", drain.timeout), ("spread", drain.spread));
        longer("dns", ("max_ttl", self.config.dns.max_ttl), ("min_ttl", self.config.dns.min_ttl));
    }

    fn service(&self, name: &Spanned<String>, service: &Service, diagnostics: &mut Diagnostics) {
        let at = |key: &str| self.at(&["services", name, key]);
        let written = self.tree.get("services").and_then(|all| all.get(name));
        let written = written.and_then(|service| service.get("targets").or(Some(service)));
        let complete = written.is_none_or(|targets| targets.items().len() <= service.targets.len());
        if complete && service.targets.is_empty() {
            diagnostics
                .error(codes::BAD_VALUE, at("targets"), format!("service `{name}` has no target"))
                .help("write at least one URL such as http://users:8000");
        }
        let mut seen: HashMap<_, Span> = HashMap::new();
        for target in service.targets.iter() {
            if target.weight > 1_000 {
                let message = format!("service `{name}`: the weight {} is more than 1000", target.weight);
                diagnostics
                    .error(codes::BAD_VALUE, target.url.span(), message)
                    .help("weights are compared with each other: 1 and 3");
            }
            if let Some(first) = seen.insert(&*target.url, target.url.span()) {
                diagnostics
                    .error(
                        codes::CONFLICT,
                        target.url.span(),
                        format!("service `{name}` has the target {} twice", *target.url),
                    )
                    .note(first, "first here")
                    .help("give it a larger `weight` if it shall get more");
            }
        }
        if complete && !service.targets.is_empty() && service.targets.iter().all(|target| target.weight == 0)
        {
            diagnostics
                .error(
                    codes::BAD_VALUE,
                    at("targets"),
                    format!("every target of service `{name}` has weight 0"),
                )
                .help("at least one target needs a weight of 1 or more");
        }
        for (key, zero) in [
            ("connect_timeout", service.connect_timeout.is_zero()),
            ("timeout", service.timeout.is_zero()),
            ("idle_timeout", service.idle_timeout.is_zero()),
            ("tunnel_timeout", service.tunnel_timeout.is_zero()),
            ("max_response_head", service.max_response_head.is_zero()),
            ("max_in_flight", service.max_in_flight == Some(0)),
        ] {
            nothing(zero, &format!("`{key}` of service `{name}`"), at(key), diagnostics);
        }
        let at = |path: &[&str]| {
            let whole: Vec<&str> = ["services", name].iter().chain(path).copied().collect();
            self.at(&whole)
        };
        if let Some(breaker) = &service.circuit_breaker {
            super::breaker::check(name, breaker, &at, diagnostics);
        }
        super::retry::check(name, service, at(&["retry"]), diagnostics);
        super::health::check(name, service, &at, complete, diagnostics);
        self.protocol(name, service, diagnostics);
    }

    fn protocol(&self, name: &Spanned<String>, service: &Service, diagnostics: &mut Diagnostics) {
        if service.protocol != Protocol::Http1 && service.proxy_protocol.is_some() {
            let span = self.at(&["services", name, "protocol"]);
            let announced = self.at(&["services", name, "proxy_protocol"]);
            let message = format!("service `{name}` shares connections that are for one client each");
            diagnostics
                .error(codes::CONFLICT, span, message)
                .note(announced, "each connection announces a client")
                .help("remove one of the two");
        }
    }

    /// Names of services and bundles.
    fn references(&self, diagnostics: &mut Diagnostics) {
        let names = |key: &str| -> HashSet<&str> {
            let entries = self.tree.get(key).map_or(&[][..], Node::entries);
            entries.iter().map(|entry| entry.key.as_str()).collect()
        };
        let (services, bundles) = (names("services"), names("policies"));
        for (key, route) in &self.config.routes {
            for (to, span) in asked(&route.action) {
                let To::Service(name) = to else { continue };
                if !services.contains(name.as_str()) {
                    let message = format!("unknown service `{name}` in route `{key}`");
                    dangling(
                        name.as_str(),
                        &services,
                        span,
                        message,
                        "no service has this name",
                        diagnostics,
                    );
                }
            }
            for used in &route.uses {
                self.used(used, &bundles, &format!("route `{key}`"), diagnostics);
            }
        }
        for used in &self.config.defaults.uses {
            self.used(used, &bundles, "`defaults`", diagnostics);
        }
    }

    fn used(
        &self,
        used: &Spanned<Use>,
        bundles: &HashSet<&str>,
        subject: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let name = used.name();
        if !bundles.contains(name) {
            let message = format!("unknown bundle `{name}` in {subject}");
            return dangling(
                name,
                bundles,
                used.span(),
                message,
                "no bundle in `policies` has this name",
                diagnostics,
            );
        }
        let adds = |used: &Spanned<Use>| matches!(&**used, Use::Add(added) if added.as_str() == name);
        if matches!(**used, Use::Remove(_)) && !self.config.defaults.uses.iter().any(adds) {
            diagnostics
                .warning(
                    codes::UNUSED,
                    used.span(),
                    format!("{subject} takes away `{name}`, which `defaults` does not add"),
                )
                .help("remove it");
        }
    }

    /// Segments as other programs write what they take: here they stand for themselves.
    fn foreign_paths(&self, diagnostics: &mut Diagnostics) {
        for (key, route) in &self.config.routes {
            let Some(path) = &route.conditions.path else { continue };
            let PathMatch::Text(pattern) = &**path else { continue };
            for segment in &pattern.segments {
                let Segment::Literal(text) = segment else { continue };
                let Some(name) = text.strip_prefix(':').filter(|name| !name.is_empty()) else { continue };
                let span = if path.span().is_none() { key.span() } else { path.span() };
                diagnostics
                    .warning(
                        codes::BAD_ROUTE_KEY,
                        span,
                        format!("the path of route `{}` has a `:{name}` that stands for itself", **key),
                    )
                    .help(format!("for any segment in that place write `{{{name}}}`"));
            }
        }
    }

    /// Places such as `{path.id}` in redirections must be in the path of the route.
    fn redirects(&self, diagnostics: &mut Diagnostics) {
        for (key, route) in &self.config.routes {
            let Action::Redirect(redirect) = &route.action else { continue };
            let params: Vec<&str> = match route.conditions.path.as_deref() {
                Some(PathMatch::Map(_)) => continue,
                None => Vec::new(),
                Some(PathMatch::Text(pattern)) => {
                    let names = pattern.segments.iter().filter_map(|segment| match segment {
                        Segment::Param(name) => Some(name.as_str()),
                        Segment::Literal(_) => None,
                    });
                    names.chain(pattern.tail.then_some("*")).collect()
                }
            };
            for source in redirect.to.sources() {
                let Source::PathParam(name) = source else { continue };
                if params.contains(&name.as_str()) {
                    continue;
                }
                let help = match nearest(name, params.iter().copied()) {
                    Some(meant) => format!("did you mean `{{path.{meant}}}`?"),
                    None => format!("name a segment of the path `{{{name}}}`, or the rest `*`"),
                };
                diagnostics
                    .error(
                        codes::BAD_VALUE,
                        redirect.to.span(),
                        format!("the path of route `{key}` has no `{name}`"),
                    )
                    .help(help);
            }
        }
    }

    fn unused(&self, diagnostics: &mut Diagnostics) {
        // A route that could not be read may have used anything.
        if diagnostics.has_errors() {
            return;
        }
        let mut services: HashSet<&str> = HashSet::new();
        let mut bundles: HashSet<&str> = self.config.defaults.uses.iter().map(|used| used.name()).collect();
        for (_, route) in &self.config.routes {
            for (to, _) in asked(&route.action) {
                if let To::Service(name) = to {
                    services.insert(name.as_str());
                }
            }
            bundles.extend(route.uses.iter().map(|used| used.name()));
        }
        // A policy may name a service in its settings, which only the policy can read: any word may be one.
        let mut words: Option<HashSet<&str>> = None;
        for (name, _) in &self.config.services {
            if !services.contains(name.as_str())
                && !words.get_or_insert_with(|| self.words()).contains(name.as_str())
            {
                let message = format!("no route uses service `{name}`");
                diagnostics.warning(codes::UNUSED, name.span(), message).help("use it or remove it");
            }
        }
        for (name, _) in &self.config.policies {
            if !bundles.contains(name.as_str()) {
                let message = format!("nothing uses bundle `{name}`");
                diagnostics
                    .warning(codes::UNUSED, name.span(), message)
                    .help("name it in a `use:` or remove it");
            }
        }
    }

    /// All the words in the settings of policies.
    fn words(&self) -> HashSet<&str> {
        let of_bundles = self.config.policies.iter().map(|(_, bundle)| &bundle.policies);
        let of_routes = self.config.routes.iter().map(|(_, route)| &route.policies);
        let of_parts = self.config.routes.iter().filter_map(|(_, route)| match &route.action {
            Action::Aggregate(aggregate) => Some(aggregate.parts.iter().map(|(_, part)| &part.policies)),
            _ => None,
        });
        let of_routes = of_routes.chain(of_parts.flatten());
        let mut words = HashSet::new();
        for policies in of_bundles.chain(of_routes).chain([&self.config.defaults.policies]) {
            policies.iter().for_each(|(_, settings)| collect_words(settings, &mut words));
        }
        words
    }
}

/// The services that an action asks, each with its place.
fn asked(action: &Action) -> Vec<(&To, Span)> {
    match action {
        Action::Aggregate(aggregate) => aggregate.asked().collect(),
        simple => simple.services().into_iter().map(|to| (&**to, to.span())).collect(),
    }
}

/// A limit or time of nothing would refuse everything.
fn nothing(zero: bool, what: &str, span: Span, diagnostics: &mut Diagnostics) {
    if zero {
        diagnostics
            .error(codes::BAD_VALUE, span, format!("{what}: nothing would be allowed"))
            .help("write more than 0, or leave it out for the default");
    }
}

pub(super) fn dangling(
    name: &str,
    known: &HashSet<&str>,
    span: Span,
    message: String,
    label: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut sorted: Vec<&str> = known.iter().copied().collect();
    sorted.sort_unstable();
    let help = match nearest(name, sorted.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if sorted.is_empty() || sorted.len() > 12 => None,
        None => {
            let list: Vec<_> = sorted.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("known here: {}", list.join(", ")))
        }
    };
    diagnostics.error(codes::UNKNOWN_NAME, span, message).label(label).help_if(help);
}

/// The keys and the first words of all texts in a tree.
fn collect_words<'n>(node: &'n Node, words: &mut HashSet<&'n str>) {
    match &node.kind {
        Kind::Scalar(scalar) => words.extend(scalar.text.split_whitespace().next()),
        Kind::List(items) => items.iter().for_each(|item| collect_words(item, words)),
        Kind::Map(entries) => {
            for entry in entries {
                words.insert(entry.key.as_str());
                collect_words(&entry.value, words);
            }
        }
    }
}
