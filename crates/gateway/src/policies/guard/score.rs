//! How abnormal a client is, from 0 to 100, with the reasons and their numbers.
//!
//! Takes what is remembered of a client and what is usual; gives points for each reason. Every number that decides stands
//! in this file, and every reason is told with what was measured and what would have been usual.

use std::fmt;

use super::memory::{Counts, Memory};
use super::usual::Usual;

/// Reasons that are told at most.
const MOST: usize = 4;
/// How often more than usual is still none.
const FACTOR: f32 = 3.0;
/// Distinct paths in an hour below which nobody speaks of scraping: a crowd behind one address asks for many.
const LEAST_PATHS: f32 = 2_000.0;
/// The share of errors below which nobody speaks of probing.
const LEAST_ERRORS: f32 = 0.25;
/// The share of errors that is too large wherever errors are usual.
const MOST_ERRORS: f32 = 0.35;
/// Points of somebody who fails with the same credential all the time: slowed, and no more.
const SAME_CREDENTIAL: f32 = 50.0;
/// Points of who does much, as long as nobody knows what is usual for it: watched, and no more.
const UNKNOWN: f32 = 35.0;

/// What a client is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Requests a second.
    Rate,
    /// The share of 401, 403, 404 and other errors of a client.
    Errors,
    /// Distinct credentials that failed.
    Credentials,
    /// Distinct paths.
    Paths,
    /// Distinct user agents.
    Agents,
    /// Distinct addresses of a consumer.
    Addresses,
    /// The share of 429 that others than the guard gave.
    Throttled,
    /// Bytes of a body.
    Bodies,
    /// An hour at which the client never comes.
    Hour,
    /// How paths are spread: 0 one alone, 1 all alike.
    Entropy,
    /// Requests that the guard refused and that go on all the same.
    Persistence,
    /// Failures on the routes, of many clients together.
    Together,
}

impl What {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            What::Rate => "rate",
            What::Errors => "errors",
            What::Credentials => "credentials",
            What::Paths => "paths",
            What::Agents => "agents",
            What::Addresses => "addresses",
            What::Throttled => "throttled",
            What::Bodies => "bodies",
            What::Hour => "hour",
            What::Entropy => "entropy",
            What::Persistence => "persistence",
            What::Together => "together",
        }
    }
}

/// One reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// What about.
    pub what: What,
    /// Its points.
    pub points: f32,
    /// What was measured.
    pub measured: f32,
    /// What is usual at most.
    pub usual: f32,
}

/// A score with its weightiest reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// From 0 to 100.
    pub value: f32,
    reasons: [Option<Reason>; MOST],
}

impl Score {
    /// The weightiest reasons, in that order.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().flatten()
    }

    /// Whether it is about credentials that are guessed.
    pub fn guesses(&self) -> bool {
        self.reasons().any(|reason| matches!(reason.what, What::Credentials | What::Together))
    }

    fn add(&mut self, what: What, points: f32, measured: f32, usual: f32) -> f32 {
        // A point is the least that says anything.
        if points.is_nan() || points < 1.0 {
            return 0.0;
        }
        self.value = (self.value + points).min(100.0);
        let mut new = Some(Reason { what, points, measured, usual });
        for place in &mut self.reasons {
            let lighter = |known: &Reason| new.is_some_and(|new| new.points > known.points);
            if place.as_ref().is_none_or(lighter) {
                std::mem::swap(place, &mut new);
            }
        }
        points
    }
}

impl fmt::Display for Score {
    /// As the decision record tells it: `score 83: errors 0.92 (usual 0.25) 61, paths 4800 (usual 2000) 45`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score {:.0}", self.value)?;
        for (nth, reason) in self.reasons().enumerate() {
            let before = if nth == 0 { ": " } else { ", " };
            let (what, points) = (reason.what.word(), reason.points);
            write!(
                f,
                "{before}{what} {} (usual {}) {points:.0}",
                short(reason.measured),
                short(reason.usual)
            )?;
        }
        Ok(())
    }
}

/// A number as short as it says something.
fn short(number: f32) -> String {
    if number >= 10.0 || number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

/// What a score is made of besides the client.
#[derive(Clone, Copy)]
pub struct Scene<'u> {
    /// What is usual.
    pub usual: &'u Usual,
    /// Requests a second that are none too many.
    pub calm: f32,
    /// How much it looks like many who guess together.
    pub heat: f32,
    /// Seconds since the table was made.
    pub now: u32,
    /// The hour of the day.
    pub hour: u32,
    /// Whether it is about a consumer.
    pub is_consumer: bool,
    /// Whether the guard is too young to know what is usual.
    pub learns: bool,
}

