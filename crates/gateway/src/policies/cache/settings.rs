//! What a user writes under `cache`, and what it stands for.

use std::sync::Arc;
use std::time::Duration;

use http1::NameBuf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::key::{Keys, Parameter, Query};
use super::rules::Rules;
use super::{Compiled, MEMORY, disk};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::policies::{Context, Policy, Settings, kept};
use crate::values::{self, HeaderName, Size, Source, Template};

/// Longest lifetime and window that can be written.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Keeps answers and gives them to whoever asks the same, as a shared cache of RFC 9111: a time such as `60s`, or a map.
///
/// Kept are answers to `GET` with status 200, 203, 204, 300, 301, 302, 303, 307, 308, 403, 404, 405, 410, 414, 451 or 501
/// for as long as they say in `Tidegate-Cache-Control`, `CDN-Cache-Control` (RFC 9213), `Cache-Control` or `Expires`; `ttl` is
/// for those that say nothing. `Vary`, validators, conditional requests, ranges and `HEAD` are served from what is kept.
/// Never kept is what says `no-store` or `private`, what sets a cookie, what lasts until the close, and what is larger than
/// `max_object`. The answer to a request with credentials (`Authorization`, a cookie, a consumer, a certificate) is kept
/// and given to such requests only where it says `public`, `s-maxage` or `must-revalidate`, where `key` tells callers
/// apart, or with `shared: true`.
///
/// Requests for the same thing wait for one fetch (`wait`). A successful `POST`, `PUT`, `PATCH` or `DELETE` drops what is
/// kept of its path, on whatever route it came, and what is in the groups that its answer names in
/// `Cache-Group-Invalidation` (RFC 9875). `Cache-Status` (RFC 9211) says on each answer what the cache had to do with it.
///
/// ```yaml
/// cache: 60s
/// ```
///
/// ```yaml
/// cache:
///   ttl: 60s
///   stale_while_revalidate: 30s
///   stale_if_error: 1h
///   ignore_query: [utm_*, fbclid]
///   groups: [products, "product-{query.id}"]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "Cache")]
pub enum Cache {
    /// The lifetime of answers that say nothing.
    Text(Spanned<values::Duration>),
    /// All about it.
    Map(Box<CacheMap>),
}

impl Serialize for Cache {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cache::Text(ttl) => ttl.serialize(serializer),
            Cache::Map(map) => map.serialize(serializer),
        }
    }
}

/// The long form.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "CacheSettings")]
pub struct CacheMap {
    /// How long answers are fresh that name no lifetime, with status 200, 203, 204, 300, 301 or 308. Default: they are not
    /// kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Spanned<values::Duration>>,
    /// The same for answers with status 404, 405, 410, 414 or 501. Default: they are not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    negative_ttl: Option<Spanned<values::Duration>>,
    /// How long beyond its lifetime an answer is still given at once while it is renewed behind the client's back
    /// (RFC 5861), where it does not say so itself. Default: 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<Spanned<values::Duration>>,
    /// How long beyond its lifetime an answer is given where the service fails: no answer, or 500, 502, 503, 504
    /// (RFC 5861), where it does not say so itself. Default: 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<Spanned<values::Duration>>,
    /// Headers of requests by which answers differ though they do not say so in `Vary`.
    #[serde(skip_serializing_if = "is_empty")]
    vary: OneOrMany<HeaderName>,
    /// What tells requests apart besides scheme, host, port, path, query and route: sources such as `header.x-tenant`,
    /// `cookie.currency`, `consumer` or `subject`. With one that says who calls, callers have answers of their own.
    #[serde(skip_serializing_if = "is_empty")]
    key: OneOrMany<Spanned<Source>>,
    /// Parameters of the query by which answers do not differ; a `*` at the end stands for any rest. Not together with
    /// `keep_query`.
    #[serde(skip_serializing_if = "is_empty")]
    ignore_query: OneOrMany<Spanned<String>>,
    /// The only parameters of the query by which answers differ.
    #[serde(skip_serializing_if = "is_empty")]
    keep_query: OneOrMany<Spanned<String>>,
    /// The largest body that is kept. Default: 1MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_object: Option<Spanned<Size>>,
    /// Groups that the route's answers are in, besides those that they name in `Cache-Groups`; to be dropped by
    /// `tidegate purge --group`, and by each successful request of an unsafe method on the route.
    #[serde(skip_serializing_if = "is_empty")]
    groups: OneOrMany<Template>,
    /// Whose word counts: `full` for `Cache-Control` of both sides, `ttl_only` for this map's lifetimes alone. What forbids to
    /// keep an answer, or to share it, always counts. Default: full.
    respect: Respect,
    /// Whether the lifetime of an answer that names none, and for which `ttl` is not written, is guessed from its
    /// `Last-Modified`: a tenth of the time since then, at most a day. Default: false.
    heuristic: bool,
    /// Whether the answers are the same for all callers whatever credentials they send. Default: false.
    shared: bool,
    /// How long a request waits for the answer to another one for the same before it goes itself. `0s`: not at all.
    /// Default: 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<values::Duration>,
}

