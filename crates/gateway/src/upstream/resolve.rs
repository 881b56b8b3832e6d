//! From targets to endpoints: names are resolved again by their time to live, in the background.
//!
//! Runs on the control side, never on a worker. Publishes endpoints to services; when a name server fails, the last
//! good answer stays for a stated time; a name that is said not to exist goes sooner.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::task::JoinHandle;

use super::service::{EndpointSettings, SHARES, Service, Target};
use crate::values::TargetHost;

/// How long a new configuration waits for names it has not resolved before.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// One look-up takes at most so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsTimes {
    /// At least.
    pub min_ttl: Duration,
    /// At most.
    pub max_ttl: Duration,
    /// While the name server fails.
    pub keep_last_good: Duration,
}

/// Keeps the endpoints of all services up to date.
pub struct Resolver {
    resolver: Option<TokioResolver>,
    workers: usize,
    watches: HashMap<u64, Watch>,
}

struct Watch {
    targets: Vec<Target>,
    times: DnsTimes,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of one name.
#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    good_until: Option<Instant>,
}

impl Resolver {
    /// A resolver with the system's name servers. Must be called on the control runtime.
    pub fn new(workers: usize) -> Resolver {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(error = %error, "cannot read the system's name servers; asking its own resolver instead");
        }
        Resolver { resolver: resolver.ok(), workers, watches: HashMap::new() }
    }

    /// Publishes the endpoints of these services, and goes on resolving the names among their targets. Waits a moment
    /// for names that are new.
    pub async fn adopt(&mut self, services: &[Arc<Service>], times: DnsTimes) {
        let mut fresh = Vec::new();
        let mut kept = HashMap::new();
        for service in services {
            let id = service.live.id;
            if !service.targets.iter().any(|target| name_of(target).is_some()) {
                service.live.publish(&endpoints(&service.targets, &HashMap::new()), self.workers);
                continue;
            }
            let known = self.watches.remove(&id);
            let known = known.filter(|watch| watch.targets == service.targets && watch.times == times);
            let watch = known.unwrap_or_else(|| {
                let (answered, first) = tokio::sync::oneshot::channel();
                fresh.push(first);
                let task = watch(self.resolver.clone(), service.clone(), times, self.workers, answered);
                Watch { targets: service.targets.clone(), times, task: tokio::spawn(task) }
            });
            kept.insert(id, watch);
        }
        self.watches = kept;
        let all = futures_util::future::join_all(fresh);
        // Who has not answered by then does so in the background.
        let _ = tokio::time::timeout(FIRST_ANSWER, all).await;
    }
}

/// Resolves the names of one service until it is no longer wanted.
async fn watch(
    resolver: Option<TokioResolver>,
    service: Arc<Service>,
    times: DnsTimes,
    workers: usize,
    answered: tokio::sync::oneshot::Sender<()>,
) {
    let mut known: HashMap<String, Known> = HashMap::new();
    let mut answered = Some(answered);
    let mut failures = 0u32;
    loop {
        let mut rest = times.max_ttl;
        let mut failed = false;
        for name in service.targets.iter().filter_map(name_of) {
            let known = known.entry(name.to_owned()).or_default();
            match look_up(resolver.as_ref(), name, times).await {
                Ok((addresses, ttl)) => {
                    rest = rest.min(ttl);
                    *known = Known { addresses, good_until: Some(Instant::now() + times.keep_last_good) };
                }
                Err(refusal) => {
                    failed = true;
                    keep_or_drop(known, name, &service.name, &refusal, times);
                }
            }
        }
        let addresses =
            known.iter().map(|(name, known)| (name.as_str(), known.addresses.as_slice())).collect();
        service.live.publish(&endpoints(&service.targets, &addresses), workers);
        answered.take().map(|answered| answered.send(()));
        failures = if failed { failures.saturating_add(1) } else { 0 };
        let backoff = times.min_ttl.saturating_mul(1u32 << failures.min(6));
        tokio::time::sleep(if failed { backoff.min(times.max_ttl) } else { rest }).await;
    }
}

/// Why a name gave no addresses.
struct Refusal {
    absent: bool,
    reason: String,
}

fn keep_or_drop(known: &mut Known, name: &str, service: &str, refusal: &Refusal, times: DnsTimes) {
    let now = Instant::now();
    if refusal.absent {
        // A name that is gone is believed after one longest time to live: name servers err too.
        let soon = now + times.max_ttl;
        known.good_until = known.good_until.map(|until| until.min(soon));
    }
    let kept = known.good_until.is_some_and(|until| until > now);
    tracing::warn!(name, service, error = %refusal.reason, keeping_last = kept, "cannot resolve a target");
    if !kept {
        *known = Known::default();
    }
}

