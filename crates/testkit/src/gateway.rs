//! The gateway under test: the real binary, started from a text that a user could write.
//!
//! Takes the path of the binary and the text, gives addresses once the ready file is there, and the lines of
//! both outputs as they come. A process that dies takes the test with it, with its own words. Must never
//! leave a process behind: dropping kills.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

use rustix::process::Pid;
pub use rustix::process::Signal;
use serde_json::Value;

use crate::client::{self, Response};
use crate::event::{Journal, eventually};
use crate::metrics::Metrics;

/// Starts the gateway that cargo built for this test from the text of a configuration.
#[macro_export]
macro_rules! gateway {
    ($($text:tt)*) => {
        $crate::gateway::Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).start(&format!($($text)*))
    };
}

/// The token of the admin API of every gateway under test, in its environment.
pub const ADMIN_TOKEN: &str = "tga_of-a-gateway-under-test-and-no-other";

/// What says so in a request.
pub const AUTHORIZATION: (&str, &str) = ("Authorization", "Bearer tga_of-a-gateway-under-test-and-no-other");

/// A gateway that is not started yet.
pub struct Launch {
    binary: PathBuf,
    dir: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Option<OwnedFd>,
}

impl Launch {
    /// Gives it this as its standard input.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Launch {
        self.stdin = Some(stdin.into());
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Launch {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument after `run FILE`.
    pub fn arg(mut self, argument: &str) -> Launch {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Puts a further file beside the configuration.
    pub fn file(self, name: &str, text: &str) -> Launch {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn command(&self, yaml: &str) -> Command {
        let file = self.dir.path().join("gateway.yaml");
        std::fs::write(&file, yaml).unwrap();
        let mut command = Command::new(&self.binary);
        command.arg("run").arg(&file).arg("--ready-file").arg(self.dir.path().join("ready.json"));
        command.env("TIDEGATE_ADMIN_TOKEN", ADMIN_TOKEN);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let stdin = self.stdin.as_ref().map(|stdin| stdin.try_clone().unwrap().into());
        command.stdin(stdin.unwrap_or_else(Stdio::null)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts, waits until it is ready; fails the test with its words when it is not.
    #[track_caller]
    pub fn start(self, yaml: &str) -> Gateway {
        let yaml = &with_admin_address(yaml);
        let mut child = self.command(yaml).spawn().unwrap_or_else(|error| {
            panic!("cannot start {}: {error}", self.binary.display());
        });
        let stdout = follow(child.stdout.take().unwrap());
        let stderr = follow(child.stderr.take().unwrap());
        let ready_file = self.dir.path().join("ready.json");
        let ready = eventually("the gateway to be ready", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}\n{yaml}", stderr.all().join("\n"));
            }
            read_ready(&ready_file)
        });
        Gateway { child, successor: None, dir: self.dir, ready, stdout, stderr, ended: false }
    }

    /// Runs to the end: for configurations that it must refuse.
    pub fn output(self, yaml: &str) -> Output {
        self.command(yaml).output().unwrap()
    }
}

/// Tests run beside each other: none may have the usual admin address for itself.
fn with_admin_address(yaml: &str) -> String {
    let has_one = yaml.trim_start().starts_with('{') || yaml.lines().any(|line| line.starts_with("admin:"));
    let own = if has_one { "" } else { "\nadmin: { listen: 127.0.0.1:0 }\n" };
    format!("{yaml}{own}")
}

fn read_ready(path: &Path) -> Option<Value> {
    // The file may be seen half written: what does not parse is not there yet.
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn follow(output: impl Read + Send + 'static) -> Journal<String> {
    let journal = Journal::default();
    let lines = journal.clone();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    journal
}

/// A running gateway.
pub struct Gateway {
    child: Child,
    successor: Option<Pid>,
    dir: tempfile::TempDir,
    ready: Value,
    stdout: Journal<String>,
    stderr: Journal<String>,
    ended: bool,
}

impl Gateway {
    /// The gateway of this binary, to be told more before it starts.
    pub fn with_binary(path: &str) -> Launch {
        Launch {
            binary: path.into(),
            dir: tempfile::tempdir().unwrap(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
        }
    }

    /// The address of its first listener.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        let listeners = self.ready["listeners"].as_object().and_then(|all| all.values().next());
        self.address(listeners)
    }

    /// The address of a listener by its name.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.address(self.ready["listeners"].get(name))
    }

    /// The admin address.
    #[track_caller]
    pub fn admin_addr(&self) -> SocketAddr {
        self.address(self.ready.get("admin"))
    }

    #[track_caller]
    fn address(&self, text: Option<&Value>) -> SocketAddr {
        match text.and_then(Value::as_str).and_then(|text| text.parse().ok()) {
            Some(address) => address,
            None => panic!("no such address in the ready file: {}", self.ready),
        }
    }

    /// The folder of its configuration.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Its process, or the one that took over last.
    pub fn pid(&self) -> u32 {
        self.process().as_raw_nonzero().get().cast_unsigned()
    }

    fn process(&self) -> Pid {
        self.successor.unwrap_or_else(|| Pid::from_child(&self.child))
    }

    /// Asks it to hand over to a new process (SIGUSR2) and waits until that one serves. From then on signals go to
    /// that one, and addresses are its; [`Gateway::wait_for_end`] still means the first process.
    #[track_caller]
    pub fn hand_over(&mut self) {
        let before = u64::from(self.pid());
        self.signal(Signal::USR2);
        let ready_file = self.dir.path().join("ready.json");
        self.ready = eventually("another process to serve", || {
            read_ready(&ready_file).filter(|ready| ready["pid"].as_u64() != Some(before))
        });
        let pid = self.ready["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        self.successor = Some(pid.unwrap());
    }

    /// One GET through it.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        client::get(self.addr(), path)
    }

    /// One GET to its admin address.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Response {
        client::request(self.admin_addr(), "GET", path, &[AUTHORIZATION], b"")
    }

    /// One request with a body of JSON to its admin address.
    #[track_caller]
    pub fn admin_request(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
        let own = [AUTHORIZATION, ("Content-Type", "application/json")];
        let all: Vec<(&str, &str)> = own.into_iter().chain(fields.iter().copied()).collect();
        client::request(self.admin_addr(), method, path, &all, body.as_bytes())
    }

    /// Puts another text in the place of its configuration, in one step as editors do.
    pub fn rewrite_config(&self, yaml: &str) {
        let draft = self.dir.path().join("gateway.yaml.new");
        std::fs::write(&draft, with_admin_address(yaml)).unwrap();
        std::fs::rename(draft, self.dir.path().join("gateway.yaml")).unwrap();
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.process(), signal).unwrap();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = eventually("the gateway to end", || self.child.try_wait().unwrap());
        self.ended = true;
        status
    }

