//! `cache`: keeps answers and gives them to whoever asks the same (RFC 9111).
//!
//! Takes a request; answers it from what is kept, lets it wait for another one's answer, or lets it go on with what the
//! service needs to say that nothing has changed. Takes the service's answer; keeps it as it passes, renews what is kept,
//! or puts what is kept in its place where the service fails. What may be kept and for how long is `rules`, what is the same
//! request is `key`. Must never give one caller what was said to another.

mod answer;
mod change;
mod control;
mod disk;
mod entry;
mod fetch;
mod flight;
mod from_disk;
mod keep;
mod key;
mod purge;
mod rules;
mod settings;
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http1::{Framing, Method, Upgrade, names};

pub use change::changed;
pub(crate) use control::Directives;
pub use purge::{Purge, Purged, Url};
pub use settings::Cache;
pub use store::Store;

use super::{Place, Policy};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::fault::Fault;
use crate::observe::Figure;
use crate::values::Template;
use answer::{Status, give, ttl};
use disk::Disk;
use entry::{Entry, now};
use fetch::{Fetch, came};
use flight::Role;
use keep::{Keep, Kept, PASS};
use key::Keys;
use rules::{Rules, judge};
use store::Found;

/// The name under which the one store of the process is found again after a reload.
pub const STORE: &str = "cache";
/// Bytes that it takes unless the configuration says otherwise.
pub const MEMORY: u64 = 256 * 1024 * 1024;
/// Where an answer comes from that another request has brought.
const COLLAPSED: &str = "collapsed";
/// Nanoseconds in which nobody waits for a service that has just failed.
const FAILED: u64 = 1_000_000_000;

/// The policy, ready to run.
struct Compiled {
    keys: Keys,
    rules: Rules,
    groups: Vec<Template>,
    largest: u64,
    wait: Duration,
    /// Bytes of the store, if it is the first to make it.
    memory: u64,
    /// Where the answers are on the disk as well.
    disk: Option<::keep::Settings>,
    /// Whether keys may hold what proves a caller.
    secret: bool,
    /// Known once the policy has its place on a route.
    store: Option<Arc<Store>>,
}

/// What may be done with what is kept.
enum Use {
    /// It is given.
    Give,
    /// It is given, and renewed.
    GiveAndRenew,
    /// The service is asked first.
    Ask,
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        self.keys.route = place.route.into();
        let lasting = self.disk.as_ref().map(|_| place.service);
        self.keys.set_shape(place.shape, self.rules.shared, lasting);
        self.store = Some(place.lives.keep(STORE, |before: Option<&Arc<Store>>| {
            let same = before.filter(|store| store.disk.as_ref().map(Disk::settings) == self.disk.as_ref());
            same.cloned().unwrap_or_else(|| Store::new(self.memory, self.disk.clone()))
        }));
    }

    fn start(&self) {
        self.store.iter().for_each(|store| store.start());
    }

    fn close(&self) {
        self.store.iter().for_each(|store| store.close());
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let Some(store) = &self.store else { return Verdict::Go };
        let method = exchange.request.method;
        if !matches!(method, Method::Get | Method::Head) {
            return self.go(store, exchange, Fetch::without_key("method"));
        }
        let mut key = std::mem::take(&mut exchange.scratch);
        let usable = !is_special(exchange) && self.keys.write(exchange, &mut key);
        let sought = match usable {
            true => self.look(store, exchange, &key, false),
            false => Sought::Go(Fetch::without_key("bypass")),
        };
        match sought {
            Sought::Given => {
                exchange.scratch = key;
                Verdict::Answered
            }
            Sought::Refused(answer) => {
                exchange.scratch = key;
                Verdict::Answer(answer)
            }
            Sought::Go(fetch) => {
                exchange.scratch = key;
                self.go(store, exchange, fetch)
            }
            Sought::Wait(flight) => Verdict::Wait(Box::pin(self.wait(store, exchange, key, flight))),
            Sought::Read(fetch) => Verdict::Wait(Box::pin(self.read(store, exchange, key, fetch))),
        }
    }

    fn response(&self, exchange: &mut Exchange) {
        let (Some(store), Some(fetch)) = (&self.store, exchange.notes.take::<Fetch>()) else { return };
        // What the gateway says itself is nobody's answer.
        if exchange.record.answered.is_none() {
            let status = Status { forward: fetch.forward, ..Status::default() };
            return status.tell(&mut exchange.response.fields);
        }
        self.answered(store, exchange, *fetch);
    }

    fn rescue(&self, exchange: &mut Exchange, fault: &Fault) -> bool {
        let (Some(store), Some(fetch)) = (&self.store, exchange.notes.take::<Fetch>()) else { return false };
        let at = now();
        // A status that something was to stand in for is told as every other.
        let (forward_status, detail) = match fault {
            Fault::ServiceFailed(status) => (Some(*status), ""),
            fault => (None, fault.facts().code),
        };
        match fetch.stale.as_ref().filter(|stale| may_stand_in(stale, at)) {
            Some(stale) => {
                fetch.restore(exchange);
                give(exchange, stale, at);
                exchange.record.cache = "stale";
                let ttl = ttl(stale, at);
                let status = Status { forward: "stale", forward_status, ttl, detail, ..Status::default() };
                status.tell(&mut exchange.response.fields);
                true
            }
            None => {
                if !fetch.key.is_empty() {
                    store.pass(&fetch.key, at.saturating_add(FAILED));
                }
                exchange.notes.put(*fetch);
                false
            }
        }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let Some(store) = &self.store else { return };
        store.figures(tell);
    }
}

