//! `cargo xtask insights`: whether the insights of the demo tell what is wrong, in time, and nothing else.
//! Takes minutes; gives a table, and a failure if a steady time had an insight, or if a service that was made slow was not
//! named with its target in time, or was named longer than it was slow.
//! It must never know better than somebody who looks at the console: it asks the admin API and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Running;
use crate::wire::Connection;
use crate::{Failure, workspace};

/// Within this time what is slow has to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// And within this one it has to be told no longer: the minute that is looked at, a look each ten seconds, and some.
const GONE_WITHIN: Duration = Duration::from_secs(90);
/// The demo has to greet within this time.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// What is made slow, by its name at the switch, and whose target it is: the only one of its service, and one of two.
const SLOW: [(&str, &str); 2] = [("products", "products"), ("users-a", "users")];
/// Calls that a service has had before what is usual for it is known, two minutes ago.
const USUAL_CALLS: u64 = 200;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes of the demo's own traffic in which nothing is wrong
    #[arg(long, default_value_t = 15.0)]
    steady: f64,
    /// Minutes for which each service is slow
    #[arg(long, default_value_t = 5.0)]
    slow: f64,
    /// Try this binary instead of building one
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// The demo, and where it is asked.
struct Demo {
    running: Running,
    admin: SocketAddr,
    token: String,
    /// The greeting, which names every service.
    greeting: String,
}

/// One insight, by what does not change while it lasts.
type Told = (String, String);

/// What was told that was not to be: how often it was seen, and its words.
type Falsehoods = BTreeMap<Told, (u64, String)>;

/// How a slow service was told.
struct Outcome {
    service: &'static str,
    /// From its first slow answer to the first insight that names service and target.
    told: Option<Duration>,
    text: String,
    /// Looks at which it was slow and nothing was said, after the first word.
    silent: u64,
    /// From its recovery to the last word of it.
    gone: Option<Duration>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let binary = workspace::gateway(options.gateway.as_deref())?;
    let folder = workspace::target().join(format!("insights-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let demo = Demo::start(&binary, &folder)?;
    let minutes = |minutes: f64| Duration::from_secs_f64(minutes.max(0.0) * 60.0);
    let mut falsehoods = Falsehoods::new();
    eprintln!("{} min of steady traffic", options.steady);
    let begin = Instant::now();
    while begin.elapsed() < minutes(options.steady) || !demo.knows_the_usual()? {
        demo.look(&mut falsehoods, &[])?;
    }
    let steady = begin.elapsed();
    let false_steady = falsehoods.len();
    let mut outcomes = Vec::new();
    for (instance, service) in SLOW {
        eprintln!("{instance} is slow for {} min", options.slow);
        outcomes.push(demo.slow(instance, service, minutes(options.slow), &mut falsehoods)?);
    }
    drop(demo);
    let told = tell(steady, false_steady, &falsehoods, &outcomes);
    if told.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    told
}

impl Demo {
    fn start(binary: &std::path::Path, folder: &std::path::Path) -> Result<Demo, Failure> {
        let log = folder.join("demo.log");
        let line = [binary.into(), "demo".into()];
        let ports = ["--port", "0", "--admin-port", "0"].map(Into::into);
        let running = Running::start("the demo", None, &[&line[..], &ports].concat(), &log)?;
        let mut demo = Demo {
            running,
            admin: ([127, 0, 0, 1], 0).into(),
            token: String::new(),
            greeting: String::new(),
        };
        let begin = Instant::now();
        while !demo.greeting.contains("Ctrl-C ends everything") {
            if let Some(end) = demo.running.ended() {
                return Err(format!("{end}\n{}", demo.greeting));
            }
            if begin.elapsed() > START_LIMIT {
                return Err(format!("the demo does not greet:\n{}", demo.greeting));
            }
            std::thread::sleep(Duration::from_millis(20));
            demo.greeting = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        }
        demo.admin = demo.address("admin")?;
        let token = demo.greeting.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next());
        demo.token = token.ok_or("the demo names no token")?.to_owned();
        Ok(demo)
    }

    /// The address that the greeting tells of a name.
    fn address(&self, name: &str) -> Result<SocketAddr, Failure> {
        let mut lines = self.greeting.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = lines.find_map(|words| match words.as_slice() {
            [first, url, ..] if *first == name => url.strip_prefix("http://")?.parse().ok(),
            _ => None,
        });
        found.ok_or_else(|| format!("the demo does not say where {name} is"))
    }

    fn ask(&self, path: &str) -> Result<Value, Failure> {
        let line = format!("Authorization: Bearer {}\r\n", self.token);
        let asked = || -> io::Result<Value> {
            let mut connection = Connection::open(self.admin)?;
            // A busy machine is no failure of the gateway's.
            connection.set_patience(START_LIMIT)?;
            let answer = connection.get_of_with("localhost", path, &line)?;
            Ok(serde_json::from_slice(&answer.body)?)
        };
        asked().map_err(|e| format!("GET {path}: {e}"))
    }

    fn turn(&self, what: &str) -> Result<(), Failure> {
        let switch = self.address("switch")?;
        let turned = || -> io::Result<String> {
            let mut connection = Connection::open(switch)?;
            let head = format!("POST /{what} HTTP/1.1\r\nHost: {switch}\r\nContent-Length: 0\r\n\r\n");
            connection.send(head.as_bytes())?;
            connection.read_head()
        };
        match turned() {
            Ok(head) if head.starts_with("HTTP/1.1 200") => Ok(()),
            Ok(head) => Err(format!("the switch does not turn {what}: {head}")),
            Err(e) => Err(format!("the switch does not turn {what}: {e}")),
        }
    }

    /// Whether each service that will be slow has had enough calls for a usual.
    fn knows_the_usual(&self) -> Result<bool, Failure> {
        let (hour, late) =
            (self.ask("/api/v1/topology?window=1h")?, self.ask("/api/v1/topology?window=130s")?);
        let calls = |topology: &Value, name: &str| {
            let services = topology.get("services").and_then(Value::as_array).into_iter().flatten();
            let mut own = services.filter(|service| service.get("name").is_some_and(|own| own == name));
            own.find_map(|service| service.get("calls")?.as_u64()).unwrap_or(0)
        };
        let known = |name: &str| calls(&hour, name).saturating_sub(calls(&late, name)) >= USUAL_CALLS;
        Ok(SLOW.iter().all(|(_, service)| known(service)))
    }

    /// Waits and looks: gives the first insight that names all of this; what names nothing of it is a falsehood.
    fn look(&self, falsehoods: &mut Falsehoods, expected: &[&str]) -> Result<Option<String>, Failure> {
        std::thread::sleep(LOOK);
        let told = self.ask("/api/v1/insights")?;
        let mut found = None;
        for insight in told.get("insights").and_then(Value::as_array).into_iter().flatten() {
            let word = |name: &str| insight.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, name, text) = (word("kind"), word("name"), word("text"));
            if !expected.is_empty() && expected.iter().all(|word| text.contains(word)) {
                found.get_or_insert(text);
            } else if expected.is_empty() || !expected.iter().any(|word| text.contains(word)) {
                let entry = falsehoods.entry((kind, name)).or_insert_with(|| {
                    eprintln!("false: {text}");
                    (0, text)
                });
                entry.0 += 1;
            }
        }
        Ok(found)
    }

