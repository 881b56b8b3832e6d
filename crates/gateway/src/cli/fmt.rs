//! `tidegate fmt`: the usual layout of a configuration. Comments stay.

use std::path::PathBuf;

use super::{Exit, admin_client, file_or_usual, output};
use crate::admin::source::Source;
use crate::config::patch;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Change nothing: only say whether the layout is the usual one
    #[arg(long)]
    check: bool,
}

/// Runs the command: with --check, "no" when the layout is another.
pub fn run(options: Options) -> Exit {
    let source = Source::Path(file_or_usual(options.file));
    let outcome = source.text().and_then(|text| {
        let tidied = patch::tidy(&text).map_err(|why| why.to_string())?;
        Ok((text, tidied))
    });
    let (text, tidied) = match outcome {
        Ok(texts) => texts,
        Err(why) => return admin_client::refuse(&why, Exit::No),
    };
    let name = source.name();
    if text == tidied {
        output::talk(&format!("{name} has the usual layout\n"));
        return Exit::Good;
    }
    if options.check {
        output::talk(&format!("{name} has another layout: `tidegate fmt {name}` changes it\n"));
        return Exit::No;
    }
    match source.write(&tidied) {
        Ok(()) => Exit::Good,
        Err(error) => admin_client::refuse(&format!("cannot write {name}: {error}"), Exit::No),
    }
}