impl Scene<'_> {
    /// The points that much alone makes, as long as nobody can know whether it is too much.
    fn most_for_much(&self, client: &Memory) -> f32 {
        let unknown = if self.is_consumer { client.usual().is_none() } else { self.learns };
        if unknown { UNKNOWN } else { 100.0 }
    }
}

/// The score of a client.
pub fn score(client: &Memory, scene: Scene<'_>) -> Score {
    let mut score = Score::default();
    let rate = rate(client, scene, &mut score);
    let errors = errors(client, scene, &mut score);
    let credentials = if scene.is_consumer { 0.0 } else { credentials(client, scene, &mut score) };
    together(client, scene, &mut score);
    crowds(client, scene, &mut score);
    let paths = client.paths();
    let most = scene.usual.paths().map_or(LEAST_PATHS, |usual| (usual * FACTOR).max(LEAST_PATHS));
    if paths > most {
        let points = (20.0 + 20.0 * (paths / most).log2()).min(60.0);
        score.add(What::Paths, points.min(scene.most_for_much(client)), paths, most);
    }
    let entropy = client.entropy();
    if entropy > 0.75 && errors > 30.0 && paths >= 20.0 {
        score.add(What::Entropy, 10.0, entropy, 0.75);
    } else if entropy < 0.2 && rate + credentials > 0.0 {
        score.add(What::Entropy, 5.0, entropy, 0.2);
    }
    let throttled = client.recent.share(client.recent.throttled);
    if client.recent.throttled >= 20.0 && throttled > 0.5 {
        score.add(What::Throttled, 15.0, throttled, 0.5);
    }
    let (body, usual) = client.bodies();
    if body > 65_536.0 && body > 8.0 * usual {
        score.add(What::Bodies, 10.0, body, usual);
    }
    if client.is_odd_hour(scene.now, scene.hour) {
        score.add(What::Hour, 5.0, scene.hour as f32, 0.0);
    }
    let refused = client.recent.refused;
    if client.standing.level > 0 && refused > 30.0 {
        score.add(What::Persistence, (5.0 + 5.0 * (refused / 30.0).log2()).min(15.0), refused, 30.0);
    }
    score
}

fn rate(client: &Memory, scene: Scene<'_>, score: &mut Score) -> f32 {
    let rate = client.rate();
    if rate <= scene.calm {
        return 0.0;
    }
    let of_all = scene.usual.rate(scene.hour).map_or(0.0, |minute| minute / 60.0 * FACTOR);
    let own = client.usual().map_or(0.0, |minute| minute / 60.0 * FACTOR);
    let most = scene.calm.max(of_all).max(own);
    if rate <= most {
        return 0.0;
    }
    let lasting = client.recent.requests / 300.0 > most / 2.0;
    let points = (25.0 + 22.0 * (rate / most).log2()).min(80.0) + if lasting { 15.0 } else { 0.0 };
    score.add(What::Rate, points.min(scene.most_for_much(client)), rate, most)
}

/// Of recent minutes, or of the last hours where there are few requests: whichever says more.
fn errors(client: &Memory, scene: Scene<'_>, score: &mut Score) -> f32 {
    let most = LEAST_ERRORS.max(scene.usual.errors() * FACTOR).min(MOST_ERRORS);
    let guesses = !scene.is_consumer && client.others() > 3.5;
    let of = |counts: &Counts, enough: f32| {
        let errors = counts.denied() + counts.missing;
        let share = counts.share(errors);
        let lasting = if errors > 100.0 { 80.0 } else { 70.0 };
        let points = lasting * ((share - most) / 0.4).clamp(0.0, 1.0) * (errors / enough).min(1.0);
        let same = !guesses && counts.missing < 0.3 * errors;
        (if same { points.min(SAME_CREDENTIAL) } else { points }, share)
    };
    let (recent, long) = (of(&client.recent, 20.0), of(&client.long, 30.0));
    let (points, share) = if recent.0 >= long.0 { recent } else { long };
    score.add(What::Errors, points, share, most)
}

