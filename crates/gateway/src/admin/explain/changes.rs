//! What a step has changed: the request before and after it.

use std::time::Duration;

use http1::Fields;

use super::masked;
use super::told::Change;
use crate::exchange::Exchange;

/// What steps may change, as it stands at one moment.
pub(super) struct Look {
    pub(super) fields: Fields,
    method: Vec<u8>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    timeout: Option<Duration>,
    body_limit: Option<u64>,
}

impl Look {
    pub(super) fn of(exchange: &Exchange) -> Look {
        Look {
            fields: exchange.request.fields.clone(),
            method: exchange.request.method_text().to_vec(),
            path: exchange.upstream_path().to_vec(),
            query: exchange.upstream_query().map(<[u8]>::to_vec),
            host: exchange.plan.host.clone(),
            timeout: exchange.plan.timeout,
            body_limit: exchange.plan.body_limit,
        }
    }

    /// What differs afterwards.
    pub(super) fn changes(&self, after: &Look) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut change = |what: &str, before: Option<String>, after: Option<String>| {
            changes.push(Change { what: what.to_owned(), before, after });
        };
        if self.method != after.method {
            change("method", Some(masked::text(&self.method)), Some(masked::text(&after.method)));
        }
        if self.path != after.path {
            change("path", Some(masked::text(&self.path)), Some(masked::text(&after.path)));
        }
        if self.query != after.query {
            let query = |query: &Option<Vec<u8>>| query.as_deref().map(masked::query);
            change("query", query(&self.query), query(&after.query));
        }
        if self.host != after.host {
            let host = |host: &Option<Vec<u8>>| host.as_deref().map(masked::text);
            change("host", host(&self.host), host(&after.host));
        }
        if self.timeout != after.timeout {
            let time = |time: Option<Duration>| time.map(|time| format!("{time:?}"));
            change("timeout", time(self.timeout), time(after.timeout));
        }
        if self.body_limit != after.body_limit {
            let limit = |limit: Option<u64>| match limit {
                Some(u64::MAX) => Some("off".to_owned()),
                limit => limit.map(|bytes| format!("{bytes} bytes")),
            };
            change("body limit", limit(self.body_limit), limit(after.body_limit));
        }
        changes.extend(of_fields(&self.fields, &after.fields));
        changes
    }
}

/// The fields that differ, each name once, in the order in which they came.
pub(super) fn of_fields(before: &Fields, after: &Fields) -> Vec<Change> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for field in before.iter().chain(after.iter()) {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) {
            names.push(field.name.to_vec());
        }
    }
    let differing = names.into_iter().filter(|name| values(before, name) != values(after, name));
    let changed = differing.map(|name| Change {
        what: format!("header {}", masked::text(&name)),
        before: shown(before, &name),
        after: shown(after, &name),
    });
    changed.collect()
}

fn values<'a>(fields: &'a Fields, name: &[u8]) -> Vec<&'a [u8]> {
    let own = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    own.map(|field| field.value).collect()
}

fn shown(fields: &Fields, name: &[u8]) -> Option<String> {
    let own = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let values: Vec<String> = own.map(|field| masked::value(&field)).collect();
    (!values.is_empty()).then(|| values.join(", "))
}
