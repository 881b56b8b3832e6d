//! `rewrite`: another path, query or host for the service.
//!
//! Takes the canonical path and the query as it came; writes into the plan what the service gets. Routing, policies, logs
//! and metrics go on seeing what the client sent. Must never let a request choose a path that the configuration does not
//! lead to: what comes out is as canonical as what came in, and no source can bring in a segment of its own.

mod fill;
pub mod location;
mod path;
pub(super) mod query;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Pairs, Regex, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::http::host::canonical_host;
use crate::values::Template;

/// Sends another path, query or host to the service: a new path as text, or a map of changes.
///
/// Sources such as `{path.id}`, `{query.q}` or `{header.x-tenant}` are filled in. `{path.*}` is the rest behind the star of
/// the route, `{path}` the whole path. Parts of the path are put in as they came, percent-encoded; other sources are
/// encoded, so that none can bring in a `/`, `?` or `#`. A path that lacks one of its sources, or whose parts put together
/// make a `.` or `..` segment, gets 400 with the reason `rewrite_refused`. The query stays unless `query` changes it.
///
/// ```yaml
/// rewrite:
///   strip_prefix: /api
///   add_prefix: /v2
///   query: { set: { tenant: "{header.x-tenant}" }, remove: [debug, utm_*] }
/// ```
///
/// ```yaml
/// rewrite: /users/{path.*}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "Rewrite")]
pub enum Rewrite {
    /// The new path, as `path` of the long form.
    Text(Spanned<Template>),
    /// What is changed.
    Map(Box<Changes>),
}

impl Serialize for Rewrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Rewrite::Text(path) => path.serialize(serializer),
            Rewrite::Map(changes) => changes.serialize(serializer),
        }
    }
}

/// What a rewrite changes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "RewriteChanges")]
pub struct Changes {
    /// The whole new path, such as `/users/{path.id}`. Not together with `strip_prefix`, `regex` or `add_prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Spanned<Template>>,
    /// Whole segments that are taken from the beginning of the path, the first of a list that is there: `/api` is taken
    /// from `/api` and `/api/x`, never from `/apis`. Another path stays as it is.
    strip_prefix: OneOrMany<Spanned<String>>,
    /// Every match of a regular expression in the path, after `strip_prefix`, is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<Replacement>,
    /// Segments that are put before the path, after all else, such as `/v2` or `/tenants/{header.x-tenant}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    add_prefix: Option<Spanned<Template>>,
    /// The `Host` that the service gets, with its port where it has one. It holds instead of the `host` of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Spanned<Template>>,
    /// Changes to the query.
    query: QueryChanges,
}

/// A regular expression and what its matches become.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Replacement {
    /// The expression, in the syntax of the Rust crate `regex`; it matches anywhere unless it says `^` and `$`.
    r#match: Regex,
    /// What a match becomes: `$1` is the first group, `$name` the group of that name, `$0` the match.
    replace: Spanned<String>,
}

/// Changes to the query: first `remove` of what came, then `rename`, `set` and `add`. Names and values are written plain; the gateway encodes
/// them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct QueryChanges {
    /// Parameters that stand there once afterwards. One whose value is nothing but sources without text is left out.
    set: Pairs<String, Template>,
    /// Parameters that are added behind those that are there, several from a list.
    add: Pairs<String, OneOrMany<Template>>,
    /// Parameters that get another name, in their place: `q: search`.
    rename: Pairs<String, String>,
    /// Parameters that go: a name, the beginning of names and a `*`, or `*` for all.
    remove: OneOrMany<String>,
}

impl Settings for Rewrite {
    const NAME: &'static str = "rewrite";
    // A request whose path cannot be rewritten has none that the service knows: there is nothing to let pass.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let changes = match self {
            Rewrite::Text(path) => Changes { path: Some(path), ..Changes::default() },
            Rewrite::Map(changes) => *changes,
        };
        if changes == Changes::default() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`rewrite` changes nothing");
            fault.help(
                "write a path, or one of `path`, `strip_prefix`, `regex`, `add_prefix`, `host`, `query`",
            );
            return None;
        }
        let before = faults.errors();
        let host = changes.host.as_ref().map(|host| (**host).clone());
        if let Some(host) = &changes.host {
            check_host(host, faults);
        }
        let query = query::Edits::new(&changes.query);
        let path = path::Change::new(changes, faults);
        (faults.errors() == before).then(|| Box::new(Compiled { path, query, host }) as Box<dyn Policy>)
    }
}

fn check_host(host: &Spanned<Template>, faults: &mut Diagnostics) {
    let sample = fill::sample(host, "x");
    if let Err(error) = canonical_host(sample.as_bytes(), &mut Vec::new()) {
        let what = format!("`{}` of `rewrite` is no host: {}", **host, error.reason());
        faults
            .error(codes::BAD_POLICY, host.span(), what)
            .help("write a name and a port, if any: users.internal:8080");
    }
}

