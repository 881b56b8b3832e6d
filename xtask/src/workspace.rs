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
    if crate::needs::in_ci() {
        // What is built once is not built again in parts.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// The gateway that was named, or else the one built from here in release.
pub(crate) fn gateway(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return named.canonicalize().map_err(|e| format!("{}: {e}", named.display()));
    }
    build("release")
}

/// Builds the gateway by this profile of `Cargo.toml`, and gives where it lies.
pub(crate) fn build(profile: &str) -> Result<PathBuf, Failure> {
    let built = cargo(&["build", "--profile", profile, "--package", "tidegate"]).status();
    let built = built.map_err(|e| format!("cargo does not start: {e}"))?;
    if !built.success() {
        return Err(format!("the gateway does not build by the profile `{profile}`"));
    }
    Ok(target().join(profile).join("tidegate"))
}
