//! Routes: what the key and `match:` say together, the one thing to do, and the policies.
//!
//! Takes the entries of `routes:`; gives routes. One with a fault costs no other.

use super::{ACTIONS, entry, is_map, policies, table, uses};
use crate::config::codes;
use crate::config::decode::decode_key;
use crate::config::diagnostic::Diagnostics;
use crate::config::load::Known;
use crate::config::node::{Entry, Node};
use crate::config::pairs::Named;
use crate::config::pattern::RouteKey;
use crate::config::place::Spanned;
use crate::config::route::{Action, Match, PathMatch, Route};
use crate::config::{aggregate, split};

/// The keys of a route that are no policies.
const KEYS: &[&str] = &["match", "to", "split", "aggregate", "respond", "mock", "redirect", "use"];

pub(super) fn routes(root: &Node, known: &Known<'_>, diagnostics: &mut Diagnostics) -> Named<Route> {
    let mut read = Named::default();
    for entry in table(root, "routes", diagnostics) {
        let route = diagnostics
            .within(format!("route `{}`", entry.key), |diagnostics| route(entry, known, diagnostics));
        if let Some(route) = route {
            read.push(entry.key.clone(), route);
        }
    }
    read
}

fn route(entry: &Entry, known: &Known<'_>, diagnostics: &mut Diagnostics) -> Option<Route> {
    let key = match entry.key.parse::<RouteKey>() {
        Ok(key) => Some(key),
        Err(invalid) => {
            diagnostics.error(codes::BAD_ROUTE_KEY, entry.key.span(), invalid.what).help(invalid.remedy);
            None
        }
    };
    if !is_map(entry, diagnostics) {
        return None;
    }
    let conditions = conditions(entry, key.as_ref(), diagnostics);
    let uses = uses(&entry.value, diagnostics);
    let policies = policies(entry.value.entries(), KEYS, known, diagnostics);
    let action = action(entry, diagnostics)?;
    Some(Route { conditions: conditions?, action, uses, policies })
}

/// What the key and `match:` say together.
fn conditions(route: &Entry, key: Option<&RouteKey>, diagnostics: &mut Diagnostics) -> Option<Match> {
    let written = entry(&route.value, "match");
    let mut conditions: Match = match written {
        Some(entry) => decode_key(&entry.key, &entry.value, diagnostics)?,
        None => Match::default(),
    };
    let key = key?;
    let span = |inner: &str| {
        let matching = written.map(|entry| &entry.value)?;
        matching.entries().iter().find(|entry| *entry.key == inner).map(|entry| entry.key.span())
    };
    let mut said_twice = |what: &str| {
        if let Some(span) = span(what) {
            diagnostics
                .error(
                    codes::CONFLICT,
                    span,
                    format!("route `{}` says `{what}` in its key and in `match`", route.key),
                )
                .note(route.key.span(), "the key")
                .help("say it in one place");
        }
    };
    if !key.methods.is_empty() {
        said_twice("methods");
        conditions.methods = key.methods.clone().into();
    }
    if let Some(host) = &key.host {
        said_twice("host");
        conditions.host = vec![host.clone()].into();
    }
    if let Some(path) = &key.path {
        said_twice("path");
        conditions.path = Some(Spanned::new(PathMatch::Text(path.clone()), route.key.span()));
    }
    if key.path.is_none() && span("path").is_none() && span("host").is_none() {
        diagnostics
            .error(
                codes::NO_CONDITION,
                route.key.span(),
                format!("route `{}` does not say which requests it takes", route.key),
            )
            .help("add `match:` with a `path` or a `host`, or write the path as the key: `/users/*`");
        return None;
    }
    Some(conditions)
}

fn action(route: &Entry, diagnostics: &mut Diagnostics) -> Option<Action> {
    let written: Vec<&Entry> =
        route.value.entries().iter().filter(|entry| ACTIONS.contains(&entry.key.as_str())).collect();
    let (first, more) = match written.split_first() {
        Some(found) => found,
        None => {
            diagnostics
                .error(
                    codes::NO_ACTION,
                    route.key.span(),
                    format!("route `{}` does not say what to do", route.key),
                )
                .help("add one of `to`, `split`, `aggregate`, `respond`, `mock`, `redirect`");
            return None;
        }
    };
    for other in more {
        diagnostics
            .error(
                codes::TWO_ACTIONS,
                other.key.span(),
                format!("route `{}` says two things to do", route.key),
            )
            .note(first.key.span(), "the first")
            .help("keep one; make two routes if both are wanted");
    }
    match first.key.as_str() {
        "to" => decode_key(&first.key, &first.value, diagnostics).map(Action::To),
        "split" => split::read(first, diagnostics).map(|split| Action::Split(Box::new(split))),
        "mock" => decode_key(&first.key, &first.value, diagnostics).map(|mock| Action::Mock(Box::new(mock))),
        "aggregate" => aggregate::read(first, diagnostics).map(Box::new).map(Action::Aggregate),
        "respond" => decode_key(&first.key, &first.value, diagnostics).map(Action::Respond),
        _ => decode_key(&first.key, &first.value, diagnostics).map(Action::Redirect),
    }
}
