//! The web console: built by npm, tried in a browser.
//! Takes the sources in `console`; leaves the pages in `console/dist`, from where the gateway's build takes them up.
//! It must never let a gateway without its console pass for one with it.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::{Failure, programs, workspace};

/// What the pages are made of, besides the sources.
const ALSO: [&str; 6] =
    ["package-lock.json", "index.html", "vite.config.ts", "svelte.config.js", "tsconfig.json", "public"];

/// Whether the console was built, or why it cannot be here.
pub(crate) enum Built {
    Yes,
    /// Node or npm is not here, or too old.
    NotHere(String),
}

/// Installs what it needs and builds it, if anything is newer than what was built.
pub(crate) fn build() -> Result<Built, Failure> {
    let (Some(_), Some(_)) = (programs::find("node"), programs::find("npm")) else {
        return Ok(Built::NotHere("Node and npm are not installed".into()));
    };
    let version = programs::output_of("node", &["--version"]).unwrap_or_default();
    if !is_new_enough(&version) {
        return Ok(Built::NotHere(format!("Node {version} is older than 20.19")));
    }
    let folder = workspace::root().join("console");
    let installed = newest(&folder.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < newest(&folder.join("package-lock.json")) {
        npm(&["ci", "--no-audit", "--no-fund"])?;
    }
    let sources = ALSO.iter().map(|name| folder.join(name)).chain([folder.join("src")]);
    if newest(&folder.join("dist/index.html")) <= sources.filter_map(|path| newest(&path)).max() {
        npm(&["run", "build"])?;
    }
    Ok(Built::Yes)
}

/// Runs a command of npm in the console's folder.
pub(crate) fn npm(arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new(programs::find("npm").unwrap_or_else(|| "npm".into()));
    let status = command.args(arguments).current_dir(workspace::root().join("console")).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm {} ended with {status}", arguments.join(" "))),
        Err(e) => Err(format!("npm does not start: {e}")),
    }
}

/// Tries the console of the gateway that was built for the tests in a browser.
pub(crate) fn try_in_browser() -> Result<(), Failure> {
    let gateway = workspace::target().join("debug/tidegate");
    let browser =
        ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| programs::find(name));
    let mut command = Command::new(programs::find("node").unwrap_or_else(|| "node".into()));
    command.arg("tests/run.mjs").current_dir(workspace::root().join("console")).env("TIDEGATE", gateway);
    if let Some(browser) = browser {
        command.env("CHROMIUM", browser);
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the console failed in the browser: {status}")),
        Err(e) => Err(format!("node does not start: {e}")),
    }
}

/// Whether `v20.19.0` is 20.19 or later.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (20, 19) && version != (21, 0)
}

/// When a file, or anything in a folder, was changed last.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        return std::fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max();
    }
    std::fs::metadata(path).ok()?.modified().ok()
}

#[test]
fn versions_of_node_are_compared_as_numbers() {
    for (version, good) in
        [("v20.20.2", true), ("v20.19.0", true), ("v22.1.0", true), ("v18.20.4", false), ("", false)]
    {
        assert_eq!(is_new_enough(version), good, "{version}");
    }
}