/// What a look at what is kept came to.
enum Sought {
    Given,
    Refused(Box<Answer>),
    Go(Fetch),
    /// It may be on the disk.
    Read(Fetch),
    Wait(Arc<flight::Flight>),
}

impl Compiled {
    /// Looks for an answer to a request that may have one. `waited` says whether it has waited for another's.
    fn look(&self, store: &Arc<Store>, exchange: &mut Exchange, key: &[u8], waited: bool) -> Sought {
        let personal = !self.rules.shared && self.keys.is_personal(exchange);
        let asked = self.asked(exchange);
        let (forward, stale) = match store.find(key, &exchange.request.fields, personal) {
            Found::Entry(entry) => {
                let at = now();
                match usable(&entry, &asked, at) {
                    Use::Ask => ("stale", Some(entry)),
                    usable => {
                        let how = (at, if waited { COLLAPSED } else { "" });
                        self.offer(store, exchange, (&entry, usable), key, how);
                        return Sought::Given;
                    }
                }
            }
            Found::OtherVariants => ("vary-miss", None),
            Found::Nothing => ("uri-miss", None),
        };
        let on_disk = stale.is_none() && store.disk.as_ref().is_some_and(|disk| disk.has(key, personal));
        let go = |fetch| if on_disk { Sought::Read(fetch) } else { Sought::Go(fetch) };
        if asked.only_if_cached && !on_disk {
            return Sought::Refused(not_cached());
        }
        let mut fetch = Fetch { key: key.to_vec(), personal, stale, ..Fetch::without_key(forward) };
        // Only a whole answer is kept, and only one that others may have is waited for.
        let whole = exchange.request.method == Method::Get && !exchange.request.fields.contains(names::RANGE);
        if !whole {
            fetch.key.clear();
            return go(fetch);
        }
        let alone = personal || asked.no_cache || asked.no_store || self.wait.is_zero() || exchange.rehearsal;
        // Waiting behind one variant after the other would be a queue.
        if alone || (waited && forward == "vary-miss") || store.passes(key, now()) {
            return go(fetch);
        }
        match store.flights.join(key) {
            Role::Leader(leader) => {
                fetch.leader = Some(leader);
                go(fetch)
            }
            Role::Follower(flight) => Sought::Wait(flight),
        }
    }

