//! Programs of the machine: where they are and which version they are.
//! Takes a name; gives a path or nothing.
//! It must never take a program for missing because `/usr/sbin` is not on the path of a plain user.

use std::path::PathBuf;
use std::process::Command;

/// The first file of that name on the path or in the folders of system programs.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// All that a command prints, both streams, or nothing when it does not start.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(find(program)?).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

/// The first line of what a command prints, for a table of versions.
pub(crate) fn version_of(program: &str, arguments: &[&str]) -> String {
    let output = output_of(program, arguments).unwrap_or_default();
    output.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown").trim().to_owned()
}
