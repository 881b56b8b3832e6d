//! The table of measurements and the run of those that are load on several proxies in turn.
//! Takes a job and how often and how long; gives a round of figures for each contender and run.
//! It must never run one contender to the end before the next: the machine's mood changes by the minute.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::callers::Shown;
use super::contender::{Contender, Ground, Kind, PROXY_CORE, Proxy, Routes};
use super::load::{self, Requests};
use super::results::{JobResult, Line, Round};
use super::{Plan, composed, idle, reload};
use crate::{Failure, process};

/// Requests a second and connections of the load for latencies: far from what any contender bears.
const PACE: (u32, u32) = (4000, 32);
/// The seconds of load before anything is measured: pools grow, caches warm.
const WARM_UP: f64 = 1.0;
/// A round in which anything else took more of the core than so many per cent is done again, so many times at most.
const DISTURBED: f64 = 3.0;
const REPEATS: usize = 3;

/// How a job is measured.
#[derive(Clone, Copy)]
enum Way {
    Load {
        requests: Requests,
        /// Whether latency at a fixed rate is measured as well.
        latency: bool,
    },
    Idle,
    Reload,
    /// Answers that are made of three.
    Composed,
}

/// One measurement.
pub(super) struct Job {
    pub(super) name: &'static str,
    title: &'static str,
    contenders: &'static [Contender],
    way: Way,
}

const NGINX: Contender = Contender::plain("nginx", Kind::Nginx);
const HAPROXY: Contender = Contender::plain("HAProxy", Kind::Haproxy);
const ENVOY: Contender = Contender::plain("Envoy", Kind::Envoy);
const VARNISH: Contender = Contender::plain("Varnish", Kind::Varnish);
const TIDEGATE: Contender = Contender::plain("Tidegate", Kind::Tidegate);
const LOGGED: Contender = Contender { name: "Tidegate with access log", logged: true, ..TIDEGATE };
const ONE: Contender = Contender { name: "Tidegate, 1 route", routes: Routes::OneOfTheirShape, ..TIDEGATE };
const THOUSAND: Contender =
    Contender { name: "Tidegate, 1,000 routes", routes: Routes::Many(1_000), ..TIDEGATE };
const MANY: Contender =
    Contender { name: "Tidegate, 100,000 routes", routes: Routes::Many(100_000), ..TIDEGATE };
const THREE: Contender =
    Contender { name: "Tidegate, three plain requests", routes: Routes::Slow, ..TIDEGATE };
const COMPOSED: Contender =
    Contender { name: "Tidegate, one answer of three", routes: Routes::Composed, ..TIDEGATE };
const NODE: Contender =
    Contender { routes: Routes::Composed, ..Contender::plain("Node, three calls by hand", Kind::Node) };
const RELOADED: Contender = Contender { routes: Routes::Many(10_000), ..TIDEGATE };
const NGINX_RELOADED: Contender = Contender { routes: Routes::Many(10_000), ..NGINX };

/// Clients of all of them come under TLS.
const SECURE: [Contender; 4] = [NGINX.secure(), HAPROXY.secure(), ENVOY.secure(), TIDEGATE.secure()];

/// All of them keep answers.
const CACHED: [Contender; 4] = [NGINX.cached(), HAPROXY.cached(), VARNISH.cached(), TIDEGATE.cached()];

/// Each beside itself without the shape, so that the difference is what the shape costs.
const SHAPED: [Contender; 4] = [
    Contender { name: "Envoy without a shape", ..ENVOY },
    ENVOY.shaped(),
    Contender { name: "Tidegate without a shape", ..TIDEGATE },
    TIDEGATE.shaped(),
];

/// The same proxy without a limit stands beside, so that the difference is what a limit costs.
const LIMITED: [Contender; 5] = [
    NGINX.limited(),
    HAPROXY.limited(),
    ENVOY.limited(),
    Contender { name: "Tidegate without a limit", ..TIDEGATE },
    TIDEGATE.limited(),
];

