//! What is kept, over restarts, damage, full disks and two who want the same folder. A model says what may come back.

mod full;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::store::{About, Answer, Item, Keep, Load, Settings, Sum, Taken};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const ONE: [u8; 16] = [1; 16];
const TWO: [u8; 16] = [2; 16];

/// An answer that knows what it is.
struct Text(Vec<u8>, AtomicBool);

impl Answer for Text {
    fn write(&self, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        !self.1.load(Ordering::SeqCst)
    }
}

fn text(text: impl Into<Vec<u8>>) -> Arc<Text> {
    Arc::new(Text(text.into(), AtomicBool::new(false)))
}

fn settings(folder: &Path) -> Settings {
    let folder = folder.join("kept");
    Settings { folder, form: "test 1".into(), bytes: 1 << 20, secret: None, strict: true }
}

fn started(settings: Settings) -> Keep<Text> {
    let keep = Keep::new(settings);
    keep.start(None);
    // Whoever had the folder before lets it go a little later.
    eventually(|| keep.is_open());
    keep
}

fn eventually(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn about(marks: &[u16], note: &str) -> About {
    About { marks: marks.to_vec(), note: note.into(), size: 100 }
}

fn put(keep: &Keep<Text>, key: &str, value: &str) {
    keep.put(key.as_bytes(), ONE, about(&[], ""), text(value));
}

/// What is read under a key, with a star behind what is stale.
fn read(keep: &Keep<Text>, key: &str) -> Vec<String> {
    let (then, answer) = mpsc::channel();
    assert!(keep.ask(key.as_bytes(), move |all| _ = then.send(all)));
    let told = |read: crate::Read| {
        format!("{}{}", String::from_utf8_lossy(&read.value), if read.stale { "*" } else { "" })
    };
    answer.recv_timeout(PATIENCE).unwrap().into_iter().map(told).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder.join("kept")).unwrap().map(|one| one.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "keep"));
    all.sort();
    all
}

#[test]
fn what_is_kept_outlives_a_restart_and_what_is_gone_stays_gone() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    for (key, value) in [("a", "one"), ("b", "two"), ("c", "three"), ("d", "four"), ("e", "five")] {
        put(&keep, key, value);
    }
    keep.put(b"a", TWO, about(&[7], "group"), text("other"));
    keep.put(b"f", ONE, about(&[9], ""), text("six"));
    assert!(keep.flush(PATIENCE));
    put(&keep, "b", "two again");
    keep.forget(b"c", ONE);
    keep.change(9);
    let of = |wanted: &'static str| move |item: Item<'_>| item.key == wanted.as_bytes();
    assert_eq!(keep.take_out(&of("d"), Taken::Counted).objects, 1);
    assert_eq!(keep.take_out(&of("d"), Taken::Gone).objects, 1);
    assert_eq!(keep.take_out(&of("e"), Taken::Stale).objects, 1);
    assert!(keep.flush(PATIENCE));
    let all = |keep: &Keep<Text>| ["a", "b", "c", "d", "e", "f"].map(|key| read(keep, key).join(" "));
    let right = ["one other", "two again", "", "", "five*", ""];
    assert_eq!(all(&keep), right);
    drop(keep);
    let keep = started(settings(folder.path()));
    assert_eq!(all(&keep), right);
    assert_eq!(keep.take_out(&|item| item.note == b"group", Taken::Gone).objects, 1);
    assert!(keep.flush(PATIENCE));
    drop(keep);
    assert_eq!(all(&started(settings(folder.path())))[0], "one");
}

#[test]
fn a_change_reaches_what_waits_to_be_written_and_not_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    for nth in 0..200u16 {
        let key = format!("{nth}");
        keep.put(key.as_bytes(), ONE, about(&[nth], ""), text("before"));
        keep.change(nth);
        if nth % 2 == 0 {
            keep.put(key.as_bytes(), ONE, about(&[nth], ""), text("after"));
        }
    }
    assert!(keep.flush(PATIENCE) && keep.flush(PATIENCE));
    let right = |keep: &Keep<Text>| {
        for nth in 0..200 {
            let wanted: &[&str] = if nth % 2 == 0 { &["after"] } else { &[] };
            assert_eq!(read(keep, &nth.to_string()), wanted, "{nth}");
        }
    };
    right(&keep);
    drop(keep);
    right(&started(settings(folder.path())));
}

