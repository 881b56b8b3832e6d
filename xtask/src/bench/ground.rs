//! The machine and the versions under a measurement.
//! Takes the machine; gives lines for the head of a page, the day, and pins this program to its core, raises limits.
//! It must never name the machine itself or who measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::contender::{self, Contender, Kind, PROXY_CORE};
use crate::{Failure, programs, release, workspace};

/// The core of origin, load and this program.
const LOAD_CORE: usize = 0;
/// Open files that leave every proxy room for 10,000 connections on both sides.
const FILES: u64 = 65_536;

/// Today by UTC, as `2026-01-31`.
pub(super) fn day() -> String {
    programs::version_of("date", &["-u", "+%F"])
}

/// Keeps this program, and all it starts without another core, on the core of the load.
pub(super) fn pin() -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores <= PROXY_CORE {
        return Err("a benchmark needs two cores: one for the proxy, one for load and origin".to_owned());
    }
    let mut set = rustix::thread::CpuSet::new();
    set.set(LOAD_CORE);
    rustix::thread::sched_setaffinity(None, &set).map_err(|e| format!("cannot pin to core {LOAD_CORE}: {e}"))
}

/// Raises the limit of open files as far as is allowed; what is started inherits it.
pub(super) fn raise_limit_of_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = maximum.map(|maximum| maximum.max(FILES));
    // Only root may raise the maximum; others use what they have.
    for limit in [raised, maximum] {
        if setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).is_ok() {
            return;
        }
    }
}

/// What stands above the tables.
pub(super) fn described(contenders: &[Contender], gateway: &Path) -> BTreeMap<String, String> {
    let mut ground = BTreeMap::from([
        ("machine".to_owned(), machine()),
        (
            "load".to_owned(),
            programs::version_of("wrk", &["-v"]).split(" [").next().unwrap_or_default().to_owned(),
        ),
        ("origin".to_owned(), programs::version_of("nginx", &["-v"])),
    ]);
    for contender in contenders {
        let (name, version) = match contender.kind {
            Kind::Nginx => ("nginx", programs::version_of("nginx", &["-v"])),
            Kind::Haproxy => ("HAProxy", programs::version_of("haproxy", &["-v"])),
            Kind::Envoy => ("Envoy", envoy_version()),
            Kind::Varnish => ("Varnish", varnish_version()),
            Kind::Tidegate => ("Tidegate", tidegate_version(gateway)),
        };
        ground.insert(name.to_owned(), version);
    }
    ground
}

/// `.../envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL` without the path.
fn envoy_version() -> String {
    let text = contender::envoy().and_then(|envoy| programs::output_of(envoy.to_str()?, &["--version"]));
    let text = text.unwrap_or_default();
    text.rsplit("version: ").next().unwrap_or("unknown").trim().to_owned()
}

/// `varnishd (varnish-7.1.1 revision ..)` without the rest.
fn varnish_version() -> String {
    let text = programs::version_of("varnishd", &["-V"]);
    let version = text.split('(').nth(1).and_then(|rest| rest.split_whitespace().next());
    version.unwrap_or("unknown").to_owned()
}

fn tidegate_version(gateway: &Path) -> String {
    let version = programs::version_of(&gateway.display().to_string(), &["version"]);
    let root = workspace::root().display().to_string();
    let commit = programs::version_of("git", &["-C", &root, "describe", "--always", "--dirty"]);
    let profiled = if gateway == release::built() { ", built by `cargo xtask release`" } else { "" };
    format!("{version}, commit {commit}{profiled}")
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, Linux {}", kernel.trim())
}
