//! The public tests of HTTP caches (<https://cache-tests.fyi>, npm package `http-cache-tests`, BSD-3-Clause) on the gateway.
//! Takes nothing; gives a table of what passed and the names of what did not, beside what the package tells of others.
//! It must never count a test whose precondition does not hold as passed or failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::contender::wait_for_ready_file;
use crate::needs::{self, Purpose};
use crate::process::Running;
use crate::{Failure, programs, workspace};

/// The version that is run.
const PACKAGE: &str = "http-cache-tests@0.4.5";
/// Where its origin listens.
const ORIGIN: u16 = 18_100;
/// Time for the origin to start.
const START: Duration = Duration::from_secs(30);

/// What is asked of the command line.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also name the tests of behaviour that is neither asked for nor wished for
    #[arg(long)]
    all: bool,
    /// Try this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Counts what passed: of this gateway, then of the proxies whose results the package brings.
const COUNT: &str = r#"
import fs from 'fs'
import tests from './tests/index.mjs'
import others from './results/index.mjs'
import surrogate from './tests/surrogate-control.mjs'
tests.push(surrogate)
const all = tests.flatMap(suite => suite.tests).filter(test => !test.browser_only)
const byId = Object.fromEntries(all.map(test => [test.id, test]))
function outcome (results, test) {
  if (!test) return 'none'
  for (const id of test.depends_on || []) {
    if (outcome(results, byId[id]) !== 'pass') return 'precondition'
  }
  const result = results[test.id]
  if (result === true) return 'pass'
  if (result === undefined) return 'none'
  return result[0] === 'Setup' ? 'precondition' : 'fail'
}
function counted (results) {
  const kinds = { required: {}, optimal: {}, check: {} }
  for (const test of all) {
    const kind = kinds[test.kind || 'required']
    const word = outcome(results, test)
    kind[word] = (kind[word] || 0) + 1
  }
  return kinds
}
const own = JSON.parse(fs.readFileSync('own.json'))
const rows = [['Tidegate', counted(own)]]
for (const other of others.filter(other => other.type !== 'browser')) {
  const results = JSON.parse(fs.readFileSync('results/' + other.file))
  rows.push([other.name + ' ' + other.version.split(/[-+]/)[0], counted(results)])
}
const part = kind => `${kind.pass || 0} of ${(kind.pass || 0) + (kind.fail || 0)}`
console.log('| cache | required: passed | optimal: passed | checks: yes |\n|---|---|---|---|')
for (const [name, kinds] of rows) {
  console.log(`| ${name} | ${part(kinds.required)} | ${part(kinds.optimal)} | ${part(kinds.check)} |`)
}
console.log()
const told = process.env.ALL ? ['required', 'optimal', 'check'] : ['required', 'optimal']
for (const test of all) {
  const kind = test.kind || 'required'
  if (told.includes(kind) && outcome(own, test) === 'fail') console.log(`${kind}: ${test.id}: ${own[test.id][1]}`)
}
"#;

/// Runs all tests and prints what came of them.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if let Some(missing) = needs::provide(Purpose::CacheTests).first() {
        return Err(format!("{} is missing: {}", missing.program, missing.without));
    }
    let folder = workspace::target().join("cache-tests");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let package = fetch(&folder)?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => {
            said(workspace::cargo(&["build", "--quiet", "-p", "tidegate"]))?;
            workspace::target().join("debug/tidegate")
        }
    };
    let _origin = origin(&folder, &package)?;
    let (mut gateway, ready) = gateway(&folder, binary)?;
    let address = wait_for_ready_file(&mut gateway, &ready)?;
    eprintln!("about half a minute of tests on {address}");
    let base = format!("http://{address}");
    let mut tests = node(&package, "cli.mjs");
    tests.env("npm_config_base", base).env("npm_config_id", "").env("npm_package_config_id", "");
    write(&package.join("own.json"), &said(tests)?)?;
    write(&package.join("count.mjs"), COUNT)?;
    let mut count = node(&package, "count.mjs");
    if options.all {
        count.env("ALL", "1");
    }
    print!("{}", said(count)?);
    Ok(())
}

/// The unpacked package with what it needs.
fn fetch(folder: &Path) -> Result<PathBuf, Failure> {
    let package = folder.join("package");
    if package.join("node_modules/node-fetch").is_dir() {
        return Ok(package);
    }
    let npm = |arguments: &[&str], within: &Path| {
        let mut command = Command::new("npm");
        command.args(arguments).current_dir(within);
        said(command)
    };
    let packed = npm(&["pack", "--silent", PACKAGE], folder)?;
    let mut tar = Command::new("tar");
    tar.args(["xzf", packed.trim()]).current_dir(folder);
    said(tar)?;
    let quietly =
        ["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--omit=dev", "node-fetch@2"];
    npm(&quietly, &package)?;
    Ok(package)
}

fn node(package: &Path, script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg("--no-warnings").arg(script).current_dir(package);
    command
}

/// The origin of the tests, once it listens.
fn origin(folder: &Path, package: &Path) -> Result<Running, Failure> {
    let node = programs::find("node").ok_or("node is not installed")?;
    let settings =
        [("protocol", "http".to_owned()), ("port", ORIGIN.to_string()), ("pidfile", "origin.pid".to_owned())];
    let settings = settings.map(|(name, value)| format!("npm_config_{name}={value}"));
    let start = format!("cd '{}' && exec '{}' server/server.mjs", package.display(), node.display());
    let env = ["env".into()].into_iter().chain(settings.map(Into::into));
    let line: Vec<std::ffi::OsString> = env.chain(["sh".into(), "-c".into(), start.into()]).collect();
    let mut running = Running::start("origin", None, &line, &folder.join("origin.out"))?;
    let limit = Instant::now() + START;
    while std::net::TcpStream::connect(("localhost", ORIGIN)).is_err() {
        if let Some(end) = running.ended() {
            return Err(end);
        }
        if Instant::now() > limit {
            return Err("the origin of the tests does not listen".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// The gateway before it, with what RFC 9111 leaves open switched on.
fn gateway(folder: &Path, binary: PathBuf) -> Result<(Running, PathBuf), Failure> {
    let file = folder.join("gateway.yaml");
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: off\nlog: {{ access: off }}\nservices: {{ app: \"http://localhost:{ORIGIN}\" }}\n\
         routes: {{ /*: {{ to: app, cache: {{ heuristic: true }} }} }}\n"
    );
    write(&file, &text)?;
    let ready = folder.join("ready.json");
    let _ = fs::remove_file(&ready);
    let line = [binary.into(), "run".into(), file.into(), "--ready-file".into(), ready.clone().into()];
    Ok((Running::start("tidegate", None, &line, &folder.join("gateway.out"))?, ready))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// What a program wrote to its output.
fn said(mut command: Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