/// No other contender has the like: the same proxy stands beside, so that the difference is what the guard costs.
const GUARDED: [Contender; 2] =
    [Contender { name: "Tidegate without a guard", ..TIDEGATE }, TIDEGATE.guarded()];

/// Each beside itself without the check, so that the difference is what the check costs.
const WITH_TOKENS: [Contender; 6] = [
    Contender { name: "HAProxy without a check", ..HAPROXY },
    HAPROXY.asking(Shown::Token),
    Contender { name: "Envoy without a check", ..ENVOY },
    ENVOY.asking(Shown::Token),
    Contender { name: "Tidegate without a check", ..TIDEGATE },
    TIDEGATE.asking(Shown::Token),
];
const WITH_KEYS: [Contender; 4] = [
    Contender { name: "HAProxy without a check", ..HAPROXY },
    HAPROXY.asking(Shown::Key),
    Contender { name: "Tidegate without a check", ..TIDEGATE },
    TIDEGATE.asking(Shown::Key),
];

pub(super) const JOBS: [Job; 22] = [
    Job {
        name: "plain",
        title: "Plain proxy, small JSON, 64 connections kept alive; no contender writes a log",
        contenders: &[NGINX, HAPROXY, ENVOY, TIDEGATE],
        way: Way::Load { requests: Requests::Small, latency: true },
    },
    Job {
        name: "logged",
        title: "The same, Tidegate with its access log written to a file and its metrics counted, the others with no log",
        contenders: &[NGINX, HAPROXY, ENVOY, LOGGED],
        way: Way::Load { requests: Requests::Small, latency: true },
    },
    Job {
        name: "aggregate",
        title: "One answer made of three small JSON answers: three plain requests through the gateway, its aggregate, and a Node service with the same three calls",
        contenders: &[THREE, COMPOSED, NODE],
        way: Way::Composed,
    },
    Job {
        name: "rate_limit",
        title: "Plain proxy with a limit by address that nobody meets: nginx limit_req, HAProxy stick table, Envoy local limit",
        contenders: &LIMITED,
        way: Way::Load { requests: Requests::Small, latency: false },
    },
    Job {
        name: "guard",
        title: "Plain proxy whose guard watches all requests and finds nothing",
        contenders: &GUARDED,
        way: Way::Load { requests: Requests::Small, latency: false },
    },
    Job {
        name: "jwt",
        title: "1,000 tokens (ES256) in use: HAProxy jwt_verify (2.6: the signature alone, each time), Envoy jwt_authn with its cache",
        contenders: &WITH_TOKENS,
        way: Way::Load { requests: Requests::Shown(Shown::Token), latency: false },
    },
    Job {
        name: "api_key",
        title: "1,000 API keys in use: HAProxy a list of keys in clear, Tidegate keyed hashes",
        contenders: &WITH_KEYS,
        way: Way::Load { requests: Requests::Shown(Shown::Key), latency: false },
    },
    Job {
        name: "routes-1000",
        title: "1,000 routes against 1 route, all routes asked in turn",
        contenders: &[ONE, THOUSAND],
        way: Way::Load { requests: Requests::Paths(1_000), latency: false },
    },
    Job {
        name: "routes-100000",
        title: "100,000 routes against 1 route, all routes asked in turn",
        contenders: &[ONE, MANY],
        way: Way::Load { requests: Requests::Paths(100_000), latency: false },
    },
    Job {
        name: "body-100k",
        title: "Answers of 100 KiB",
        contenders: &[NGINX, HAPROXY, ENVOY, TIDEGATE],
        way: Way::Load { requests: Requests::Body, latency: false },
    },
    Job {
        name: "cache-1k",
        title: "Answers of 1 KiB from the cache: nginx proxy_cache, HAProxy cache, Varnish with 256 MiB",
        contenders: &CACHED,
        way: Way::Load { requests: Requests::KeptSmall, latency: false },
    },
    Job {
        name: "cache-100k",
        title: "Answers of 100 KiB from the cache: nginx proxy_cache, HAProxy cache, Varnish with 256 MiB",
        contenders: &CACHED,
        way: Way::Load { requests: Requests::KeptBody, latency: false },
    },
    Job {
        name: "shape-2k",
        title: "A list in JSON of 2 KiB, one member of each object renamed and one removed: Envoy by a script of Lua that replaces text",
        contenders: &SHAPED,
        way: Way::Load { requests: Requests::ShortList, latency: false },
    },
    Job {
        name: "shape-1m",
        title: "A list in JSON of 1 MiB over 8 connections, one member of each object renamed and one removed: Envoy by a script of Lua that replaces text",
        contenders: &SHAPED,
        way: Way::Load { requests: Requests::LongList, latency: false },
    },
    Job {
        name: "close",
        title: "A connection for each request",
        contenders: &[NGINX, HAPROXY, ENVOY, TIDEGATE],
        way: Way::Load { requests: Requests::Closing, latency: false },
    },
    Job {
        name: "idle-10000",
        title: "Idle connections, 10,000 or what the limit of open files allows, one request done on each",
        contenders: &[NGINX, HAPROXY, ENVOY, TIDEGATE],
        way: Way::Idle,
    },
    Job {
        name: "reload-10000",
        title: "Reload of 10,000 routes under a steady load of 2,000 requests/s: from the signal to the first answer of the new configuration",
        contenders: &[NGINX_RELOADED, RELOADED],
        way: Way::Reload,
    },
    Job {
        name: "tls",
        title: "TLS 1.3, small JSON over HTTP/1.1, 64 connections kept alive",
        contenders: &SECURE,
        way: Way::Load { requests: Requests::Small, latency: false },
    },
    Job {
        name: "tls-h2",
        title: "TLS 1.3, small JSON over HTTP/2, 4 connections with 64 streams each",
        contenders: &SECURE,
        way: Way::Load { requests: Requests::Streams, latency: false },
    },
    Job {
        name: "tls-full",
        title: "A connection, a full TLS 1.3 handshake (X25519, ECDSA P-256) and a request",
        contenders: &SECURE,
        way: Way::Load { requests: Requests::FullHandshakes, latency: false },
    },
    Job {
        name: "tls-resumed",
        title: "A connection, a resumed TLS 1.3 handshake (X25519) and a request",
        contenders: &SECURE,
        way: Way::Load { requests: Requests::ResumedHandshakes, latency: false },
    },
    Job { name: "tls-idle-10000", title: "The same under TLS 1.3", contenders: &SECURE, way: Way::Idle },
];