#[test]
fn it_stays_within_its_bytes_and_keeps_what_is_newest_and_what_is_still_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    put(&keep, "first", "still wanted");
    let body = "x".repeat(10_000);
    // One key that is kept anew all the time pushes nothing out.
    for nth in 0..400 {
        put(&keep, "hot", &format!("{nth} {body}"));
        assert!(keep.flush(PATIENCE));
    }
    let size = || segments(folder.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    assert!(size() <= 1 << 20, "{}", size());
    assert_eq!(read(&keep, "first"), ["still wanted"]);
    for nth in 0..400 {
        put(&keep, &format!("key {nth}"), &body);
        assert!(keep.flush(PATIENCE));
        assert!(size() <= 1 << 20, "{}", size());
    }
    assert_eq!(read(&keep, "key 399"), [body.as_str()]);
    assert_eq!(read(&keep, "key 0").len(), 0);
    // One that is too large is not kept, and takes with it what was kept in its place.
    put(&keep, "hot", "small");
    put(&keep, "hot", &"x".repeat(100_000));
    assert!(keep.flush(PATIENCE));
    drop(keep);
    let keep = started(settings(folder.path()));
    assert_eq!((read(&keep, "key 399").len(), read(&keep, "hot").len()), (1, 0));
    assert_eq!(keep.numbers().unreadable, 0);
}

#[test]
fn another_form_or_secret_reads_nothing_and_sealed_files_show_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |secret: &str| Settings { secret: Some(secret.repeat(8)), ..settings(folder.path()) };
    let keep = started(secret("good"));
    keep.put(b"the key of it", ONE, about(&[], "the note of it"), text("the text of it"));
    assert!(keep.flush(PATIENCE));
    drop(keep);
    let mut bytes = Vec::new();
    segments(folder.path()).iter().for_each(|path| bytes.extend(fs::read(path).unwrap()));
    assert!(bytes.len() > 64);
    let shown = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for text in [&b"the key"[..], b"the note", b"the text", b"of it", b"test 1"] {
        assert!(!shown(text), "{}", String::from_utf8_lossy(text));
    }
    let keep = started(secret("good"));
    assert_eq!(read(&keep, "the key of it"), ["the text of it"]);
    drop(keep);
    for other in [
        secret("evil"),
        settings(folder.path()),
        Settings { form: "test 2".into(), ..settings(folder.path()) },
    ] {
        put(&started(settings(folder.path())), "k", "v");
        let form = other.form.clone();
        let keep = started(other);
        assert_eq!(read(&keep, "the key of it").len(), 0);
        if form == "test 2" {
            assert_eq!((read(&keep, "k").len(), keep.numbers().unreadable > 0), (0, true));
        }
    }
}

#[test]
fn two_never_write_in_one_folder_and_the_second_learns_what_the_first_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let first = started(settings(folder.path()));
    put(&first, "a", "one");
    first.put(b"b", ONE, about(&[3], ""), text("two"));
    put(&first, "c", "three");
    assert!(first.flush(PATIENCE));
    let second: Keep<Text> = Keep::new(settings(folder.path()));
    second.start(None);
    assert!(!second.is_open() && read(&second, "a").is_empty());
    // What the second one learns meanwhile holds for what the first one wrote.
    second.change(3);
    second.forget(b"c", ONE);
    put(&second, "d", "four");
    put(&first, "e", "five");
    drop(first);
    eventually(|| second.is_open());
    assert!(second.flush(PATIENCE));
    let all = ["a", "b", "c", "d", "e"].map(|key| read(&second, key).join(" "));
    assert_eq!(all, ["one", "", "", "four", "five"]);
    // Whatever is taken out by command while another has the folder takes all with it.
    let third: Keep<Text> = Keep::new(settings(folder.path()));
    third.start(None);
    assert_eq!(third.take_out(&|item| item.key == b"a", Taken::Gone), Sum::default());
    assert!(third.flush(PATIENCE));
    drop(third);
    drop(second);
    let fourth = started(settings(folder.path()));
    assert_eq!(["a", "d", "e"].map(|key| read(&fourth, key).len()), [0; 3]);
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("kept");
    fs::write(&blocked, "in the way").unwrap();
    let keep: Keep<Text> = Keep::new(settings(folder.path()));
    keep.start(None);
    for nth in 0..2_000 {
        let large = About { size: 20_000, ..about(&[], "") };
        keep.put(format!("{nth}").as_bytes(), ONE, large, text("lost"));
    }
    eventually(|| keep.numbers().failing && keep.numbers().dropped > 0);
    fs::remove_file(&blocked).unwrap();
    eventually(|| keep.is_open());
    assert!(keep.flush(PATIENCE), "what waited is written");
    put(&keep, "later", "kept");
    assert!(keep.flush(PATIENCE));
    assert_eq!(read(&keep, "later"), ["kept"]);
    assert!(!keep.numbers().failing);
}

