//! `cargo xtask filtered`: the properties of shaped bodies on many random documents.
//! Takes a number of documents; gives a failure where one still holds what was to be filtered, or where the stream and the
//! tree do not say the same.
//! It must never count fewer documents than it says.

use std::process::Command;

use crate::{Failure, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Random documents for each property
    #[arg(long, default_value_t = 1_000_000)]
    documents: u32,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--release", "-p", "shape", "--test", "properties", "--", "--test-threads=2"])
        .env("SHAPE_CASES", options.documents.to_string())
        .current_dir(workspace::root());
    let status = command.status().map_err(|e| format!("cargo does not start: {e}"))?;
    if status.success() { Ok(()) } else { Err("a document breaks a property: see above".to_owned()) }
}
