//! What stays, what goes, and that neither time nor memory runs away.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http1::{Name, NameBuf};

use super::*;
use crate::policies::cache::entry::Groups;
use crate::policies::cache::rules::Life;

fn entry(size: usize, variant: &str, groups: &[&str], asked: u64) -> Arc<Entry> {
    Arc::new(Entry {
        status: 200,
        fields: Fields::new(),
        body: Bytes::from(vec![b'x'; size]),
        vary: vec![(NameBuf::new("X-V").unwrap(), Some(variant.as_bytes().to_vec()))],
        life: Life { fresh: std::time::Duration::from_secs(60), ..Life::default() },
        asked,
        came: asked,
        groups: Arc::new(Groups {
            names: groups.iter().map(|name| (*name).into()).collect(),
            marks: Vec::new(),
        }),
        resource: 7,
        spent: AtomicBool::new(false),
        secret: false,
    })
}

fn asking(variant: &str) -> Fields {
    let mut fields = Fields::new();
    fields.push(Name::new(b"X-V").unwrap(), variant.as_bytes());
    fields
}

fn finds(store: &Store, key: &[u8], variant: &str) -> bool {
    matches!(store.find(key, &asking(variant), false), Found::Entry(_))
}

#[test]
fn its_bytes_are_bounded_whatever_comes() {
    let store = Store::new(1 << 20, None);
    for nth in 0..1000_u32 {
        store.put(&nth.to_le_bytes(), entry(10_000, "a", &[], now()), 0);
    }
    let (objects, bytes, most) = store.size();
    assert!(bytes <= most && most == 1 << 20 && (20..=104).contains(&objects), "{objects} {bytes} {most}");
    store.resize(1 << 18);
    store.put(b"one more", entry(10, "a", &[], now()), 0);
    assert!(store.size().1 <= 1 << 20);
    store.put(b"large", entry(1 << 21, "a", &[], now()), 0);
    assert!(!finds(&store, b"large", "a"), "larger than all of it");
}

#[test]
fn variants_of_one_key_are_bounded_and_the_newest_stay() {
    let store = Store::new(1 << 24, None);
    for nth in 0..100 {
        store.put(b"key", entry(10, &nth.to_string(), &[], now()), 0);
    }
    let found: Vec<usize> = (0..100).filter(|nth| finds(&store, b"key", &nth.to_string())).collect();
    assert_eq!(found, (84..100).collect::<Vec<_>>());
    assert!(matches!(store.find(b"key", &asking("other"), false), Found::OtherVariants));
}

#[test]
fn what_changed_is_not_found_again_nor_kept_late() {
    let store = Store::new(1 << 24, None);
    let before = now();
    store.put(b"key", entry(10, "a", &[], before), 0);
    assert!(finds(&store, b"key", "a"));
    store.change(7);
    assert!(!finds(&store, b"key", "a"));
    assert!(!store.put(b"key", entry(10, "a", &[], before), 0), "asked for before the change");
    assert!(store.put(b"key", entry(10, "a", &[], now()), 0));
    assert!(finds(&store, b"key", "a"));
}

#[test]
fn a_purge_counts_what_goes_and_what_is_on_its_way_stays_out() {
    let store = Store::new(1 << 24, None);
    let began = store.purged();
    for (key, group) in [(b"1", "a"), (b"2", "b"), (b"3", "a")] {
        store.put(key, entry(10, "v", &[group], now()), began);
    }
    let group = |dry_run| Purge { group: Some("a".into()), dry_run, ..Purge::default() };
    assert_eq!((store.purge(group(true)).objects, store.size().0), (2, 3));
    assert_eq!((store.purge(group(false)).objects, store.size().0), (2, 1));
    assert!(!store.put(b"1", entry(10, "v", &["a"], now()), began), "asked for before the purge");
    assert!(store.put(b"4", entry(10, "v", &["b"], now()), began), "another group");
    let soft = Purge { soft: true, ..Purge::default() };
    assert_eq!(store.purge(soft).objects, 2);
    let Found::Entry(spent) = store.find(b"2", &asking("v"), false) else { panic!("it is gone") };
    assert_eq!(spent.freshness(now()), Err(std::time::Duration::ZERO));
}

#[test]
fn what_is_on_its_way_is_bounded() {
    let store = Store::new(1 << 20, None);
    let first = store.hold(200_000).unwrap();
    assert!(store.hold(200_000).is_none());
    drop(first);
    assert!(store.hold(200_000).is_some());
}
