//! Orders certificates where there are none, and renews them before they end.
//!
//! One order at a time; a failure is logged, and tried again after a rest that grows, since authorities count.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;
use std::time::{Duration, Instant, SystemTime};

use super::control::Control;
use super::notices::Notice;
use crate::config::NoticeKind;
use crate::snapshot::Snapshot;
use crate::tls::acme::{Ordering, is_due};
use crate::tls::listener::ListenerTls;
use crate::values::random::Random;

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(5);
/// Rest after the first failure, doubled after each further one.
const FIRST_REST: Duration = Duration::from_secs(60);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(6 * 3_600);

/// What is known of a listener's orders.
struct Known {
    /// Whose settings they were for.
    tls: Arc<ListenerTls>,
    failures: u32,
    not_before: Instant,
    early: f64,
}

/// Looks after all listeners with `acme` until the process ends.
pub(super) async fn run(control: Arc<Control>) {
    let random = Random::from_system();
    let mut known: HashMap<Arc<str>, Known> = HashMap::new();
    loop {
        let snapshot = control.gateway.live.snapshot();
        for listener in &snapshot.listeners {
            let Some(tls) = listener.tls.as_ref().filter(|tls| tls.settings.acme.is_some()) else { continue };
            if known.get(&listener.name).is_none_or(|known| !Arc::ptr_eq(&known.tls, tls)) {
                let early = random.below(1000) as f64 / 1000.0;
                let fresh = Known { tls: tls.clone(), failures: 0, not_before: Instant::now(), early };
                known.insert(listener.name.clone(), fresh);
            }
            if let Some(known) = known.get_mut(&listener.name) {
                let chance = random.below(1000) as f64 / 1000.0;
                if let Err(reason) = look(&listener.name, known, &snapshot, chance).await {
                    let title = format!("no certificate was ordered for the listener {}", listener.name);
                    let facts = vec![("listener", listener.name.to_string()), ("reason", reason)];
                    control.notices.tell(Notice::new(NoticeKind::Acme, true, title, facts));
                }
            }
        }
        drop(snapshot);
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(listener: &str, known: &mut Known, snapshot: &Snapshot, chance: f64) -> Result<(), String> {
    let tls = known.tls.clone();
    let (Some(acme), Some(settings), Some(proofs)) = (&tls.acme, &tls.settings.acme, &snapshot.proofs) else {
        return Ok(());
    };
    let pair = tls.certificates.adopted();
    if Instant::now() < known.not_before || !is_due(pair.as_deref(), settings, SystemTime::now(), known.early)
    {
        return Ok(());
    }
    let ordering = Ordering {
        settings,
        folder: &acme.folder,
        directory_ca: acme.directory_ca.as_deref(),
        certificates: &tls.certificates,
        proofs,
    };
    match ordering.run().await {
        Ok(()) => {
            known.failures = 0;
            tls.handshakes.swapped.fetch_add(1, Atomic::Relaxed);
            let domains = settings.domains.join(", ");
            tracing::info!(listener, domains, "certificate ordered and taken over");
            Ok(())
        }
        Err(reason) => {
            let rest = rest(known.failures, chance);
            known.failures = known.failures.saturating_add(1);
            known.not_before = Instant::now() + rest;
            tls.handshakes.refused.fetch_add(1, Atomic::Relaxed);
            let again = rest.as_secs();
            tracing::error!(listener, again, "no certificate was ordered, what is there stays: {reason}");
            Err(reason.to_string())
        }
    }
}

/// The rest after so many failures: up to a quarter more by chance, so that those that failed together do not come back
/// together.
fn rest(failures: u32, chance: f64) -> Duration {
    let rest = FIRST_REST.saturating_mul(1 << failures.min(9)).min(LONGEST_REST);
    rest.saturating_add(rest.mul_f64(chance / 4.0))
}
