//! Kept answers on the disk: how they are written down and read again, and what of them may be written at all.
//!
//! Takes entries as the store has them; gives them back as old as they are by then. What cannot be read whole gives nothing.
//! Must never write a credential where nothing is sealed.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use bytes::Bytes;
use http1::{Fields, Name, NameBuf};
use keep::pieces::{Reading, Write};
use keep::{About, Answer, Item, Keep, Numbers, Read, Settings, Sum, Taken, Variant};

use super::entry::{Entry, Groups, now};
use super::purge::Purge;
use super::rules::Life;

/// The form in which entries are written: another number for each change of it, or of how keys are made.
const FORM: &str = "cache 1";
/// What is of use for less is not written.
const LEAST: Duration = Duration::from_secs(10);
/// How long a request waits for the disk, and how long nobody asks one that was slower.
const SLOW: Duration = Duration::from_secs(1);
/// How long a purge waits until it is written down.
const PURGED: Duration = Duration::from_secs(10);

/// The answers on the disk.
pub(super) struct Disk {
    keep: Keep<Entry>,
    /// Until when nobody asks it, because it was slow.
    rests: AtomicU64,
}

/// A hash that is the same in all processes.
struct Stable(digest::Context);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().first_chunk::<8>().map_or(0, |part| u64::from_be_bytes(*part))
    }
}

/// The hash of a name that is the same in all processes of one form.
pub(super) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = Stable(digest::Context::new(&digest::SHA256));
    of.hash(&mut hasher);
    hasher.finish()
}

/// The form of what this program writes: also how it hashes is part of that.
pub(super) fn form() -> String {
    format!("{FORM} {:016x}", hash(&("resource", &b"host"[..], &b"/path"[..])))
}

impl Disk {
    pub(super) fn new(settings: Settings) -> Disk {
        Disk { keep: Keep::new(settings), rests: AtomicU64::new(0) }
    }

    pub(super) fn settings(&self) -> &Settings {
        self.keep.settings()
    }

    pub(super) fn start(&self) {
        self.keep.start(None);
    }

    pub(super) fn close(&self) {
        self.keep.flush(Duration::from_secs(2));
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.keep.numbers()
    }

    /// Has an answer written down, if it is worth it and may be; in any case none that is older stays.
    pub(super) fn put(&self, key: &[u8], entry: &Arc<Entry>) {
        let is_sealed = self.keep.settings().secret.is_some();
        if (entry.secret && !is_sealed) || entry.use_left(now()) < LEAST {
            return self.keep.forget(key, variant(entry));
        }
        // First whether it is for all, then its groups.
        let mut note = vec![u8::from(entry.life.shareable)];
        entry.groups.names.iter().for_each(|name| note.text(name.as_bytes()));
        let marks = std::iter::once(&entry.resource).chain(&entry.groups.marks);
        let marks = marks.filter_map(|mark| u16::try_from(*mark).ok()).collect();
        let size = entry.weight().saturating_add(key.len()) as u64;
        self.keep.put(key, variant(entry), About { marks, note, size }, entry.clone());
    }

    pub(super) fn forget(&self, key: &[u8], entry: &Entry) {
        self.keep.forget(key, variant(entry));
    }

    /// What has this mark has changed.
    pub(super) fn change(&self, mark: usize) {
        if let Ok(mark) = u16::try_from(mark) {
            self.keep.change(mark);
        }
    }

    /// Whether it is worth a question. `public`: about what was said to be for all.
    pub(super) fn has(&self, key: &[u8], public: bool) -> bool {
        let wanted = |note: &[u8]| !public || note.first() == Some(&1);
        self.rests.load(Ordering::Relaxed) < now() && self.keep.has(key, wanted)
    }

    /// Whether what was read has not been replaced meanwhile.
    pub(super) fn is_current(&self, key: &[u8], entry: &Entry, number: u64) -> bool {
        self.keep.is_current(key, (&variant(entry), number))
    }

    /// What is on the disk under a key, unless that takes too long.
    pub(super) async fn read(&self, key: &[u8]) -> Vec<Read> {
        let (then, answer) = tokio::sync::oneshot::channel();
        if !self.keep.ask(key, move |found| _ = then.send(found)) {
            return Vec::new();
        }
        match tokio::time::timeout(SLOW, answer).await {
            Ok(found) => found.unwrap_or_default(),
            Err(_) => {
                let slow = u64::try_from(SLOW.as_nanos()).unwrap_or(u64::MAX);
                self.rests.store(now().saturating_add(slow), Ordering::Relaxed);
                Vec::new()
            }
        }
    }