#[test]
fn what_cannot_be_said_to_be_gone_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    put(&keep, "a", "one");
    assert!(keep.flush(PATIENCE));
    drop(keep);
    // A disk that takes nothing more: the next file cannot be made, since there is one of its name.
    let next = folder.path().join("kept/0000000000000002.keep");
    let keep = started(settings(folder.path()));
    fs::create_dir(&next).unwrap();
    assert_eq!(keep.take_out(&|_| true, Taken::Gone).objects, 1);
    assert!(!keep.flush(PATIENCE), "it could not be written");
    eventually(|| segments(folder.path()) == [next.clone()]);
    fs::remove_dir(&next).unwrap();
    drop(keep);
    assert_eq!(read(&started(settings(folder.path())), "a").len(), 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("kept")), 0o700);
}

#[test]
fn everything_is_loaded_once_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    for key in ["c", "a", "b", "c"] {
        put(&keep, key, &format!("{key}!"));
        assert!(keep.flush(PATIENCE));
    }
    drop(keep);
    let (tell, told) = mpsc::channel();
    let load: Load = Box::new(move |key, value| tell.send([key, value].concat()).unwrap());
    let keep: Keep<Text> = Keep::new(settings(folder.path()));
    keep.start(Some(load));
    eventually(|| keep.is_open());
    let all: Vec<String> = told.iter().map(|text| String::from_utf8(text).unwrap()).collect();
    assert_eq!(all, ["aa!", "bb!", "cc!"]);
}

/// What is done to a store.
#[derive(Clone, Debug)]
enum Deed {
    Put(u8, Vec<u8>),
    Forget(u8),
    Change(u8),
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..6u8, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(key, value)| Deed::Put(key, value)),
        2 => (0..6u8).prop_map(Deed::Forget),
        1 => (0..6u8).prop_map(Deed::Change),
        1 => Just(Deed::Restart),
    ];
    prop::collection::vec(deed, 1..25)
}

/// Does it all, and says what must be there at the end.
fn run(folder: &Path, deeds: &[Deed]) -> HashMap<u8, Vec<u8>> {
    let mut right = HashMap::new();
    let mut keep = started(settings(folder));
    for deed in deeds {
        match deed {
            Deed::Put(key, value) => {
                // Two keys depend on each thing.
                keep.put(&[*key], ONE, about(&[u16::from(key / 2)], ""), text(value.clone()));
                right.insert(*key, value.clone());
            }
            Deed::Forget(key) => {
                keep.forget(&[*key], ONE);
                right.remove(key);
            }
            Deed::Change(key) => {
                keep.change(u16::from(key / 2));
                right.retain(|known, _| known / 2 != key / 2);
            }
            Deed::Restart => {
                drop(keep);
                keep = started(settings(folder));
            }
        }
    }
    assert!(keep.flush(PATIENCE));
    right
}