    /// The lines of its standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.all()
    }

    /// Waits for a line on its standard error.
    #[track_caller]
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        match self.stderr.wait(|lines| lines.iter().find(|line| wanted(line)).cloned()) {
            Some(line) => line,
            None => panic!("no such line on stderr:\n{}", self.stderr.all().join("\n")),
        }
    }

    /// The lines of its access log so far (those of standard output that are JSON).
    pub fn logs(&self) -> Vec<Value> {
        parsed(&self.stdout.all())
    }

    /// Waits for a line of the access log.
    #[track_caller]
    pub fn wait_for_log(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.stdout.wait(|lines| parsed(lines).into_iter().find(|line| wanted(line))) {
            Some(line) => line,
            None => panic!("no such line in the access log:\n{}", self.stdout.all().join("\n")),
        }
    }

    /// All metrics now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").text())
    }

    /// One metric now (see [`Metrics::sum`]).
    #[track_caller]
    pub fn metric(&self, selector: &str) -> f64 {
        self.metrics().sum(selector)
    }

    /// Waits until a metric has the value wanted.
    #[track_caller]
    pub fn wait_metric(&self, selector: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        eventually(selector, || Some(self.metric(selector)).filter(|value| wanted(*value)))
    }
}

/// Sends a signal to a process of the test's own.
pub fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).unwrap();
}

fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Drop for Gateway {
    #[expect(clippy::print_stderr, reason = "the harness shows it beside the failure")]
    fn drop(&mut self) {
        if let Some(successor) = self.successor {
            let _ = rustix::process::kill_process(successor, Signal::KILL);
        }
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- what the gateway said ---\n{}", self.stderr.all().join("\n"));
        }
    }
}
