//! What the control side remembers of a client: counts that fade, sketches of the last hour, its own usual.
//!
//! Takes what the road counted in a moment; gives the numbers that a score is made of. Four hundred bytes for each client, no
//! clock of its own, no I/O.

use super::table::Taken;

/// Seconds over which the three kinds of counts fade.
const MOMENT: f32 = 10.0;
const WHILE: f32 = 300.0;
const HOURS: f32 = 7_200.0;
/// Seconds after which sketches begin anew; the one before is still looked at.
pub(super) const TURN: u32 = 1_800;
const MINUTE: u32 = 60;
/// Minutes after which a client's own usual says something.
const KNOWN: u32 = 10;

/// Counts of requests and what came of them, fading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Requests.
    pub requests: f32,
    /// Answers below 400.
    pub good: f32,
    /// Answers 401.
    pub unauthorised: f32,
    /// Answers 403.
    pub forbidden: f32,
    /// Answers 404, and others from 400 on that stand nowhere else.
    pub missing: f32,
    /// Answers 429 of others than the guard.
    pub throttled: f32,
    /// Refused by the guard.
    pub refused: f32,
}

impl Counts {
    fn fade(&mut self, seconds: f32, over: f32) {
        let left = (-seconds / over).exp();
        for count in self.all() {
            *count *= left;
        }
    }

    fn all(&mut self) -> [&mut f32; 7] {
        [
            &mut self.requests,
            &mut self.good,
            &mut self.unauthorised,
            &mut self.forbidden,
            &mut self.missing,
            &mut self.throttled,
            &mut self.refused,
        ]
    }

    fn add(&mut self, taken: &Taken) {
        self.requests += taken.requests as f32;
        self.good += taken.good as f32;
        self.unauthorised += taken.unauthorised as f32;
        self.forbidden += taken.forbidden as f32;
        self.missing += taken.missing as f32;
        self.throttled += taken.throttled as f32;
        self.refused += taken.refused as f32;
    }

    /// Requests that others than the guard answered.
    pub fn judged(&self) -> f32 {
        (self.requests - self.refused).max(0.0)
    }

    /// The share of answers, of those that others than the guard gave.
    pub fn share(&self, of: f32) -> f32 {
        if self.judged() < 0.5 { 0.0 } else { (of / self.judged()).min(1.0) }
    }

    /// Answers that said that the credential is not good.
    pub fn denied(&self) -> f32 {
        self.unauthorised + self.forbidden
    }
}

/// A sketch that knows this turn and the one before.
#[derive(Clone, Copy, Debug)]
struct Turned<const WORDS: usize> {
    now: [u64; WORDS],
    before: [u64; WORDS],
}

impl<const WORDS: usize> Default for Turned<WORDS> {
    fn default() -> Self {
        Turned { now: [0; WORDS], before: [0; WORDS] }
    }
}

impl<const WORDS: usize> Turned<WORDS> {
    fn add(&mut self, words: [u64; WORDS]) {
        self.now.iter_mut().zip(words).for_each(|(now, more)| *now |= more);
    }

    fn turn(&mut self) {
        self.before = std::mem::replace(&mut self.now, [0; WORDS]);
    }

    /// This turn and the one before, together.
    fn both(&self) -> [u64; WORDS] {
        let mut both = self.now;
        both.iter_mut().zip(self.before).for_each(|(both, before)| *both |= before);
        both
    }
}

/// How many things were thrown into these bits, by how many of them are set.
pub(super) fn distinct(words: &[u64]) -> f32 {
    let bits = (words.len() as f32) * 64.0;
    let clear: u32 = words.iter().map(|word| word.count_zeros()).sum();
    // One bit that is left says no more than that there were many.
    -bits * ((clear.max(1) as f32) / bits).ln()
}

/// One client.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Which client it is.
    pub key: u64,
    /// Who it is.
    pub who: u64,
    /// When it was first and last seen.
    pub first: u32,
    /// The second of the last request.
    pub last: u32,
    /// Counts of some ten seconds.
    pub moment: Counts,
    /// Counts of some minutes.
    pub recent: Counts,
    /// Counts of some hours.
    pub long: Counts,
    paths: Turned<4>,
    agents: Turned<1>,
    others: Turned<1>,
    spread: [f32; 8],
    turned: u32,
    minute: u32,
    in_minute: f32,
    minutes: u32,
    usual: f32,
    usual_spread: f32,
    body: f32,
    usual_body: f32,
    bodies: f32,
    hours: u32,
    /// What becomes of it.
    pub standing: super::ladder::Standing,
    /// Its score, and what it is made of.
    pub score: super::score::Score,
    /// Until when it is left alone.
    pub forgiven: u32,
}

/// What is to be learnt of a client once in a while, for all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lessons {
    /// Requests in a minute that is over.
    pub minute: Option<f32>,
    /// Distinct paths of a turn that is over.
    pub paths: Option<f32>,
}

