//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, each for a bounded time.
//! Takes a target (or all) and seconds; gives a failure as soon as one finds a fault.
//! It must never be part of `cargo xtask test`: it needs a nightly toolchain.

use crate::{Failure, programs, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target; without it, all of them one after another
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let toolchains = programs::output_of("rustup", &["toolchain", "list"]).unwrap_or_default();
    if !toolchains.contains("nightly") {
        return Err("fuzzing needs a nightly toolchain: rustup toolchain install nightly".to_owned());
    }
    if programs::find("cargo-fuzz").is_none() {
        return Err("fuzzing needs cargo-fuzz: cargo install cargo-fuzz".to_owned());
    }
    let targets = match &options.target {
        Some(target) => vec![target.clone()],
        None => all_targets()?,
    };
    let limit = format!("-max_total_time={}", options.seconds);
    for target in targets {
        eprintln!("fuzzing {target} for {} s", options.seconds);
        let mut command = std::process::Command::new("cargo");
        // What is found goes into the first folder; the second is where it starts from.
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        std::fs::create_dir_all(workspace::root().join(&corpus)).map_err(|e| format!("{corpus}: {e}"))?;
        command.args([
            "+nightly",
            "fuzz",
            "run",
            &target,
            &corpus,
            &seeds,
            "--",
            &limit,
            "-dict=fuzz/http1.dict",
        ]);
        command.current_dir(workspace::root());
        let status = command.status().map_err(|e| format!("cargo does not start: {e}"))?;
        if !status.success() {
            return Err(format!("target {target} failed: the input lies in fuzz/artifacts/{target}"));
        }
    }
    Ok(())
}

/// The names of the files in `fuzz/fuzz_targets`.
fn all_targets() -> Result<Vec<String>, Failure> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut targets: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort();
    Ok(targets)
}
