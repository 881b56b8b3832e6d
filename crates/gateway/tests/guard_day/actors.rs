//! Who comes: five kinds of honest clients and six attackers, each with its way of asking.
//!
//! Takes chance; gives requests, and when the next ones come. Knows nothing of the guard.

use tidegate::policies::guard::table::Who;
use tidegate::values::random::Random;

const HOUR: f64 = 3_600.0;
/// How busy people are at each hour of the day.
const BUSY: [f64; 24] = [
    0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4, 0.7, 1.0, 1.2, 1.3, 1.2, 1.1, 1.2, 1.2, 1.1, 1.1, 1.2, 1.4, 1.6, 1.6,
    1.3, 0.9, 0.5,
];

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Browser,
    Mobile,
    Batch,
    Webhook,
    Crawler,
    Flood,
    SlowScan,
    Stuffing,
    Distributed,
    Scraper,
    Prober,
}

pub(crate) const ATTACKS: [(Kind, &str, usize); 6] = [
    (Kind::Flood, "flood, 300/s", 1),
    (Kind::SlowScan, "slow scan, 4/min", 1),
    (Kind::Stuffing, "credential stuffing, 2/s", 1),
    (Kind::Distributed, "brute force, 400 addresses, 1/min each", 400),
    (Kind::Scraper, "scraper, 12/s", 1),
    (Kind::Prober, "error prober, 1/s", 1),
];

/// A client of the day.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    pub(crate) who: Who,
    /// Which attack it is part of.
    pub(crate) attack: Option<usize>,
    nth: u64,
    /// What is left of a session or a run, and how often it was wrong at its beginning.
    left: u32,
    wrong: u32,
    pages: u64,
    agent: u64,
}

/// A request and the answer that a service would give.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) status: u16,
    pub(crate) path: u64,
    pub(crate) agent: u64,
    pub(crate) other: u64,
    pub(crate) bytes: u64,
}

impl Client {
    pub(crate) fn new(kind: Kind, nth: u64, attack: Option<usize>) -> Client {
        // A hundred people behind each of three addresses; programs with a key are consumers.
        let bits = match kind {
            Kind::Browser if nth < 300 => 0xffff_0000_0a00_0000 + nth / 100,
            _ => 0xffff_0000_0b00_0000 + nth,
        };
        let is_consumer = matches!(kind, Kind::Mobile | Kind::Batch);
        let who = Who { bits, is_consumer };
        Client { kind, who, attack, nth, left: 0, wrong: 0, pages: 0, agent: nth % 12 + 1 }
    }

    /// The requests of this moment, and the seconds until the next ones.
    pub(crate) fn act(&mut self, chance: &Chance<'_>, now: f64, asked: &mut Vec<Asked>) -> f64 {
        match self.kind {
            Kind::Browser => self.browse(chance, now, asked),
            Kind::Mobile => self.poll(chance, now, asked),
            Kind::Batch => self.work(chance, asked),
            Kind::Webhook => self.call(chance, asked),
            Kind::Crawler => self.crawl(chance, asked),
            _ => self.attack(chance, asked),
        }
    }

    fn ask(&self, status: u16, path: u64) -> Asked {
        let other = if self.who.is_consumer { self.nth + 1 } else { 0 };
        Asked { status, path, agent: self.agent, other, bytes: 0 }
    }

    /// Pages with their pictures, some links that are dead, and now and then a password that is wrong at first.
    fn browse(&mut self, chance: &Chance<'_>, now: f64, asked: &mut Vec<Asked>) -> f64 {
        if self.left == 0 {
            self.left = 3 + chance.below(12);
            self.wrong = if chance.of(0.1) { 1 + chance.below(2) } else { 0 };
        }
        if self.wrong > 0 {
            self.wrong -= 1;
            asked.push(Asked { other: chance.next() | 1, bytes: 60, ..self.ask(401, 9) });
            return 4.0 + chance.up_to(10.0);
        }
        let page = 1_000 + u64::from(chance.below(5_000));
        asked.push(self.ask(if chance.of(0.02) { 404 } else { 200 }, page));
        for nth in 0..8 + u64::from(chance.below(30)) {
            asked.push(self.ask(if chance.of(0.6) { 304 } else { 200 }, page * 7 + nth % 50));
        }
        self.left -= 1;
        if self.left > 0 { 5.0 + chance.up_to(60.0) } else { until_busy(chance, now, 9.0 * HOUR) }
    }