    /// Waits for the answer to another request for the same, and looks again.
    async fn wait<'a>(
        &'a self,
        store: &'a Arc<Store>,
        exchange: &'a mut Exchange,
        key: Vec<u8>,
        flight: Arc<flight::Flight>,
    ) -> Verdict<'a> {
        let until = tokio::time::Instant::now() + self.wait;
        let mut flight = flight;
        let mut in_time = true;
        loop {
            in_time &= flight.wait(until.saturating_duration_since(tokio::time::Instant::now())).await;
            // Who has waited long enough goes alone, and so does who is told that waiting is no use.
            if !in_time {
                let fetch = Fetch { key, ..Fetch::without_key("uri-miss") };
                return self.go(store, exchange, fetch);
            }
            match self.look(store, exchange, &key, true) {
                Sought::Given => {
                    store.counts.collapsed.fetch_add(1, Ordering::Relaxed);
                    exchange.record.cache = "collapsed";
                    return Verdict::Answered;
                }
                Sought::Wait(next) => flight = next,
                Sought::Go(fetch) => return self.go(store, exchange, fetch),
                Sought::Read(fetch) => return Box::pin(self.read(store, exchange, key, fetch)).await,
                Sought::Refused(answer) => return Verdict::Answer(answer),
            }
        }
    }

    /// Gives what is kept, and has it renewed where that is due.
    fn offer(
        &self,
        store: &Arc<Store>,
        exchange: &mut Exchange,
        (entry, usable): (&Arc<Entry>, Use),
        key: &[u8],
        how: (u64, &'static str),
    ) {
        if matches!(usable, Use::GiveAndRenew) {
            self.renew(store, exchange, entry, key);
        }
        hit(exchange, entry, how);
    }

    /// What a client says about caches, where it is listened to.
    fn asked(&self, exchange: &Exchange) -> Directives {
        if self.rules.ttl_only {
            Directives::default()
        } else {
            Directives::of_request(&exchange.request.fields)
        }
    }

    /// Lets the gateway ask for a fresh answer once the client has this one, unless somebody does already.
    fn renew(&self, store: &Arc<Store>, exchange: &mut Exchange, entry: &Arc<Entry>, key: &[u8]) {
        if exchange.rehearsal {
            return;
        }
        let Role::Leader(leader) = store.flights.join(key) else { return };
        let mut again = exchange.again();
        if again.request.method != Method::Get && again.request.set_method(b"GET").is_err() {
            return;
        }
        for name in [names::RANGE, names::IF_RANGE, names::IF_NONE_MATCH, names::IF_MODIFIED_SINCE] {
            again.request.fields.remove(name);
        }
        let personal = !self.rules.shared && self.keys.is_personal(exchange);
        let mut fetch = Fetch {
            key: key.to_vec(),
            personal,
            stale: Some(entry.clone()),
            leader: Some(leader),
            ..Fetch::without_key("stale")
        };
        fetch.prepare(store, &mut again);
        again.notes.put(fetch);
        exchange.errand = Some(again);
    }

    /// Lets a request go to the service.
    fn go<'a>(&'a self, store: &Arc<Store>, exchange: &'a mut Exchange, mut fetch: Fetch) -> Verdict<'a> {
        exchange.record.cache = if fetch.key.is_empty() { "bypass" } else { "miss" };
        if exchange.rehearsal {
            return Verdict::Go;
        }
        if !fetch.key.is_empty() && (fetch.leader.is_some() || !store.passes(&fetch.key, now())) {
            fetch.prepare(store, exchange);
        }
        fetch.asked = (now(), store.purged());
        exchange.notes.put(fetch);
        Verdict::Go
    }

    /// The service has answered.
    fn answered(&self, store: &Arc<Store>, exchange: &mut Exchange, mut fetch: Fetch) {
        let status = exchange.response.status;
        fetch.restore(exchange);
        if fetch.forward == "method" && change::is_change(exchange) {
            for group in &self.groups {
                store.change(change::own_group(store, &exchange.render(group)));
            }
        }
        let at = now();
        if let Some(stale) = fetch.stale.take() {
            if status == 304 && fetch.conditional {
                return self.renewed(store, exchange, fetch, &stale);
            }
            if matches!(status, 500 | 502 | 503 | 504) && may_stand_in(&stale, at) {
                give(exchange, &stale, at);
                exchange.record.cache = "stale";
                let told = Status {
                    forward: "stale",
                    forward_status: Some(status),
                    ttl: ttl(&stale, at),
                    ..Status::default()
                };
                return told.tell(&mut exchange.response.fields);
            }
            if status < 500 && status != 304 {
                // Whether or not the new answer is kept, the old one is over.
                store.drop_variant(&fetch.key, &stale);
            }
        }
        let mut told = Status { forward: fetch.forward, ..Status::default() };
        if !fetch.key.is_empty() {
            match self.keep(store, exchange, &mut fetch) {
                Ok(()) => told.stored = true,
                Err(why) => {
                    told.detail = why;
                    let pass = if status >= 500 { FAILED } else { PASS };
                    store.pass(&fetch.key, at.saturating_add(pass));
                }
            }
        }
        told.tell(&mut exchange.response.fields);
    }

    /// Begins to keep the service's answer as it passes.
    fn keep(
        &self,
        store: &Arc<Store>,
        exchange: &mut Exchange,
        fetch: &mut Fetch,
    ) -> Result<(), &'static str> {
        let life = judge(&self.rules, exchange, &came(exchange, fetch))?;
        let kept = Kept {
            key: fetch.key.as_slice().into(),
            life,
            asked: fetch.asked,
            groups: change::groups(store, exchange, &self.groups),
            resource: change::resource(store, &exchange.host, &exchange.path),
            largest: self.largest,
            secret: self.secret,
        };
        let keep = Keep::begin(store, exchange, kept, fetch.leader.take())?;
        exchange.tap = Some(Box::new(keep));
        Ok(())
    }

    /// The service says that what is kept still holds (RFC 9111 section 4.3.4).
    fn renewed(&self, store: &Arc<Store>, exchange: &mut Exchange, fetch: Fetch, stale: &Arc<Entry>) {
        let told = keep::kept_fields(&exchange.response.fields, exchange);
        let age = exchange.response.fields.get(names::AGE).map(<[u8]>::to_vec);
        let mut entry = keep::renewed(stale, &told, stale.life.clone(), fetch.asked.0);
        // How long it may be used now is judged as if it had come again.
        exchange.response.set_status(stale.status);
        exchange.response.framing = Framing::Length(stale.body.len() as u64);
        exchange.response.fields.copy_from(&entry.fields);
        if let Some(age) = age {
            exchange.response.fields.push(names::AGE, &age);
        }
        let life = judge(&self.rules, exchange, &came(exchange, &fetch));
        let at = now();
        let stored = match life {
            Ok(life) => {
                entry.life = life;
                true
            }
            Err(_) => false,
        };
        let entry = Arc::new(entry);
        if stored {
            store.put(&fetch.key, entry.clone(), fetch.asked.1);
        } else {
            store.drop_variant(&fetch.key, stale);
        }
        drop(fetch);
        store.counts.renewed.fetch_add(1, Ordering::Relaxed);
        give(exchange, &entry, at);
        exchange.record.cache = "revalidated";
        let told = Status {
            forward: "stale",
            forward_status: Some(304),
            ttl: ttl(&entry, at),
            stored,
            ..Status::default()
        };
        told.tell(&mut exchange.response.fields);
    }
}

