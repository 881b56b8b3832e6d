//! The limits that a `rate_limit` stands for: nothing left out, nothing that cannot be kept.
//!
//! Short forms become long ones here, and what types cannot know is checked: that a limit can be kept, that a request
//! can pass it at all, and that limits can be told apart.

use super::gcra::{FASTEST, LARGEST};
use super::settings::{Cost, Grade, GradeMap, Limit, LimitMap, RateLimit, RateLimitMap, Turn};
use crate::config::{Diagnostics, Span, Spanned, codes};
use crate::policies::per::{Scope, sources};
use crate::values::{Name, PerWord, Rate, Source, When};

/// Most limits of one policy.
pub(super) const MOST_LIMITS: usize = 8;
/// The word in `rates` for everybody else.
const DEFAULT: &str = "default";

/// A limit with nothing left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settled {
    /// Where it stands.
    pub(super) place: Span,
    /// The name that the user gave it, if any.
    pub(super) given: Option<String>,
    /// What it counts by; empty for all together.
    pub(super) per: Vec<Source>,
    /// Over which requests it counts.
    pub(super) scope: Scope,
    /// What a request counts for.
    pub(super) cost: Cost,
    /// Its rates by groups; the last is for everybody else.
    pub(super) tiers: Vec<Tier>,
}

/// What a group may do, at all times.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tier {
    /// The group; none for everybody else.
    pub(super) group: Option<String>,
    /// What it may do at other times than those of the turns.
    pub(super) base: Measure,
    /// What it may do at certain times.
    pub(super) turns: Vec<(When, Measure)>,
}

/// How often, and how many at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    /// Its name for clients.
    pub(super) name: String,
    /// How often.
    pub(super) rate: Rate,
    /// How many at once.
    pub(super) burst: u64,
}

impl Tier {
    /// All measures in order: the base, then those of the turns.
    pub(super) fn measures(&self) -> impl Iterator<Item = &Measure> {
        std::iter::once(&self.base).chain(self.turns.iter().map(|(_, measure)| measure))
    }

    /// Which measure holds at a moment of the wall clock, by its place in [`Tier::measures`], and when that may change.
    pub(super) fn at(&self, moment: i64) -> (usize, i64) {
        let (mut place, mut until) = (0, i64::MAX);
        for (nth, (when, _)) in self.turns.iter().enumerate() {
            let Some((from, to)) = when.after(moment) else { continue };
            if from <= moment {
                until = until.min(to);
                place = nth.saturating_add(1);
                // Those behind it count only when it is over.
                break;
            }
            until = until.min(from);
        }
        (place, until)
    }

    /// Whether another one says the same about how often and how many, whatever their names.
    pub(super) fn is_as(&self, other: &Tier) -> bool {
        let bounds =
            |tier: &Tier| tier.measures().map(|measure| (measure.rate, measure.burst)).collect::<Vec<_>>();
        let times = |tier: &Tier| tier.turns.iter().map(|(when, _)| when.to_string()).collect::<Vec<_>>();
        bounds(self) == bounds(other) && times(self) == times(other)
    }

    /// The measure of a place.
    pub(super) fn measure(&self, place: usize) -> &Measure {
        self.measures().nth(place).unwrap_or(&self.base)
    }
}

impl RateLimit {
    /// All limits with nothing left out, and what is said about them all. Faults are reported.
    pub(super) fn settle(
        self,
        key: &Spanned<String>,
        faults: &mut Diagnostics,
    ) -> (Vec<Settled>, RateLimitMap) {
        let (limits, map) = match self {
            RateLimit::Text(rate) => (vec![Limit::Text(rate)], RateLimitMap::default()),
            RateLimit::List(limits) => (limits, RateLimitMap::default()),
            RateLimit::Map(map) => map.apart(key, faults),
        };
        if limits.is_empty() && faults.errors() == 0 {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`rate_limit` names no limit");
            fault.help("write a rate: `rate_limit: 100/min`");
        }
        if limits.len() > MOST_LIMITS {
            let what = format!("{} limits stand on one route, at most {MOST_LIMITS} may", limits.len());
            faults.error(codes::BAD_POLICY, key.span(), what);
        }
        let limits = limits.into_iter().filter_map(|limit| limit.over(&map).settle(key, faults));
        let limits: Vec<Settled> = limits.collect();
        for (nth, limit) in limits.iter().enumerate() {
            let taken = limits.iter().take(nth).flat_map(Settled::measures);
            let taken: Vec<&str> = taken.map(|measure| measure.name.as_str()).collect();
            if let Some(same) = limit.measures().find(|measure| taken.contains(&measure.name.as_str())) {
                let what = format!("two limits are called `{}`", same.name);
                faults.error(codes::BAD_POLICY, limit.place, what).help("give one of them another `name`");
            }
        }
        (limits, map)
    }
}