fn values(keep: &Keep<Text>, key: u8) -> Vec<Vec<u8>> {
    let (then, answer) = mpsc::channel();
    assert!(keep.ask(&[key], move |all| _ = then.send(all)));
    answer.recv_timeout(PATIENCE).unwrap().into_iter().map(|read| read.value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_after_a_restart_is_what_was_kept_last(deeds in deeds()) {
        let folder = tempfile::tempdir().unwrap();
        let right = run(folder.path(), &deeds);
        let keep = started(settings(folder.path()));
        for key in 0..6 {
            let wanted: Vec<Vec<u8>> = right.get(&key).cloned().into_iter().collect();
            prop_assert_eq!(values(&keep, key), wanted);
        }
    }

    /// Wherever bytes are changed, cut out or put in, an answer is the one that was kept last, or none.
    #[test]
    fn damage_anywhere_is_never_an_answer(
        deeds in deeds(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8, 1..255u8), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let right = run(folder.path(), &deeds);
        for (file, at, how, byte) in &places {
            let files = segments(folder.path());
            if files.is_empty() {
                break;
            }
            let path = &files[file.index(files.len())];
            let mut bytes = fs::read(path).unwrap();
            let at = at.index(bytes.len().max(1));
            match how {
                0 if at < bytes.len() => bytes[at] ^= byte,
                1 => bytes.iter_mut().skip(at).take(9).for_each(|one| *one = *byte),
                2 => drop(bytes.splice(at..at, [*byte; 5])),
                _ => {
                    // A part of the file once more, somewhere else.
                    let part = bytes[at..].to_vec();
                    bytes.extend(part);
                }
            }
            fs::write(path, bytes).unwrap();
        }
        let keep = started(settings(folder.path()));
        for key in 0..6 {
            for found in values(&keep, key) {
                prop_assert_eq!(Some(&found), right.get(&key));
            }
        }
    }
}

#[test]
fn one_byte_changed_at_any_place_while_it_runs_is_never_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    let value = |nth: usize| format!("the reply {nth:03}");
    for nth in 0..200 {
        put(&keep, &format!("key {nth:03}"), &value(nth));
    }
    assert!(keep.flush(PATIENCE));
    let path = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let begins: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"answ")).collect();
    let length = begins[1] - begins[0];
    assert_eq!((begins.len(), bytes.len()), (200, 64 + 200 * length));
    // Of each record another byte, as long as a record has one.
    for nth in 0..length {
        bytes[begins[nth] + nth] ^= 0x41;
    }
    fs::write(&path, bytes).unwrap();
    for nth in 0..200 {
        let wanted = if nth < length { vec![] } else { vec![value(nth)] };
        assert_eq!(read(&keep, &format!("key {nth:03}")), wanted, "{nth}");
    }
    assert_eq!(keep.numbers().unreadable, length as u64);
}

#[test]
fn a_file_that_ends_anywhere_gives_what_was_kept_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let keep = started(settings(folder.path()));
    for (key, value) in [("a", "one"), ("b", "two"), ("a", "three")] {
        put(&keep, key, value);
        assert!(keep.flush(PATIENCE));
    }
    drop(keep);
    let path = segments(folder.path()).remove(0);
    let bytes = fs::read(&path).unwrap();
    let mut seen = Vec::new();
    for end in (0..=bytes.len()).step_by(11).chain([bytes.len()]) {
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("kept")).unwrap();
        fs::write(other.path().join("kept").join(path.file_name().unwrap()), &bytes[..end]).unwrap();
        let keep = started(settings(other.path()));
        let found = (read(&keep, "a").join(" "), read(&keep, "b").join(" "));
        if seen.last() != Some(&found) {
            seen.push(found);
        }
        // What comes after is kept beside what was torn, and found again.
        put(&keep, "c", "later");
        drop(keep);
        assert_eq!(read(&started(settings(other.path())), "c"), ["later"], "{end}");
    }
    let whole = [("", ""), ("one", ""), ("one", "two"), ("three", "two")];
    let told = |(a, b): &(String, String)| whole.contains(&(a.as_str(), b.as_str()));
    assert!(seen.iter().all(told), "{seen:?}");
    assert_eq!(seen.last(), Some(&("three".to_owned(), "two".to_owned())));
}
