//! Tells people what happens: gathers notices, and sends them by webhook, Slack, syslog or e-mail.
//!
//! Takes notices from anywhere on the control side without waiting; a thread of its own sends them. Every queue is bounded: what
//! finds one full is counted and gone. Must never hold anybody up, nor say anything secret.

mod deliver;
mod gather;
mod text;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::control::Control;
use crate::config::{self, NoticeKind};
use crate::observe::Figure;
use crate::upstream::breaker::Breaker;
use deliver::{Delivery, Failure};
use gather::{Batch, Gathering};

/// Notices that wait to be looked at, and those that wait for one receiver.
const MOST_WAITING: usize = 1_000;
const MOST_FOR_ONE: usize = 200;
/// How often a message is tried, and the rest after the first failure, doubled after each further one.
const TRIES: u32 = 5;
const FIRST_REST: Duration = Duration::from_secs(1);
/// How often it is looked whether the receivers are others, and whether a circuit has opened.
const LOOK: Duration = Duration::from_secs(1);

/// Something that people are told of.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What about.
    pub kind: NoticeKind,
    /// Whether somebody should look soon.
    pub urgent: bool,
    /// What happened, in a sentence.
    pub title: String,
    /// Facts about it, none of them secret.
    pub facts: Vec<(&'static str, String)>,
    /// When.
    pub time: SystemTime,
}

impl Notice {
    /// A notice of now.
    pub fn new(kind: NoticeKind, urgent: bool, title: String, facts: Vec<(&'static str, String)>) -> Notice {
        Notice { kind, urgent, title, facts, time: SystemTime::now() }
    }
}

/// Where notices are given to.
pub struct Notices {
    tell: mpsc::Sender<Notice>,
    told: Mutex<Option<mpsc::Receiver<Notice>>>,
    counts: Arc<Counts>,
}

/// What became of notices.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Notices {
    fn default() -> Notices {
        let (tell, told) = mpsc::channel(MOST_WAITING);
        Notices { tell, told: Mutex::new(Some(told)), counts: Arc::default() }
    }
}