async fn look_up(
    resolver: Option<&TokioResolver>,
    name: &str,
    times: DnsTimes,
) -> Result<(Vec<IpAddr>, Duration), Refusal> {
    let asked = async {
        match resolver {
            Some(resolver) => {
                let answer = resolver.lookup_ip(name).await.map_err(|error| Refusal {
                    absent: error.is_no_records_found(),
                    reason: error.to_string(),
                })?;
                let ttl = answer.valid_until().saturating_duration_since(Instant::now());
                Ok((answer.iter().collect::<Vec<_>>(), ttl))
            }
            None => {
                let found = tokio::net::lookup_host((name, 0)).await;
                let found = found.map_err(|error| Refusal { absent: false, reason: error.to_string() })?;
                Ok((found.map(|address| address.ip()).collect(), times.max_ttl))
            }
        }
    };
    let late = || Refusal { absent: false, reason: "no answer in time".into() };
    let (mut addresses, ttl) = tokio::time::timeout(PATIENCE, asked).await.map_err(|_| late())??;
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Refusal { absent: true, reason: "the name has no addresses".into() });
    }
    Ok((addresses, ttl.clamp(times.min_ttl, times.max_ttl.max(times.min_ttl))))
}

fn name_of(target: &Target) -> Option<&str> {
    match target.url.host() {
        TargetHost::Name(name) => Some(name),
        TargetHost::Ip(_) => None,
    }
}

/// The endpoints of targets whose names have these addresses. A target's weight is divided among them.
fn endpoints(targets: &[Target], known: &HashMap<&str, &[IpAddr]>) -> Vec<EndpointSettings> {
    let mut all = Vec::new();
    for target in targets {
        let single;
        let addresses: &[IpAddr] = match target.url.host() {
            TargetHost::Ip(address) => {
                single = [*address];
                &single
            }
            TargetHost::Name(name) => known.get(name.as_str()).copied().unwrap_or_default(),
        };
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let share = target.weight.saturating_mul(SHARES).div_ceil(count);
        let authority: Arc<str> = target.url.authority().into();
        all.extend(addresses.iter().map(|address| EndpointSettings {
            address: SocketAddr::new(*address, target.url.port()),
            authority: authority.clone(),
            weight: share,
            rank: target.rank,
            peer: target.peer.clone(),
            protocol: target.protocol,
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::health::Rank;
    use super::*;
    use crate::config::Protocol;

    fn target(url: &str, weight: u32) -> Target {
        Target { url: url.parse().unwrap(), weight, rank: Rank::Near, peer: None, protocol: Protocol::Http1 }
    }

    #[test]
    fn the_weight_of_a_name_is_divided_among_its_addresses() {
        let targets = [target("http://a:80", 2), target("http://10.0.0.9:81", 1)];
        let addresses: Vec<IpAddr> =
            ["10.0.0.1", "10.0.0.2"].iter().map(|text| text.parse().unwrap()).collect();
        let known = HashMap::from([("a", addresses.as_slice())]);
        let all = endpoints(&targets, &known);
        let seen: Vec<_> = all.iter().map(|one| (one.address.to_string(), one.weight)).collect();
        assert_eq!(
            seen,
            [("10.0.0.1:80".into(), 60), ("10.0.0.2:80".into(), 60), ("10.0.0.9:81".into(), 60)]
        );
        assert_eq!(
            endpoints(&targets, &HashMap::new()).len(),
            1,
            "a name without addresses has no endpoints"
        );
    }

    #[test]
    fn the_last_good_answer_stays_while_the_name_server_fails_and_goes_when_the_name_is_gone() {
        let times = DnsTimes {
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::ZERO,
            keep_last_good: Duration::from_secs(60),
        };
        let mut known = Known {
            addresses: vec!["10.0.0.1".parse().unwrap()],
            good_until: Some(Instant::now() + times.keep_last_good),
        };
        let failing = Refusal { absent: false, reason: "servfail".into() };
        keep_or_drop(&mut known, "a", "s", &failing, times);
        assert_eq!(known.addresses.len(), 1);
        let absent = Refusal { absent: true, reason: "nxdomain".into() };
        keep_or_drop(&mut known, "a", "s", &absent, times);
        assert!(known.addresses.is_empty(), "with a longest time to live of zero it goes at once");
    }
}