    /// A program on a telephone: a token that is over is a 401 and then renewed.
    fn poll(&mut self, chance: &Chance<'_>, now: f64, asked: &mut Vec<Asked>) -> f64 {
        if self.left == 0 {
            self.left = 5 + chance.below(20);
        }
        self.left -= 1;
        let path = 50 + u64::from(chance.below(12));
        asked.push(self.ask(if chance.of(0.03) { 404 } else { 200 }, path));
        // Telephones change their address.
        if let (Some(last), true) = (asked.last_mut(), chance.of(0.05)) {
            last.other = chance.next() | 1;
        }
        if self.left > 0 { 1.0 + chance.up_to(8.0) } else { until_busy(chance, now, 4.0 * HOUR) }
    }

    /// A run each hour over things by number, ten a second.
    fn work(&mut self, chance: &Chance<'_>, asked: &mut Vec<Asked>) -> f64 {
        if self.left == 0 {
            self.left = 40 + chance.below(120);
        }
        for _ in 0..6 + chance.below(8) {
            self.pages += 1;
            asked.push(self.ask(if chance.of(0.02) { 404 } else { 200 }, (1 << 40) | (self.pages % 2_000)));
        }
        self.left -= 1;
        if self.left > 0 { 1.0 } else { HOUR - 160.0 + chance.up_to(60.0) }
    }

    fn call(&mut self, chance: &Chance<'_>, asked: &mut Vec<Asked>) -> f64 {
        for _ in 0..1 + chance.below(5) {
            asked.push(Asked {
                bytes: 800 + u64::from(chance.below(4_000)),
                ..self.ask(202, 20 + self.nth % 5)
            });
        }
        30.0 + chance.up_to(400.0)
    }

    /// Four hours of one page after the other, of which one in twelve is gone.
    fn crawl(&mut self, chance: &Chance<'_>, asked: &mut Vec<Asked>) -> f64 {
        self.pages += 1;
        asked.push(self.ask(if chance.of(0.08) { 404 } else { 200 }, 1_000 + self.pages % 6_000));
        if self.pages.is_multiple_of(7_200) { 20.0 * HOUR } else { 1.5 + chance.up_to(1.0) }
    }

    fn attack(&mut self, chance: &Chance<'_>, asked: &mut Vec<Asked>) -> f64 {
        match self.kind {
            Kind::Flood => {
                (0..30).for_each(|_| asked.push(self.ask(200, 5)));
                0.1
            }
            Kind::SlowScan => {
                asked.push(self.ask(if chance.of(0.95) { 404 } else { 200 }, chance.next()));
                15.0
            }
            Kind::Stuffing => {
                let status = if chance.of(0.005) { 200 } else { 401 };
                asked.push(Asked { other: chance.next() | 1, bytes: 70, ..self.ask(status, 9) });
                0.5
            }
            Kind::Distributed => {
                let status = if chance.of(0.001) { 200 } else { 401 };
                asked.push(Asked { other: chance.next() | 1, bytes: 70, ..self.ask(status, 9) });
                50.0 + chance.up_to(20.0)
            }
            Kind::Scraper => {
                self.pages += 1;
                let agent = 100 + chance.next() % 40;
                asked.push(Asked {
                    agent,
                    ..self.ask(if chance.of(0.01) { 404 } else { 200 }, (1 << 41) | self.pages)
                });
                1.0 / 12.0
            }
            _ => {
                let status = [400, 403, 404, 404, 405, 500, 404, 200, 200, 200][chance.below(10) as usize];
                asked.push(self.ask(status, chance.next() % 300));
                1.0
            }
        }
    }
}

/// Seconds until somebody comes back, sooner at busy hours.
fn until_busy(chance: &Chance<'_>, now: f64, usual: f64) -> f64 {
    let mut wait = 0.0;
    loop {
        wait += 600.0 + chance.up_to(1_200.0);
        let hour = ((now + wait) / HOUR) as usize % 24;
        if chance.of(BUSY[hour] * 1_200.0 / usual) {
            return wait;
        }
    }
}

/// Chance from a seed.
pub(crate) struct Chance<'r>(pub(crate) &'r Random);

impl Chance<'_> {
    pub(crate) fn next(&self) -> u64 {
        self.0.next()
    }

    pub(crate) fn below(&self, bound: u32) -> u32 {
        self.0.below(bound as usize) as u32
    }

    pub(crate) fn up_to(&self, bound: f64) -> f64 {
        f64::from(self.below(1_000_000)) / 1_000_000.0 * bound
    }

    pub(crate) fn of(&self, share: f64) -> bool {
        self.up_to(1.0) < share
    }
}
