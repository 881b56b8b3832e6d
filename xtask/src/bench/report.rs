//! The table of results as a page, for `bench/results`.
//! Takes the results of a day; gives Markdown.
//! It must never show a figure without its spread and the ground it was measured on.

use std::fmt::{self, Write as _};

use super::jobs::JOBS;
use super::results::{JobResult, Line, Results};

/// A figure that can be a column, in the order of columns; the first one a job has is its main figure.
struct Column {
    figure: &'static str,
    head: &'static str,
    decimals: usize,
}

const COLUMNS: [Column; 14] = [
    Column { figure: "cpu_us", head: "CPU µs/request", decimals: 2 },
    Column { figure: "idle_bytes", head: "bytes/connection", decimals: 0 },
    Column { figure: "connections", head: "connections", decimals: 0 },
    Column { figure: "reload_ms", head: "reload ms", decimals: 1 },
    Column { figure: "worst_reload_ms", head: "worst reload ms", decimals: 1 },
    Column { figure: "per_second", head: "requests/s", decimals: 0 },
    Column { figure: "mb_per_second", head: "MB/s of JSON", decimals: 1 },
    Column { figure: "p50_us", head: "p50 µs at fixed rate", decimals: 0 },
    Column { figure: "p99_us", head: "p99 µs at fixed rate", decimals: 0 },
    Column { figure: "slow_p50_ms", head: "p50 ms of three services of 100 ms", decimals: 1 },
    Column { figure: "slow_p99_ms", head: "p99 ms of three services of 100 ms", decimals: 1 },
    Column { figure: "resident_mib", head: "resident MiB", decimals: 1 },
    Column { figure: "others_percent", head: "others on the core %", decimals: 1 },
    Column { figure: "asked", head: "requests", decimals: 0 },
];

const PREFACE: &str = "\
Each row is a proxy with one worker on a core of its own; origin (nginx) and load (wrk, 64 connections) share the
other core. Rounds go in turn over the proxies. Figures are medians, in brackets the smallest and the largest;
ratios are medians of the ratios inside each round. CPU is what the kernel says the proxy's process ran
(`/proc/PID/task/*/schedstat`), divided by the requests answered. Fixed rate: 4,000 requests/s over 32 connections,
the clock of a request that must wait starts when it was due. Others on the core is the time in which it ran anything
but the proxy; a round with more than three per cent was done again, three times at most.
";

pub(super) fn page(results: &Results) -> Result<String, fmt::Error> {
    let mut page = String::new();
    writeln!(page, "# Measured on {}\n\n{PREFACE}", results.day)?;
    for (what, version) in &results.ground {
        writeln!(page, "- {what}: {version}")?;
    }
    let in_order = JOBS.iter().filter_map(|job| Some((job.name, results.jobs.get(job.name)?)));
    for (name, job) in in_order {
        writeln!(page, "\n## {name}\n\n{}. {} rounds of {} s, {}", job.title, job.runs, job.seconds, job.of)?;
        table(&mut page, job)?;
    }
    writeln!(page, "\nAgain: `cargo xtask bench`")?;
    Ok(page)
}

fn table(page: &mut String, job: &JobResult) -> fmt::Result {
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|c| job.lines.iter().any(|l| has(l, c.figure))).collect();
    let Some(main) = columns.first() else { return Ok(()) };
    let baselines = baselines(job);
    write!(page, "\n| |")?;
    for (nth, column) in columns.iter().enumerate() {
        write!(page, " {} |", column.head)?;
        if nth == 0 {
            baselines.iter().try_for_each(|base| write!(page, " × {} |", base.contender))?;
        }
    }
    writeln!(page, " failed |\n|---|{}---:|", "---:|".repeat(columns.len() + baselines.len()))?;
    for line in &job.lines {
        write!(page, "| {} |", line.contender)?;
        for (nth, column) in columns.iter().enumerate() {
            write!(page, " {} |", cell(line, column))?;
            if nth == 0 {
                for base in &baselines {
                    let ratio =
                        line.ratio(base, main.figure).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                    write!(page, " {ratio} |")?;
                }
            }
        }
        writeln!(page, " {} |", grouped(line.sum("failed"), 0))?;
    }
    Ok(())
}

/// The lines that others are compared with: the peers of the promise, or else the first line.
fn baselines(job: &JobResult) -> Vec<&Line> {
    let peers: Vec<&Line> =
        job.lines.iter().filter(|line| ["nginx", "HAProxy"].contains(&line.contender.as_str())).collect();
    if peers.is_empty() { job.lines.first().into_iter().collect() } else { peers }
}

fn has(line: &Line, figure: &str) -> bool {
    line.median(figure).is_some()
}

fn cell(line: &Line, column: &Column) -> String {
    let (Some(median), Some((least, most))) = (line.median(column.figure), line.spread(column.figure)) else {
        return "-".to_owned();
    };
    let shown = |value| grouped(value, column.decimals);
    format!("{} ({} - {})", shown(median), shown(least), shown(most))
}

/// A number with commas between thousands.
fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut digits = String::new();
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && !digits.ends_with('-') && (whole.len() - nth) % 3 == 0 {
            digits.push(',');
        }
        digits.push(digit);
    }
    digits + rest
}

#[test]
fn a_table_compares_with_the_peers() {
    let line = |name: &str, values: [f64; 3]| Line {
        contender: name.to_owned(),
        rounds: values.iter().map(|v| [("cpu_us".to_owned(), *v)].into()).collect(),
    };
    let lines = vec![line("nginx", [10.0, 12.0, 11.0]), line("Tidegate", [9.0, 9.0, 9.9])];
    let job = JobResult { title: "t".to_owned(), runs: 3, seconds: 1.0, of: String::new(), lines };
    let mut page = String::new();
    table(&mut page, &job).unwrap();
    let wanted = "\n| | CPU µs/request | × nginx | failed |\n|---|---:|---:|---:|\n\
                  | nginx | 11.00 (10.00 - 12.00) | 1.00 | 0 |\n| Tidegate | 9.00 (9.00 - 9.90) | 0.90 | 0 |\n";
    assert_eq!(page, wanted);
}

#[test]
fn thousands_are_grouped() {
    for (value, decimals, text) in
        [(0.0, 0, "0"), (999.0, 0, "999"), (1234567.0, 0, "1,234,567"), (1234.5, 1, "1,234.5")]
    {
        assert_eq!(grouped(value, decimals), text);
    }
}