impl Memory {
    /// Of a client that is new.
    pub fn new(taken: &Taken, now: u32) -> Memory {
        let (minute, turned) = (now / MINUTE, now);
        Memory { key: taken.key, who: taken.who, first: now, last: now, minute, turned, ..Memory::default() }
    }

    /// Takes in what was counted. `hour` is that of the day; `teaches` says whether this is what is usual for it.
    pub fn take(&mut self, taken: &Taken, (now, hour): (u32, u32), teaches: bool) -> Lessons {
        let seconds = now.saturating_sub(self.last) as f32;
        for (counts, over) in [(&mut self.moment, MOMENT), (&mut self.recent, WHILE), (&mut self.long, HOURS)]
        {
            counts.fade(seconds, over);
            counts.add(taken);
        }
        let left = (-seconds / WHILE).exp();
        for (spread, more) in self.spread.iter_mut().zip(taken.spread) {
            *spread = *spread * left + more as f32;
        }
        let lessons = self.turn(now, teaches);
        self.paths.add(taken.paths);
        self.agents.add([taken.agents]);
        self.others.add([taken.others]);
        self.in_minute += taken.requests as f32;
        if taken.bodies > 0 {
            self.learn_body(taken.bytes as f32 / taken.bodies as f32);
        }
        self.last = now;
        if teaches {
            self.hours |= 1 << hour.min(23);
        }
        lessons
    }

    fn turn(&mut self, now: u32, teaches: bool) -> Lessons {
        let mut lessons = Lessons::default();
        if now / MINUTE != self.minute {
            lessons.minute = Some(self.in_minute);
            self.learn_minute(teaches);
            self.minute = now / MINUTE;
        }
        if now.saturating_sub(self.turned) >= TURN {
            lessons.paths = Some(self.paths_now());
            self.paths.turn();
            self.agents.turn();
            self.others.turn();
            if now.saturating_sub(self.turned) >= 2 * TURN {
                self.paths.turn();
                self.agents.turn();
                self.others.turn();
            }
            self.turned = now;
        }
        lessons
    }

    fn learn_minute(&mut self, teaches: bool) {
        if teaches {
            self.minutes = self.minutes.saturating_add(1);
            let weight = (1.0 / self.minutes as f32).max(0.02);
            let off = self.in_minute - self.usual;
            self.usual += off * weight;
            self.usual_spread += (off.abs() - self.usual_spread) * weight;
        }
        self.in_minute = 0.0;
    }

    fn learn_body(&mut self, bytes: f32) {
        self.bodies += 1.0;
        self.body += (bytes - self.body) * 0.3;
        let weight = (1.0 / self.bodies).max(0.01);
        self.usual_body += (bytes - self.usual_body) * weight;
    }

    /// Requests a second, over the last ten or so: a page with its pictures is no flood.
    pub fn rate(&self) -> f32 {
        // What fades in steps of a second adds up to a little more than ten of them.
        self.moment.requests * (1.0 - (-1.0 / MOMENT).exp())
    }

    /// Requests in a minute that are usual for it, at most; none while it is new.
    pub fn usual(&self) -> Option<f32> {
        (self.minutes >= KNOWN).then_some(self.usual + 3.0 * self.usual_spread)
    }

    /// Distinct paths of this turn.
    fn paths_now(&self) -> f32 {
        paths(&self.paths.now)
    }

    /// Distinct paths of the last hour or half of it.
    pub fn paths(&self) -> f32 {
        paths(&self.paths.both())
    }

    /// Distinct user agents in that time.
    pub fn agents(&self) -> f32 {
        distinct(&self.agents.both())
    }

    /// Distinct credentials that failed, or addresses, in that time.
    pub fn others(&self) -> f32 {
        distinct(&self.others.both())
    }

    /// How evenly paths are spread: 0 for one path alone, 1 for all alike.
    pub fn entropy(&self) -> f32 {
        let all: f32 = self.spread.iter().sum();
        if all < 1.0 {
            return 0.0;
        }
        let parts = self.spread.iter().map(|count| count / all).filter(|part| *part > 0.0);
        (parts.map(|part| part * part.log2()).sum::<f32>() / 3.0).abs()
    }

    /// Bytes of its bodies of late, and what is usual for it.
    pub fn bodies(&self) -> (f32, f32) {
        (self.body, self.usual_body)
    }

    /// Whether it comes at an hour at which it never came, though it has been known for days.
    pub fn is_odd_hour(&self, now: u32, hour: u32) -> bool {
        let days = now.saturating_sub(self.first) / 86_400;
        days >= 3 && self.hours >> hour.min(23) & 1 == 0
    }

    /// Whether it is known well enough to be told from a neighbour who has just guessed its credential.
    pub fn is_established(&self, now: u32) -> bool {
        now.saturating_sub(self.first) >= 600 && self.long.good >= 20.0
    }

