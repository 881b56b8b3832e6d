//! `cargo xtask bench`: the gateway against its peers, on the same core, behind the same load.
//! Takes jobs, rounds and seconds; gives a page, a chart and raw figures in `bench/results` (or, for fewer than
//! five rounds or part of the contenders, in `target/bench`).
//! It must never publish what was measured too shortly, nor leave a process running.

mod callers;
mod chart;
mod composed;
pub(crate) mod contender;
mod ground;
mod handshakes;
mod idle;
mod jobs;
mod load;
mod reload;
mod report;
mod results;
mod turns;
mod words;

use std::path::PathBuf;

use contender::{Contender, Ground, Kind};
use jobs::{JOBS, Job};
use results::{JobResult, Results};

use crate::needs::{self, Purpose};
use crate::{Failure, release, workspace};

/// Fewer rounds are a trial, not a result.
const ROUNDS_TO_PUBLISH: usize = 5;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// plain, logged, aggregate, rate_limit, guard, jwt, api_key, routes-1000, routes-100000, body-100k, cache-1k,
    /// cache-100k, shape-2k, shape-1m, close, idle-10000, reload-10000, tls, tls-h2, tls-full, tls-resumed,
    /// tls-idle-10000; without any, all
    jobs: Vec<String>,
    /// Rounds of each contender
    #[arg(long, default_value_t = ROUNDS_TO_PUBLISH)]
    runs: usize,
    /// Seconds of load in a round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Measure instead what a limit, a guard, tokens or keys add to a request of the gateway: so many rounds of turns of a
    /// moment, with and without (rate_limit, guard, jwt, api_key); nothing is published
    #[arg(long, value_name = "ROUNDS")]
    turns: Option<usize>,
    /// One round of one second: does it work at all?
    #[arg(long)]
    quick: bool,
    /// Only contenders whose name has one of these parts: nginx,haproxy
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this binary instead of building one
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Measure what `cargo xtask release` has built from the sources as they stand
    #[arg(long, conflicts_with = "gateway")]
    profiled: bool,
    /// Measure nothing: write the page and the chart of today's raw figures anew
    #[arg(long)]
    page: bool,
}

/// How often and how long, and whom.
struct Plan {
    runs: usize,
    seconds: f64,
    only: Vec<String>,
    /// Whether every contender is measured, and ours as it stands here.
    whole: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let (runs, seconds) = if options.quick { (1, 1.0) } else { (options.runs.max(1), options.seconds) };
    let whole = options.only.is_empty() && options.gateway.is_none();
    let plan = Plan { runs, seconds, only: options.only.clone(), whole };
    if options.page {
        let (page, chart, raw) = places(&plan);
        return publish(&Results::read(&raw), (&page, &chart, &raw));
    }
    let jobs: Vec<&Job> = match options.jobs.as_slice() {
        [] => JOBS.iter().collect(),
        names => names.iter().map(|name| Job::find(name)).collect::<Result<_, _>>()?,
    };
    for missing in needs::provide(Purpose::Bench) {
        eprintln!("missing `{}`: {}", missing.program, missing.without);
    }
    let contenders: Vec<Contender> = jobs.iter().flat_map(|job| job.contenders(&plan.only)).collect();
    let gateway = match contenders.iter().any(|contender| contender.kind == Kind::Tidegate) {
        true if options.profiled => release::gateway()?,
        true => workspace::gateway(options.gateway.as_deref())?,
        false => PathBuf::new(),
    };
    let (page, chart, raw) = places(&plan);
    let mut results = Results::read(&raw);
    results.day = ground::day();
    results.ground.extend(ground::described(&contenders, &gateway));
    ground::pin()?;
    ground::raise_limit_of_files();
    let work = workspace::target().join(format!("bench/work-{}", std::process::id()));
    let (ground, origin) = Ground::prepare(&work, gateway)?;
    if let Some(rounds) = options.turns {
        let measured = turns::run(&jobs, rounds, &ground);
        drop(origin);
        let _ = std::fs::remove_dir_all(&work);
        return measured;
    }
    for job in jobs.iter().filter(|job| !job.contenders(&plan.only).is_empty()) {
        let of = results.ground.get("Tidegate").cloned().unwrap_or_default();
        results.jobs.insert(job.name.to_owned(), JobResult { of, ..job.run(&ground, &plan)? });
        // After each job, so that a broken one costs no more than itself.
        publish(&results, (&page, &chart, &raw))?;
    }
    drop(origin);
    // Left over at worst a folder of build output.
    let _ = std::fs::remove_dir_all(&work);
    println!("{}", report::page(&results).map_err(|e| e.to_string())?);
    eprintln!("written: {}, {}, {}", page.display(), chart.display(), raw.display());
    Ok(())
}

/// Files of the page, the chart and the raw figures.
fn places(plan: &Plan) -> (PathBuf, PathBuf, PathBuf) {
    let worth_publishing = plan.runs >= ROUNDS_TO_PUBLISH && plan.whole;
    let folder = if worth_publishing {
        workspace::root().join("bench/results")
    } else {
        workspace::target().join("bench")
    };
    let day = ground::day();
    (folder.join(format!("{day}.md")), folder.join("latest.svg"), folder.join(format!("{day}.json")))
}

fn publish(results: &Results, (page, chart, raw): (&PathBuf, &PathBuf, &PathBuf)) -> Result<(), Failure> {
    if let Some(folder) = page.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    contender::write(page, &report::page(results).map_err(|e| e.to_string())?)?;
    contender::write(chart, &chart::svg(results).map_err(|e| e.to_string())?)?;
    contender::write(raw, &results.to_json()?)
}