    /// Makes one instance slow for a while, and watches until nothing is said of it any more.
    fn slow(
        &self,
        instance: &str,
        service: &'static str,
        time: Duration,
        falsehoods: &mut Falsehoods,
    ) -> Result<Outcome, Failure> {
        let target = self.address(instance)?.to_string();
        let expected = [service, &target];
        let mut outcome = Outcome { service, told: None, text: String::new(), silent: 0, gone: None };
        self.turn(&format!("{instance}/slow"))?;
        let begin = Instant::now();
        while begin.elapsed() < time {
            match self.look(falsehoods, &expected)? {
                Some(text) if outcome.told.is_none() => {
                    eprintln!("after {:.0} s: {text}", begin.elapsed().as_secs_f64());
                    (outcome.told, outcome.text) = (Some(begin.elapsed()), text);
                }
                None if outcome.told.is_some() => outcome.silent += 1,
                _ => {}
            }
        }
        self.turn(&format!("{instance}/start"))?;
        let recovered = Instant::now();
        // As long again: what comes back would be a falsehood.
        while recovered.elapsed() < GONE_WITHIN * 2 {
            if self.look(falsehoods, &expected)?.is_some() {
                outcome.gone = None;
            } else {
                outcome.gone.get_or_insert_with(|| recovered.elapsed());
            }
        }
        Ok(outcome)
    }
}

/// Prints the table and judges it.
fn tell(
    steady: Duration,
    false_steady: usize,
    falsehoods: &Falsehoods,
    outcomes: &[Outcome],
) -> Result<(), Failure> {
    let seconds = |time: Option<Duration>| {
        time.map_or_else(|| "never".to_owned(), |time| format!("{:.0} s", time.as_secs_f64()))
    };
    println!("| what | figure |\n|---|---|");
    println!("| false insights in {:.1} steady minutes | {false_steady} |", steady.as_secs_f64() / 60.0);
    for outcome in outcomes {
        let service = outcome.service;
        println!("| {service} slow: told after | {} |", seconds(outcome.told));
        println!("| {service} slow: seconds without a word after that | {} |", outcome.silent);
        println!("| {service} recovered: gone after | {} |", seconds(outcome.gone));
        println!("| what was said | {} |", outcome.text);
    }
    println!("| false insights in all | {} |", falsehoods.len());
    for ((kind, name), (seen, text)) in falsehoods {
        println!("| false, {kind} {name}, for {seen} s | {text} |");
    }
    let late = |time: Option<Duration>, limit: Duration| time.is_none_or(|time| time > limit);
    if outcomes.iter().any(|outcome| late(outcome.told, TOLD_WITHIN) || late(outcome.gone, GONE_WITHIN)) {
        return Err("a slow service was not told in time, or for too long".to_owned());
    }
    if !falsehoods.is_empty() {
        return Err("something was said that was not so".to_owned());
    }
    Ok(())
}
