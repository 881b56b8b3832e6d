//! Watches the files of certificates and lets the new ones be shown, without a reload; warns before one ends.
//!
//! A file that cannot be used changes nothing: the certificate before goes on being shown, and the reason is logged and
//! counted. Reading happens on a thread that may wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::control::Control;
use super::folders::Folders;
use super::notices::Notice;
use super::watch::LOOK;
use crate::config::NoticeKind;
use crate::snapshot::Snapshot;

/// Days before its end from which on a certificate is warned of.
const WARNED: [u64; 3] = [3, 14, 30];
const DAY: u64 = 86_400;

/// Looks at the files whenever something happens beside them, when it is told to, and every few seconds.
pub(super) async fn run(control: Arc<Control>) {
    let mut folders = Folders::new();
    let mut warned = HashMap::new();
    loop {
        let snapshot = control.gateway.live.snapshot();
        warn(&control, &snapshot, &mut warned);
        let secured = snapshot.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let paths: Vec<_> = secured.flat_map(|tls| tls.paths()).collect();
        folders.follow(paths.iter().map(|path| path.as_ref()));
        drop(snapshot);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = control.certificates.notified() => {}
            () = folders.changed() => {}
        }
        let looking = control.clone();
        let _ = tokio::task::spawn_blocking(move || refresh(&looking.gateway.live.snapshot())).await;
    }
}

/// Takes over what has changed.
fn refresh(snapshot: &Snapshot) {
    for listener in &snapshot.listeners {
        let Some(tls) = &listener.tls else { continue };
        let refreshed = tls.refresh();
        for path in refreshed.swapped {
            tracing::info!(listener = %listener.name, file = %path.display(), "certificate taken over");
        }
        for reason in refreshed.refused {
            tracing::error!(listener = %listener.name, "certificate refused, the one before stays: {reason}");
        }
    }
}

/// Warns once at each of the days before a certificate ends, and once when it has ended.
fn warn(control: &Control, snapshot: &Snapshot, warned: &mut HashMap<(Arc<str>, String), (SystemTime, u64)>) {
    let now = SystemTime::now();
    for listener in &snapshot.listeners {
        let Some(tls) = &listener.tls else { continue };
        for told in tls.certificates.told() {
            let left = told.not_after.duration_since(now).unwrap_or(Duration::ZERO).as_secs();
            let days = left.div_ceil(DAY);
            let stage = if left == 0 { Some(0) } else { WARNED.into_iter().find(|stage| days <= *stage) };
            let Some(stage) = stage else { continue };
            let key = (listener.name.clone(), told.name.clone());
            let said = warned.insert(key, (told.not_after, stage));
            if said != Some((told.not_after, stage)) {
                let (listener, certificate) = (&listener.name, &told.name);
                tell(control, listener, certificate, days);
                match stage {
                    0 => {
                        tracing::error!(%listener, %certificate, "the certificate has expired: clients refuse it")
                    }
                    _ => tracing::warn!(%listener, %certificate, "the certificate expires in {days} days"),
                }
            }
        }
    }
}

fn tell(control: &Control, listener: &str, certificate: &str, days: u64) {
    let title = match days {
        0 => format!("the certificate {certificate} has expired: clients refuse it"),
        _ => format!("the certificate {certificate} expires in {days} days"),
    };
    let facts = vec![
        ("listener", listener.to_owned()),
        ("certificate", certificate.to_owned()),
        ("days", days.to_string()),
    ];
    control.notices.tell(Notice::new(NoticeKind::Certificate, true, title, facts));
}
