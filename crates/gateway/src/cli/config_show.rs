//! `tidegate config show`: what is in force, each value with its origin.

use std::path::PathBuf;

use super::{Exit, check, file_or_usual, output};
use crate::admin::control::Source;
use crate::config::{self, Effective, Origin};
use crate::policies;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the configuration as it was understood, all files together, each value with its origin
    Show(Show),
}

#[derive(clap::Args)]
struct Show {
    /// The configuration: a file, or a folder of *.yaml files [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Every value in force, also those that nobody wrote
    #[arg(long)]
    effective: bool,
    /// A list of paths, values and origins as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let Command::Show(show) = options.command;
    let loaded = match Source::Path(file_or_usual(show.file)).compile(1, None, 1) {
        Ok((loaded, _)) => loaded,
        Err(faults) => return check::refuse(&faults),
    };
    let all = config::effective(&loaded, &policies::shown);
    let shown = if show.effective { Some(all) } else { written(all) };
    let Some(shown) = shown else { return Exit::Good };
    if show.json {
        output::json(&serde_json::json!(shown.settings()));
    } else {
        output::data(&shown.to_yaml());
    }
    Exit::Good
}

/// Only what somebody wrote.
fn written(all: Effective) -> Option<Effective> {
    match all {
        Effective::Leaf(_, Origin::Default) => None,
        leaf @ Effective::Leaf(..) => Some(leaf),
        Effective::List(items) => {
            let items: Vec<_> = items.into_iter().filter_map(written).collect();
            (!items.is_empty()).then_some(Effective::List(items))
        }
        Effective::Map(entries) => {
            let entries: Vec<_> =
                entries.into_iter().filter_map(|(key, part)| Some((key, written(part)?))).collect();
            (!entries.is_empty()).then_some(Effective::Map(entries))
        }
    }
}
