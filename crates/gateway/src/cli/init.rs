//! `tidegate init`: a small configuration to begin with, and its schema beside it for editors.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Exit, file_or_usual, output, schema};

/// The file that editors find by the first line of [`BEGINNING`].
const SCHEMA: &str = "tidegate.schema.json";

const BEGINNING: &str = "\
# yaml-language-server: $schema=./tidegate.schema.json
# Check it with `tidegate check`, run it with `tidegate run`, ask it with `tidegate explain GET /`.

# Where clients arrive. 0.0.0.0 instead of 127.0.0.1 lets other machines in.
listen: 127.0.0.1:8080

# Health, metrics, schema, explain: for this machine only.
admin: { listen: 127.0.0.1:9900 }

# What stands behind the gateway: a URL, a list of URLs, or a map with balance and time-outs.
services:
  app: http://127.0.0.1:3000

# Which requests go where. The most specific route wins; their order does not matter.
routes:
  /*: { to: app }

  # An answer without any service:
  GET /hello: { respond: \"hello from the gateway\\n\" }

  # A service of its own below one path, which it does not see:
  # /users/*: { to: users, rewrite: { strip_prefix: /users } }
";

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// The file to write [default: gateway.yaml]
    file: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(options: Options) -> Exit {
    let file = file_or_usual(options.file);
    let schema_file = file.with_file_name(SCHEMA);
    if let Err(error) = write(&file, options.force) {
        let help = match error.kind() {
            ErrorKind::AlreadyExists => "\n  = help: name another file, or say --force to write over it",
            _ => "",
        };
        output::talk(&format!("error: cannot write {}: {error}{help}\n", file.display()));
        return Exit::No;
    }
    // Made by the program alone, so that a newer one may replace it.
    if let Err(error) = fs::write(&schema_file, schema::text()) {
        output::talk(&format!("error: cannot write {}: {error}\n", schema_file.display()));
        return Exit::No;
    }
    let (name, beside) = (file.display(), schema_file.display());
    output::talk(&format!("wrote {name} and {beside}\nnext: tidegate run {name}\n"));
    Exit::Good
}

fn write(file: &Path, force: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let options = if force { options.create(true).truncate(true) } else { options.create_new(true) };
    options.write(true).open(file)?.write_all(BEGINNING.as_bytes())
}
