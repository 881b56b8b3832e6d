//! Where things lie: the root of the workspace, the build output, cargo itself.
//! Takes what cargo tells a program it runs; gives paths.
//! It must never depend on the folder from which the command was called.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;

/// The root of the workspace: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The folder of build output.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A call of the cargo that runs this program, in the root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Builds the gateway in release and gives the path of the binary.
pub(crate) fn release_gateway() -> Result<PathBuf, Failure> {
    let built = cargo(&["build", "--release", "--package", "tidegate"]).status();
    let built = built.map_err(|e| format!("cargo does not start: {e}"))?;
    if !built.success() {
        return Err("the gateway does not build in release".to_owned());
    }
    Ok(target().join("release/tidegate"))
}
