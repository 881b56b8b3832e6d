//! What may be shown of a request: every text of it without its secrets.
//!
//! Takes fields and targets; gives text. Values of credentials, of cookies and of whatever is a secret by its name
//! become `***`.

use http1::{Field, FieldId, Fields, Name, RequestHead};

use crate::observe::redact::Redaction;

const MASK: &str = "***";

/// Bytes as text; what is no UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All field lines.
pub(super) fn lines(fields: &Fields) -> Vec<(String, String)> {
    fields.iter().map(|field| (text(field.name), value(&field))).collect()
}

/// The value of a field.
pub(super) fn value(field: &Field<'_>) -> String {
    use FieldId::{Authorization, Cookie, ProxyAuthorization, SetCookie, XApiKey};
    match field.id {
        Authorization | ProxyAuthorization => scheme(field.value),
        Cookie => cookies(field.value),
        SetCookie | XApiKey => MASK.to_owned(),
        // Other well-known names are no secrets, whatever they end with: `Access-Control-Allow-Credentials`.
        FieldId::Other if Redaction::default().is_secret(field.name) => MASK.to_owned(),
        _ => text(field.value),
    }
}

/// `Bearer ***`: which scheme was used helps, what stands behind it is nobody's business.
fn scheme(value: &[u8]) -> String {
    let space = value.iter().position(|byte| *byte == b' ');
    match space.and_then(|at| value.get(..at)) {
        Some(scheme) if scheme.iter().all(u8::is_ascii_alphanumeric) => format!("{} {MASK}", text(scheme)),
        _ => MASK.to_owned(),
    }
}

fn cookies(value: &[u8]) -> String {
    let pairs = value.split(|byte| *byte == b';').map(|pair| {
        let mut parts = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
        match (parts.next(), parts.next()) {
            (Some(name), Some(_)) => format!("{}={MASK}", text(name)),
            _ => MASK.to_owned(),
        }
    });
    pairs.collect::<Vec<_>>().join("; ")
}

/// A query, without its question mark.
pub(super) fn query(query: &[u8]) -> String {
    let mut out = Vec::new();
    Redaction::default().query(&mut out, query);
    text(&out)
}

/// A request target.
pub(super) fn target(target: &[u8]) -> String {
    match target.iter().position(|byte| *byte == b'?').and_then(|at| target.split_at_checked(at)) {
        Some((path, rest)) => format!("{}?{}", text(path), query(rest.get(1..).unwrap_or_default())),
        None => text(target),
    }
}

/// A head that says the same, but for its secrets.
pub(super) fn head(head: &RequestHead) -> RequestHead {
    let mut copy = head.clone();
    copy.set_target(target(head.target()).as_bytes());
    copy.fields.clear();
    for field in head.fields.iter() {
        if let Ok(name) = Name::new(field.name) {
            copy.fields.push(name, value(&field).as_bytes());
        }
    }
    copy
}
