//! The folder in which the admin address keeps its records, readable by its owner alone.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::control::Source;
use crate::config::Config;

/// Where records are kept; `None` where only memory is left: a configuration without a file.
pub(super) fn of(source: &Source, config: &Config) -> Option<PathBuf> {
    if let Some(folder) = &config.admin.state {
        return Some(folder.clone());
    }
    let Source::Path(path) = source else { return None };
    // systemd gives several folders with colons between them.
    let given = std::env::var("STATE_DIRECTORY").ok().filter(|given| !given.is_empty());
    if let Some(first) = given.as_deref().and_then(|given| given.split(':').next()) {
        return Some(first.into());
    }
    let beside = if path.is_dir() { Some(&**path) } else { path.parent() };
    Some(beside.unwrap_or(Path::new("")).join(".tidegate"))
}

/// Makes a folder for its owner alone; one that was made here is left out of version control.
///
/// # Errors
/// What the system says.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::write(folder.join(".gitignore"), "*\n")
}

/// Writes a file that its owner alone may read, in one step.
///
/// # Errors
/// What the system says.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    make(path.parent().unwrap_or(Path::new("")))?;
    replace(path, content, 0o600)
}

/// Puts a content in the place of a file in one step, so that nobody reads half of it: a draft beside it is written,
/// brought to the disk, and renamed. A link is followed, and the file keeps its permissions.
///
/// # Errors
/// What the system says.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = std::fs::metadata(&path).map_or(mode, |known| known.permissions().mode());
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = (|| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode & 0o7777).open(&draft)?;
        file.write_all(content)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()?;
        std::fs::rename(&draft, &path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_in_one_step_through_a_link_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.yaml"), folder.path().join("gateway.yaml"));
        std::fs::write(&real, "a").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"b", 0o600).unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "b");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_kept_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/admin-token");
        write_private(&path, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}
