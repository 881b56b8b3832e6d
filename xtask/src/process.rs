//! A process that this program started, and what /proc tells about it.
//! Takes a command and a core; gives a guard that ends the process and its children when dropped.
//! It must never end a process by its name, nor leave one behind.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::{Failure, programs};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running process; dropped, it is ended.
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts a program, on one core if given, with its output in a file.
    ///
    /// The kernel ends it when the calling thread ends, so this is called from the main thread only.
    pub(crate) fn start(
        name: &str,
        core: Option<usize>,
        arguments: &[OsString],
        log: &std::path::Path,
    ) -> Result<Running, Failure> {
        let mut line: Vec<OsString> = Vec::new();
        if let Some(setpriv) = programs::find("setpriv") {
            line.extend([setpriv.into_os_string(), "--pdeathsig".into(), "TERM".into()]);
        }
        if let (Some(core), Some(taskset)) = (core, programs::find("taskset")) {
            line.extend([taskset.into_os_string(), "-c".into(), core.to_string().into()]);
        }
        line.extend(arguments.iter().cloned());
        let Some((program, rest)) = line.split_first() else {
            return Err(format!("{name}: nothing to start"));
        };
        let out = fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let err = out.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Running { name: name.to_owned(), child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit of the process if it is over.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| format!("{} ended with {status}", self.name))
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal)
            .map_err(|e| format!("{}: signal {signal:?}: {e}", self.name))
    }

    /// CPU time of the process, its threads and its children until now.
    pub(crate) fn cpu(&self) -> Duration {
        family(self.pid()).into_iter().map(cpu_of).sum()
    }

    /// CPU time of those of its own threads whose name is such.
    pub(crate) fn cpu_of_threads(&self, such: impl Fn(&str) -> bool) -> Duration {
        threads(self.pid()).filter(|(name, _)| such(name)).map(|(_, spent)| spent).sum()
    }

    /// Resident memory of the process and its children, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        family(self.pid()).into_iter().filter_map(resident_of).sum()
    }

    fn stop(&mut self) {
        let family = family(self.pid());
        // A process that is already gone is what we want.
        let _ = self.signal(Signal::TERM);
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in family.into_iter().filter(|pid| *pid != self.child.id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long a core was busy since the start of the machine, in steps of a tick (10 ms).
pub(crate) fn busy(core: usize) -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{core} ");
    let ticks = stat.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; then guests, counted in user already.
    let numbers = ticks.split_whitespace().take(8).enumerate();
    let busy = numbers.filter(|(nth, _)| *nth != 3 && *nth != 4).filter_map(|(_, n)| n.parse::<u32>().ok());
    TICK * busy.sum::<u32>()
}

/// The process and all its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let numbers = |name: OsString| name.to_str().and_then(|name| name.parse::<u32>().ok());
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| numbers(e.file_name())) {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut family, mut open) = (Vec::new(), vec![root]);
    while let Some(pid) = open.pop() {
        family.push(pid);
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    family
}

/// Field 4 of /proc/PID/stat (proc(5)); the name before it may hold spaces and ends with `)`.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn cpu_of(pid: u32) -> Duration {
    threads(pid).map(|(_, spent)| spent).sum()
}

/// The living threads by name, and the nanoseconds each was on a CPU: `stat` has only the 10 ms of a tick.
fn threads(pid: u32) -> impl Iterator<Item = (String, Duration)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| {
        let name = fs::read_to_string(thread.path().join("comm")).ok()?;
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let spent = schedstat.split(' ').next()?.parse().ok()?;
        Some((name.trim_end().to_owned(), Duration::from_nanos(spent)))
    })
}

/// The line `VmRSS: 1234 kB` of /proc/PID/status.
fn resident_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[test]
fn a_process_is_measured_and_ended_with_its_children() {
    let log = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
    let script = "sleep 600 & echo ready; while :; do :; done";
    let arguments = ["sh", "-c", script].map(OsString::from);
    let running = Running::start("a shell", None, &arguments, &log).unwrap();
    while running.cpu().is_zero() || family(running.pid()).len() < 2 {
        std::thread::yield_now();
    }
    assert!(running.resident() > 0);
    let family = family(running.pid());
    drop(running);
    let deadline = Instant::now() + PATIENCE;
    let lives = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    while family.iter().any(lives) {
        assert!(Instant::now() < deadline, "{family:?} still run");
        std::thread::yield_now();
    }
    fs::remove_file(log).unwrap();
}