/// The answer where a client wants nothing but what is kept.
fn not_cached() -> Box<Answer> {
    Box::new(Answer::problem(504, "not_cached", "there is no such answer in the cache"))
}

/// Gives what is kept; `how` says when, and where it comes from.
fn hit(exchange: &mut Exchange, entry: &Entry, (at, how): (u64, &'static str)) {
    let collapsed = how == COLLAPSED;
    give(exchange, entry, at);
    exchange.record.cache = if entry.freshness(at).is_ok() { "hit" } else { "stale" };
    let forward = if collapsed { "uri-miss" } else { "" };
    let detail = if collapsed { "" } else { how };
    let status = Status { forward, ttl: ttl(entry, at), collapsed, detail, ..Status::default() };
    status.tell(&mut exchange.response.fields);
}

/// Whether a request is more than the question for one thing as it is.
fn is_special(exchange: &Exchange) -> bool {
    let request = &exchange.request;
    request.framing != Framing::None
        || request.upgrade != Upgrade::None
        || request.fields.contains(names::IF_MATCH)
        || request.fields.contains(names::IF_UNMODIFIED_SINCE)
        || key::is_rewritten(&request.fields)
}

/// What may be done with a kept answer for a client that asks so (RFC 9111 sections 4.2.4 and 5.2.1).
fn usable(entry: &Entry, asked: &Directives, at: u64) -> Use {
    let life = &entry.life;
    if asked.no_cache || life.no_cache {
        return Use::Ask;
    }
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    let slack = seconds(asked.max_stale).unwrap_or_default();
    let age = entry.age(at);
    if seconds(asked.max_age).is_some_and(|most| age > most.saturating_add(slack)) {
        return Use::Ask;
    }
    match entry.freshness(at) {
        Ok(left) if seconds(asked.min_fresh).is_some_and(|least| left < least) => Use::Ask,
        // A little before its end, and for each answer at another moment, so that not all end at once.
        Ok(left) if !life.while_revalidate.is_zero() && left < early(entry) => Use::GiveAndRenew,
        Ok(_) => Use::Give,
        Err(_) if life.must_revalidate => Use::Ask,
        Err(over) if over <= life.while_revalidate && !life.while_revalidate.is_zero() => Use::GiveAndRenew,
        Err(over) if asked.max_stale.is_some() && over <= slack => Use::Give,
        Err(_) => Use::Ask,
    }
}

/// How long before its end an answer is renewed: up to a twentieth of its life.
fn early(entry: &Entry) -> Duration {
    let part = u32::try_from(entry.came / 1000 % 1000).unwrap_or(0);
    (entry.life.fresh / 20_000).saturating_mul(part)
}

/// Whether a stale answer may be given where the service fails.
fn may_stand_in(stale: &Entry, at: u64) -> bool {
    let over = stale.freshness(at).err().unwrap_or_default();
    !stale.life.must_revalidate && !stale.life.if_error.is_zero() && over <= stale.life.if_error
}