/// The policy, ready to run.
struct Compiled {
    path: path::Change,
    query: query::Edits,
    host: Option<Template>,
}

/// Why there is no other path or host for this request, as a sentence for the client.
#[derive(Debug, PartialEq)]
struct Refused(&'static str);

impl Policy for Compiled {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let made = self.path.apply(exchange).and_then(|path| Ok((path, self.new_host(exchange)?)));
        match made {
            Ok((path, host)) => {
                exchange.plan.query = self.query.apply(exchange).or(exchange.plan.query.take());
                exchange.plan.path = path.or(exchange.plan.path.take());
                exchange.plan.host = host.or(exchange.plan.host.take());
                Verdict::Go
            }
            Err(Refused(detail)) => Verdict::answer(Answer::problem(400, "rewrite_refused", detail)),
        }
    }
}

impl Compiled {
    fn new_host(&self, exchange: &Exchange) -> Result<Option<Vec<u8>>, Refused> {
        let Some(template) = &self.host else { return Ok(None) };
        let written = fill::plain(exchange, template)?;
        let mut host = Vec::new();
        let port = canonical_host(&written, &mut host).map_err(|error| Refused(error.reason()))?;
        if let Some(port) = port {
            host.extend_from_slice(format!(":{port}").as_bytes());
        }
        Ok(Some(host))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};
    use crate::exchange::Exchange;

    /// What the service is asked for, after `rewrite: ..`; the reason when it is not.
    pub(super) fn rewritten(settings: &str, mut exchange: Exchange) -> String {
        if let Some(answer) = run(&format!("rewrite: {settings}"), &mut exchange) {
            assert_eq!(answer.status, 400);
            return answer.reason.to_owned();
        }
        let query = exchange.upstream_query().map(|query| format!("?{}", String::from_utf8_lossy(query)));
        String::from_utf8_lossy(exchange.upstream_path()).into_owned() + &query.unwrap_or_default()
    }

    #[test]
    fn the_host_is_another_one_or_none_at_all() {
        for (host, came, sent) in [
            ("Users.Internal:8080", "a", Some("users.internal:8080")),
            ("\"{header.x-tenant}.internal\"", "a", Some("a.internal")),
            ("\"{header.x-tenant}.internal\"", "", None),
            ("\"{header.x-tenant}.internal\"", "a/b", None),
            ("\"{header.x-tenant}.internal\"", "a:1@b", None),
        ] {
            let mut exchange = asked("GET", "/", &[("X-Tenant", came)]);
            let answer = run(&format!("rewrite: {{ host: {host} }}"), &mut exchange);
            assert_eq!(
                answer.map(|answer| answer.reason),
                sent.is_none().then_some("rewrite_refused"),
                "{host}"
            );
            assert_eq!(exchange.plan.host.as_deref(), sent.map(str::as_bytes), "{host} {came}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_a_fault() {
        for (settings, message) in [
            (
                "{}",
                "`rewrite` changes nothing: write a path, or one of `path`, `strip_prefix`, `regex`, `add_prefix`, \
                 `host`, `query`",
            ),
            (
                "{ host: \"a b\" }",
                "`a b` of `rewrite` is no host: the host is not a name: write a name and a port, if any: \
                 users.internal:8080",
            ),
            (
                "users/{path.id}",
                "`users/{path.id}` of `rewrite` is no path: the path does not start with `/`: begin it with `/`",
            ),
            (
                "/users?id={path.id}",
                "`/users?id={path.id}` of `rewrite` is no path: the path holds a control byte, a space, `?` or `#` that \
                 is not escaped: parameters are written under `query: { set: { .. } }`",
            ),
            ("/a/../b", "`/a/../b` of `rewrite` is not in its canonical spelling: write `/b`"),
            (
                "{ path: /a, strip_prefix: /b }",
                "`path` of `rewrite` is the whole path and leaves nothing to change: keep it or the others",
            ),
            ("{ strip_prefix: / }", "`/` of `rewrite` is no prefix: write whole segments: /api"),
            (
                "{ strip_prefix: api }",
                "`api` of `rewrite` is no path: the path does not start with `/`: begin it with `/`",
            ),
            (
                "{ regex: { match: \"^/(a)\", replace: /$2 } }",
                "`$2` of `rewrite` is no group of `^/(a)`: write $0 to $1, or %24 for a dollar",
            ),
            (
                "{ regex: { match: \"^/(?<a>a)\", replace: /$b } }",
                "`$b` of `rewrite` is no group of `^/(?<a>a)`: write $0 to $1, or %24 for a dollar",
            ),
        ] {
            assert_eq!(fault(&format!("rewrite: {settings}")), message, "{settings}");
        }
    }
}