impl Settled {
    /// All measures of all tiers.
    pub(super) fn measures(&self) -> impl Iterator<Item = &Measure> {
        self.tiers.iter().flat_map(Tier::measures)
    }
}

impl RateLimitMap {
    /// The limits, and what holds for those that do not say otherwise.
    fn apart(mut self, key: &Spanned<String>, faults: &mut Diagnostics) -> (Vec<Limit>, RateLimitMap) {
        let limits = std::mem::take(&mut self.limits);
        let place = self.rate.as_ref().map(Spanned::span);
        let rates = self.rates.iter().next().map(|(name, _)| ("rates", name.span()));
        let alone = place.map(|place| ("rate", place)).or(rates);
        let Some((word, place)) = alone else {
            if limits.is_empty() {
                let fault = faults.error(codes::BAD_POLICY, key.span(), "`rate_limit` says no rate");
                fault.help("write `rate: 100/min`, or `limits:` with several");
            }
            let alone = self.burst.as_ref().map(|burst| ("burst", burst.span()));
            let alone = alone.or_else(|| self.name.as_ref().map(|name| ("name", name.span())));
            let alone = alone.or_else(|| self.schedule.first().map(|turn| ("schedule", turn.when.span())));
            if let Some((word, place)) = alone {
                let what = format!("`{word}` is about one limit and stands beside `limits`");
                faults.error(codes::BAD_POLICY, place, what).help("write it into the limit that it is about");
            }
            return (limits, self);
        };
        if !limits.is_empty() {
            let what = format!("`rate_limit` says both `{word}` and `limits`");
            faults.error(codes::BAD_POLICY, place, what).help(format!("put the {word} into the list"));
        }
        let limit = LimitMap {
            rate: self.rate.take(),
            rates: std::mem::take(&mut self.rates),
            burst: self.burst.take(),
            name: self.name.take(),
            schedule: std::mem::take(&mut self.schedule),
            ..LimitMap::default()
        };
        (vec![Limit::Map(Box::new(limit))], self)
    }
}

impl Limit {
    /// The long form, with what holds for all limits where this one says nothing.
    fn over(self, all: &RateLimitMap) -> LimitMap {
        let own = match self {
            Limit::Map(map) => *map,
            Limit::Text(rate) => LimitMap { rate: Some(rate), ..LimitMap::default() },
        };
        LimitMap {
            per: own.per.or_else(|| all.per.clone()),
            scope: own.scope.or(all.scope),
            cost: own.cost.or_else(|| all.cost.clone()),
            ..own
        }
    }
}

