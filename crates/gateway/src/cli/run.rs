//! `tidegate run`: the gateway, from a file, a folder, or to a single URL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing_subscriber::filter::LevelFilter;

use super::{Exit, file_or_usual};
use crate::admin::access::{Fresh, VARIABLE};
use crate::admin::address::AdminAddress;
use crate::admin::control::Source;
use crate::admin::handover::{Predecessor, Program};
use crate::admin::process::{self, Process, Start, StartError};
use crate::config::LogLevel;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The configuration: a file, or a folder of *.yaml files [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Forward everything to this URL, without any file
    #[arg(long, conflicts_with = "file", value_name = "URL")]
    to: Option<String>,
    /// With --to: where clients arrive
    #[arg(long, requires = "to", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,
    /// With --to: the admin address, or `off`
    #[arg(long, requires = "to", default_value = "127.0.0.1:9900", value_name = "ADDRESS")]
    admin: String,
    /// Write the addresses to this file, as JSON, once the gateway serves
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Say what happens as JSON, one object on each line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let source = match &options.to {
        Some(url) if !url.contains("://") => {
            tell(&format!("error: `{url}` is not a URL: write `--to http://{url}`"));
            return Exit::Usage;
        }
        Some(url) => to_url(url, &options.listen, &options.admin),
        None => Source::Path(file_or_usual(options.file)),
    };
    serve(source, options.ready_file.as_deref(), options.json, |_| {})
}

/// A configuration that forwards everything.
fn to_url(url: &str, listen: &str, admin: &str) -> Source {
    let text = "listen: ${LISTEN}\nadmin: { listen: \"${ADMIN}\" }\nroutes:\n  /*: { to: \"${TO}\" }\n";
    let variables = [("LISTEN", listen), ("ADMIN", admin), ("TO", url)];
    Source::Text {
        name: "run --to".into(),
        text: text.into(),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

/// A configuration in a text, with variables of its own.
pub fn text_source(name: &str, text: &str, variables: &BTreeMap<String, String>) -> Source {
    Source::Text { name: name.into(), text: text.into(), variables: variables.clone() }
}

/// Serves until the end. `ready` is called once clients are served.
pub fn serve(source: Source, ready_file: Option<&Path>, json: bool, ready: impl FnOnce(&Process)) -> Exit {
    let mut before = match Predecessor::find() {
        Ok(before) => before,
        Err(error) => return refuse(&StartError::System(format!("cannot take sockets over: {error}"))),
    };
    // The level stands in the configuration, so that is read before there is a log; its faults go to stderr.
    let loaded = match process::load(&source) {
        Ok((loaded, ..)) => loaded,
        Err(error) => {
            before.failed(&error.to_string());
            return refuse(&error);
        }
    };
    log_to_stderr(loaded.config.log.level, json);
    if loaded.diagnostics.warnings() > 0 {
        tell(loaded.diagnostics.render(false).trim_end());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&StartError::System(format!("cannot start: {error}"))),
    };
    runtime.block_on(async {
        let (tickets, program) = (before.take_tickets(), Program::this().ok());
        let start = Start { ready_file, inherited: Some(before.sockets()), tickets, program };
        match Process::start(source, start).await {
            Ok(mut process) => {
                if let (Some(fresh), Some(admin)) = (process.take_token(), &process.admin) {
                    show_once(&fresh, admin);
                }
                before.ready();
                ready(&process);
                if process.run().await { Exit::Good } else { Exit::No }
            }
            Err(error) => {
                before.failed(&error.to_string());
                refuse(&error)
            }
        }
    })
}

fn refuse(error: &StartError) -> Exit {
    match error {
        StartError::Faults(faults) => {
            let color = super::check::wants_color();
            let summary = faults.summary("The gateway does not start", color);
            tell(&format!("{}\n{}", faults.render(color), summary.trim_end()));
            Exit::No
        }
        StartError::Bind(_) | StartError::System(_) => {
            tell(&format!("error: {error}"));
            Exit::No
        }
    }
}

/// Shows a token this once: not in the log, whose lines are kept.
fn show_once(fresh: &Fresh, admin: &AdminAddress) {
    let kept = match &fresh.kept {
        Some(file) => format!("Only its hash is kept, in {}.", file.display()),
        None => "It lasts as long as this process.".to_owned(),
    };
    let token = &fresh.token;
    let console = match admin {
        AdminAddress::At(_) => format!("{admin}/#token={token}"),
        // A browser reaches a unix socket through somebody who may open it.
        AdminAddress::Unix(path) => {
            format!("ssh -L 9900:{} HOST, then http://localhost:9900/#token={token}", path.display())
        }
    };
    tell(&format!(
        "\n  The admin token, shown this once: {token}\n  {kept}\n  Console: {console}\n  \
         Commands: export {VARIABLE}={token}\n"
    ));
}

#[expect(clippy::print_stderr, reason = "stderr is where a command talks")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Lets what the gateway says of itself go to stderr, from this level on.
pub(super) fn log_to_stderr(level: LogLevel, json: bool) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(super::check::wants_color())
        .with_target(false);
    // A second call, as in tests of several commands in one process, keeps the first.
    let _ = if json { subscriber.json().try_init() } else { subscriber.try_init() };
}