impl Job {
    pub(super) fn find(name: &str) -> Result<&'static Job, Failure> {
        let names = || JOBS.map(|job| job.name).join(", ");
        JOBS.iter()
            .find(|job| job.name == name)
            .ok_or_else(|| format!("no job `{name}`; there are: {}", names()))
    }

    /// What is asked for, where that is one kind of request.
    pub(super) fn requests(&self) -> Option<Requests> {
        match self.way {
            Way::Load { requests, .. } => Some(requests),
            Way::Composed | Way::Idle | Way::Reload => None,
        }
    }

    /// The contenders of this job that are installed and wanted.
    pub(super) fn contenders(&self, only: &[String]) -> Vec<Contender> {
        let wanted = |contender: &Contender| {
            only.is_empty()
                || only.iter().any(|part| contender.name.to_lowercase().contains(&part.to_lowercase()))
        };
        self.contenders.iter().filter(|c| wanted(c) && c.is_installed()).copied().collect()
    }

    /// Measures all contenders, a round of each in turn.
    pub(super) fn run(&self, ground: &Ground, plan: &Plan) -> Result<JobResult, Failure> {
        let contenders = self.contenders(&plan.only);
        let mut lines: Vec<Line> = contenders
            .iter()
            .map(|contender| Line { contender: contender.name.to_owned(), rounds: Vec::new() })
            .collect();
        match self.way {
            Way::Load { requests, latency } => {
                let proxies = contenders.iter().map(|c| ground.start(c)).collect::<Result<Vec<_>, _>>()?;
                for proxy in &proxies {
                    load::send(proxy, requests, WARM_UP, &ground.folder)?;
                }
                for run in 1..=plan.runs {
                    for (proxy, line) in proxies.iter().zip(&mut lines) {
                        let round = loaded(proxy, requests, latency, ground, plan)?;
                        self.tell(run, &line.contender, &round);
                        line.rounds.push(round);
                    }
                }
            }
            Way::Composed => {
                let proxies = contenders.iter().map(|c| ground.start(c)).collect::<Result<Vec<_>, _>>()?;
                for (proxy, contender) in proxies.iter().zip(&contenders) {
                    load::send(proxy, composed::requests(contender), WARM_UP, &ground.folder)?;
                }
                for run in 1..=plan.runs {
                    for ((proxy, contender), line) in proxies.iter().zip(&contenders).zip(&mut lines) {
                        let round = loaded(proxy, composed::requests(contender), false, ground, plan)?;
                        let round = composed::round(proxy, contender, plan, round);
                        self.tell(run, &line.contender, &round);
                        line.rounds.push(round);
                    }
                }
            }
            Way::Idle | Way::Reload => {
                for run in 1..=plan.runs {
                    for (contender, line) in contenders.iter().zip(&mut lines) {
                        let round = match self.way {
                            Way::Idle => idle::round(ground, contender)?,
                            _ => reload::round(ground, contender)?,
                        };
                        self.tell(run, &line.contender, &round);
                        line.rounds.push(round);
                    }
                }
            }
        }
        Ok(JobResult {
            title: self.title.to_owned(),
            runs: plan.runs,
            seconds: plan.seconds,
            of: String::new(),
            lines,
        })
    }

    fn tell(&self, run: usize, contender: &str, round: &Round) {
        let figures: Vec<String> =
            round.iter().map(|(figure, value)| format!("{figure} {value:.2}")).collect();
        eprintln!("{} {run} {contender}: {}", self.name, figures.join(", "));
    }
}

