//! What goes out of use because something has changed: the resource of a successful unsafe request (RFC 9111 section 4.4),
//! and the groups that its answer names (RFC 9875).

use std::sync::Arc;

use http1::{Fields, Method, Name, names};

use super::entry::Groups;
use super::store::Store;
use crate::exchange::Exchange;
use crate::http::list::elements;
use crate::http::path::{PathOptions, canonicalise};
use crate::values::Template;

/// Groups of one answer (RFC 9875 section 2 asks for at least 32).
const MOST_GROUPS: usize = 64;
/// Longest name of a group (the same section: at least 32).
const LONGEST: usize = 128;

/// Lets go what an answer of a service says has changed. On every route, whether or not it has a cache.
pub fn changed(store: &Store, exchange: &Exchange) {
    if !is_change(exchange) {
        return;
    }
    store.change(resource(store, &exchange.host, &exchange.path));
    for name in [names::LOCATION, names::CONTENT_LOCATION] {
        if let Some(path) = exchange.response.fields.get(name).and_then(|to| own_path(exchange, to)) {
            store.change(resource(store, &exchange.host, &path));
        }
    }
    for group in listed(&exchange.response.fields, b"Cache-Group-Invalidation") {
        store.change(group_of(store, exchange, &group));
    }
}

/// Whether a request has changed something: an unsafe method that did not fail.
pub(super) fn is_change(exchange: &Exchange) -> bool {
    let safe = matches!(exchange.record.method, Method::Get | Method::Head | Method::Options | Method::Trace);
    !safe && matches!(exchange.response.status, 200..400)
}

/// The mark of all that is kept of a path, whatever its query.
pub(super) fn resource(store: &Store, host: &[u8], path: &[u8]) -> usize {
    store.place(&("resource", host, path))
}

/// The mark of a group of one origin (RFC 9875 section 2).
fn group_of(store: &Store, exchange: &Exchange, group: &str) -> usize {
    store.place(&("group", exchange.client.https, &exchange.host, group))
}

/// The mark of a group of the configuration.
pub(super) fn own_group(store: &Store, group: &[u8]) -> usize {
    store.place(&("own group", group))
}

/// The canonical path of a reference to the same host.
fn own_path(exchange: &Exchange, reference: &[u8]) -> Option<Vec<u8>> {
    let reference = std::str::from_utf8(reference).ok()?;
    let path = match reference.split_once("://") {
        None => reference,
        Some((_, rest)) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(at)?;
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            if !host.as_bytes().eq_ignore_ascii_case(&exchange.host) {
                return None;
            }
            path
        }
    };
    let path =
        path.split(['?', '#']).next().filter(|path| path.starts_with('/') && !path.starts_with("//"))?;
    let mut canonical = Vec::new();
    let options = PathOptions { reject_encoded_slash: false };
    canonicalise(path.as_bytes(), &mut canonical, options).ok()?;
    Some(canonical)
}

/// The groups that an answer is in.
pub(super) fn groups(store: &Store, exchange: &Exchange, own: &[Template]) -> Arc<Groups> {
    let mut groups = Groups::default();
    for template in own {
        let name = exchange.render(template);
        groups.marks.push(own_group(store, &name));
        groups.names.push(String::from_utf8_lossy(&name).into());
    }
    let fields = &exchange.response.fields;
    for name in listed(fields, b"Cache-Groups") {
        groups.marks.push(group_of(store, exchange, &name));
        groups.names.push(name);
    }
    for (field, between) in [(&b"Surrogate-Key"[..], &[' '][..]), (b"Cache-Tag", &[',', ' '])] {
        let Ok(field) = Name::new(field) else { continue };
        for line in fields.get_all(field).filter_map(|line| std::str::from_utf8(line).ok()) {
            let names = line.split(between).filter(|name| !name.is_empty() && name.len() <= LONGEST);
            let room = MOST_GROUPS.saturating_sub(groups.names.len());
            groups.names.extend(names.take(room).map(Box::from));
        }
    }
    Arc::new(groups)
}

/// The strings of a structured list (RFC 9651 section 3.1); what is none is as if it were not there.
fn listed(fields: &Fields, name: &[u8]) -> Vec<Box<str>> {
    let Ok(name) = Name::new(name) else { return Vec::new() };
    let mut names: Vec<Box<str>> = Vec::new();
    for element in fields.get_all(name).flat_map(elements) {
        // Parameters behind a string mean nothing here.
        let text = element.strip_prefix(b"\"").and_then(|rest| std::str::from_utf8(rest).ok());
        let Some(text) = text.and_then(quoted) else { return Vec::new() };
        if text.len() <= LONGEST && names.len() < MOST_GROUPS {
            names.push(text.into());
        }
    }
    names
}

/// A string up to its closing quote, with `\"` and `\\` taken for what they stand for.
fn quoted(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return rest.next().is_none_or(|next| next == ';').then_some(out),
            '\\' => out.push(rest.next().filter(|next| matches!(next, '"' | '\\'))?),
            plain @ ' '..='~' => out.push(plain),
            _ => return None,
        }
    }
}
