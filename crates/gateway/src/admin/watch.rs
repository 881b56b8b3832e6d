//! Notices that the configuration on disk has changed.
//!
//! Looks when something was done in the folders of the files that were read, and itself every few seconds, for file
//! systems that tell nobody.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::control::{Control, Source};
use super::folders::Folders;
use super::pages::reload_and_tell;

/// How often the files are looked at when nothing is told.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// What tells two states of the files apart: a file put in the place of another may have its time and its length.
pub type State = Vec<(PathBuf, Option<(SystemTime, u64, u64)>)>;

/// Reloads whenever the files have changed from how they were `seen` when they were read, until the process ends.
pub async fn run(control: Arc<Control>, mut seen: State) {
    let Source::Path(source) = control.source.clone() else { return };
    let mut folders = Folders::new();
    loop {
        let paths = control.paths();
        folders.follow(paths.iter().map(PathBuf::as_path).chain([source.as_path()]));
        let _ = tokio::time::timeout(LOOK, folders.changed()).await;
        let now = state(&source, &control.paths());
        if now != seen && !control.is_draining() {
            // As the files were before they are read: what changes meanwhile is seen the next time.
            seen = now;
            // What came of it has been told.
            let _ = reload_and_tell(&control).await;
        }
    }
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
