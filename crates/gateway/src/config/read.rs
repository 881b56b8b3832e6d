//! From the whole tree to a `Config`, part by part, so that a fault in one costs no other.
//!
//! Short forms become long ones here, listeners inherit limits, and the keys of routes and bundles are sorted into
//! those of the language and those that name policies.

mod routes;

use super::codes;
use super::decode::{decode, decode_key};
use super::diagnostic::Diagnostics;
use super::documents::Documents;
use super::load::Known;
use super::node::{Entry, Kind, Node};
use super::pairs::{Named, OneOrMany, Pairs};
use super::place::{Span, Spanned};
use super::route::{Bundle, Defaults, Use};
use super::service::Service;
use super::versions::Versions;
use super::{Config, Consumer, Listener};
use crate::values::{HeaderName, HeaderPattern, Name, Size, Template, nearest};
use serde::de::DeserializeOwned;

/// The keys of the file, in the order of the manual.
pub(super) const KEYS: &[&str] = &[
    "version",
    "include",
    "listen",
    "listeners",
    "admin",
    "workers",
    "trusted_proxies",
    "client_identity_headers",
    "identity_headers",
    "identity_token",
    "consumers",
    "key_secret",
    "forwarded",
    "limits",
    "timeouts",
    "drain",
    "dns",
    "cache_memory",
    "log",
    "notify",
    "zone",
    "state",
    "disk",
    "redis",
    "services",
    "versions",
    "policies",
    "defaults",
    "routes",
    "tests",
];
/// What kept answers may take, unless the file says otherwise.
const CACHE_MEMORY: Size = Size::from_kib(256 * 1024);
/// What listeners take from the whole gateway where they say nothing themselves.
const INHERITED: &[&str] = &["limits", "timeouts", "trusted_proxies"];
/// The keys of a route that say what to do.
pub(super) const ACTIONS: &[&str] = &["to", "split", "aggregate", "respond", "mock", "redirect"];
/// Headers by which services know callers, unless the file says otherwise.
pub(super) const IDENTITY_HEADERS: &[&str] = &[
    "X-Consumer-*",
    "X-User-*",
    "X-Credential-*",
    "X-JWT-*",
    "X-Authenticated-*",
    "X-Forwarded-Client-Cert",
    "Client-Cert",
];

/// What tells services who calls, unless the file says otherwise.
pub(super) const WRITTEN_IDENTITY_HEADERS: &[(&str, &str)] =
    &[("X-Consumer", "{consumer}"), ("X-User-Id", "{subject}"), ("X-User-Scopes", "{scopes}")];

/// Reads a configuration from the tree of all its files.
pub(super) fn config(
    root: &Node,
    documents: Documents,
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) -> Config {
    for entry in root.entries() {
        unknown_key(entry, KEYS, "not a key of the configuration", diagnostics);
    }
    version(root, diagnostics);
    let identity =
        || IDENTITY_HEADERS.iter().filter_map(|pattern| pattern.parse().ok()).collect::<Vec<HeaderPattern>>();
    Config {
        listeners: listeners(root, diagnostics),
        admin: part(root, "admin", Some("listen"), diagnostics),
        workers: part(root, "workers", None, diagnostics),
        trusted_proxies: part(root, "trusted_proxies", None, diagnostics),
        client_identity_headers: optional(root, "client_identity_headers", diagnostics)
            .unwrap_or_else(identity),
        identity_headers: optional(root, "identity_headers", diagnostics)
            .unwrap_or_else(written_identity_headers),
        identity_token: optional(root, "identity_token", diagnostics),
        consumers: consumers(root, diagnostics),
        key_secret: optional(root, "key_secret", diagnostics),
        forwarded: part(root, "forwarded", None, diagnostics),
        log: part(root, "log", None, diagnostics),
        drain: part(root, "drain", None, diagnostics),
        dns: part(root, "dns", None, diagnostics),
        cache_memory: optional(root, "cache_memory", diagnostics).unwrap_or(CACHE_MEMORY),
        limits: part(root, "limits", None, diagnostics),
        timeouts: part(root, "timeouts", None, diagnostics),
        notify: notify(root, diagnostics),
        zone: optional(root, "zone", diagnostics),
        state: optional(root, "state", diagnostics),
        disk: super::disk::read(root, diagnostics),
        redis: super::redis::read(root, diagnostics),
        services: services(root, diagnostics),
        versions: versions(root, diagnostics),
        policies: bundles(root, known, diagnostics),
        defaults: defaults(root, known, diagnostics),
        routes: routes::routes(root, known, diagnostics),
        tests: super::case::read(table(root, "tests", diagnostics), diagnostics),
        documents,
    }
}

/// The entry of a key that is written, with something behind it.
pub(super) fn entry<'n>(root: &'n Node, key: &str) -> Option<&'n Entry> {
    root.entries().iter().find(|entry| *entry.key == key && !entry.value.is_null())
}

