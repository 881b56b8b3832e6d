//! The step that answers with the last good answer to the same request.
//!
//! What is the same request is decided before anything is sent, while the request still is as the client's policies left
//! it: route, scheme, host, path, query, and who calls. The body is copied as it passes on its way to the client.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use http1::{Fields, Framing, Method, Name, names};

use super::super::{Place, kept};
use super::store::{Kept, MOST_OF_ONE, Room, Selecting, Store};
use crate::exchange::{Exchange, Tap};
use crate::observe::Figure;
use crate::observe::redact::Redaction;
use crate::upstream::ladder::StandIn;
use crate::values;

/// An answer that is younger is not replaced: under load, each key costs a copy a second.
const REFRESH: Duration = Duration::from_secs(1);

/// The numbers of what is on the disk.
const ON_DISK: [&str; 7] = [
    "tidegate_last_good_disk_objects",
    "tidegate_last_good_disk_bytes",
    "tidegate_last_good_disk_written",
    "tidegate_last_good_disk_read",
    "tidegate_last_good_disk_dropped",
    "tidegate_last_good_disk_unreadable",
    "tidegate_last_good_disk_failing",
];

/// What stands in the answers of a kept one is made anew, or is about one client, one connection or one moment.
const LEFT_OUT: [&str; 14] = [
    "Set-Cookie",
    "Set-Cookie2",
    "Age",
    "Cache-Control",
    "CDN-Cache-Control",
    "Expires",
    "Pragma",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Trailer",
    "X-Request-Id",
    "Cache-Status",
];

/// Keeps the good answers of one route and gives them again.
pub(super) struct LastGood {
    age: Duration,
    shared: bool,
    disk: Option<keep::Settings>,
    home: OnceLock<Home>,
}

struct Home {
    route: Box<str>,
    store: Arc<Store>,
}

/// Under what the answer to a request is kept.
struct Key(Vec<u8>);

impl LastGood {
    pub(super) fn new(age: values::Duration, shared: bool, disk: Option<keep::Settings>) -> LastGood {
        LastGood { age: age.get(), shared, disk, home: OnceLock::new() }
    }

    /// Takes its place on a route.
    pub(super) fn settle(&self, place: &mut Place<'_, '_>) {
        let known = |known: Option<&Arc<Store>>| {
            let same = known.filter(|store| store.disk() == self.disk.as_ref());
            same.cloned().unwrap_or_else(|| Store::new(self.disk.clone()))
        };
        let store = place.lives.keep("last good answers", known);
        let _ = self.home.set(Home { route: place.route.into(), store });
    }

    /// Reads what was kept before a restart.
    pub(super) fn start(&self) {
        if let Some(home) = self.home.get() {
            home.store.start();
        }
    }

    /// Keeps what there is before the end.
    pub(super) fn close(&self) {
        if let Some(home) = self.home.get() {
            home.store.close();
        }
    }

    /// Tells its numbers.
    pub(super) fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        if let Some(numbers) = self.home.get().and_then(|home| home.store.numbers()) {
            kept::figures(&ON_DISK, numbers, tell);
        }
    }

    /// Looks at a request before it is sent.
    pub(super) fn name(&self, exchange: &mut Exchange) {
        let Some(home) = self.home.get() else { return };
        if matches!(exchange.request.method, Method::Get | Method::Head) && !exchange.rehearsal {
            let key = self.key(home, exchange);
            exchange.notes.put(Key(key));
        }
    }

    fn key(&self, home: &Home, exchange: &Exchange) -> Vec<u8> {
        let mut key = Vec::with_capacity(256);
        let scheme: &[u8] = if exchange.client.https { b"s" } else { b"c" };
        let question: &[u8] = if exchange.has_query { b"?" } else { b"" };
        for part in [home.route.as_bytes(), scheme, &exchange.host, &exchange.path, question, &exchange.query]
        {
            push(&mut key, part);
        }
        if !self.shared {
            push_caller(&mut key, exchange);
        }
        key
    }

    /// Looks at an answer, and has it kept if it is a good one.
    pub(super) fn look(&self, exchange: &mut Exchange) {
        let (record, response) = (&exchange.record, &exchange.response);
        let is_good = matches!(response.status, 200 | 203)
            && record.service_status == response.status
            && record.degraded.is_empty()
            && exchange.request.method == Method::Get
            && exchange.instead.is_none();
        let (true, Some(home)) = (is_good, self.home.get()) else { return };
        let Some(Key(key)) = exchange.notes.get::<Key>() else { return };
        let size = match response.framing {
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            _ => MOST_OF_ONE,
        };
        if size > MOST_OF_ONE || !home.store.wants(key, REFRESH) {
            return;
        }
        let (Some(varies), Some(room)) = (varies(exchange), home.store.room(size)) else { return };
        let mut fields = response.fields.clone();
        fields.retain(|field| !LEFT_OUT.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_bytes())));
        exchange.witness = Some(Box::new(Recorder {
            store: home.store.clone(),
            key: key.clone(),
            at: Instant::now(),
            status: response.status,
            fields,
            varies,
            body: Some(Vec::with_capacity(size.min(64 * 1024))),
            _room: room,
        }));
    }

    fn find(&self, exchange: &Exchange) -> Option<Arc<Kept>> {
        let Key(key) = exchange.notes.get::<Key>()?;
        let kept = self.home.get()?.store.get(key, self.age)?;
        let same =
            |(name, value): &Selecting| joined(&exchange.request.fields, name).as_deref() == value.as_deref();
        kept.varies.iter().all(same).then_some(kept)
    }
}