/// Whose word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Respect {
    /// `Cache-Control` of both sides.
    #[default]
    Full,
    /// The lifetimes of the route.
    TtlOnly,
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}

impl Settings for Cache {
    const NAME: &'static str = "cache";
    // What it answers, it answers in the place of the service.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let map = match self {
            Cache::Text(ttl) => CacheMap { ttl: Some(ttl), ..CacheMap::default() },
            Cache::Map(map) => *map,
        };
        let before = faults.errors();
        let query = query(&map, faults);
        let rules = rules(&map, key, faults);
        let sources = map.key.into_vec();
        for source in &sources {
            if matches!(**source, Source::RequestId | Source::Ip) {
                let what = format!(
                    "`{}` is another for nearly every request, so nothing would be found again",
                    **source
                );
                faults.error(codes::BAD_POLICY, source.span(), what).help("leave it out");
            }
        }
        if faults.errors() > before {
            return None;
        }
        let headers = map.vary.iter().filter_map(|name| NameBuf::new(name.as_str()).ok()).collect();
        let sources = sources.into_iter().map(Spanned::into_inner).collect();
        let largest = map.max_object.map_or(1 << 20, |size| size.bytes());
        let keys = Keys { query, headers, sources, route: Arc::from(""), shape: None };
        Some(Box::new(Compiled {
            secret: keys.hold_secrets(),
            disk: kept::settings(context, ("cache", disk::form()), context.disk.cache.as_ref(), true),
            keys,
            rules,
            groups: map.groups.into_vec(),
            largest,
            wait: map.wait.map_or(Duration::from_secs(5), values::Duration::get),
            memory: context.cache_memory.unwrap_or(MEMORY),
            store: None,
        }))
    }
}

fn query(map: &CacheMap, faults: &mut Diagnostics) -> Query {
    let names = |names: &OneOrMany<Spanned<String>>| names.iter().map(|name| Parameter::new(name)).collect();
    match (map.ignore_query.is_empty(), map.keep_query.iter().next()) {
        (true, None) => Query::All,
        (false, None) => Query::Ignore(names(&map.ignore_query)),
        (true, Some(_)) => Query::Keep(names(&map.keep_query)),
        (false, Some(first)) => {
            let what = "`ignore_query` and `keep_query` are both written";
            faults.error(codes::BAD_POLICY, first.span(), what).help("keep one of them");
            Query::All
        }
    }
}

fn rules(map: &CacheMap, key: &Spanned<String>, faults: &mut Diagnostics) -> Rules {
    let mut time = |name: &str, written: &Option<Spanned<values::Duration>>| {
        let written = written.as_ref()?;
        if written.get() > LONGEST {
            let what = format!("`{name}` of `{}` is longer than a year", **written);
            faults.error(codes::BAD_VALUE, written.span(), what).help("write at most 365d");
        }
        Some(written.get())
    };
    let rules = Rules {
        ttl: time("ttl", &map.ttl),
        negative_ttl: time("negative_ttl", &map.negative_ttl),
        while_revalidate: time("stale_while_revalidate", &map.stale_while_revalidate).unwrap_or_default(),
        if_error: time("stale_if_error", &map.stale_if_error).unwrap_or_default(),
        ttl_only: map.respect == Respect::TtlOnly,
        heuristic: map.heuristic,
        shared: map.shared,
    };
    if rules.ttl_only && rules.ttl.is_none() && rules.negative_ttl.is_none() {
        let what = "`respect: ttl_only` without a `ttl` keeps nothing";
        faults.error(codes::BAD_POLICY, key.span(), what).help("write `ttl: 60s`, or `respect: full`");
    }
    rules
}
