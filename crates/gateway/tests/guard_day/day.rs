//! The day itself: lets clients ask in the order of time, the guard look once a second, and writes down what came of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use tidegate::policies::guard::ladder::{self, BLOCK, CHALLENGE, LEVELS, LIMIT};
use tidegate::policies::guard::table::{Seen, Who};
use tidegate::policies::guard::{Failures, Live, Rules};
use tidegate::values::random::Random;

use super::actors::{ATTACKS, Asked, Chance, Client, Kind};

const WATCH: u32 = 1;
/// Honest clients of each kind.
const HONEST: [(Kind, u64); 5] = [
    (Kind::Browser, 7_000),
    (Kind::Mobile, 2_500),
    (Kind::Batch, 100),
    (Kind::Webhook, 300),
    (Kind::Crawler, 100),
];

/// How long, how many, and when the attackers come.
pub(crate) struct Plan {
    from: u32,
    to: u32,
    share: u64,
    first_attack: u32,
    between: u32,
    lasts: u32,
}

impl Plan {
    pub(crate) fn whole() -> Plan {
        Plan { from: 0, to: 86_400, share: 1, first_attack: 10 * 3_600, between: 3_600, lasts: 2 * 3_600 }
    }

    pub(crate) fn short() -> Plan {
        Plan {
            from: 9 * 3_600,
            to: 11 * 3_600,
            share: 10,
            first_attack: 9 * 3_600 + 2_400,
            between: 60,
            lasts: 3_600,
        }
    }
}

/// What became of an attack.
#[derive(Default)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    clients: usize,
    /// Seconds until the first client came to each level.
    first: [Option<u32>; 5],
    /// Seconds until half of its clients were challenged or blocked.
    pub(crate) half_stopped: Option<u32>,
    stopped: usize,
    requests: u64,
    passed: u64,
}

/// What became of the day.
pub(crate) struct Outcome {
    seed: u64,
    requests: u64,
    pub(crate) honest: usize,
    /// Honest clients that were ever on each level.
    pub(crate) honest_on: [usize; 5],
    by_kind: Vec<(Kind, usize, [usize; 5])>,
    worst: Vec<String>,
    pub(crate) attacks: Vec<Attack>,
}

pub(crate) struct Day {
    plan: Plan,
    seed: u64,
    random: Random,
    guard: Live,
    failures: Arc<Failures>,
    clients: Vec<Client>,
    queue: BinaryHeap<Reverse<(u64, usize)>>,
    highest: HashMap<Who, u8>,
    worst: Vec<String>,
    attacks: Vec<Attack>,
    requests: u64,
}

impl Day {
    pub(crate) fn new(plan: Plan, seed: u64) -> Day {
        let guard = Live::new(seed);
        let failures: Arc<Failures> = Arc::default();
        let rules =
            Rules { name: "guard".into(), rungs: ladder::usual(), calm: 20.0, shadow: false, learns: 900 };
        guard.adopt(WATCH, &Arc::new(rules), "/*", &failures);
        let random = Random::new(seed);
        let mut day = Day {
            plan,
            seed,
            random,
            guard,
            failures,
            clients: Vec::new(),
            queue: BinaryHeap::new(),
            highest: HashMap::new(),
            worst: Vec::new(),
            attacks: Vec::new(),
            requests: 0,
        };
        day.gather();
        day
    }

    fn gather(&mut self) {
        let mut nth = 0;
        for (kind, count) in HONEST {
            for _ in 0..count / self.plan.share {
                self.clients.push(Client::new(kind, nth, None));
                nth += 1;
                let wait = Chance(&self.random).up_to(if kind == Kind::Browser { 20_000.0 } else { 3_600.0 });
                self.come(self.clients.len() - 1, f64::from(self.plan.from) + wait);
            }
        }
        for (attack, (kind, name, count)) in ATTACKS.iter().enumerate() {
            self.attacks.push(Attack { name, clients: *count, ..Attack::default() });
            let begin = self.begin_of(attack);
            for _ in 0..*count {
                self.clients.push(Client::new(*kind, nth, Some(attack)));
                nth += 1;
                let spread = if *count > 1 { Chance(&self.random).up_to(60.0) } else { 0.0 };
                self.come(self.clients.len() - 1, f64::from(begin) + spread);
            }
        }
    }

    fn begin_of(&self, attack: usize) -> u32 {
        self.plan.first_attack + attack as u32 * self.plan.between
    }

    fn come(&mut self, nth: usize, at: f64) {
        self.queue.push(Reverse(((at * 1_000.0) as u64, nth)));
    }

    pub(crate) fn run(mut self) -> Outcome {
        let mut asked = Vec::new();
        for second in self.plan.from..self.plan.to {
            self.guard.table.tell_time(second);
            while self.queue.peek().is_some_and(|Reverse((at, _))| *at < u64::from(second + 1) * 1_000) {
                let Reverse((at, nth)) = self.queue.pop().unwrap();
                asked.clear();
                let client = &mut self.clients[nth];
                let wait = client.act(&Chance(&self.random), at as f64 / 1_000.0, &mut asked);
                let over =
                    client.attack.is_some_and(|attack| second > self.begin_of(attack) + self.plan.lasts);
                if over {
                    continue;
                }
                for one in &asked {
                    self.ask(nth, *one, at, second);
                }
                self.come(nth, at as f64 / 1_000.0 + wait);
            }
            let changed = self.guard.second(second, second / 3_600 % 24);
            for change in changed.changes {
                if change.to >= LIMIT && self.worst.len() < 2_000 {
                    self.worst
                        .push(format!("{} {} {}", change.client, LEVELS[change.to as usize], change.score));
                }
            }
            if second % 10 == 0 {
                self.look(second);
            }
        }
        self.look(self.plan.to);
        self.outcome()
    }