impl StandIn for LastGood {
    fn has(&self, exchange: &Exchange) -> bool {
        self.find(exchange).is_some()
    }

    fn stand_in(&self, exchange: &mut Exchange) -> bool {
        let Some(kept) = self.find(exchange) else { return false };
        let response = &mut exchange.response;
        response.clear();
        response.set_status(kept.status);
        response.fields.copy_from(&kept.fields);
        let age = kept.age().as_secs();
        response.fields.set(names::AGE, itoa::Buffer::new().format(age).as_bytes());
        response.fields.set(names::CACHE_CONTROL, b"no-store");
        // RFC 9211 section 2.2: it was forwarded because what is kept is stale, and that went wrong.
        if let Ok(name) = Name::new(b"Cache-Status") {
            response.fields.set(name, b"tidegate; fwd=stale; detail=last-good");
        }
        response.fields.set(names::X_REQUEST_ID, exchange.id.as_bytes());
        response.framing = Framing::Length(kept.body.len() as u64);
        exchange.instead = Some(kept.body.clone());
        true
    }
}

/// Appends a part so that no two lists of parts look alike.
fn push(key: &mut Vec<u8>, part: &[u8]) {
    key.extend_from_slice(&(part.len() as u64).to_be_bytes());
    key.extend_from_slice(part);
}

/// Appends who calls: whom a policy has found out, else whatever the request proves itself with.
fn push_caller(key: &mut Vec<u8>, exchange: &Exchange) {
    if let Some(identity) = &exchange.identity
        && identity.name().is_some()
    {
        let issuer = identity.claim_text("iss").unwrap_or_default();
        let consumer = identity.consumer.as_deref().unwrap_or_default();
        let subject = identity.subject.as_deref().unwrap_or_default();
        for part in [identity.kind, &*issuer, consumer, subject, &*identity.credential] {
            push(key, part.as_bytes());
        }
    } else {
        push(key, b"");
    }
    // Whatever else the service may know a caller by. A hash, so that no secret is kept.
    let secrets = Redaction::default();
    let mut digest = Digest::new(&SHA256);
    let proves = |name: &[u8]| name.eq_ignore_ascii_case(b"cookie") || secrets.is_secret(name);
    for field in exchange.request.fields.iter().filter(|field| proves(field.name)) {
        for part in [field.name.to_ascii_lowercase().as_slice(), field.value] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    push(key, digest.finish().as_ref());
    let certificate = exchange.secure.as_ref().and_then(|secure| secure.client_cert.as_ref());
    push(key, certificate.map_or(&b""[..], |certificate| certificate.fingerprint.as_bytes()));
}

/// What of the request the answer depends on; `None` when it is on everything (`*`).
fn varies(exchange: &Exchange) -> Option<Vec<Selecting>> {
    let lines = exchange.response.fields.get_all(names::VARY);
    let listed = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut varies = Vec::new();
    for name in listed.filter(|name| !name.is_empty()) {
        if name == b"*" {
            return None;
        }
        varies.push((name.into(), joined(&exchange.request.fields, name).map(Vec::into_boxed_slice)));
    }
    Some(varies)
}

/// The lines of a name, one behind the other.
fn joined(fields: &Fields, name: &[u8]) -> Option<Vec<u8>> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
    let values: Vec<&[u8]> = lines.map(|field| field.value).collect();
    (!values.is_empty()).then(|| values.join(&b", "[..]))
}

/// Copies the body of an answer on its way.
struct Recorder {
    store: Arc<Store>,
    key: Vec<u8>,
    at: Instant,
    status: u16,
    fields: Fields,
    varies: Vec<Selecting>,
    /// `None` once it is too large.
    body: Option<Vec<u8>>,
    _room: Room,
}

impl Tap for Recorder {
    fn data(&mut self, piece: &[u8]) {
        let room = |body: &Vec<u8>| piece.len() <= MOST_OF_ONE.saturating_sub(body.len());
        self.body = self.body.take().filter(room);
        if let Some(body) = &mut self.body {
            body.extend_from_slice(piece);
        }
    }

    fn end(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        body.shrink_to_fit();
        let kept = Kept {
            at: self.at,
            older: Duration::ZERO,
            status: self.status,
            fields: std::mem::take(&mut self.fields),
            body: body.into(),
            varies: std::mem::take(&mut self.varies),
        };
        self.store.put(std::mem::take(&mut self.key), kept);
    }
}
