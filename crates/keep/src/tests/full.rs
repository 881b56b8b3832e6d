//! A disk that is really full, where one can be had: what is kept is lost meanwhile, and kept again when there is room.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

use super::{ONE, PATIENCE, about, eventually, put, read, settings, started, text};
use crate::store::{About, Keep, Settings, Taken};

/// A file system of 2 MiB.
struct Disk(tempfile::TempDir);

/// Set where a test runs in a namespace of its own.
const INSIDE: &str = "KEEP_TESTS_INSIDE";

impl Disk {
    /// Root may mount one; anybody may in a namespace of users and mounts of his own, so the test runs anew there. None when it
    /// did, or where neither may be.
    fn new(test: &str) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder.path());
        let mounted = mount.output();
        if mounted.as_ref().is_ok_and(|told| told.status.success()) {
            return Some(Disk(folder));
        }
        assert!(std::env::var_os(INSIDE).is_none(), "{mounted:?}");
        let possible = Command::new("unshare").args(["-Urm", "true"]).status();
        if !possible.is_ok_and(|status| status.success()) {
            eprintln!("nobody may mount anything here: {test} tried nothing");
            return None;
        }
        let mut anew = Command::new("unshare");
        anew.arg("-Urm").arg(std::env::current_exe().unwrap()).args(["--exact", test]).env(INSIDE, "1");
        let ended = anew.output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        for piece in [4096, 1] {
            let full = loop {
                if let Err(error) = ballast.write_all(&vec![0; piece]) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull);
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has a file open there lets it go at its end.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

fn large(keep: &Keep<super::Text>, key: &str) {
    let about = About { size: 24 * 1024, ..about(&[], "") };
    keep.put(key.as_bytes(), ONE, about, text(vec![b'x'; 24 * 1024]));
}

/// A keeper of a restarted process, and something that was kept by the one before.
fn kept_on(disk: &Disk, strict: bool) -> Keep<super::Text> {
    let settings = Settings { strict, ..settings(disk.path()) };
    let keep = started(settings.clone());
    put(&keep, "before", "one");
    assert!(keep.flush(PATIENCE));
    drop(keep);
    started(settings)
}

#[test]
fn a_full_disk_loses_what_comes_meanwhile_and_nothing_later() {
    for strict in [true, false] {
        let test = "tests::full::a_full_disk_loses_what_comes_meanwhile_and_nothing_later";
        let Some(disk) = Disk::new(test) else { return };
        let keep = kept_on(&disk, strict);
        disk.fill();
        // More than waits at a time, and with each batch words that cannot be said either.
        for round in 0..6 {
            for nth in 0..400 {
                large(&keep, &format!("{round}/{nth}"));
            }
            keep.forget(format!("{round}/0").as_bytes(), ONE);
            assert!(!keep.flush(PATIENCE), "strict {strict}: {round} was written to a full disk");
        }
        let numbers = keep.numbers();
        assert!(numbers.failing && numbers.dropped > 0, "{numbers:?}");
        disk.make_room();
        // It finds out by itself.
        put(&keep, "after", "kept again");
        eventually(|| !keep.numbers().failing && keep.flush(PATIENCE));
        assert_eq!(read(&keep, "after"), ["kept again"], "strict {strict}");
        let before = keep.numbers();
        for nth in 0..20 {
            large(&keep, &format!("later/{nth}"));
        }
        assert!(keep.flush(PATIENCE));
        let after = keep.numbers();
        assert_eq!((after.written - before.written, after.dropped), (20, before.dropped), "strict {strict}");
    }
}

#[test]
fn what_a_full_disk_cannot_be_told_is_gone_does_not_come_back() {
    let test = "tests::full::what_a_full_disk_cannot_be_told_is_gone_does_not_come_back";
    let Some(disk) = Disk::new(test) else { return };
    let keep = kept_on(&disk, true);
    disk.fill();
    assert_eq!(keep.take_out(&|_| true, Taken::Gone).objects, 1);
    keep.flush(PATIENCE);
    drop(keep);
    disk.make_room();
    assert!(read(&started(settings(disk.path())), "before").is_empty());
}
