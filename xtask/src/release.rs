//! `cargo xtask release`: the gateway as it is to be shipped, optimised by a profile of itself under load.
//! Takes the sources; gives `target/profiled/tidegate`, built twice: once to be watched while the bench loads it, once with
//! what was seen (rustc's profile-guided optimisation).
//! It must never take a profile for good in which no request was served, nor give a gateway without its console.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::console::{self, Built};
use crate::{Failure, programs, workspace};

/// What the watched gateway does: the everyday, and what most gateways do besides.
const TRAINING: [&str; 12] = [
    "logged",
    "plain",
    "rate_limit",
    "guard",
    "jwt",
    "api_key",
    "aggregate",
    "body-100k",
    "cache-1k",
    "close",
    "tls",
    "tls-h2",
];
/// A profile of a gateway that served something is larger than that, in bytes.
const SMALLEST: u64 = 100_000;

/// Where the gateway lies afterwards.
pub(crate) fn built() -> PathBuf {
    workspace::target().join("profiled/tidegate")
}

/// What it was built from.
fn mark() -> PathBuf {
    workspace::target().join("profiled/commit")
}

/// The sources as they stand, but for what a bench has written.
fn sources() -> String {
    let git = |arguments: &[&str]| {
        let root = workspace::root().display().to_string();
        programs::output_of("git", &[&["-C", &root], arguments].concat()).unwrap_or_default()
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]);
    let changed = !git(&["status", "--porcelain", "--", ".", ":!bench/results"]).trim().is_empty();
    format!("{}{}", commit.trim(), if changed { "-dirty" } else { "" })
}

/// The gateway that was built, if from the sources as they stand.
pub(crate) fn gateway() -> Result<PathBuf, Failure> {
    let (of, now) = (fs::read_to_string(mark()).unwrap_or_default(), sources());
    if of == now {
        Ok(built())
    } else {
        Err(format!("{} is of other sources than {now}: cargo xtask release", built().display()))
    }
}

pub(crate) fn run() -> Result<(), Failure> {
    let folder = workspace::target().join("profiled");
    let (raw, profile) = (folder.join("raw"), folder.join("profile"));
    // From an earlier run: what another program did is no profile of this one.
    let _ = fs::remove_dir_all(&raw);
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let merge = profdata()?;
    if let Built::NotHere(why) = console::build()? {
        return Err(format!("{why}: what is shipped has its console"));
    }
    eprintln!("building the gateway that is watched");
    let watched = build(&folder.join("watched"), &format!("-Cprofile-generate={}", raw.display()))?;
    train(&watched)?;
    let merged = Command::new(merge).arg("merge").arg("-o").arg(&profile).arg(&raw).status();
    if !merged.map_err(|e| format!("llvm-profdata does not start: {e}"))?.success() {
        return Err("the profile could not be put together".to_owned());
    }
    if fs::metadata(&profile).map_or(0, |file| file.len()) < SMALLEST {
        return Err("the watched gateway served nothing: there is no profile".to_owned());
    }
    eprintln!("building the gateway with what was seen");
    let flags = format!("-Cprofile-use={} -Cllvm-args=-pgo-warn-missing-function=false", profile.display());
    let gateway = build(&folder.join("build"), &flags)?;
    fs::copy(gateway, built()).map_err(|e| format!("{}: {e}", built().display()))?;
    fs::write(mark(), sources()).map_err(|e| format!("{}: {e}", mark().display()))?;
    println!("{}", built().display());
    Ok(())
}

/// Lets the bench load it, in a process of its own: a bench keeps to one core, and whatever it starts does too.
fn train(watched: &Path) -> Result<(), Failure> {
    let own =
        std::env::current_exe().map_err(|e| format!("this program does not know where it lies: {e}"))?;
    let mut bench = Command::new(own);
    bench.arg("bench").args(TRAINING).args([
        "--runs",
        "1",
        "--seconds",
        "3",
        "--only",
        "Tidegate",
        "--gateway",
    ]);
    match bench.arg(watched).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("the watched gateway was not loaded: see above".to_owned()),
    }
}

/// Builds the gateway with these flags, into a folder of its own. They are for the gateway alone: a target that is named
/// keeps them from programs that run during the build.
fn build(folder: &Path, flags: &str) -> Result<PathBuf, Failure> {
    let host = host()?;
    let mut cargo = workspace::cargo(&["build", "--release", "--package", "tidegate", "--target", &host]);
    cargo.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", flags);
    let status = cargo.env("TIDEGATE_REQUIRE_CONSOLE", "1").status();
    if !status.map_err(|e| format!("cargo does not start: {e}"))?.success() {
        return Err("the gateway does not build in release".to_owned());
    }
    Ok(folder.join(host).join("release/tidegate"))
}

/// The machine that rustc builds for.
fn host() -> Result<String, Failure> {
    let told = programs::output_of("rustc", &["-vV"]).unwrap_or_default();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say what it builds for".to_owned())
}

/// The program that puts profiles together, of the same LLVM as the compiler.
fn profdata() -> Result<PathBuf, Failure> {
    let find = || {
        let folder = programs::output_of("rustc", &["--print", "target-libdir"])?;
        let program = Path::new(&folder).parent()?.join("bin/llvm-profdata");
        program.is_file().then_some(program)
    };
    if find().is_none() {
        // Says itself what is wrong.
        let _ = Command::new("rustup").args(["component", "add", "llvm-tools"]).status();
    }
    find().ok_or_else(|| "this needs llvm-profdata: rustup component add llvm-tools".to_owned())
}