fn optional<T: DeserializeOwned>(root: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<T> {
    let entry = entry(root, key)?;
    decode_key(&entry.key, &entry.value, diagnostics)
}

/// Who is told of what happens.
fn notify(root: &Node, diagnostics: &mut Diagnostics) -> super::Notify {
    let before = diagnostics.errors();
    let notify: super::Notify = part(root, "notify", None, diagnostics);
    if diagnostics.errors() == before {
        notify.check(diagnostics);
    }
    notify
}

/// One part of the file, its default when it is not written. `short` names the key that a mere value stands for.
fn part<T>(root: &Node, key: &str, short: Option<&str>, diagnostics: &mut Diagnostics) -> T
where
    T: DeserializeOwned + Default,
{
    let Some(entry) = entry(root, key) else { return T::default() };
    let node = match short {
        Some(short) => long_form(&entry.value, short),
        None => entry.value.clone(),
    };
    decode_key(&entry.key, &node, diagnostics).unwrap_or_default()
}

/// What is no map becomes a map with it under one key.
pub(super) fn long_form(node: &Node, key: &str) -> Node {
    match node.kind {
        Kind::Map(_) => node.clone(),
        _ => {
            let key = Spanned::new(key.to_owned(), node.span);
            Node::map(node.span, vec![Entry { key, value: node.clone() }])
        }
    }
}

/// The entries of a part that is a map of named things.
fn table<'n>(root: &'n Node, key: &str, diagnostics: &mut Diagnostics) -> &'n [Entry] {
    let Some(entry) = entry(root, key) else { return &[] };
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let found = entry.value.describe();
        diagnostics
            .error(codes::WRONG_TYPE, entry.value.span, format!("`{key}` is a map of names, found {found}"))
            .help(format!("write a name under `{key}:`, a colon, and its settings"));
    }
    entry.value.entries()
}

/// Checks that a key can be a name. The thing is read in any case.
fn name(entry: &Entry, diagnostics: &mut Diagnostics) {
    if let Err(invalid) = entry.key.parse::<Name>() {
        diagnostics.error(codes::BAD_VALUE, entry.key.span(), invalid.what).help(invalid.remedy);
    }
}

