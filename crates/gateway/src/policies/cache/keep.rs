//! Keeps an answer while it goes out: takes a copy of each piece, and keeps all of it once it is whole.
//!
//! Dropped before the end, nothing is kept: what was cut must never pass for an answer (C7).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http1::{FieldId, Fields, Framing, Name, NameBuf, names};

use super::entry::{Entry, Groups, now};
use super::flight::Leader;
use super::key::selecting;
use super::rules::Life;
use super::store::{Held, Store};
use crate::exchange::{Exchange, Tap};
use crate::http::list::elements;
use crate::policies::kept::is_secret;

/// Nanoseconds in which nobody waits for answers of a key after one that could not be kept.
pub(super) const PASS: u64 = 10_000_000_000;
/// Most names in `Vary`.
const MOST_SELECTING: usize = 16;
/// Room that is made at once for an answer that does not say its length.
const FIRST_ROOM: u64 = 16 * 1024;

/// What is known of an answer that is to be kept, before its body.
pub(super) struct Kept {
    pub(super) key: Box<[u8]>,
    pub(super) life: Life,
    /// When it was asked for, and how many purges there had been.
    pub(super) asked: (u64, u64),
    pub(super) groups: Arc<Groups>,
    pub(super) resource: usize,
    /// The largest body that is kept.
    pub(super) largest: u64,
    /// Whether the key may hold what proves a caller.
    pub(super) secret: bool,
}

/// An answer on its way.
pub(super) struct Keep {
    store: Arc<Store>,
    kept: Kept,
    came: u64,
    status: u16,
    fields: Fields,
    vary: Vec<(NameBuf, Option<Vec<u8>>)>,
    body: Vec<u8>,
    length: Option<u64>,
    held: Option<Held>,
    leader: Option<Leader>,
}

impl Keep {
    /// Begins to keep the answer of an exchange.
    ///
    /// # Errors
    /// The word for why it cannot be kept.
    pub(super) fn begin(
        store: &Arc<Store>,
        exchange: &Exchange,
        kept: Kept,
        leader: Option<Leader>,
    ) -> Result<Keep, &'static str> {
        let answer = &exchange.response;
        let length = match answer.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        if length.is_some_and(|length| length > kept.largest) {
            return Err("too-large");
        }
        let vary = vary(&answer.fields, &exchange.request.fields).ok_or("vary")?;
        let room = length.unwrap_or(FIRST_ROOM);
        let held = store.hold(room).ok_or("no-room")?;
        let body = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        Ok(Keep {
            store: store.clone(),
            kept,
            came: now(),
            status: answer.status,
            fields: kept_fields(&answer.fields, exchange),
            vary,
            body,
            length,
            held: Some(held),
            leader,
        })
    }

    /// It cannot be kept after all: nobody waits for it any more.
    fn give_up(&mut self) {
        self.store.pass(&self.kept.key, now().saturating_add(PASS));
        (self.held, self.leader, self.body) = (None, None, Vec::new());
    }
}

impl Tap for Keep {
    fn data(&mut self, piece: &[u8]) {
        let Some(held) = &mut self.held else { return };
        let next = self.body.len().saturating_add(piece.len());
        let fits = next as u64 <= self.kept.largest;
        let before = self.body.capacity();
        // Grown by halves, so that the room stays near the need.
        if fits && next > before {
            let room = next
                .max(before.saturating_add(before / 2))
                .min(usize::try_from(self.kept.largest).unwrap_or(usize::MAX));
            if held.grow(room.saturating_sub(before) as u64) {
                self.body.reserve_exact(room.saturating_sub(self.body.len()));
            }
        }
        if !fits || next > self.body.capacity() {
            return self.give_up();
        }
        self.body.extend_from_slice(piece);
    }

    fn end(&mut self) {
        let whole = self.length.is_none_or(|length| length == self.body.len() as u64);
        if self.held.is_none() || !whole {
            return;
        }
        let secret = self.kept.secret || self.vary.iter().any(|(name, _)| is_secret(name.as_name().text()));
        let mut body = std::mem::take(&mut self.body);
        body.shrink_to_fit();
        let entry = Entry {
            status: self.status,
            fields: std::mem::take(&mut self.fields),
            body: Bytes::from(body),
            vary: std::mem::take(&mut self.vary),
            life: self.kept.life.clone(),
            asked: self.kept.asked.0,
            came: self.came,
            groups: self.kept.groups.clone(),
            resource: self.kept.resource,
            spent: AtomicBool::new(false),
            secret,
        };
        self.store.put(&self.kept.key, Arc::new(entry), self.kept.asked.1);
        // Only now, so that those who wait find it.
        (self.held, self.leader) = (None, None);
    }
}

/// The values of the request by which the answer was chosen. `None` for more names than are kept apart.
fn vary(answer: &Fields, request: &Fields) -> Option<Vec<(NameBuf, Option<Vec<u8>>)>> {
    let mut vary: Vec<(NameBuf, Option<Vec<u8>>)> = Vec::new();
    for name in answer.get_all(names::VARY).flat_map(elements) {
        let name = NameBuf::new(std::str::from_utf8(name).ok()?).ok()?;
        if vary.iter().any(|(known, _)| known.as_name() == name.as_name()) {
            continue;
        }
        if vary.len() >= MOST_SELECTING {
            return None;
        }
        let value = selecting(request, &name);
        vary.push((name, value));
    }
    Some(vary)
}

/// The fields that are kept: in one piece, without those that are about this exchange alone.
pub(super) fn kept_fields(answer: &Fields, exchange: &Exchange) -> Fields {
    let mut kept = Fields::new();
    for field in answer.iter().filter(|field| !matches!(field.id, FieldId::Age | FieldId::XRequestId)) {
        if let Ok(name) = Name::new(field.name) {
            kept.push(name, field.value);
        }
    }
    if !kept.contains(names::DATE) {
        // RFC 9110 section 6.6.1: who receives an answer without a date gives it one.
        let at = exchange.record.started_at + exchange.record.elapsed();
        kept.push(names::DATE, httpdate::fmt_http_date(at).as_bytes());
    }
    kept
}

/// A kept answer that the service says holds still, with what it says anew (RFC 9111 section 3.2).
pub(super) fn renewed(known: &Entry, told: &Fields, life: Life, asked: u64) -> Entry {
    let is_told = |field: &http1::Field<'_>| {
        use FieldId::{Age, ContentEncoding, ContentLength, ContentRange, Etag, Vary, XRequestId};
        // The tag is that which was kept; what chose the answer, and the bytes of its body, do not change with a 304.
        let of_the_bytes = matches!(field.id, ContentEncoding | ContentLength | ContentRange)
            || field.name.eq_ignore_ascii_case(b"Content-MD5")
            || field.name.eq_ignore_ascii_case(b"Content-Digest");
        !of_the_bytes && !matches!(field.id, Age | Etag | Vary | XRequestId)
    };
    let new: Vec<_> = told.iter().filter(is_told).collect();
    let mut fields = Fields::new();
    for field in known.fields.iter() {
        let Ok(of) = Name::new(field.name) else { continue };
        if !new.iter().any(|told| Name::new(told.name).is_ok_and(|told| told == of)) {
            fields.push(of, field.value);
        }
    }
    for field in &new {
        if let Ok(of) = Name::new(field.name) {
            fields.push(of, field.value);
        }
    }
    Entry {
        status: known.status,
        fields,
        body: known.body.clone(),
        vary: known.vary.clone(),
        life,
        asked,
        came: now(),
        groups: known.groups.clone(),
        resource: known.resource,
        spent: AtomicBool::new(false),
        secret: known.secret,
    }
}
