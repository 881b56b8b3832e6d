//! The text that a signature is made over (RFC 9421 section 2.5).
//!
//! Takes what the request is to the gateway: the canonical path that is routed and sent on, so that nothing else can be
//! signed than what is done (section 2.2.6 wants the normal form as well). A component that is not there, or of a kind that
//! is not known, makes the signature bad.

use http1::{Framing, names};

use super::Signed;
use super::structured::{Bare, Item, write_list};
use crate::exchange::Exchange;
use crate::exchange::source::decoded;

/// The signature base; the component that stands in the way where there is none.
///
/// # Errors
/// The name of the component that is unknown, missing, or there twice.
pub fn base(exchange: &Exchange, signed: &Signed) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(512);
    let mut done: Vec<&Item> = Vec::with_capacity(signed.covered.len());
    for item in &signed.covered {
        let mut name = String::new();
        item.write(&mut name);
        if done.contains(&item) {
            return Err(name);
        }
        done.push(item);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        if write_value(exchange, item, &mut out).is_none() {
            return Err(name);
        }
        out.push(b'\n');
    }
    let mut params = String::new();
    write_list(&signed.covered, &signed.params, &mut params);
    out.extend_from_slice(b"\"@signature-params\": ");
    out.extend_from_slice(params.as_bytes());
    Ok(out)
}

/// Writes the value of a component; none where there is no such.
fn write_value(exchange: &Exchange, item: &Item, out: &mut Vec<u8>) -> Option<()> {
    let name = item.text()?;
    if name == "@query-param" {
        let Some(Bare::Text(wanted)) = item.params.get("name").filter(|_| item.params.len() == 1) else {
            return None;
        };
        return write_parameter(exchange, wanted, out);
    }
    // Other forms of a field (`sf`, `key`, `bs`, `tr`, `req`) are not known.
    if !item.params.is_empty() {
        return None;
    }
    match name {
        "@method" => out.extend_from_slice(exchange.request.method_text()),
        "@scheme" => out.extend_from_slice(scheme(exchange)),
        "@authority" => write_authority(exchange, out)?,
        "@path" => out.extend_from_slice(&exchange.path),
        "@query" => write_query(exchange, out),
        "@target-uri" => {
            out.extend_from_slice(scheme(exchange));
            out.extend_from_slice(b"://");
            write_authority(exchange, out)?;
            out.extend_from_slice(&exchange.path);
            if exchange.has_query {
                write_query(exchange, out);
            }
        }
        field => write_field(exchange, field, out)?,
    }
    Some(())
}

fn scheme(exchange: &Exchange) -> &'static [u8] {
    if exchange.client.https { b"https" } else { b"http" }
}

/// Host and port in lower case, without the usual port of the scheme (section 2.2.3).
fn write_authority(exchange: &Exchange, out: &mut Vec<u8>) -> Option<()> {
    let host = exchange.request.fields.get(names::HOST)?;
    let usual: &[u8] = if exchange.client.https { b":443" } else { b":80" };
    let host = host.strip_suffix(usual).unwrap_or(host);
    out.extend(host.iter().map(u8::to_ascii_lowercase));
    Some(())
}

/// The query behind its question mark; that alone where there is none (section 2.2.7).
fn write_query(exchange: &Exchange, out: &mut Vec<u8>) {
    out.push(b'?');
    out.extend_from_slice(&exchange.query);
}

/// The one parameter of this name, encoded anew (section 2.2.8). One that stands twice is none.
fn write_parameter(exchange: &Exchange, wanted: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut values = exchange.query.split(|byte| *byte == b'&').filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at_checked(equals)?;
        (encoded(&decoded(name)) == wanted).then(|| decoded(value.get(1..).unwrap_or_default()))
    });
    let (value, second) = (values.next()?, values.next());
    out.extend_from_slice(encoded(&value).as_bytes());
    second.is_none().then_some(())
}

/// Percent-encoded with the set for forms (WHATWG URL), spaces as `%20`.
fn encoded(text: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match plain(*byte) {
            true => out.push(char::from(*byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A field, its lines in order with a comma between (section 2.1).
fn write_field(exchange: &Exchange, name: &str, out: &mut Vec<u8>) -> Option<()> {
    if name.starts_with('@') || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut lines =
        exchange.request.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    let Some(first) = lines.next() else {
        // It was taken out with what belongs to the connection; what it said is the framing.
        let (Framing::Length(length), "content-length") = (exchange.request.framing, name) else {
            return None;
        };
        out.extend_from_slice(length.to_string().as_bytes());
        return Some(());
    };
    out.extend_from_slice(first.value);
    for line in lines {
        out.extend_from_slice(b", ");
        out.extend_from_slice(line.value);
    }
    Some(())
}