impl LimitMap {
    fn settle(self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Settled> {
        let per = sources(self.per.clone(), PerWord::By(Source::Ip), faults);
        let naming = Naming { given: self.name.clone(), per: &per, burst: self.burst };
        let tiers = self.tiers(&naming, key, faults);
        let place = self.rate.as_ref().map(Spanned::span);
        let place = place.or_else(|| self.rates.iter().next().map(|(name, _)| name.span()))?;
        let cost = self.cost.as_ref().map_or(Cost::Number(1), |cost| (**cost).clone());
        let least = match &cost {
            Cost::Number(number) => *number,
            Cost::Map(told) => told.default,
        };
        let smallest = tiers.iter().flat_map(Tier::measures).map(|measure| measure.burst).min()?;
        if let Some(cost) = self.cost.filter(|_| least > smallest) {
            let what =
                format!("one request counts for {least}, and no more than {smallest} may come at once");
            faults
                .error(codes::BAD_POLICY, cost.span(), what)
                .help("no request could ever pass: write a smaller `cost` or a larger `burst`");
        }
        let given = naming.given.map(|name| name.to_string());
        let scope = self.scope.unwrap_or_default();
        Some(Settled { place, given, per, scope, cost, tiers })
    }

    /// The tiers; none where neither a rate nor a `default` is there.
    fn tiers(&self, naming: &Naming<'_>, key: &Spanned<String>, faults: &mut Diagnostics) -> Vec<Tier> {
        if let Some(rate) = &self.rate {
            if let Some((group, _)) = self.rates.iter().next() {
                faults
                    .error(codes::BAD_POLICY, group.span(), "a limit says both `rate` and `rates`")
                    .help("write the rate into `rates`, as `default`");
            }
            let base = naming.measure(rate, None, faults);
            let turns = self.schedule.iter().filter_map(|turn| {
                let Some(rate) = &turn.rate else {
                    missing(turn, "rate", faults);
                    return None;
                };
                Some(((*turn.when).clone(), naming.measure(rate, turn.burst.as_ref(), faults)))
            });
            return vec![Tier { group: None, base, turns: turns.collect() }];
        }
        if self.rates.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "a limit of `rate_limit` says no rate");
            fault.help("write `rate: 100/min`, or `rates:` by groups");
            return Vec::new();
        }
        if self.rates.get(DEFAULT).is_none() {
            let what = "`rates` does not say what others may do who are in none of the groups";
            let place = self.rates.iter().next().map_or(key.span(), |(group, _)| group.span());
            faults.error(codes::BAD_POLICY, place, what).help("add `default: 100/min`");
        }
        for turn in self.schedule.iter().filter(|turn| turn.rates.is_empty() || turn.rate.is_some()) {
            missing(turn, "rates", faults);
        }
        self.unknown_groups(faults);
        let (others, groups): (Vec<_>, Vec<_>) =
            self.rates.iter().partition(|(group, _)| group.as_str() == DEFAULT);
        let tier = |(group, grade): &(Spanned<String>, Grade)| {
            let turns = self.schedule.iter().filter_map(|turn| {
                let grade = turn.rates.get(group).or(Some(grade))?;
                let burst = turn.burst.as_ref().filter(|_| turn.rates.get(group).is_some());
                Some(((*turn.when).clone(), naming.graded(grade, burst, faults)))
            });
            let turns = turns.collect();
            let group = Some(group.to_string()).filter(|group| group != DEFAULT);
            Tier { group, base: naming.graded(grade, None, faults), turns }
        };
        groups.into_iter().chain(others).map(tier).collect()
    }

    fn unknown_groups(&self, faults: &mut Diagnostics) {
        let named = self.schedule.iter().flat_map(|turn| turn.rates.iter());
        for (group, _) in named.filter(|(group, _)| self.rates.get(group).is_none()) {
            let what = format!("`{}` has a rate at certain times and none at others", **group);
            let meant = crate::values::nearest(group, self.rates.names());
            let help = meant.map_or_else(
                || "write its rate under `rates` of the limit as well".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            faults.error(codes::BAD_POLICY, group.span(), what).help(help);
        }
    }
}

fn missing(turn: &Turn, word: &str, faults: &mut Diagnostics) {
    let what = format!("the limit says `{word}`, and at this time it has to say `{word}` as well");
    faults.error(codes::BAD_POLICY, turn.when.span(), what).help(format!("write `{word}:` beside `when`"));
}

/// What measures take their names and bursts from.
struct Naming<'s> {
    given: Option<Spanned<Name>>,
    per: &'s [Source],
    burst: Option<Spanned<u64>>,
}

impl Naming<'_> {
    fn graded(&self, grade: &Grade, burst: Option<&Spanned<u64>>, faults: &mut Diagnostics) -> Measure {
        match grade {
            Grade::Text(rate) => self.measure(rate, burst, faults),
            Grade::Map(GradeMap { rate, burst: own }) => self.measure(rate, own.as_ref().or(burst), faults),
        }
    }

    fn measure(
        &self,
        rate: &Spanned<Rate>,
        burst: Option<&Spanned<u64>>,
        faults: &mut Diagnostics,
    ) -> Measure {
        let before = faults.errors();
        if rate.per_second() > FASTEST as f64 {
            let what = format!("`{}` is faster than a limit can count", **rate);
            faults
                .error(codes::BAD_POLICY, rate.span(), what)
                .help(format!("write at most {FASTEST}/s, or no limit"));
        }
        let written = burst.or(self.burst.as_ref());
        let burst = written.map_or(rate.count(), |burst| **burst);
        let place = written.map_or(rate.span(), Spanned::span);
        if faults.errors() == before && (burst == 0 || burst > LARGEST) {
            faults
                .error(codes::BAD_POLICY, place, format!("a `burst` of {burst} cannot be kept"))
                .help(format!("write a number from 1 to {LARGEST}"));
        }
        let given = self.given.as_ref().map(|name| name.to_string());
        Measure { name: given.unwrap_or_else(|| named(**rate, self.per)), rate: **rate, burst }
    }
}

/// The name of a limit that has none: its rate, and what it counts by unless that is the address. Fit for a string of
/// RFC 9651 section 3.3.3 between quotes.
fn named(rate: Rate, per: &[Source]) -> String {
    let mut name = rate.to_string();
    if per != [Source::Ip] {
        let words: Vec<String> = per.iter().map(Source::to_string).collect();
        let words = if words.is_empty() { "all".to_owned() } else { words.join(", ") };
        name.push_str(" per ");
        let fit = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '_' };
        name.extend(words.chars().map(fit));
    }
    name
}