    /// One request through the guard, as the policy does it.
    fn ask(&mut self, nth: usize, asked: Asked, at: u64, second: u32) {
        let client = &self.clients[nth];
        let (who, attack) = (client.who, client.attack);
        let key = self.guard.table.key(WATCH, who);
        let Some(place) = self.guard.table.place(key, WATCH, who) else { return };
        let level = place.state().level;
        let refused = level >= CHALLENGE || (level == LIMIT && place.has_room(at, 1_000, 10).is_err());
        let status = if refused { 429 } else { asked.status };
        let other = if who.is_consumer || status == 401 { asked.other } else { 0 };
        if status == 401 && !who.is_consumer {
            self.failures.note(key);
        }
        let seed = &self.guard.table.seed;
        let (path, agent) = (seed.number(asked.path), seed.number(asked.agent));
        let other = if other == 0 { 0 } else { seed.number(other) };
        place.note(&Seen { status, refused, path, agent, other, bytes: asked.bytes }, second);
        self.requests += 1;
        let highest = self.highest.entry(who).or_default();
        *highest = (*highest).max(level);
        if let Some(attack) = attack.map(|attack| &mut self.attacks[attack]) {
            attack.requests += 1;
            attack.passed += u64::from(!refused);
        }
    }

    /// Writes down which attackers have come to which level.
    fn look(&mut self, second: u32) {
        for attack in 0..self.attacks.len() {
            let begin = self.begin_of(attack);
            if second < begin || self.attacks[attack].half_stopped.is_some() {
                continue;
            }
            let own = self.clients.iter().filter(|client| client.attack == Some(attack));
            let levels: Vec<u8> =
                own.map(|client| self.highest.get(&client.who).copied().unwrap_or(0)).collect();
            let told = &mut self.attacks[attack];
            for (nth, first) in told.first.iter_mut().enumerate() {
                if first.is_none() && levels.iter().any(|level| usize::from(*level) > nth) {
                    *first = Some(second - begin);
                }
            }
            told.stopped = levels.iter().filter(|level| **level >= CHALLENGE).count();
            if told.stopped * 2 >= told.clients {
                told.half_stopped = Some(second - begin);
            }
        }
    }

    fn outcome(self) -> Outcome {
        let honest: Vec<&Client> = self.clients.iter().filter(|client| client.attack.is_none()).collect();
        let on = |clients: &[&Client]| -> [usize; 5] {
            std::array::from_fn(|nth| {
                let reached = |client: &&&Client| {
                    usize::from(self.highest.get(&client.who).copied().unwrap_or(0)) > nth
                };
                clients.iter().filter(reached).count()
            })
        };
        let by_kind = HONEST.iter().map(|(kind, _)| {
            let own: Vec<&Client> = honest.iter().copied().filter(|client| client.kind == *kind).collect();
            (*kind, own.len(), on(&own))
        });
        let (honest_on, by_kind) = (on(&honest), by_kind.collect());
        let mut attacks = self.attacks;
        for (nth, attack) in attacks.iter_mut().enumerate() {
            let own = self.clients.iter().filter(|client| client.attack == Some(nth));
            let stopped =
                |client: &&Client| self.highest.get(&client.who).is_some_and(|level| *level >= CHALLENGE);
            attack.stopped = own.filter(stopped).count();
        }
        let (seed, requests, honest, worst) = (self.seed, self.requests, honest.len(), self.worst);
        Outcome { seed, requests, honest, honest_on, by_kind, worst, attacks }
    }
}

impl Outcome {
    /// What is printed.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let shown =
            |seconds: Option<u32>| seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s"));
        writeln!(
            text,
            "seed {}, {} requests of {} honest clients and 6 attacks",
            self.seed, self.requests, self.honest
        )
        .unwrap();
        writeln!(
            text,
            "\n| attack | watch | slow | limit | challenge | block | half stopped | stopped | passed |"
        )
        .unwrap();
        writeln!(text, "|---|---|---|---|---|---|---|---|---|").unwrap();
        for attack in &self.attacks {
            let first: Vec<String> = attack.first.iter().map(|first| shown(*first)).collect();
            writeln!(
                text,
                "| {} | {} | {} | {} of {} | {} of {} |",
                attack.name,
                first.join(" | "),
                shown(attack.half_stopped),
                attack.stopped,
                attack.clients,
                attack.passed,
                attack.requests
            )
            .unwrap();
        }
        writeln!(text, "\n| honest | clients | watch | slow | limit | challenge | block |").unwrap();
        writeln!(text, "|---|---|---|---|---|---|---|").unwrap();
        for (kind, count, on) in &self.by_kind {
            let on: Vec<String> = on.iter().map(usize::to_string).collect();
            writeln!(text, "| {kind:?} | {count} | {} |", on.join(" | ")).unwrap();
        }
        assert_eq!(self.honest_on.len(), usize::from(BLOCK));
        if std::env::var("GUARD_DAY_WORDS").is_ok() {
            self.worst.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        }
        text
    }
}
