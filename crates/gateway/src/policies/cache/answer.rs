//! A kept answer as the answer of an exchange: whole, not modified, a part, or only its head (RFC 9111 section 4,
//! RFC 9110 sections 13 and 14), and what is said of it in `Age` and `Cache-Status` (RFC 9211).

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use http1::{Field, FieldId, Fields, Framing, Method, Name, names};

use super::entry::Entry;
use super::rules::{date, parse_date};
use crate::exchange::Exchange;
use crate::http::list::elements;

/// Makes a kept answer that of the exchange.
pub(super) fn give(exchange: &mut Exchange, entry: &Entry, now: u64) {
    let Exchange { request, response, .. } = exchange;
    response.clear();
    response.fields.copy_from(&entry.fields);
    response.fields.push(names::AGE, itoa::Buffer::new().format(entry.age(now).as_secs()).as_bytes());
    let mut body = entry.body.clone();
    // Conditions are about a good answer only (RFC 9110 section 13.2.1).
    let status = if entry.status != 200 {
        entry.status
    } else if is_not_modified(&request.fields, &entry.fields) {
        response.fields.retain(|field| !is_of_the_body(field, &entry.fields));
        body = Bytes::new();
        304
    } else {
        match range(request.method, &request.fields, entry) {
            Part::Whole => 200,
            Part::Of(range) => {
                say_range(&mut response.fields, &range, entry.body.len());
                body = entry.body.slice(range);
                206
            }
            Part::None => {
                response.fields.clear();
                let text = format!("bytes */{}", entry.body.len());
                response.fields.push(names::CONTENT_RANGE, text.as_bytes());
                body = Bytes::new();
                416
            }
        }
    };
    response.set_status(status);
    response.framing = match status {
        204 | 304 => Framing::None,
        _ => Framing::Length(body.len() as u64),
    };
    response.fields.push(names::X_REQUEST_ID, exchange.id.as_bytes());
    exchange.instead = Some(body);
}

/// What says something of a body, and so nothing of an answer without one (RFC 9110 section 15.4.5).
fn is_of_the_body(field: Field<'_>, kept: &Fields) -> bool {
    use FieldId::{
        ContentDisposition, ContentEncoding, ContentLanguage, ContentLength, ContentRange, ContentType,
    };
    match field.id {
        ContentType | ContentEncoding | ContentLanguage | ContentRange | ContentLength
        | ContentDisposition => true,
        FieldId::LastModified => kept.contains(names::ETAG),
        _ => false,
    }
}

/// Whether the client has this answer already (RFC 9110 sections 13.1.2 and 13.1.3).
fn is_not_modified(request: &Fields, kept: &Fields) -> bool {
    if request.contains(names::IF_NONE_MATCH) {
        let tag = kept.get(names::ETAG);
        let mut asked = request.get_all(names::IF_NONE_MATCH).flat_map(elements);
        return asked.any(|one| one == b"*" || tag.is_some_and(|tag| weak(one) == weak(tag)));
    }
    let Some(since) = request.get(names::IF_MODIFIED_SINCE).and_then(parse_date) else { return false };
    // Without a date of its last change, an answer was so at the latest when it was made (RFC 9111 section 4.3.2).
    let changed = date(kept, names::LAST_MODIFIED).or_else(|| date(kept, names::DATE));
    changed.is_some_and(|changed| changed <= since)
}

/// What two tags must have in common to mean the same (RFC 9110 section 8.8.3.2).
pub(super) fn weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// What of a body is asked for.
enum Part {
    Whole,
    Of(Range<usize>),
    /// Nothing that there is.
    None,
}

fn range(method: Method, request: &Fields, entry: &Entry) -> Part {
    let Some(range) = request.get(names::RANGE).filter(|_| method == Method::Get) else { return Part::Whole };
    if !still_holds(request, &entry.fields) {
        return Part::Whole;
    }
    let spec = range.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="));
    let Some(spec) = spec.and_then(|(_, spec)| std::str::from_utf8(spec).ok()) else { return Part::Whole };
    // Several parts would be a multipart; a server may leave ranges alone (RFC 9110 section 14.2).
    let Some((first, last)) = spec.trim().split_once('-').filter(|_| !spec.contains(',')) else {
        return Part::Whole;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Part::Whole;
    }
    let length = entry.body.len();
    let number = |text: &str| text.parse().unwrap_or(usize::MAX);
    if first.is_empty() {
        return match number(last) {
            0 => Part::None,
            _ if length == 0 => Part::None,
            last => Part::Of(length.saturating_sub(last)..length),
        };
    }
    let (first, last) = (number(first), if last.is_empty() { usize::MAX } else { number(last) });
    match () {
        () if last < first => Part::Whole,
        () if first >= length => Part::None,
        () => Part::Of(first..last.saturating_add(1).min(length)),
    }
}

/// Whether the client's part is one of this answer (RFC 9110 section 13.1.5): by a strong tag or the exact date.
fn still_holds(request: &Fields, kept: &Fields) -> bool {
    let Some(condition) = request.get(names::IF_RANGE) else { return true };
    match condition.first() {
        Some(b'"') => kept.get(names::ETAG) == Some(condition),
        Some(b'W') if condition.starts_with(b"W/") => false,
        _ => {
            let (asked, changed) = (parse_date(condition), date(kept, names::LAST_MODIFIED));
            asked.is_some() && asked == changed
        }
    }
}

fn say_range(fields: &mut Fields, range: &Range<usize>, length: usize) {
    let last = range.end.saturating_sub(1);
    fields.set(names::CONTENT_RANGE, format!("bytes {}-{last}/{length}", range.start).as_bytes());
}

/// What `Cache-Status` says of an answer (RFC 9211 section 2).
#[derive(Default)]
pub(super) struct Status<'a> {
    /// Why the service was asked; empty for a hit.
    pub forward: &'static str,
    /// What it said, where that is not what the client gets.
    pub forward_status: Option<u16>,
    /// Seconds that the answer is still fresh, or has not been.
    pub ttl: Option<i64>,
    pub stored: bool,
    pub collapsed: bool,
    pub detail: &'a str,
}

impl Status<'_> {
    /// Adds what is said behind what others on the way have said.
    pub(super) fn tell(&self, fields: &mut Fields) {
        let mut text: Vec<u8> = Vec::with_capacity(64);
        text.extend_from_slice(b"tidegate");
        // Writing to a vector cannot fail.
        if self.forward.is_empty() {
            text.extend_from_slice(b"; hit");
        } else {
            let _ = write!(text, "; fwd={}", self.forward);
        }
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if let Some(ttl) = self.ttl {
            text.extend_from_slice(b"; ttl=");
            text.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
        }
        for (is, word) in [(self.stored, "; stored"), (self.collapsed, "; collapsed")] {
            text.extend_from_slice(if is { word.as_bytes() } else { b"" });
        }
        if !self.detail.is_empty() {
            let _ = write!(text, "; detail={}", self.detail);
        }
        if let Ok(name) = Name::new(b"Cache-Status") {
            fields.push(name, &text);
        }
    }
}

/// The seconds for `ttl`.
pub(super) fn ttl(entry: &Entry, now: u64) -> Option<i64> {
    let (fresh, age) = (entry.life.fresh.as_secs(), entry.age(now).as_secs());
    i64::try_from(fresh).ok()?.checked_sub(i64::try_from(age).ok()?)
}
