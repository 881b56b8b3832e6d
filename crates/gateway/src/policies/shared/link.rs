//! One worker's connection to the shared Redis: kept up in the background, asked with a deadline, let go when it fails.
//!
//! The connection lives on the worker's own runtime, so that asking wakes no other thread, and what many requests ask at
//! once travels together. A request never connects and never repairs: after a failure, or some answers in a row that came
//! too late, the link is down and says so at once, until a trial of its own, a real charge on a key of its own, is
//! answered in time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, RedisConnectionInfo, RedisResult, Script};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::remote::{About, Remote};
use crate::config::Redis;
use crate::values::random::Random;

/// Answers that may be late in a row before the link is down.
const LATE_IN_A_ROW: u32 = 3;
/// Time for a connection to come about.
const CONNECT: Duration = Duration::from_secs(1);
/// First and longest pause between two trials.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(800));

/// A connection of either kind.
#[derive(Clone)]
pub(in crate::policies) enum Wire {
    /// To one server.
    One(MultiplexedConnection),
    /// To the servers of a cluster.
    Cluster(ClusterConnection),
}

impl Wire {
    /// A number of a hash; none where there is none.
    pub(in crate::policies) async fn number(mut self, key: &str, field: &str) -> RedisResult<Option<i64>> {
        let mut command = redis::cmd("HGET");
        command.arg(key).arg(field);
        match &mut self {
            Wire::One(wire) => command.query_async(wire).await,
            Wire::Cluster(wire) => command.query_async(wire).await,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been tried yet.
    Starting,
    Up,
    Down,
}

/// One worker's connection.
pub(in crate::policies) struct Link {
    id: u64,
    state: Cell<State>,
    wire: RefCell<Option<Wire>>,
    late: Cell<u32>,
    /// How often it has changed: what belongs to an earlier wire says nothing about this one.
    turns: Cell<u64>,
    changed: Notify,
    broken: Notify,
}

thread_local! {
    static LINKS: RefCell<Vec<Rc<Link>>> = const { RefCell::new(Vec::new()) };
}

/// Why there is no answer in time.
#[derive(Debug)]
pub(in crate::policies) struct NoAnswer;

impl Link {
    /// This worker's link to a Redis; made at first use.
    pub(in crate::policies) fn of(remote: &Arc<Remote>) -> Rc<Link> {
        LINKS.with_borrow_mut(|links| {
            if let Some(known) = links.iter().find(|link| link.id == remote.id) {
                return known.clone();
            }
            let link = Rc::new(Link {
                id: remote.id,
                state: Cell::new(State::Starting),
                wire: RefCell::default(),
                late: Cell::new(0),
                turns: Cell::new(0),
                changed: Notify::new(),
                broken: Notify::new(),
            });
            links.push(link.clone());
            tokio::task::spawn_local(keep(link.clone(), Arc::downgrade(remote)));
            link
        })
    }

    /// Whether asking is of use: it is up, or about to be for the first time.
    pub(in crate::policies) fn may_answer(&self) -> bool {
        self.state.get() != State::Down
    }

    /// Waits until it is up, for so long at most; says whether it is.
    pub(in crate::policies) async fn is_up_within(&self, time: Duration) -> bool {
        if self.state.get() != State::Up {
            // Whoever asked looks again, and waits again.
            let _ = timeout(time, self.changed.notified()).await;
        }
        self.state.get() == State::Up
    }

    /// Asks the script; `NoAnswer` after the deadline at the latest.
    pub(in crate::policies) async fn ask(
        &self,
        remote: &Remote,
        question: &Question,
    ) -> Result<Vec<i64>, NoAnswer> {
        remote.count(question.about);
        let asked_at = Cell::new(self.turns.get());
        let asked = async {
            if self.state.get() == State::Starting {
                self.changed.notified().await;
            }
            asked_at.set(self.turns.get());
            let wire = self.wire.borrow().clone();
            let mut wire = wire.filter(|_| self.state.get() == State::Up).ok_or(None)?;
            question.put(remote, &mut wire).await.map_err(Some)
        };
        let answer = timeout(remote.settings.timeout.get(), asked).await;
        let still = asked_at.get() == self.turns.get() && self.state.get() == State::Up;
        let broken = match answer {
            Ok(Ok(answer)) => {
                if still {
                    self.late.set(0);
                }
                return Ok(answer);
            }
            Ok(Err(None)) => return Err(NoAnswer),
            Ok(Err(Some(error))) => {
                remote.failed(question.about, &error.to_string());
                true
            }
            Err(_) => {
                remote.failed(question.about, "no answer in time");
                if still {
                    self.late.set(self.late.get().saturating_add(1));
                }
                self.late.get() >= LATE_IN_A_ROW
            }
        };
        if broken && still {
            self.turn(State::Down, None);
            self.broken.notify_one();
        }
        Err(NoAnswer)
    }

    fn turn(&self, state: State, wire: Option<Wire>) {
        self.state.set(state);
        self.late.set(0);
        self.turns.set(self.turns.get().wrapping_add(1));
        *self.wire.borrow_mut() = wire;
        self.changed.notify_waiters();
    }
}

/// Keeps a link up for as long as a configuration names its Redis.
async fn keep(link: Rc<Link>, remote: Weak<Remote>) {
    let random = Random::from_system();
    let mut pause = PAUSES.0;
    while let Some(remote_now) = remote.upgrade() {
        match connect(&remote_now).await {
            Some(wire) => {
                link.turn(State::Up, Some(wire));
                remote_now.is_up();
                drop(remote_now);
                pause = PAUSES.0;
                // Looks up now and then whether anybody still wants it.
                while timeout(Duration::from_secs(5), link.broken.notified()).await.is_err() {
                    if remote.strong_count() == 0 {
                        break;
                    }
                }
            }
            None => {
                link.turn(State::Down, None);
                drop(remote_now);
                // Not all workers of all gateways at the same moment.
                let spread = u64::try_from(pause.as_millis()).unwrap_or(0) as usize;
                let extra = Duration::from_millis(random.below(spread.max(1)) as u64);
                tokio::time::sleep(pause / 2 + extra / 2).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
    LINKS.with_borrow_mut(|links| links.retain(|other| other.id != link.id));
}

/// A connection on which a trial was answered in time.
async fn connect(remote: &Remote) -> Option<Wire> {
    let tried = timeout(CONNECT, async {
        let mut wire = open(&remote.settings).await?;
        // Both scripts, so that no request has to bring one along.
        Question::trial_of_quotas(remote).put(remote, &mut wire).await?;
        Question::trial(remote).put(remote, &mut wire).await?;
        RedisResult::Ok(wire)
    });
    let mut wire = match tried.await {
        Ok(Ok(wire)) => wire,
        Ok(Err(error)) => {
            remote.failed(About::Limits, &error.to_string());
            return None;
        }
        Err(_) => {
            remote.failed(About::Limits, "no connection in time");
            return None;
        }
    };
    // The first answer may have waited for names and greetings; the next has to be as quick as requests need it.
    let trial = Question::trial(remote);
    let quick = timeout(remote.settings.timeout.get(), trial.put(remote, &mut wire)).await;
    matches!(quick, Ok(Ok(_))).then_some(wire)
}

/// Connects, in whatever time that takes.
pub(in crate::policies) async fn open(settings: &Redis) -> RedisResult<Wire> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
    if let Some(sentinel) = &settings.sentinel {
        let nodes: Vec<&str> = sentinel.nodes.iter().map(|node| node.expose()).collect();
        let master = sentinel.master.to_string();
        let mut login = RedisConnectionInfo::default();
        if let Some(user) = &sentinel.user {
            login = login.set_username(user);
        }
        if let Some(password) = &sentinel.password {
            login = login.set_password(password.expose());
        }
        let login = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
        let mut client = SentinelClient::build(nodes, master, Some(login), SentinelServerType::Master)?;
        return Ok(Wire::One(client.get_async_connection_with_config(&config).await?));
    }
    if !settings.cluster.is_empty() {
        let nodes = settings.cluster.iter().map(|node| node.expose());
        let client = ClusterClient::builder(nodes).connection_timeout(CONNECT).retries(0).build()?;
        return Ok(Wire::Cluster(client.get_async_connection().await?));
    }
    let url = settings.url.as_ref().map_or("", |url| url.expose());
    Ok(Wire::One(Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await?))
}

/// One call of a script.
pub(in crate::policies) struct Question {
    about: About,
    keys: Vec<String>,
    numbers: Vec<String>,
}

impl Question {
    /// A call with these keys and numbers.
    pub(in crate::policies) fn new(about: About, keys: Vec<String>, numbers: Vec<String>) -> Question {
        Question { about, keys, numbers }
    }

    /// A charge of a limit that nobody has.
    fn trial(remote: &Remote) -> Question {
        let numbers = ["1", "1", "1", "1", "1"].map(str::to_owned).to_vec();
        Question::new(About::Limits, vec![remote.key("{trial}")], numbers)
    }

    /// A look at a quota that nobody has.
    fn trial_of_quotas(remote: &Remote) -> Question {
        let numbers = ["1", "0", "0", "0", "0", "1"].map(str::to_owned).to_vec();
        Question::new(About::Quotas, vec![remote.key("{trial}:quota")], numbers)
    }

    async fn put(&self, remote: &Remote, wire: &mut Wire) -> RedisResult<Vec<i64>> {
        let script = remote.script(self.about);
        match wire {
            Wire::One(wire) => self.put_on(script, wire).await,
            Wire::Cluster(wire) => self.put_on(script, wire).await,
        }
    }

    async fn put_on(&self, script: &Script, wire: &mut impl ConnectionLike) -> RedisResult<Vec<i64>> {
        let mut call = script.prepare_invoke();
        for key in &self.keys {
            call.key(key);
        }
        for number in &self.numbers {
            call.arg(number);
        }
        call.invoke_async(wire).await
    }
}
