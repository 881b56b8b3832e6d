//! A configuration made from an OpenAPI document: one route for each path.

use contract::{Api, Part, Segment, Template};

use crate::config::RouteKey;
use crate::values::TargetUrl;

/// What is made of a document.
pub(super) struct Made {
    pub(super) text: String,
    pub(super) routes: usize,
    /// What found no place, and why.
    pub(super) left_out: Vec<String>,
}

/// What is wanted.
pub(super) struct Wanted<'a> {
    /// The document as the configuration names it.
    pub(super) document: &'a str,
    /// The URL of the service.
    pub(super) to: Option<&'a str>,
    /// Whether answers are made up.
    pub(super) mock: bool,
}

/// The service for a document that names none.
const SOMEWHERE: &str = "http://127.0.0.1:3000";
/// The longest name.
const LONGEST: usize = 40;

/// Makes the configuration.
pub(super) fn configuration(api: &Api, wanted: &Wanted<'_>) -> Made {
    let service = name(&api.title);
    let (url, guessed) = match wanted.to.map(str::to_owned).or_else(|| origin(api)) {
        Some(url) => (url, false),
        None => (SOMEWHERE.to_owned(), true),
    };
    // The first server's: where there are more, the document is found by each of them.
    let base = api.servers.first().map_or(String::new(), |url| base_of(url));
    let (routes, left_out) = routes(api, &base);
    let mut text = format!(
        "# {}: made by `tidegate import openapi`.\nlisten: 127.0.0.1:8080\n",
        api.title.replace(['\n', '\r'], " ")
    );
    if !wanted.mock {
        let note = if guessed { "   # the document names no server" } else { "" };
        text.push_str(&format!("\nservices:\n  {service}: {}{note}\n", quoted(&url)));
    }
    text.push_str(&format!(
        "\npolicies:\n  contract:\n    openapi: {{ file: {}, answers: {} }}\n\nroutes:\n",
        quoted(wanted.document),
        // What is made up is as good as the document's examples.
        !wanted.mock
    ));
    let action = match wanted.mock {
        true => format!("mock: {}", quoted(wanted.document)),
        false => format!("to: {service}"),
    };
    for route in &routes {
        match route {
            Route::Key(key) => text.push_str(&format!("  {}: {{ {action}, use: contract }}\n", quoted(key))),
            Route::Regex { name, methods, regex } => text.push_str(&format!(
                "  {name}:\n    match: {{ methods: [{}], path: {{ regex: {} }} }}\n    {action}\n    use: contract\n",
                methods.join(", "),
                serde_json::Value::from(regex.as_str())
            )),
        }
    }
    if routes.is_empty() {
        text.push_str("  /*: { respond: 404 }\n");
    }
    Made { text, routes: routes.len(), left_out }
}

/// One route.
enum Route {
    /// All is said by its key.
    Key(String),
    /// A part of a segment is a name, which no key says.
    Regex { name: String, methods: Vec<String>, regex: String },
}

fn routes(api: &Api, base: &str) -> (Vec<Route>, Vec<String>) {
    let (mut routes, mut left_out) = (Vec::new(), Vec::new());
    // Paths that differ in nothing but names are one route.
    let mut paths: Vec<(String, Template, Vec<String>)> = Vec::new();
    for operation in &api.operations {
        if operation.method == "TRACE" {
            left_out.push(format!("TRACE {}: the gateway refuses this method", operation.path.text));
            continue;
        }
        let same = pattern(base, &operation.path, &mut |_| "{}".to_owned());
        match paths.iter_mut().find(|(known, ..)| *known == same) {
            Some((.., methods)) if methods.contains(&operation.method) => {
                let told = format!("{} {}", operation.method, operation.path.text);
                left_out.push(format!("{told}: another path takes the same requests"));
            }
            Some((.., methods)) => methods.push(operation.method.clone()),
            None => paths.push((same, operation.path.clone(), vec![operation.method.clone()])),
        }
    }
    for (number, (_, template, methods)) in paths.into_iter().enumerate() {
        let mut seen: Vec<String> = Vec::new();
        let path = pattern(base, &template, &mut |name| {
            let mut own: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
            while seen.contains(&own) {
                own.push('_');
            }
            seen.push(own.clone());
            format!("{{{own}}}")
        });
        let key = format!("{} {path}", methods.join(","));
        if key.parse::<RouteKey>().is_ok() {
            routes.push(Route::Key(key));
            continue;
        }
        let own = format!("{}-{number}", name(&template.text));
        routes.push(Route::Regex { name: own, methods, regex: expression(base, &template) });
    }
    (routes, left_out)
}

/// The path as a route key has it.
fn pattern(base: &str, template: &Template, name: &mut dyn FnMut(&str) -> String) -> String {
    let segments = template.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Name(own) => name(own),
        Segment::Mixed(parts) => {
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Name(own) => name(own),
            };
            parts.iter().map(part).collect()
        }
    });
    let segments: Vec<String> = segments.collect();
    format!("{base}/{}", segments.join("/"))
}

/// The path as an expression over canonical paths.
fn expression(base: &str, template: &Template) -> String {
    let literal = |text: &str| regex::escape(&encoded(text));
    let segments = template.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => literal(text),
        Segment::Name(_) => "[^/]+".to_owned(),
        Segment::Mixed(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => literal(text),
                Part::Name(_) => "[^/]+".to_owned(),
            })
            .collect(),
    });
    let segments: Vec<String> = segments.collect();
    format!("{}/{}", regex::escape(base), segments.join("/"))
}

/// A literal as it stands in a canonical path.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
        if plain { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

/// Where the first server is, without its path, where it is one that can be a target.
fn origin(api: &Api) -> Option<String> {
    let url = api.servers.first()?;
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let origin = format!("{scheme}://{authority}");
    origin.parse::<TargetUrl>().ok().map(|_| origin)
}

/// The path of a URL, without a `/` at the end.
fn base_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// A text as a name: `Shop API v2` as `shop-api-v2`.
fn name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(LONGEST * 2) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    let name: String = name.chars().take(LONGEST).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "api".to_owned() } else { name.to_owned() }
}

/// A text as YAML.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/{}_.,~+=%- ".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_word = ["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let safe = starts && !is_word && text.chars().all(plain) && !text.ends_with(' ');
    // In a map on one line, braces and commas end a plain text.
    if safe { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
