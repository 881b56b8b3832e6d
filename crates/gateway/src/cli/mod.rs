//! The command line: one file for each command.
//!
//! stdout is data, stderr is talk. Exit codes: 0 good, 1 the answer is "no", 2 wrong usage, 3 cannot reach.

pub mod admin_client;
pub mod apply;
pub mod audit;
pub mod ban;
pub mod check;
pub mod completions;
pub mod config_show;
pub mod confirm;
pub mod demo;
pub mod diff;
pub mod drain;
pub mod explain;
pub mod fmt;
pub mod guard;
pub mod history;
pub mod import;
pub mod init;
pub mod key;
pub mod output;
pub mod purge;
pub mod reload;
pub mod rollback;
pub mod run;
pub mod schema;
pub mod split;
pub mod status;
pub mod tail;
pub mod test;
pub mod token;
pub mod top;
pub mod version;
pub mod weight;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An API gateway for microservices: one binary, one file.
#[derive(Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway from a file or folder, or to a single URL without any file
    Run(run::Options),
    /// Run a shop of small services behind the gateway, to try things on
    Demo(demo::Options),
    /// Write a small gateway.yaml, ready to run and known to editors
    Init(init::Options),
    /// Make a configuration from what others have written
    Import(import::Options),
    /// Check a configuration and print every fault with its place and remedy
    Check(check::Options),
    /// Run the tests that stand in a configuration, without a gateway
    Test(test::Options),
    /// Tell what differs between two configurations, or between one and the running gateway's
    Diff(diff::Options),
    /// Put a configuration in the place of a running gateway's, and go back by itself unless confirmed
    Apply(apply::Options),
    /// Keep the change that waits for its confirmation
    Confirm(confirm::Options),
    /// Let an earlier configuration of a running gateway run again
    Rollback(rollback::Options),
    /// Show the last changes of a running gateway's configuration
    History(history::Options),
    /// Give a configuration the usual layout; comments stay
    Fmt(fmt::Options),
    /// Tell whether the log of changes is whole
    Audit(audit::Options),
    /// Tell what would become of a request: which route and why, each policy's verdict, the request sent on
    Explain(explain::Options),
    /// Make API keys and their hashes
    Key(key::Options),
    /// Get a token of the development issuer that the demo runs, to try routes that need one
    Token(token::Options),
    /// Look at a configuration
    Config(config_show::Options),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print completions for a shell
    Completions(completions::Options),
    /// Ask a running gateway how it is
    Status(status::Options),
    /// Show the busiest routes, services and targets of a running gateway
    Top(top::Options),
    /// Show requests of a running gateway as they come: failures, slow ones, some of the rest
    Tail(tail::Options),
    /// Let a running gateway read its configuration again
    Reload(reload::Options),
    /// Take a target of a running gateway out of use: what is under way ends, nothing new goes there
    Drain(drain::Options),
    /// Take a drained target back in
    Undrain(drain::Options),
    /// Take answers out of the cache of a running gateway: a URL, all below one, a route's, a group, or all
    Purge(purge::Options),
    /// Give a target another share of its service's requests
    Weight(weight::Options),
    /// Show how routes are spread over services, and give them other weights
    Split(split::Options),
    /// Keep an address out of a running gateway, for a time
    Ban(ban::Options),
    /// Let a banned address in again
    Unban(ban::Lifted),
    /// List who is banned
    Bans(ban::Listed),
    /// List who behaves abnormally, or forgive a client
    Guard(guard::Options),
    /// Print the version
    Version,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Good.
    Good = 0,
    /// The answer is "no": invalid, different, failed.
    No = 1,
    /// Wrong usage.
    Usage = 2,
    /// Something cannot be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// The configuration that commands read when none is named.
pub const USUAL_FILE: &str = "gateway.yaml";

/// The file named, or the usual one.
pub fn file_or_usual(file: Option<PathBuf>) -> PathBuf {
    file.unwrap_or_else(|| USUAL_FILE.into())
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Run(options) => run::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Init(options) => init::run(options),
        Command::Import(options) => import::run(options),
        Command::Check(options) => check::run(options),
        Command::Test(options) => test::run(options),
        Command::Diff(options) => diff::run(options),
        Command::Apply(options) => apply::run(options),
        Command::Confirm(options) => confirm::run(options),
        Command::Rollback(options) => rollback::run(options),
        Command::History(options) => history::run(options),
        Command::Fmt(options) => fmt::run(options),
        Command::Audit(options) => audit::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Key(options) => key::run(options),
        Command::Token(options) => token::run(options),
        Command::Config(options) => config_show::run(options),
        Command::Schema => schema::run(),
        Command::Completions(options) => completions::run(options),
        Command::Status(options) => status::run(options),
        Command::Top(options) => top::run(options),
        Command::Tail(options) => tail::run(options),
        Command::Reload(options) => reload::run(options),
        Command::Drain(options) => drain::drain(options),
        Command::Undrain(options) => drain::undrain(options),
        Command::Purge(options) => purge::run(options),
        Command::Weight(options) => weight::run(options),
        Command::Split(options) => split::run(options),
        Command::Ban(options) => ban::ban(&options),
        Command::Unban(options) => ban::unban(&options),
        Command::Bans(options) => ban::bans(&options),
        Command::Guard(options) => guard::guard(&options),
        Command::Version => version::run(),
    };
    exit.into()
}