    /// Does what a purge wants, and counts what is `seen` by nobody else. False when that is not written down, so that it
    /// may not outlive a restart.
    pub(super) fn purge(&self, purge: &Purge, seen: &HashSet<(Box<[u8]>, Variant)>) -> (Sum, bool) {
        let taken = match (purge.dry_run, purge.soft) {
            (true, _) => Taken::Counted,
            (false, true) => Taken::Stale,
            (false, false) => Taken::Gone,
        };
        let sum = Cell::new(Sum::default());
        let chosen = |item: Item<'_>| {
            let is_meant = purge.chooses(item.key, &|group| holds(item.note, group));
            if is_meant && !seen.contains(&(item.key.into(), *item.variant)) {
                let Sum { objects, bytes } = sum.get();
                sum.set(Sum { objects: objects.saturating_add(1), bytes: bytes.saturating_add(item.bytes) });
            }
            is_meant
        };
        self.keep.take_out(&chosen, taken);
        (sum.get(), taken == Taken::Counted || self.keep.flush(PURGED))
    }
}

/// Whether a group stands in a note.
fn holds(note: &[u8], group: &str) -> bool {
    let mut rest = Reading(note.get(1..).unwrap_or_default());
    std::iter::from_fn(|| rest.text()).any(|name| name == group.as_bytes())
}

/// What tells an answer apart from the others of its key.
pub(super) fn variant(entry: &Entry) -> Variant {
    let mut text = Vec::new();
    write_vary(&mut text, entry);
    let digest = digest::digest(&digest::SHA256, &text);
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn write_vary(out: &mut Vec<u8>, entry: &Entry) {
    out.long(entry.vary.len() as u64);
    for (name, value) in &entry.vary {
        out.text(&name.as_name().text().to_ascii_lowercase());
        out.maybe(value.as_deref());
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since 1970.
fn wall() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl Answer for Entry {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        let Life { fresh, while_revalidate, if_error, must_revalidate, no_cache, shareable, age: _ } =
            self.life;
        out.long(wall());
        for time in [self.age(now()), fresh, while_revalidate, if_error] {
            out.long(nanos(time));
        }
        let flags = [must_revalidate, no_cache, shareable, self.spent.load(Ordering::Relaxed), self.secret];
        flags.into_iter().for_each(|flag| out.byte(u8::from(flag)));
        out.short(self.status);
        out.long(self.fields.len() as u64);
        for field in self.fields.iter() {
            out.text(field.name);
            out.text(field.value);
        }
        write_vary(out, self);
        out.long(self.groups.names.len() as u64);
        self.groups.names.iter().for_each(|name| out.text(name.as_bytes()));
        out.text(&self.body);
        true
    }
}

/// An answer that was read, as one that was asked for then: as old as it was when it was written, and the time since.
/// A clock that has been set back makes it older, never younger.
pub(super) fn entry(read: &Read, asked: u64) -> Option<Entry> {
    let mut rest = Reading(&read.value);
    let since = wall().abs_diff(rest.long()?);
    let mut time = || rest.long().map(Duration::from_nanos);
    let (age, fresh, while_revalidate, if_error) = (time()?, time()?, time()?, time()?);
    let mut flag = || rest.byte().map(|byte| byte != 0);
    let (must_revalidate, no_cache, shareable, spent, secret) = (flag()?, flag()?, flag()?, flag()?, flag()?);
    let age = age.saturating_add(Duration::from_nanos(since));
    let life = Life { fresh, while_revalidate, if_error, age, must_revalidate, no_cache, shareable };
    let status = rest.short()?;
    let mut fields = Fields::new();
    for _ in 0..rest.long()? {
        fields.push(Name::new(rest.text()?).ok()?, rest.text()?);
    }
    let mut vary = Vec::new();
    for _ in 0..rest.long()? {
        let name = NameBuf::new(std::str::from_utf8(rest.text()?).ok()?).ok()?;
        vary.push((name, rest.maybe()?.map(<[u8]>::to_vec)));
    }
    let mut groups = Groups::default();
    for _ in 0..rest.long()? {
        groups.names.push(std::str::from_utf8(rest.text()?).ok()?.into());
    }
    let body = Bytes::copy_from_slice(rest.text()?);
    let mut marks = read.marks.iter().map(|mark| usize::from(*mark));
    let resource = marks.next().filter(|_| rest.is_over())?;
    groups.marks = marks.collect();
    let (groups, spent) = (Arc::new(groups), AtomicBool::new(spent || read.stale));
    Some(Entry { status, fields, body, vary, life, asked, came: now(), groups, resource, spent, secret })
}
