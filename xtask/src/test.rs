//! `cargo xtask test`: everything from formatting to the last integration test.
//! Takes nothing; gives the output of each step as it comes and, last, one line that counts.
//! It must never stop at the first broken step, nor call a run good in which a step was left out in CI.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::console::{self, Built};
use crate::needs::{self, Purpose};
use crate::{Failure, programs, workspace};

/// What was counted over all steps. A step that is no test runner counts as one.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// A step besides the tests: name and arguments of cargo.
const CHECKS: [(&str, &[&str]); 2] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
];

/// Says which step begins, and when, counted from the first.
struct Clock(Instant);

impl Clock {
    fn begins(&self, step: &str) {
        eprintln!("== {step} (after {} s)", self.0.elapsed().as_secs());
    }
}

pub(crate) fn run() -> Result<(), Failure> {
    let mut tally = Tally::default();
    let mut complaints = Vec::new();
    let clock = Clock(Instant::now());
    for missing in needs::provide(Purpose::Test) {
        tally.skipped += 1;
        complaints.push(format!("missing `{}`: {}", missing.program, missing.without));
    }
    // Before the gateway, which takes it up.
    clock.begins("console");
    let console = build_console(&mut tally, &mut complaints);
    for (name, arguments) in CHECKS {
        clock.begins(name);
        if succeeds(&mut workspace::cargo(arguments)) {
            tally.passed += 1;
        } else {
            tally.failed += 1;
            complaints.push(format!("{name} failed: cargo {}", arguments.join(" ")));
        }
    }
    clock.begins("licences and advisories");
    if programs::find("cargo-deny").is_some() {
        let good = succeeds(&mut workspace::cargo(&["deny", "--workspace", "check"]));
        tally.passed += u64::from(good);
        tally.failed += u64::from(!good);
    } else {
        // Building it takes minutes; deny.toml is checked where it is at hand.
        eprintln!("left out: cargo-deny is not installed");
        tally.skipped += 1;
    }
    clock.begins("tests");
    if let Err(complaint) = tests(&mut tally) {
        complaints.push(complaint);
    }
    if console {
        clock.begins("console in a browser");
        step(console::try_in_browser(), &mut tally, &mut complaints);
    }
    clock.begins("the sum of it");
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    let missing_in_ci = needs::in_ci() && complaints.iter().any(|complaint| complaint.starts_with("missing"));
    if tally.failed > 0 || missing_in_ci {
        return Err("not everything passed".to_owned());
    }
    Ok(())
}

/// Builds the console and checks its types; gives whether there is one to try.
fn build_console(tally: &mut Tally, complaints: &mut Vec<String>) -> bool {
    match console::build() {
        Ok(Built::Yes) => {
            tally.passed += 1;
            step(console::npm(&["run", "check"]), tally, complaints);
            programs::find("chromium").is_some()
        }
        Ok(Built::NotHere(why)) => {
            tally.skipped += 1;
            complaints.push(format!("missing `node`: {why}"));
            false
        }
        Err(complaint) => {
            tally.failed += 1;
            complaints.push(complaint);
            false
        }
    }
}

/// Counts a step that is no test runner.
fn step(outcome: Result<(), Failure>, tally: &mut Tally, complaints: &mut Vec<String>) {
    match outcome {
        Ok(()) => tally.passed += 1,
        Err(complaint) => {
            tally.failed += 1;
            complaints.push(complaint);
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(e) => {
            eprintln!("{command:?} does not start: {e}");
            false
        }
    }
}

/// Runs all tests, shows the runner's output as it comes and counts its summaries.
fn tests(tally: &mut Tally) -> Result<(), Failure> {
    let mut command = workspace::cargo(&["test", "--workspace", "--no-fail-fast"]);
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|e| format!("cargo does not start: {e}"))?;
    let before = tally.failed;
    if let Some(output) = child.stdout.take() {
        let mut terminal = std::io::stdout();
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            count(&line, tally);
            // A closed terminal is no reason to leave the tests unwatched.
            let _ = writeln!(terminal, "{line}");
        }
    }
    let status = child.wait().map_err(|e| format!("cargo was lost: {e}"))?;
    if !status.success() && tally.failed == before {
        // A test program that does not build or dies has no summary to count.
        tally.failed += 1;
        return Err(format!("the tests ended with {status}"));
    }
    Ok(())
}

/// Adds a line `test result: ok. 3 passed; 0 failed; 1 ignored; ..` to the tally.
fn count(line: &str, tally: &mut Tally) {
    let Some((_, counts)) =
        line.trim_start().strip_prefix("test result:").and_then(|rest| rest.split_once(". "))
    else {
        return;
    };
    for part in counts.split(';') {
        let mut words = part.split_whitespace();
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
            continue;
        };
        match what {
            "passed" => tally.passed += number,
            "failed" => tally.failed += number,
            "ignored" => tally.skipped += number,
            _ => {}
        }
    }
}

#[test]
fn summaries_of_the_runner_are_counted() {
    let mut tally = Tally::default();
    for line in [
        "running 3 tests",
        "test result: ok. 26 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s",
    ] {
        count(line, &mut tally);
    }
    assert_eq!(tally, Tally { passed: 28, failed: 3, skipped: 1 });
}