pub(super) fn unknown_key(entry: &Entry, known: &[&str], label: &str, diagnostics: &mut Diagnostics) -> bool {
    if known.contains(&entry.key.as_str()) {
        return false;
    }
    let inside = diagnostics.subject().map(|subject| format!(" in {subject}")).unwrap_or_default();
    let help = nearest(&entry.key, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
    let help = help.unwrap_or_else(|| {
        let list: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
        format!("known here: {}", list.join(", "))
    });
    diagnostics
        .error(codes::UNKNOWN_KEY, entry.key.span(), format!("unknown key `{}`{inside}", *entry.key))
        .label(label)
        .help(help);
    true
}

fn version(root: &Node, diagnostics: &mut Diagnostics) {
    let Some(entry) = entry(root, "version") else { return };
    if entry.value.text() != Some("1") {
        let found = entry.value.describe();
        diagnostics
            .error(
                codes::BAD_VERSION,
                entry.value.span,
                format!("`version` is {found}, this build reads version 1"),
            )
            .help("write `version: 1` or leave it out");
    }
}

fn listeners(root: &Node, diagnostics: &mut Diagnostics) -> Named<Listener> {
    let main = entry(root, "listen").map(|entry| Entry {
        key: Spanned::new("main".to_owned(), entry.key.span()),
        value: entry.value.clone(),
    });
    let written = table(root, "listeners", diagnostics);
    let mut read = Named::default();
    for entry in main.iter().chain(written) {
        name(entry, diagnostics);
        let own = long_form(&entry.value, "address");
        let node = inherited(root, &own);
        let settled: Vec<_> = INHERITED.iter().filter_map(|key| Some(root.get(key)?.span)).collect();
        let listener = diagnostics.except(&settled, |diagnostics| {
            diagnostics.within(format!("listener `{}`", entry.key), |diagnostics| {
                decode_owned(entry, &node, diagnostics)
            })
        });
        if let Some(listener) = listener {
            read.push(entry.key.clone(), listener);
        }
    }
    read
}

/// A listener with the limits, time-outs and trusted proxies of the whole gateway where it says nothing itself.
pub(super) fn inherited(root: &Node, listener: &Node) -> Node {
    let mut entries = listener.entries().to_vec();
    for key in INHERITED {
        let Some(base) = root.entries().iter().find(|entry| *entry.key == *key) else { continue };
        match entries.iter_mut().find(|entry| *entry.key == *key) {
            Some(own) => own.value = own.value.clone().over(Some(&base.value)),
            None => entries.push(base.clone()),
        }
    }
    Node::map(listener.span, entries)
}

/// Reads a named thing: what is missing in it is reported at its name.
fn decode_owned<T: DeserializeOwned>(entry: &Entry, node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
    let at_name = Node { span: entry.key.span(), kind: node.kind.clone() };
    decode(&at_name, diagnostics)
}

/// The headers that tell services who calls, unless the file says otherwise.
fn written_identity_headers() -> Pairs<Spanned<HeaderName>, Spanned<Template>> {
    let parsed = WRITTEN_IDENTITY_HEADERS.iter().filter_map(|(name, text)| {
        let spanned = (name.parse().ok()?, text.parse().ok()?);
        Some((Spanned::new(spanned.0, Span::NONE), Spanned::new(spanned.1, Span::NONE)))
    });
    parsed.collect()
}

fn consumers(root: &Node, diagnostics: &mut Diagnostics) -> Named<Consumer> {
    let mut read = Named::default();
    for entry in table(root, "consumers", diagnostics) {
        name(entry, diagnostics);
        let (settings, rate_limit) = entry.value.without("rate_limit");
        let consumer: Option<Consumer> = diagnostics
            .within(format!("consumer `{}`", entry.key), |diagnostics| {
                decode_owned(entry, &settings, diagnostics)
            });
        if let Some(mut consumer) = consumer {
            consumer.rate_limit = rate_limit;
            read.push(entry.key.clone(), consumer);
        }
    }
    read
}

fn services(root: &Node, diagnostics: &mut Diagnostics) -> Named<Service> {
    let mut read = Named::default();
    for entry in table(root, "services", diagnostics) {
        name(entry, diagnostics);
        let node = long_form(&entry.value, "targets");
        let service = diagnostics.within(format!("service `{}`", entry.key), |diagnostics| {
            decode_owned(entry, &node, diagnostics)
        });
        if let Some(service) = service {
            read.push(entry.key.clone(), service);
        }
    }
    read
}

fn versions(root: &Node, diagnostics: &mut Diagnostics) -> Named<Versions> {
    let mut read = Named::default();
    for entry in table(root, "versions", diagnostics) {
        name(entry, diagnostics);
        let versions = diagnostics.within(format!("versions of `{}`", entry.key), |diagnostics| {
            let before = diagnostics.errors();
            let read = decode_owned::<Versions>(entry, &entry.value, diagnostics);
            // What had a fault is missing; what that leads to is not worth telling.
            let whole = read.as_ref().filter(|_| diagnostics.errors() == before);
            whole.into_iter().for_each(|versions| super::versions::check(&entry.key, versions, diagnostics));
            read
        });
        if let Some(versions) = versions {
            read.push(entry.key.clone(), versions);
        }
    }
    read
}

fn bundles(root: &Node, known: &Known<'_>, diagnostics: &mut Diagnostics) -> Named<Bundle> {
    let mut read = Named::default();
    for entry in table(root, "policies", diagnostics) {
        name(entry, diagnostics);
        diagnostics.within(format!("bundle `{}`", entry.key), |diagnostics| {
            if !is_map(entry, diagnostics) {
                return;
            }
            let policies = policies(entry.value.entries(), &[], known, diagnostics);
            read.push(entry.key.clone(), Bundle { policies });
        });
    }
    read
}

/// Whether the value of an entry is a map, which is reported if not.
fn is_map(entry: &Entry, diagnostics: &mut Diagnostics) -> bool {
    if matches!(entry.value.kind, Kind::Map(_)) {
        return true;
    }
    let span = if entry.value.is_null() { entry.key.span() } else { entry.value.span };
    let subject = diagnostics.subject().unwrap_or("the configuration").to_owned();
    let message = format!("{subject} is a map, found {}", entry.value.describe());
    let text = entry.value.text().filter(|_| subject.starts_with("route "));
    let help = text.map(|text| format!("to forward to a service, write `{{ to: {text} }}`"));
    diagnostics.error(codes::WRONG_TYPE, span, message).help_if(help);
    false
}

/// The policies among the entries of a map; `others` are keys that are none.
fn policies(
    entries: &[Entry],
    others: &[&str],
    known: &Known<'_>,
    diagnostics: &mut Diagnostics,
) -> Named<Node> {
    let all: Vec<&str> = others.iter().chain(known.policies).copied().collect();
    let mut read = Named::default();
    for entry in entries {
        if others.contains(&entry.key.as_str()) || unknown_key(entry, &all, "not a policy", diagnostics) {
            continue;
        }
        read.push(entry.key.clone(), entry.value.clone());
    }
    read
}

fn uses(node: &Node, diagnostics: &mut Diagnostics) -> Vec<Spanned<Use>> {
    optional::<OneOrMany<Spanned<Use>>>(node, "use", diagnostics).unwrap_or_default().into_vec()
}

fn defaults(root: &Node, known: &Known<'_>, diagnostics: &mut Diagnostics) -> Defaults {
    let Some(entry) = entry(root, "defaults") else { return Defaults::default() };
    diagnostics.within("`defaults`", |diagnostics| {
        if !is_map(entry, diagnostics) {
            return Defaults::default();
        }
        Defaults {
            uses: uses(&entry.value, diagnostics),
            policies: policies(entry.value.entries(), &["use"], known, diagnostics),
        }
    })
}
