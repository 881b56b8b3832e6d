//! Notices that the configuration on disk has changed.
//!
//! Watches the folders of the files that were read: editors that replace a file by renaming, and Kubernetes, which
//! swaps a symbolic link beside it, touch the folder, not the file. Looks itself every few seconds too, for file
//! systems that tell nobody.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::control::{Control, Source};
use super::pages::reload_and_tell;

/// Rest after the last sign of a change: editors write in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// How often the files are looked at when nothing is told.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// What tells two states of the files apart: a file put in the place of another may have its time and its length.
pub type State = Vec<(PathBuf, Option<(SystemTime, u64, u64)>)>;

/// Reloads whenever the files have changed from how they were `seen` when they were read, until the process ends.
pub async fn run(control: Arc<Control>, mut seen: State) {
    let Source::Path(source) = control.source.clone() else { return };
    let (signs, mut told) = mpsc::channel(1);
    // Kept besides the watcher's own: without any sender, waiting for a sign would end at once, for ever.
    let mut watcher = watcher(signs.clone());
    let mut folders = Vec::new();
    loop {
        let mut paths = control.paths();
        paths.push(source.clone());
        let mut wanted: Vec<PathBuf> = paths.iter().flat_map(|path| folders_of(path)).collect();
        if source.is_dir() {
            wanted.push(source.clone());
        }
        follow(&mut watcher, &mut folders, wanted);
        if tokio::time::timeout(LOOK, told.recv()).await.is_ok() {
            settle(&mut told).await;
        }
        let now = state(&source, &control.paths());
        if now != seen && !control.is_draining() {
            // As the files were before they are read: what changes meanwhile is seen the next time.
            seen = now;
            // What came of it has been told.
            let _ = reload_and_tell(&control).await;
        }
    }
}

/// Waits until no more signs come for a moment.
pub(super) async fn settle(told: &mut mpsc::Receiver<()>) {
    while tokio::time::timeout(QUIET, told.recv()).await.is_ok_and(|sign| sign.is_some()) {}
}

/// Who tells when something happens in a folder.
pub(super) fn watcher(signs: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let told = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // One waiting sign is as good as many.
            let _ = signs.try_send(());
        }
    };
    notify::recommended_watcher(told)
        .inspect_err(
            |error| tracing::warn!(error = %error, "cannot watch files; looking at them every 5 s instead"),
        )
        .ok()
}

/// Watches these folders, and no others.
pub(super) fn follow(
    watcher: &mut Option<RecommendedWatcher>,
    folders: &mut Vec<PathBuf>,
    mut wanted: Vec<PathBuf>,
) {
    let Some(watcher) = watcher else { return };
    wanted.sort();
    wanted.dedup();
    if *folders == wanted {
        return;
    }
    for gone in folders.iter().filter(|folder| !wanted.contains(folder)) {
        let _ = watcher.unwatch(gone);
    }
    for fresh in wanted.iter().filter(|folder| !folders.contains(folder)) {
        // A folder that cannot be watched is still looked at.
        let _ = watcher.watch(fresh, RecursiveMode::NonRecursive);
    }
    *folders = wanted;
}

/// The folder of a file, and the one of what it links to.
pub(super) fn folders_of(path: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = path.canonicalize().ok();
    std::iter::once(folder(path)).chain(real.as_deref().map(folder)).collect()
}

/// How the files are now.
pub fn state(source: &Path, paths: &[PathBuf]) -> State {
    let mut all: Vec<PathBuf> = paths.to_vec();
    all.push(source.to_owned());
    all.sort();
    all.dedup();
    all.into_iter()
        .map(|path| {
            let facts = std::fs::metadata(&path).ok();
            let facts = facts.and_then(|facts| Some((facts.modified().ok()?, facts.len(), facts.ino())));
            (path, facts)
        })
        .collect()
}
