//! The commands of the project: `cargo xtask demo|test|release|bench|soak|cache-tests|guessing|guard-day|insights|filtered|fuzz`.
//! Takes a command line, from any folder of the workspace; gives an exit code: 0 good, 1 failed, 2 usage.
//! It must never leave a process behind, nor leave out a part of a proof without saying so.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: its results go to stdout, its talk to stderr"
)]

mod bench;
mod cache_tests;
mod console;
mod demo;
mod filtered;
mod fuzz;
mod guard_day;
mod guessing;
mod insights;
mod needs;
mod process;
mod programs;
mod release;
mod soak;
mod test;
mod tls;
mod websocket;
mod wire;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What went wrong, in words for the person at the terminal.
type Failure = String;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check and test everything, from formatting to the last integration test
    Test,
    /// Build the gateway, optimised, and start the demo shop behind it
    Demo(demo::Options),
    /// Build the gateway as it is to be shipped, optimised by a profile of itself under load
    Release,
    /// Measure the gateway against nginx, HAProxy and Envoy
    Bench(bench::Options),
    /// Load with a reload each second while WebSockets stay open
    Soak(soak::Options),
    /// Run the public tests of HTTP caches on the gateway (needs Node.js)
    CacheTests(cache_tests::Options),
    /// Measure whether the time of a refusal tells how much of an API key was guessed
    Guessing(guessing::Options),
    /// Simulate a day of the guard: honest clients, attackers, and who was told apart when
    GuardDay(guard_day::Options),
    /// Make services of the demo slow, and see what the insights say of it, and of steady traffic
    Insights(insights::Options),
    /// Look for what a filter takes out in a million random documents
    Filtered(filtered::Options),
    /// Run the fuzz targets (needs a nightly toolchain and cargo-fuzz)
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let outcome = match Line::parse().command {
        Command::Test => test::run(),
        Command::Demo(options) => demo::run(&options),
        Command::Release => release::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::CacheTests(options) => cache_tests::run(&options),
        Command::Guessing(options) => guessing::run(&options),
        Command::GuardDay(options) => guard_day::run(&options),
        Command::Insights(options) => insights::run(&options),
        Command::Filtered(options) => filtered::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
