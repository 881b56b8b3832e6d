//! Tells when something was done in one of the folders that matter.
//!
//! Takes folders, gives signs: a file was written and closed, put in place, taken away. A file that is only written to,
//! as a log is that stands beside the configuration, is no sign: under load it would be one for each buffer. Where the
//! kernel tells nothing (no inotify left, file systems over the network) there are no signs, and whoever waits must look
//! from time to time.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use inotify::{Event, EventStream, Inotify, WatchDescriptor, WatchMask, Watches};

/// Rest after the last sign: editors write in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// A folder in which something happens all the time does not keep what happened before for itself.
const LONGEST: Duration = Duration::from_secs(1);
/// Room for some dozens of events, each with the name of a file.
const ROOM: usize = 4096;

/// Folders that are watched.
pub(super) struct Folders {
    kernel: Option<Kernel>,
    watched: Vec<(PathBuf, Option<WatchDescriptor>)>,
}

struct Kernel {
    watches: Watches,
    events: EventStream<Vec<u8>>,
}

impl Folders {
    /// No folder yet. To be called on a runtime of tokio.
    pub(super) fn new() -> Folders {
        let kernel = Kernel::new()
            .inspect_err(|error| {
                tracing::warn!(error = %error, "cannot watch files; looking at them every 5 s instead");
            })
            .ok();
        Folders { kernel, watched: Vec::new() }
    }

    /// Watches the folders of these files, and no others.
    pub(super) fn follow<'p>(&mut self, files: impl Iterator<Item = &'p Path>) {
        let mut wanted: Vec<PathBuf> = files.flat_map(folders_of).collect();
        wanted.sort();
        wanted.dedup();
        let Some(Kernel { watches, .. }) = &mut self.kernel else { return };
        self.watched.retain_mut(|(folder, watch)| {
            let stays = wanted.contains(folder);
            if let Some(gone) = watch.take_if(|_| !stays) {
                let _ = watches.remove(gone);
            }
            // A folder that could not be watched may be there by now.
            stays && watch.is_some()
        });
        for fresh in wanted {
            if !self.watched.iter().any(|(folder, _)| *folder == fresh) {
                let done = WatchMask::CLOSE_WRITE | WatchMask::CREATE | WatchMask::ATTRIB;
                let moved = WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
                let gone = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
                let watch = watches.add(&fresh, done | moved | gone).ok();
                self.watched.push((fresh, watch));
            }
        }
    }

    /// Waits until something was done and no more follows for a moment; for ever where the kernel tells nothing. May be
    /// dropped and called again.
    pub(super) async fn changed(&mut self) {
        let Some(kernel) = &mut self.kernel else { return std::future::pending().await };
        if !kernel.sign().await {
            self.kernel = None;
            return;
        }
        let settled = async { while tokio::time::timeout(QUIET, kernel.sign()).await == Ok(true) {} };
        let _ = tokio::time::timeout(LONGEST, settled).await;
    }
}

impl Kernel {
    fn new() -> std::io::Result<Kernel> {
        let inotify = Inotify::init()?;
        Ok(Kernel { watches: inotify.watches(), events: inotify.into_event_stream(vec![0; ROOM])? })
    }

    /// The next sign. False when there will be none any more.
    async fn sign(&mut self) -> bool {
        let next: Option<std::io::Result<Event<OsString>>> = self.events.next().await;
        next.is_some_and(|event| event.is_ok())
    }
}

/// The folder of a file, and the one of what it links to: editors that replace a file by renaming, and Kubernetes, which
/// swaps a symbolic link beside it, touch the folder, not the file. A folder's own place counts too, so that it may be
/// given itself.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = path.canonicalize().ok();
    let own = path.is_dir().then(|| path.to_owned());
    std::iter::once(folder(path)).chain(real.as_deref().map(folder)).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_file_put_in_place_is_a_sign_and_one_that_grows_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tidegate.yaml");
        std::fs::write(&file, "one").unwrap();
        let mut log = std::fs::File::create(folder.path().join("access.log")).unwrap();
        let mut folders = Folders::new();
        folders.follow([file.as_path()].into_iter());
        log.write_all(b"a line").unwrap();
        // The file's events come in order, so a sign of the log would come before that of the file.
        let beside = folder.path().join("new");
        std::fs::write(&beside, "two").unwrap();
        let first = tokio::time::timeout(PATIENCE, folders.kernel.as_mut().unwrap().events.next()).await;
        let first = first.unwrap().unwrap().unwrap();
        assert_eq!(first.name, Some(OsString::from("new")));
        std::fs::rename(beside, &file).unwrap();
        tokio::time::timeout(PATIENCE, folders.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn folders_come_and_go() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = [one.path().join("a"), two.path().join("missing/b")];
        let mut folders = Folders::new();
        folders.follow(files.iter().map(PathBuf::as_path));
        assert!(folders.watched.iter().any(|(_, watch)| watch.is_none()), "{:?}", folders.watched);
        std::fs::create_dir(two.path().join("missing")).unwrap();
        folders.follow(files.iter().map(PathBuf::as_path));
        assert!(folders.watched.iter().all(|(_, watch)| watch.is_some()), "{:?}", folders.watched);
        folders.follow(files.iter().take(1).map(PathBuf::as_path));
        assert_eq!(folders.watched.len(), 1);
        std::fs::write(&files[1], "not watched any more").unwrap();
        std::fs::write(&files[0], "watched").unwrap();
        tokio::time::timeout(PATIENCE, folders.changed()).await.unwrap();
    }
}
