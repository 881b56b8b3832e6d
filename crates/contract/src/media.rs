//! Media types: which of those that a document names is that of a body, and how such a body is read.

/// How a body of a media type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// As JSON.
    Json,
    /// As a form of names and texts.
    Form,
    /// Not at all: only its type counts.
    Other,
}

/// The type and subtype of a value of `Content-Type`, in lower case.
pub(crate) fn essence(value: &[u8]) -> String {
    let plain = value.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(plain).trim().to_ascii_lowercase()
}

/// How a body of this type is read.
pub(crate) fn kind(essence: &str) -> MediaKind {
    if essence == "application/json" || essence == "text/json" || essence.ends_with("+json") {
        return MediaKind::Json;
    }
    if essence == "application/x-www-form-urlencoded" { MediaKind::Form } else { MediaKind::Other }
}

/// How exactly a type of a document is that of a body: the larger the better; `None` when it is not.
pub(crate) fn fits(wanted: &str, essence: &str) -> Option<u8> {
    let wanted = self::essence(wanted.as_bytes());
    if wanted == essence {
        return Some(3);
    }
    if wanted == "*/*" || wanted == "*" {
        return Some(1);
    }
    let (kind, rest) = wanted.split_once('/')?;
    let (own, subtype) = essence.split_once('/')?;
    match rest.strip_prefix('*') {
        Some("") => (kind == own).then_some(2),
        Some(suffix) => (kind == own && subtype.ends_with(suffix)).then_some(2),
        None => None,
    }
}

/// The names and texts of a form or a query, decoded.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || decoded(halves.next().unwrap_or_default());
        (half(), half())
    })
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8_lossy(&crate::document::percent_decoded(&spaced)).into_owned()
}
