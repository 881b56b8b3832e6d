//! Makes a response of an answer or a fault: the only place that does.
//!
//! Takes the exchange and what is to be said; fills `exchange.response` and gives the body's bytes. Problem details
//! follow RFC 9457, `Proxy-Status` RFC 9209. Nothing that a client sent is repeated in a body, and nothing names
//! what is behind the gateway.

use std::sync::Arc;

use http1::{Framing, ResponseHead, names};
use serde_json::json;

use super::Fault;
use crate::exchange::{Answer, Body, Exchange};

/// Prefix of the stable problem types; each is explained in `docs/faults.md` of the release.
const TYPE_PREFIX: &str = "urn:tidegate:problem:";

/// Puts a fault into `exchange.response`; the bytes are its body.
pub fn respond_fault(exchange: &mut Exchange, fault: &Fault) -> Arc<[u8]> {
    let facts = fault.facts();
    let mut answer = Answer::problem(facts.status, facts.code, facts.detail.clone());
    if !facts.proxy_error.is_empty() {
        answer = answer.with("Proxy-Status", format!("tidegate; error={}", facts.proxy_error));
    }
    match fault {
        Fault::MethodNotAllowed(allowed) => answer = answer.with("Allow", allowed.as_str()),
        // RFC 9110 section 15.5.6 wants an Allow: what routes may take at all.
        Fault::MethodRefused(_) => {
            answer = answer.with("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        }
        Fault::Overloaded | Fault::ServiceFull => answer = answer.with("Retry-After", "1"),
        Fault::CircuitOpen(seconds) => answer = answer.with("Retry-After", seconds.to_string()),
        _ => {}
    }
    respond(exchange, &answer)
}

/// Puts an answer into `exchange.response`; the bytes are its body.
pub fn respond(exchange: &mut Exchange, answer: &Answer) -> Arc<[u8]> {
    if let Some(none) = super::call::respond(exchange, answer) {
        return none;
    }
    exchange.record.reason = answer.reason;
    // What is said here is nothing of the service's to be shaped.
    if let Some(shaping) = &mut exchange.shaping {
        (shaping.answer, shaping.refused) = (None, true);
    }
    exchange.response.clear();
    exchange.response.set_status(answer.status);
    let bytes = match &answer.body {
        Body::Empty => Arc::from([]),
        Body::Bytes { content_type, bytes } => {
            exchange.response.fields.push(names::CONTENT_TYPE, content_type.as_bytes());
            bytes.clone()
        }
        Body::Problem(_) | Body::Typed(_) => {
            let (content_type, text) = problem(exchange, answer);
            exchange.response.fields.push(names::CONTENT_TYPE, content_type.as_bytes());
            exchange.response.fields.push(names::CACHE_CONTROL, b"no-store");
            Arc::from(text.into_bytes())
        }
    };
    for (name, value) in &answer.fields {
        exchange.response.fields.push(name.as_name(), value);
    }
    exchange.response.fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
    frame(&mut exchange.response, bytes.len());
    bytes
}

fn frame(head: &mut ResponseHead, length: usize) {
    head.framing = match head.status {
        100..=199 | 204 | 304 => Framing::None,
        _ => Framing::Length(length as u64),
    };
}

/// The three forms of a problem; the client's `Accept` chooses.
fn problem(exchange: &Exchange, answer: &Answer) -> (&'static str, String) {
    let own_kind = || format!("{TYPE_PREFIX}{}", answer.reason);
    let own_title = http1::canonical_reason(answer.status);
    let (kind, title, detail, members) = match &answer.body {
        Body::Typed(typed) => {
            (typed.kind.to_owned(), typed.title, typed.detail.as_str(), typed.members.as_slice())
        }
        Body::Problem(detail) => (own_kind(), own_title, detail.as_str(), &[][..]),
        Body::Empty | Body::Bytes { .. } => (own_kind(), own_title, "", &[][..]),
    };
    let id = exchange.id.as_str();
    match preferred(exchange.request.fields.get(names::ACCEPT)) {
        Form::Json => {
            let mut text = json!({
                "type": kind, "title": title, "status": answer.status, "detail": detail, "instance": id,
            });
            if let Some(object) = text.as_object_mut() {
                object.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            }
            ("application/problem+json", format!("{text}\n"))
        }
        Form::Text => (
            "text/plain; charset=utf-8",
            format!("{} {title}: {detail}\n{kind}\nrequest {id}\n", answer.status),
        ),
        Form::Html => ("text/html; charset=utf-8", html(answer.status, title, detail, id)),
    }
}

fn html(status: u16, title: &str, detail: &str, id: &str) -> String {
    let (title, detail, id) = (escape(title), escape(detail), escape(id));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status} {title}</title>\
         <h1>{status} {title}</h1><p>{detail}</p><p><small>request <code>{id}</code></small></p></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Json,
    Html,
    Text,
}

/// Chooses by `Accept` (RFC 9110 section 12.5.1) with the highest weight; JSON when nothing is said or in doubt.
fn preferred(accept: Option<&[u8]>) -> Form {
    let Some(accept) = accept.and_then(|value| std::str::from_utf8(value).ok()) else { return Form::Json };
    let mut best = (0.0, Form::Json);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "text/html" | "application/xhtml+xml" => Form::Html,
            "text/plain" | "text/*" => Form::Text,
            "application/problem+json" | "application/json" | "application/*" | "*/*" => Form::Json,
            _ => continue,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0));
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_form() {
        for (accept, form) in [
            (None, Form::Json),
            (Some(""), Form::Json),
            (Some("*/*"), Form::Json),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Form::Html),
            (Some("text/plain"), Form::Text),
            (Some("text/html;q=0.5, application/json"), Form::Json),
            (Some("text/html;q=0, text/plain;q=0.1"), Form::Text),
            (Some("image/png"), Form::Json),
        ] {
            assert_eq!(preferred(accept.map(str::as_bytes)), form, "{accept:?}");
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let mut exchange = Exchange::default();
        let body = respond_fault(&mut exchange, &Fault::MethodNotAllowed("GET, HEAD".into()));
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "urn:tidegate:problem:method_not_allowed");
        assert_eq!(
            (problem["status"].as_u64(), problem["title"].as_str()),
            (Some(405), Some("Method Not Allowed"))
        );
        assert_eq!(
            exchange.response.fields.get(http1::Name::new(b"allow").unwrap()),
            Some(&b"GET, HEAD"[..])
        );
        assert_eq!(exchange.response.framing, Framing::Length(body.len() as u64));
    }

    #[test]
    fn markup_in_a_sentence_stays_text() {
        assert!(html(400, "Bad", "<script>", "\"").contains("&lt;script&gt;"));
    }
}