fn credentials(client: &Memory, scene: Scene<'_>, score: &mut Score) -> f32 {
    let tried = client.others();
    if tried < 3.5 || scene.is_consumer {
        return 0.0;
    }
    // A crowd behind one address has its mistakes too: what counts is how few of its requests are good.
    let denied = client.long.share(client.long.denied());
    score.add(
        What::Credentials,
        (15.0 * (tried / 2.0).log2()).min(45.0) * (denied * 2.0).min(1.0),
        tried,
        3.0,
    )
}

fn together(client: &Memory, scene: Scene<'_>, score: &mut Score) {
    let denied = client.long.denied();
    let share = client.long.share(denied);
    if scene.heat > 0.0 && denied >= 3.5 && share >= 0.8 {
        score.add(What::Together, 40.0 * scene.heat, denied, 3.0);
    }
}

fn crowds(client: &Memory, scene: Scene<'_>, score: &mut Score) {
    let agents = client.agents();
    if scene.is_consumer {
        if agents >= 5.0 {
            score.add(What::Agents, (12.0 * (agents / 3.0).log2()).min(40.0), agents, 4.0);
        }
        let addresses = client.others();
        if addresses >= 15.0 {
            score.add(What::Addresses, (12.0 * (addresses / 8.0).log2()).min(40.0), addresses, 14.0);
        }
    } else if agents >= 12.0 {
        // Many people may share an address: that alone is nothing.
        score.add(What::Agents, 15.0, agents, 11.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Taken;
    use super::*;

    fn of(memory: &Memory, is_consumer: bool, now: u32) -> Score {
        let usual = Usual::default();
        score(
            memory,
            Scene { usual: &usual, calm: 20.0, heat: 0.0, now, hour: 12, is_consumer, learns: false },
        )
    }

    /// A client that does this each second for so long.
    fn after(seconds: u32, taken: Taken) -> Memory {
        let mut memory = Memory::new(&taken, 0);
        for second in 0..seconds {
            memory.take(&taken, (second, 12), memory.standing.level == 0);
        }
        memory
    }

    #[test]
    fn who_does_what_is_usual_has_no_score() {
        for taken in [
            Taken { requests: 10, good: 10, paths: [3, 0, 0, 0], ..Taken::default() },
            Taken { requests: 10, good: 8, missing: 2, ..Taken::default() },
        ] {
            assert_eq!(of(&after(600, taken), false, 600), Score::default(), "{taken:?}");
        }
    }

    #[test]
    fn reasons_stand_with_their_numbers_the_weightiest_first() {
        let flood = Taken {
            requests: 200,
            good: 200,
            paths: [1, 0, 0, 0],
            spread: [200, 0, 0, 0, 0, 0, 0, 0],
            ..Taken::default()
        };
        let score = of(&after(30, flood), false, 30);
        assert!(score.value >= 85.0, "{score}");
        assert_eq!(
            score.reasons().map(|reason| reason.what).collect::<Vec<_>>(),
            [What::Rate, What::Entropy]
        );
        assert!(
            score.to_string().contains("rate 200 (usual 20)") || score.to_string().contains("rate 1"),
            "{score}"
        );
    }

    #[test]
    fn a_wrong_key_is_slowed_and_many_wrong_keys_are_blocked() {
        let wrong = Taken { requests: 1, unauthorised: 1, others: 1, ..Taken::default() };
        let same = of(&after(120, wrong), false, 120);
        assert_eq!(same.value, SAME_CREDENTIAL, "{same}");
        let many = of(&after(120, Taken { others: 0xffff_ffff, ..wrong }), false, 120);
        assert!(many.value >= 90.0 && many.guesses(), "{many}");
    }

    #[test]
    fn a_crowd_with_mistakes_behind_one_address_is_left_alone() {
        let crowd = Taken {
            requests: 18,
            good: 17,
            unauthorised: 1,
            others: u64::MAX >> 8,
            agents: u64::MAX,
            ..Taken::default()
        };
        let score = of(&after(900, crowd), false, 900);
        assert!(score.value < 25.0, "{score}");
    }

    #[test]
    fn one_key_of_many_agents_and_addresses_is_seen() {
        let shared = Taken { requests: 2, good: 2, agents: 0xfff, others: 0xffff_ffff, ..Taken::default() };
        let score = of(&after(60, shared), true, 60);
        assert!(score.value >= 45.0, "{score}");
        assert!(!score.guesses());
    }
}