impl Notices {
    /// Gives a notice away. Waits for nobody.
    pub fn tell(&self, notice: Notice) {
        if self.tell.try_send(notice).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The numbers for the metrics page.
    pub fn figures(&self) -> [Figure; 3] {
        let figure = |name, help, count: &AtomicU64| Figure {
            name,
            help,
            counts: true,
            value: count.load(Ordering::Relaxed),
        };
        [
            figure("tidegate_notices_sent", "Messages that a receiver has taken.", &self.counts.sent),
            figure(
                "tidegate_notices_failed",
                "Messages that no receiver took, after all tries.",
                &self.counts.failed,
            ),
            figure("tidegate_notices_dropped", "Notices that found a queue full.", &self.counts.dropped),
        ]
    }
}

/// Starts the thread that sends.
///
/// # Errors
/// There is no thread to be had.
pub(super) fn start(control: &Arc<Control>) -> std::io::Result<()> {
    let told = control.notices.told.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(told) = told else { return Ok(()) };
    let (weak, counts) = (Arc::downgrade(control), control.notices.counts.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || runtime.block_on(run(weak, told, counts));
    std::thread::Builder::new().name("notices".into()).spawn(work).map(drop)
}

/// Gives each notice to those who want it, until the process ends.
async fn run(control: Weak<Control>, mut told: mpsc::Receiver<Notice>, counts: Arc<Counts>) {
    let mut settings = config::Notify::default();
    let mut receivers: Vec<(config::Receiver, mpsc::Sender<Notice>)> = Vec::new();
    let mut circuits = Circuits::default();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        let notice = tokio::select! {
            notice = told.recv() => notice,
            _ = looks.tick() => None,
        };
        let Some(control) = control.upgrade() else { return };
        let now = control.config();
        if now.notify != settings {
            settings.clone_from(&now.notify);
            receivers = begin(&settings, &counts);
        }
        for notice in notice.into_iter().chain(circuits.opened(&control)) {
            for (receiver, sender) in &receivers {
                let wanted = receiver.events.is_empty() || receiver.events.contains(&notice.kind);
                if wanted && sender.try_send(notice.clone()).is_err() {
                    counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Begins to serve these receivers; those before end when they have said what they had.
fn begin(settings: &config::Notify, counts: &Arc<Counts>) -> Vec<(config::Receiver, mpsc::Sender<Notice>)> {
    let made = settings.receivers.iter().filter_map(|(name, receiver)| {
        let delivery = match Delivery::new(receiver) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::error!(receiver = %name, "nothing can be sent: {error}");
                return None;
            }
        };
        let (sender, waiting) = mpsc::channel(MOST_FOR_ONE);
        let gathering = Gathering::new(settings.group.get());
        tokio::spawn(serve(name.to_string(), delivery, gathering, waiting, counts.clone()));
        Some((receiver.clone(), sender))
    });
    made.collect()
}

/// Sends to one receiver what is for it.
async fn serve(
    name: String,
    delivery: Delivery,
    mut gathering: Gathering,
    mut waiting: mpsc::Receiver<Notice>,
    counts: Arc<Counts>,
) {
    loop {
        let due = gathering.due().map(tokio::time::Instant::from_std);
        let is_open = tokio::select! {
            notice = waiting.recv() => match notice {
                Some(notice) => {
                    gathering.add(notice);
                    true
                }
                None => false,
            },
            () = async { tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await }, if due.is_some() => true,
        };
        if let Some(batch) = gathering.take(Instant::now(), !is_open) {
            let count = match send(&delivery, &batch).await {
                Ok(()) => &counts.sent,
                Err(error) => {
                    tracing::error!(receiver = name, "a message was not sent: {error}");
                    &counts.failed
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        if !is_open {
            return;
        }
    }
}

async fn send(delivery: &Delivery, batch: &Batch) -> Result<(), String> {
    let mut rest = FIRST_REST;
    for tried in 1..=TRIES {
        match delivery.send(batch).await {
            Ok(()) => return Ok(()),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error)) if tried == TRIES => return Err(error),
            Err(Failure::Passing(error)) => {
                tracing::debug!("a message was not sent, it is tried again: {error}")
            }
        }
        tokio::time::sleep(rest).await;
        rest = rest.saturating_mul(2);
    }
    Err("it was tried too often".to_owned())
}

/// How often each circuit had opened when it was last looked at.
#[derive(Default)]
struct Circuits(std::collections::HashMap<(u64, Option<SocketAddr>), u64>);

impl Circuits {
    /// Notices of those that have opened since.
    fn opened(&mut self, control: &Control) -> Vec<Notice> {
        let snapshot = control.gateway.live.snapshot();
        let mut notices = Vec::new();
        let mut now = std::collections::HashMap::new();
        for service in &snapshot.services {
            let Some(breaker) = &service.breaker else { continue };
            let mut look = |target: Option<(SocketAddr, &str)>, breaker: &Breaker| {
                let id = (service.live.id, target.map(|(address, _)| address));
                let opened = breaker.opened.load(Ordering::Relaxed);
                let before = self.0.get(&id).copied().unwrap_or(0);
                now.insert(id, opened);
                if opened <= before {
                    return;
                }
                let mut facts = vec![("service", service.name.to_string()), ("opened", opened.to_string())];
                let whose = match target {
                    Some((address, target)) => {
                        facts.extend([("target", target.to_owned()), ("address", address.to_string())]);
                        format!("target {target} of the service")
                    }
                    None => "service".to_owned(),
                };
                let title = format!("the circuit of the {whose} {} has opened", service.name);
                notices.push(Notice::new(NoticeKind::Breaker, true, title, facts));
            };
            look(None, breaker);
            for endpoint in service.live.endpoints().iter() {
                if let Some(circuit) = endpoint.health.circuit() {
                    look(Some((endpoint.settings.address, &endpoint.settings.authority)), &circuit);
                }
            }
        }
        self.0 = now;
        notices
    }
}
