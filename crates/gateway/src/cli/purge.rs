//! `tidegate purge`: take answers out of the cache of a running gateway.

use serde_json::{Value, json};

use super::Exit;
use super::admin_client::{At, asked};

/// What the command is told.
#[derive(clap::Args)]
pub struct Options {
    /// Everything of this URL, or of this path on any host; without a query whatever the query
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Everything whose URL, or path on any host, begins so
    #[arg(long, value_name = "URL")]
    prefix: Option<String>,
    /// Everything that this route has answered
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Everything in this group: Cache-Groups, Surrogate-Key, Cache-Tag, or `groups` of the route
    #[arg(long, value_name = "NAME", alias = "tag")]
    group: Option<String>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Let it become stale instead of taking it out: it stays for when the service fails
    #[arg(long)]
    soft: bool,
    /// Only count what would go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    admin: At,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Takes answers out: "no" when the gateway refuses; nothing to take out is no refusal.
#[expect(clippy::print_stdout, reason = "stdout is where a command gives its data")]
pub fn run(options: Options) -> Exit {
    let mut question = json!({ "all": options.all, "soft": options.soft, "dry_run": options.dry_run });
    let named = [
        ("url", &options.url),
        ("prefix", &options.prefix),
        ("route", &options.route),
        ("group", &options.group),
    ];
    for (name, value) in named {
        if let (Some(value), Some(question)) = (value, question.as_object_mut()) {
            question.insert(name.to_owned(), value.as_str().into());
        }
    }
    let answer = match asked(&options.admin, "POST", "/api/v1/cache/purge", Some(&question), options.json) {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if !options.json {
        let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
        let what = match (options.dry_run, options.soft) {
            (true, _) => "would go",
            (false, true) => "made stale",
            (false, false) => "taken out",
        };
        println!("{what}: {} answers, {} bytes", number("objects"), number("bytes"));
    }
    Exit::Good
}
