//! The one answer made of all as JSON: an object with the parts' names, or what a template of JSON says.
//!
//! Takes what came of the parts; gives JSON made of their own texts. A part that is missing is left out of the object and is
//! `null` in a template.

use std::collections::HashSet;

use bytes::Bytes;

use super::document::{Document, Refused};
use super::skeleton::{Skeleton, string};
use super::text::{Known, Unfilled};
use super::{Aggregate, Got, Part, Select, State};

/// The body that a template of JSON says.
///
/// # Errors
/// A value that it asks for is ambiguous.
pub fn filled(skeleton: &Skeleton, known: &Known<'_>) -> Result<Vec<u8>, Unfilled> {
    let mut out = Vec::with_capacity(room(known));
    skeleton.write(known, &mut out)?;
    Ok(out)
}

/// About as many bytes as the whole will have.
fn room(known: &Known<'_>) -> usize {
    let size: usize = known.states.iter().filter_map(State::got).map(|got| got.body.len()).sum();
    size.saturating_add(256)
}

/// The body with the parts' names.
pub fn object(aggregate: &Aggregate, known: &Known<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(room(known));
    out.push(b'{');
    let mut taken: HashSet<Vec<u8>> = HashSet::new();
    let flattens = aggregate.parts.iter().any(|part| part.flatten);
    let mut member = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        // Names of parts differ; only keys of answers can meet others. The part that stands first in the file has them.
        if flattens && !taken.insert(super::document::plain(name).unwrap_or_default()) {
            return;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
        out.extend_from_slice(value);
    };
    for (part, got) in
        aggregate.parts.iter().zip(known.states).filter_map(|(part, state)| Some((part, state.got()?)))
    {
        let members = got.document.as_ref().filter(|_| part.flatten).and_then(Document::members);
        match members {
            Some(members) => {
                for (name, value) in members {
                    member(&mut out, name, value);
                }
            }
            None => member(&mut out, &part.quoted, &got.body),
        }
    }
    out.push(b'}');
    out
}

/// What counts of a part's answer, as it will stand in the whole.
///
/// # Errors
/// It is no JSON within the bounds, or what is selected is ambiguous.
pub fn got(part: &Part, status: u16, body: Bytes) -> Result<Got, Refused> {
    if body.is_empty() {
        return Ok(Got { status, body: Bytes::from_static(b"null"), document: None });
    }
    let reads = part.is_read || part.flatten;
    let body = match &part.select {
        Select::All if reads && part.each.is_none() => {
            let document = Document::new(body.clone(), part.bounds)?;
            return Ok(Got { status, body: trimmed(body), document: Some(document) });
        }
        Select::All => {
            super::document::check(&body, part.bounds)?;
            trimmed(body)
        }
        Select::One(path) => {
            let document = Document::new(body.clone(), part.bounds)?;
            let raw = document.find(&path.0)?.unwrap_or(b"null");
            Bytes::copy_from_slice(raw)
        }
        Select::Some(wanted) => {
            let document = Document::new(body.clone(), part.bounds)?;
            let mut object = vec![b'{'];
            for (name, path) in wanted {
                let Some(raw) = document.find(&path.0)? else { continue };
                if object.len() > 1 {
                    object.push(b',');
                }
                string(name.as_bytes(), &mut object);
                object.push(b':');
                object.extend_from_slice(raw);
            }
            object.push(b'}');
            Bytes::from(object)
        }
    };
    let document = match reads && part.each.is_none() {
        true => Some(Document::new(body.clone(), part.bounds)?),
        false => None,
    };
    Ok(Got { status, body, document })
}

/// What stands in the place of a part that failed.
///
/// # Errors
/// It is wider or deeper than an answer may be.
pub fn standing(part: &Part, body: Bytes) -> Result<Got, Refused> {
    let reads = (part.is_read || part.flatten) && part.each.is_none();
    let document = reads.then(|| Document::new(body.clone(), part.bounds)).transpose()?;
    Ok(Got { status: 200, body, document })
}

/// The answers of a fan-out as one list, in the order of its elements.
///
/// # Errors
/// It is wider than one answer may be.
pub fn list(part: &Part, answers: &[Option<Got>]) -> Result<Got, Refused> {
    let mut body = vec![b'['];
    let mut status = 200;
    for (nth, answer) in answers.iter().enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        match answer {
            Some(got) => {
                body.extend_from_slice(&got.body);
                status = status.max(got.status);
            }
            None => body.extend_from_slice(b"null"),
        }
    }
    body.push(b']');
    let body = Bytes::from(body);
    let document = part.is_read.then(|| Document::new(body.clone(), part.bounds)).transpose()?;
    Ok(Got { status, body, document })
}

/// Without space around it.
fn trimmed(body: Bytes) -> Bytes {
    match body.trim_ascii() {
        bare if bare.len() == body.len() => body,
        bare => body.slice_ref(bare),
    }
}
