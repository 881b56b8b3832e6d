//! What gateways use together of quotas: asked of Redis, known from its last answers, and owed to it.
//!
//! Each gateway has a field in Redis with what it has let pass, beside the sum of all. A question brings along what this
//! gateway has by its own count, so whatever it let pass while nobody could be asked is added with the next question, and
//! never twice. What nobody asks about is brought in the background. Must never hold a request longer than the deadline.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::ledger::{Account, KEYS, LARGEST, Ledger, Period, USED, used};
use super::{MOST_TOLD, left, mono, shown, wall};
use crate::observe::Figure;
use crate::policies::shared::{About, Link, Question, Remote, open};
use crate::values::table::Table;

/// Seconds that a key of Redis outlives its period, for gateways whose clocks are behind.
const OUTLIVES: u64 = 3600;
/// Keys that one worker remembers to owe something. What it owes of others goes with their next question.
const MOST_OWED: usize = 65_536;
/// Keys that are settled at once.
const BATCH: usize = 64;
/// How long it is waited for Redis before it is looked whether anybody still wants it.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a debt could not be settled.
const PAUSE: Duration = Duration::from_millis(100);

thread_local! {
    static OWED: RefCell<Debts> = RefCell::default();
}

/// What one worker owes: the keys of each [`Together`], and for which of these somebody is settling.
#[derive(Default)]
struct Debts {
    keys: HashMap<(u64, u64), Period>,
    settling: HashSet<u64>,
}

/// What Redis said of a quota.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// Whether there was room, and it has been taken.
    pub(super) takes: bool,
    /// What all have used.
    pub(super) used: u64,
}

/// Quotas that are counted in one Redis.
pub(super) struct Together {
    /// Which one of the process.
    id: u64,
    remote: Arc<Remote>,
    ledger: Arc<Ledger>,
    /// What others have used, by the last answers.
    others: Table,
    owing: AtomicU64,
    alone: AtomicU64,
    /// What the admin address was told last, and when.
    shown: Mutex<Option<(Instant, Vec<Value>)>>,
}

