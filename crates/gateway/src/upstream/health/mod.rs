//! Whether endpoints are well: one state for all workers, and what share of the requests follows from it.
//!
//! Workers count failures and heads of answers (`attempt`); one thread of the control side asks endpoints itself
//! (`probe`), judges (`judge`) and publishes (`monitor`). What reaches the workers is a weight for each endpoint, which
//! they read when the service's generation changes: choosing costs the same as if nothing were ever ill.

pub mod attempt;
pub mod judge;
pub mod monitor;
pub mod probe;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::breaker::{self, Breaker};
use crate::config;
use judge::State;

/// How a service watches its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is asked of each endpoint.
    pub check: Option<Check>,
    /// When requests of clients tell that an endpoint is ill.
    pub eject: Option<Eject>,
    /// Time until an endpoint that came back has its full share.
    pub slow_start: Duration,
    /// All are used when fewer are well, in parts of a million.
    pub panic_threshold: u32,
}

/// What is asked of each endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Target of a GET; none: to connect is all.
    pub path: Option<String>,
    /// Asks by gRPC for this service; empty for the whole server.
    pub grpc: Option<String>,
    /// Statuses of one that is well; none: 200 to 299.
    pub status: Vec<u16>,
    /// What must stand in the body.
    pub body: Option<String>,
    /// The `Host` to send instead of the endpoint's authority.
    pub host: Option<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// Time for one.
    pub timeout: Duration,
    /// Good ones in a row that bring an endpoint back.
    pub rise: u32,
    /// Failed ones in a row that take it out.
    pub fall: u32,
}

/// When requests of clients tell that an endpoint is ill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eject {
    /// Failures in a row.
    pub errors: u32,
    /// Share of failures, in parts of a million.
    pub error_rate: u32,
    /// Time over which the share is taken.
    pub window: Duration,
    /// Requests before a share or slowness tells anything.
    pub min_requests: u32,
    /// Times slower than the others.
    pub slow_times: u32,
    /// Not slow below this.
    pub slow_over: Duration,
    /// Time out, times the number of times.
    pub time: Duration,
    /// Longest time out.
    pub max_time: Duration,
    /// Share of endpoints that may be out, in parts of a million.
    pub most: u32,
}

impl Settings {
    /// As written.
    pub fn new(service: &config::Service) -> Settings {
        let host = match &service.host {
            config::HostHeader::Literal(host) => Some(host.clone()),
            config::HostHeader::Client | config::HostHeader::Target => None,
        };
        Settings {
            check: service.health_check.as_ref().map(|check| Check {
                path: check.path.clone(),
                grpc: check
                    .grpc
                    .as_ref()
                    .map(|grpc| if grpc == "true" { String::new() } else { grpc.clone() }),
                status: check.status.iter().map(|status| status.get()).collect(),
                body: check.body.clone(),
                host: check.host.clone().or(host),
                interval: check.interval.get(),
                timeout: check.timeout.get(),
                rise: check.rise,
                fall: check.fall,
            }),
            eject: service.eject.as_ref().map(|eject| Eject {
                errors: eject.errors,
                error_rate: eject.error_rate.parts_per_million(),
                window: eject.window.get(),
                min_requests: eject.min_requests,
                slow_times: eject.slow.times,
                slow_over: eject.slow.over.get(),
                time: eject.time.get(),
                max_time: eject.max_for.get(),
                most: eject.most.parts_per_million(),
            }),
            slow_start: service.slow_start.get(),
            panic_threshold: service.panic_threshold.parts_per_million(),
        }
    }

    /// Whether anything is watched at all.
    pub fn watches(&self) -> bool {
        self.check.is_some() || self.eject.is_some()
    }
}

/// What is known about one endpoint. It outlives reloads and changes of weight.
#[derive(Default)]
pub struct Health {
    /// Share of the requests now, against the other endpoints'.
    share: AtomicU32,
    /// Taken out by command: nothing goes there, not even as a last resort.
    drained: AtomicBool,
    /// Whether checks or requests, or its own circuit, have taken it out, as the workers know it.
    ill: AtomicBool,
    /// Failures since the last good answer, of all workers.
    errors_in_row: AtomicU32,
    /// Times that it was taken out for what requests told.
    pub ejections: AtomicU64,
    /// Checks that were good.
    pub checks_good: AtomicU64,
    /// Checks that failed.
    pub checks_failed: AtomicU64,
    /// Its own circuit, where each target of the service has one.
    circuit: ArcSwapOption<Breaker>,
    // Of the control side alone; no worker takes this lock.
    state: Mutex<State>,
}

impl Health {
    /// Share of the requests as last published.
    pub fn share(&self) -> u32 {
        self.share.load(Ordering::Relaxed)
    }

    /// Whether it was taken out by command.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Why it gets no requests, or fewer than its share; `None` while it is well. Never called by workers.
    pub fn ailment(&self) -> Option<String> {
        if self.is_drained() {
            return Some("drained by command".to_owned());
        }
        let ailment = self.state().ailment();
        match self.circuit.load().as_deref().and_then(Breaker::told) {
            Some(told) if self.state().is_well() => Some(told),
            _ => ailment,
        }
    }

    /// Its own circuit.
    pub fn circuit(&self) -> Option<Arc<Breaker>> {
        self.circuit.load_full()
    }

    /// Has a circuit of these settings from now on, or none. One of the same settings stays.
    pub(super) fn keep_circuit(&self, wanted: Option<&(breaker::Settings, usize)>) {
        let known = self.circuit.load_full();
        match wanted {
            Some((settings, _)) if known.is_some_and(|known| known.settings == *settings) => {}
            Some((settings, workers)) => self.circuit.store(Some(Breaker::new(settings.clone(), *workers))),
            None => self.circuit.store(None),
        }
    }

