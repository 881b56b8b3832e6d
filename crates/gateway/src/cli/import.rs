//! `tidegate import`: a configuration made from what others have written.
//!
//! Writes text and starts nothing; what it writes is one that `tidegate check` accepts.

mod openapi;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use contract::{Api, Judged};

use super::{Exit, check, output};
use crate::config::{Diagnostics, Document, Files, codes};

/// The largest document.
const LARGEST: u64 = 8 << 20;

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    from: From,
}

#[derive(clap::Subcommand)]
enum From {
    /// Make services, routes and validation of an OpenAPI document (3.0 or 3.1)
    Openapi(Openapi),
}

/// What the import of an OpenAPI document is told.
#[derive(clap::Args)]
struct Openapi {
    /// The document, as YAML or JSON
    file: PathBuf,
    /// The file to write; without it, stdout
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "out")]
    force: bool,
    /// The URL of the service, where it is not the first server of the document
    #[arg(long, value_name = "URL", conflicts_with = "mock")]
    to: Option<String>,
    /// Answer with examples of the document instead of asking a service
    #[arg(long)]
    mock: bool,
}

/// Runs the command: "no" when the document cannot be used.
pub fn run(options: Options) -> Exit {
    let From::Openapi(options) = options.from;
    let mut faults = Diagnostics::new(Files::default());
    let Some(api) = read(&options.file, &mut faults) else { return check::refuse(&faults) };
    let made = openapi::configuration(
        &api,
        &openapi::Wanted { document: &named_from(&options), to: options.to.as_deref(), mock: options.mock },
    );
    for left in &made.left_out {
        output::talk(&format!("left out: {left}\n"));
    }
    let Some(out) = &options.out else {
        output::data(&made.text);
        return Exit::Good;
    };
    let mut open = OpenOptions::new();
    let open = if options.force { open.create(true).truncate(true) } else { open.create_new(true) };
    match open.write(true).open(out).and_then(|mut file| file.write_all(made.text.as_bytes())) {
        Ok(()) => {
            output::talk(&format!("wrote {}: {} routes\n", out.display(), made.routes));
            Exit::Good
        }
        Err(error) => {
            let help = match error.kind() {
                ErrorKind::AlreadyExists => "\n  = help: name another file, or say --force to write over it",
                _ => "",
            };
            output::talk(&format!("error: cannot write {}: {error}{help}\n", out.display()));
            Exit::No
        }
    }
}

/// The document as the file that is written has to name it: relative to its own folder where both stand in one.
fn named_from(options: &Openapi) -> String {
    let Some(out) = &options.out else { return options.file.display().to_string() };
    if let (Some(name), true) = (options.file.file_name(), options.file.parent() == out.parent()) {
        return name.to_string_lossy().into_owned();
    }
    options.file.canonicalize().unwrap_or_else(|_| options.file.clone()).display().to_string()
}

fn read(file: &PathBuf, faults: &mut Diagnostics) -> Option<Api> {
    let place = crate::config::Span::NONE;
    let length = std::fs::metadata(file).map(|facts| facts.len());
    let text = length.and_then(|length| {
        if length > LARGEST {
            return Err(std::io::Error::other("it is larger than 8 MiB"));
        }
        std::fs::read_to_string(file)
    });
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            faults.error(codes::UNREADABLE, place, format!("cannot read {}: {error}", file.display()));
            return None;
        }
    };
    let document = Document::read(file, text, faults).filter(|_| !faults.has_errors())?;
    match Api::new(document.value.clone(), Judged::ALL) {
        Ok(api) => Some(api),
        Err(flaws) => {
            for flaw in flaws {
                faults.error(codes::BAD_DOCUMENT, document.place(&flaw.pointer), flaw.what);
            }
            None
        }
    }
}