impl Together {
    /// Of this Redis; what this gateway lets pass stands in the ledger.
    pub(super) fn new(remote: Arc<Remote>, ledger: Arc<Ledger>) -> Together {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Together {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            remote,
            ledger,
            others: Table::new(KEYS),
            owing: AtomicU64::new(0),
            alone: AtomicU64::new(0),
            shown: Mutex::new(None),
        }
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether asking is of use.
    pub(super) fn may_answer(&self) -> bool {
        Link::of(&self.remote).may_answer()
    }

    /// Takes so much of a quota if all have left room for it, or looks, where that is nothing. None without an answer in
    /// time; then it may have been taken all the same.
    pub(super) async fn ask(&self, (key, period): (u64, Period), amount: u64, cost: u64) -> Option<Said> {
        let numbers = [
            amount.to_string(),
            cost.to_string(),
            self.ledger.name().to_owned(),
            self.ledger.used(key, period).to_string(),
            self.others(key, period).to_string(),
            left(period).saturating_add(OUTLIVES).to_string(),
        ];
        let question = Question::new(About::Quotas, vec![self.key(key, period)], numbers.to_vec());
        let answer = Link::of(&self.remote).ask(&self.remote, &question).await.ok()?;
        let [takes, used, own] = answer.as_slice() else { return None };
        let (used, own) = (positive(*used), positive(*own));
        self.learn(key, period, used.saturating_sub(own));
        Some(Said { takes: *takes == 1, used })
    }

    fn key(&self, key: u64, period: Period) -> String {
        self.remote.key(&format!("{{{key:016x}}}:quota:{}", period.start))
    }

    /// What others have used at the least.
    pub(super) fn others(&self, key: u64, period: Period) -> u64 {
        self.others.find(key).map_or(0, |place| used(place.read(), period))
    }

    /// What all have used at the least.
    pub(super) fn known(&self, key: u64, period: Period) -> u64 {
        self.others(key, period).saturating_add(self.ledger.used(key, period))
    }

    fn learn(&self, key: u64, period: Period, others: u64) {
        if others == 0 {
            return;
        }
        let Some(place) = self.others.place(key, mono()) else { return };
        let mut word = place.read();
        loop {
            let is_older = period.tag() < word >> USED;
            if is_older || others <= used(word, period) {
                break;
            }
            match place.change(word, period.tag() << USED | others.min(LARGEST)) {
                Ok(()) => break,
                Err(Some(other)) => word = other,
                Err(None) => return,
            }
        }
        place.lasts_until(mono().saturating_add(left(period).saturating_mul(1_000_000_000)));
    }

    /// A request was decided without the others.
    pub(super) fn count_alone(&self) {
        self.alone.fetch_add(1, Ordering::Relaxed);
    }

    /// Redis does not know all of what was let pass here: it is told as soon as it answers again.
    pub(super) fn owe(self: &Arc<Together>, key: u64, period: Period) {
        let begins = OWED.with_borrow_mut(|debts| {
            let place = (self.id, key);
            if debts.keys.len() < MOST_OWED && debts.keys.insert(place, period).is_none() {
                self.owing.fetch_add(1, Ordering::Relaxed);
            }
            debts.settling.insert(self.id)
        });
        if begins {
            tokio::task::spawn_local(settle_up(self.id, Arc::downgrade(self)));
        }
    }

    /// Tells Redis what it does not know of one key; true when nothing is owed any more.
    async fn settle(&self, key: u64, period: Period) -> bool {
        period.end <= wall() || self.ask((key, period), 0, 0).await.is_some()
    }

    /// What is used of the keys that this gateway has let anything pass of, by all gateways where Redis answers. May wait
    /// for it; never called on a worker.
    pub(super) fn usage(&self) -> Vec<Value> {
        let mut last = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, told)) = &*last
            && at.elapsed() < LOOK
        {
            return told.clone();
        }
        let accounts = self.ledger.accounts(MOST_TOLD, true);
        let sums = self.sums(&accounts);
        let told = accounts.into_iter().enumerate().map(|(nth, (key, account))| {
            let sum = sums.as_ref().and_then(|sums| sums.get(nth).copied());
            let used = self.known(key, account.period).max(account.used).max(sum.unwrap_or(0));
            let [quota, who] = account.owner.label;
            json!({
                "quota": quota, "key": who, "used": used, "period": shown(account.period), "shared": sum.is_some(),
            })
        });
        let told: Vec<Value> = told.collect();
        *last = Some((Instant::now(), told.clone()));
        told
    }

    /// What Redis says was used; none when it does not answer.
    fn sums(&self, accounts: &[(u64, Account)]) -> Option<Vec<u64>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let asked = async {
            let wire = open(&self.remote.settings).await?;
            let numbers = accounts.iter().map(|(key, account)| {
                let (wire, key) = (wire.clone(), self.key(*key, account.period));
                async move { wire.number(&key, "sum").await }
            });
            try_join_all(numbers).await
        };
        let answered = runtime.block_on(async { timeout(LOOK, asked).await });
        let sums = answered.ok()?.ok()?;
        Some(sums.into_iter().map(|sum| positive(sum.unwrap_or(0))).collect())
    }

    /// Tells its numbers.
    pub(super) fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        let figures = [
            ("tidegate_quota_redis_calls", "Times that Redis was asked about quotas.", true),
            (
                "tidegate_quota_redis_failures",
                "Times that Redis did not answer about quotas, or not in time.",
                true,
            ),
            (
                "tidegate_quota_alone",
                "Requests whose quota was decided without other gateways, because Redis did not answer.",
                true,
            ),
            ("tidegate_quota_owed", "Keys whose use Redis is yet to be told, of each worker.", false),
        ];
        let values = [
            self.remote.calls(About::Quotas),
            self.remote.failures(About::Quotas),
            self.alone.load(Ordering::Relaxed),
            self.owing.load(Ordering::Relaxed),
        ];
        for ((name, help, counts), value) in figures.into_iter().zip(values) {
            tell(Figure { name, help, counts, value });
        }
    }
}

/// Tells Redis what this worker owes it, as soon as it answers.
async fn settle_up(id: u64, together: Weak<Together>) {
    while let Some(together) = together.upgrade() {
        if !Link::of(&together.remote).is_up_within(LOOK).await {
            continue;
        }
        let batch = OWED.with_borrow_mut(|debts| {
            let keys = debts.keys.keys().filter(|(of, _)| *of == id).take(BATCH).copied();
            let keys: Vec<(u64, u64)> = keys.collect();
            keys.into_iter().filter_map(|place| Some((place, debts.keys.remove(&place)?))).collect::<Vec<_>>()
        });
        if batch.is_empty() {
            break;
        }
        let settled = join_all(batch.iter().map(|((_, key), period)| together.settle(*key, *period))).await;
        let left = batch.into_iter().zip(&settled).filter(|(_, settled)| !**settled);
        let again = OWED.with_borrow_mut(|debts| {
            // Who owes again meanwhile stands there already, and has been counted.
            left.filter(|((place, period), _)| debts.keys.insert(*place, *period).is_none()).count()
        });
        let gone = settled.len().saturating_sub(again);
        together.owing.fetch_sub(gone as u64, Ordering::Relaxed);
        if again > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    OWED.with_borrow_mut(|debts| {
        debts.settling.remove(&id);
        // Empty, unless nobody wants to know any more.
        debts.keys.retain(|(of, _), _| *of != id);
    });
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
