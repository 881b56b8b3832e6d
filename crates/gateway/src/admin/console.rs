//! The web console: files that were built into the program.
//!
//! They hold no secret, so everybody who reaches the admin address may have them; what they show is asked for with a
//! session. Nothing inline runs and nothing is fetched from elsewhere: the policy of content says so to browsers.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Names and contents, as `build.rs` found them; none where the console was not built.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// What browsers may do with a page of the console.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Shown where there is no console.
const ABSENT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tidegate</title><h1>Tidegate</h1>\
    <p>The console was not built into this program. With Node 20.19 or later:</p>\
    <pre>npm --prefix console ci\nnpm --prefix console run build\ncargo build --release</pre>\
    <p>The admin API works without it: <a href=\"/readyz?verbose\">readiness</a>, <a href=\"/metrics\">metrics</a>, \
    and all of <code>/api/v1</code> with a token.</p></html>\n";

/// The page that everything begins with.
pub(super) async fn index(headers: HeaderMap) -> Response {
    match file("index.html", &headers, false) {
        Some(response) => response,
        None => secured(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], ABSENT).into_response()),
    }
}

/// A file in the folder of the console's pages.
pub(super) async fn page_file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    // Their names are made of what is in them: what is under a name never changes.
    let found = file(&format!("assets/{name}"), &headers, true);
    found.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// The icon.
pub(super) async fn icon(headers: HeaderMap) -> Response {
    file("icon.svg", &headers, false).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

fn file(name: &str, headers: &HeaderMap, forever: bool) -> Option<Response> {
    let (_, content) = FILES.iter().find(|(own, _)| *own == name)?;
    let content: &'static [u8] = content;
    let tag = format!("\"{}\"", tag(content));
    let caching = if forever { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) == Some(&tag);
    let fields = [(header::ETAG, tag), (header::CACHE_CONTROL, caching.to_owned())];
    if known {
        return Some((StatusCode::NOT_MODIFIED, fields).into_response());
    }
    Some(secured((fields, [(header::CONTENT_TYPE, kind(name))], content).into_response()))
}

fn secured(mut response: Response) -> Response {
    let fields = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// A fingerprint of a content that costs nothing to speak of: not against anybody's will.
fn tag(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}