    /// Forgets what it did, not who it is.
    pub fn forgive(&mut self, until: u32) {
        let (key, who, first, last) = (self.key, self.who, self.first, self.last);
        let (minute, turned, minutes) = (self.minute, self.turned, self.minutes);
        let (usual, usual_spread, hours) = (self.usual, self.usual_spread, self.hours);
        *self = Memory {
            key,
            who,
            first,
            last,
            minute,
            turned,
            minutes,
            usual,
            usual_spread,
            hours,
            forgiven: until,
            ..Memory::default()
        };
    }
}

/// Half of the bits are of all paths, half of one in 32: the first say how few there are, the others how many.
fn paths(words: &[u64; 4]) -> f32 {
    let (all, some) = words.split_at(2);
    let few = distinct(all);
    if few < 300.0 { few } else { (distinct(some) * 32.0).max(few) }
}

#[cfg(test)]
mod tests {
    use super::super::hash::Seed;
    use super::super::table::{Seen, Table, Who};
    use super::*;

    const WHO: Who = Who { bits: 7, is_consumer: false };

    fn taken(table: &Table) -> Taken {
        let mut touched = Vec::new();
        table.take_touched(&mut touched);
        table.take(touched[0]).unwrap()
    }

    #[test]
    fn distinct_things_are_told_within_a_quarter() {
        let seed = Seed::new(1);
        for many in [3u64, 30, 100, 250, 900, 4_000, 20_000] {
            let table = Table::new(5);
            let place = table.place(table.key(1, WHO), 1, WHO).unwrap();
            for nth in 0..many * 3 {
                let path = seed.number(nth % many);
                place.note(&Seen { status: 200, path, ..Seen::default() }, 1);
            }
            let told = paths(&taken(&table).paths);
            let off = (told - many as f32).abs() / many as f32;
            assert!(off < 0.35, "{many} told as {told}");
        }
    }

    #[test]
    fn what_was_counted_is_what_was_done() {
        let table = Table::new(5);
        let place = table.place(table.key(1, WHO), 1, WHO).unwrap();
        for (status, refused, bytes) in [
            (200, false, 0),
            (304, false, 0),
            (401, false, 10),
            (403, false, 30),
            (403, true, 0),
            (404, false, 0),
        ] {
            place.note(&Seen { status, refused, bytes, path: 1, ..Seen::default() }, 3);
        }
        let taken = taken(&table);
        assert_eq!((taken.requests, taken.good, taken.refused), (6, 2, 1));
        assert_eq!((taken.unauthorised, taken.forbidden, taken.missing), (1, 1, 1));
        assert_eq!((taken.bytes, taken.bodies), (40, 2));
        assert_eq!(taken.spread.iter().sum::<u32>(), 6);
        assert_eq!(table.take(place.nth).unwrap().requests, 0, "taken once");
        let mut memory = Memory::new(&taken, 3);
        memory.take(&taken, (3, 0), true);
        assert_eq!(memory.recent.share(memory.recent.denied()), 0.4, "what the guard refused says nothing");
        assert_eq!(memory.entropy(), 0.0);
    }

    #[test]
    fn who_was_away_longest_makes_room_and_who_is_watched_stays() {
        let table = Table::new(9);
        let keep = Who { bits: 1, is_consumer: true };
        let place = table.place(table.key(1, keep), 1, keep).unwrap();
        let state = super::super::table::State { level: 2, ..place.state() };
        table.publish(place.nth, table.key(1, keep), state);
        for round in 0..4u32 {
            table.tell_time(round * 100);
            for nth in 0..100_000u64 {
                let who = Who { bits: nth + u64::from(round) * 1_000_000, is_consumer: false };
                table.place(table.key(1, who), 1, who);
            }
        }
        let [used, dropped, _] = table.counted();
        assert!(used <= super::super::table::CLIENTS as u64 && dropped > 100_000, "{used} {dropped}");
        assert_eq!(table.find(table.key(1, keep)).map(|place| place.state().level), Some(2));
        assert!(table.bytes() <= 10 << 20, "{}", table.bytes());
        assert!(size_of::<Memory>() <= 512, "{}", size_of::<Memory>());
    }

    #[test]
    fn own_usual_is_learnt_in_ten_minutes() {
        let mut memory = Memory::new(&Taken::default(), 0);
        for second in 0..1_200u32 {
            let taken = Taken { requests: 2, good: 2, ..Taken::default() };
            memory.take(&taken, (second, 4), true);
        }
        let usual = memory.usual().unwrap();
        assert!((100.0..=140.0).contains(&usual), "{usual}");
        assert!((memory.rate() - 2.0).abs() < 0.3, "{}", memory.rate());
        assert!(memory.is_established(1_200) && !memory.is_odd_hour(5 * 86_400, 4));
        assert!(memory.is_odd_hour(5 * 86_400, 5));
    }
}