/// One round: all that wrk can send, then latency at a fixed rate.
fn loaded(
    proxy: &Proxy,
    requests: Requests,
    latency: bool,
    ground: &Ground,
    plan: &Plan,
) -> Result<Round, Failure> {
    let mut round = sent(proxy, requests, ground, plan)?;
    for _ in 0..REPEATS {
        if round.get("others_percent").is_none_or(|others| *others <= DISTURBED) {
            break;
        }
        eprintln!("disturbed: once more");
        round = sent(proxy, requests, ground, plan)?;
    }
    if latency {
        let time = Duration::from_secs_f64(plan.seconds);
        let paced = load::paced(proxy.address, "/users/1", PACE, time, &AtomicBool::new(false));
        if paced.failed > 0 {
            eprintln!("failed at a fixed rate: {}", load::told(&paced.reasons));
        }
        round.insert("p50_us".to_owned(), paced.quantile(0.50).as_secs_f64() * 1e6);
        round.insert("p99_us".to_owned(), paced.quantile(0.99).as_secs_f64() * 1e6);
        *round.entry("failed".to_owned()).or_default() += paced.failed as f64;
    }
    Ok(round)
}

/// All that wrk can send, and what it cost.
fn sent(proxy: &Proxy, requests: Requests, ground: &Ground, plan: &Plan) -> Result<Round, Failure> {
    let (before, busy, begin) = (proxy.running.cpu(), process::busy(PROXY_CORE), Instant::now());
    let done = load::send(proxy, requests, plan.seconds, &ground.folder)?;
    let spent = proxy.running.cpu().saturating_sub(before);
    let others = process::busy(PROXY_CORE).saturating_sub(busy).saturating_sub(spent);
    let mut round = BTreeMap::from([
        ("cpu_us".to_owned(), spent.as_secs_f64() * 1e6 / done.requests as f64),
        ("per_second".to_owned(), done.per_second),
        ("others_percent".to_owned(), 100.0 * others.as_secs_f64() / begin.elapsed().as_secs_f64()),
        ("failed".to_owned(), done.failed as f64),
    ]);
    if let Some(bytes) = requests.shaped_bytes(&ground.folder)? {
        round.insert("mb_per_second".to_owned(), done.per_second * bytes as f64 / 1e6);
    }
    Ok(round)
}