    /// Whether neither checks nor requests nor a command have taken it out, and the workers know.
    pub fn is_well(&self) -> bool {
        !self.is_drained() && !self.ill.load(Ordering::Acquire)
    }

    /// Lets it be seen that the workers know.
    pub(super) fn confirm(&self, well: bool) {
        self.ill.store(!well, Ordering::Release);
    }

    /// What its share is made from.
    pub(super) fn standing(&self, weight: u32, rank: Rank, drained: bool) -> Standing {
        let state = self.state();
        let open = |circuit: &Breaker| circuit.state() == breaker::State::Open;
        let well = state.is_well() && !self.circuit.load().as_deref().is_some_and(open);
        Standing { weight, rank, drained, well, tenths: state.tenths() }
    }

    /// Publishes share and drain; true when something changed.
    pub(super) fn publish(&self, share: u32, drained: bool) -> bool {
        let before = self.share.swap(share, Ordering::Relaxed);
        let drained_before = self.drained.swap(drained, Ordering::Relaxed);
        (before, drained_before) != (share, drained)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One endpoint as the shares are made from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// As configured.
    pub weight: u32,
    /// When it is asked.
    pub rank: Rank,
    /// Taken out by command.
    pub drained: bool,
    /// Neither down nor ejected, and its circuit not open.
    pub well: bool,
    /// How much of its weight it may have, in tenths: less while it starts slowly.
    pub tenths: u32,
}

/// When an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Always: it is near, or nobody said where it is.
    Near,
    /// When too few that are near are well.
    Far,
    /// When no other is well: it stands in for others.
    Backup,
}

/// Of ten that are near so many must be well, or those that are far are asked too: the rest of them may not bear it all.
const ENOUGH_NEAR: u64 = 7;

/// The share of each endpoint. Backups get theirs while no other is well; when none at all is well, or too few, health
/// is no longer asked. Those that are far get theirs while too few that are near are well.
pub(super) fn shares(all: &[Standing], panic_threshold: u32) -> Vec<u32> {
    let count = |is: &dyn Fn(Rank) -> bool| {
        let of = || all.iter().filter(|one| is(one.rank) && !one.drained && one.weight > 0);
        (of().filter(|one| one.well).count() as u64, of().count() as u64)
    };
    let (well, known) = count(&|rank| rank != Rank::Backup);
    let (backups_well, backups) = count(&|rank| rank == Rank::Backup);
    let (near_well, near) = count(&|rank| rank == Rank::Near);
    let too_few = well.saturating_mul(1_000_000) < known.saturating_mul(u64::from(panic_threshold));
    let near_is_enough = near_well > 0 && near_well.saturating_mul(10) >= near.saturating_mul(ENOUGH_NEAR);
    // Which of them serve, and whether only those that are well.
    let (backup, only_well) = match (well, backups_well) {
        (0, 0) => (known == 0 && backups > 0, false),
        (0, _) => (true, true),
        _ => (false, !too_few),
    };
    let serves = |one: &Standing| match one.rank {
        Rank::Backup => backup,
        Rank::Near => !backup,
        Rank::Far => !(backup || only_well && near_is_enough),
    };
    let share = |one: &Standing| match serves(one) && !one.drained && (one.well || !only_well) {
        true if only_well => one.weight.saturating_mul(one.tenths.min(10)).div_ceil(10),
        true => one.weight,
        false => 0,
    };
    all.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Standing = Standing { weight: 60, rank: Rank::Near, drained: false, well: true, tenths: 10 };
    const ILL: Standing = Standing { well: false, ..WELL };
    const BACKUP: Standing = Standing { rank: Rank::Backup, ..WELL };
    const FAR: Standing = Standing { rank: Rank::Far, ..WELL };
    const DRAINED: Standing = Standing { drained: true, ..WELL };

    #[test]
    fn who_is_asked() {
        let ill_backup = Standing { well: false, ..BACKUP };
        let new = Standing { tenths: 3, ..WELL };
        for (all, threshold, wanted) in [
            (vec![WELL, WELL], 0, vec![60, 60]),
            (vec![WELL, ILL], 0, vec![60, 0]),
            (vec![WELL, new], 0, vec![60, 18]),
            (vec![ILL, ILL], 0, vec![60, 60]),
            (vec![WELL, BACKUP], 0, vec![60, 0]),
            (vec![ILL, BACKUP], 0, vec![0, 60]),
            (vec![ILL, ill_backup], 0, vec![60, 0]),
            (vec![DRAINED, BACKUP], 0, vec![0, 60]),
            (vec![DRAINED, ill_backup], 0, vec![0, 60]),
            (vec![DRAINED, ILL, WELL], 0, vec![0, 0, 60]),
            (vec![DRAINED, ILL], 0, vec![0, 60]),
            (vec![WELL, ILL, ILL], 500_000, vec![60, 60, 60]),
            (vec![WELL, WELL, ILL], 500_000, vec![60, 60, 0]),
            (vec![WELL, WELL, ILL, DRAINED], 500_000, vec![60, 60, 0, 0]),
            (vec![WELL, WELL, FAR], 0, vec![60, 60, 0]),
            (vec![WELL, ILL, FAR], 0, vec![60, 0, 60]),
            (vec![WELL, WELL, WELL, ILL, FAR], 0, vec![60, 60, 60, 0, 0]),
            (vec![ILL, FAR, BACKUP], 0, vec![0, 60, 0]),
            (vec![DRAINED, FAR], 0, vec![0, 60]),
            (vec![FAR, FAR], 0, vec![60, 60]),
            (vec![WELL, ILL, FAR, FAR], 900_000, vec![60, 60, 60, 60]),
        ] {
            assert_eq!(shares(&all, threshold), wanted, "{all:?} {threshold}");
        }
    }
}
