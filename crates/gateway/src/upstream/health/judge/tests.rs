//! Verdicts as tables and stories, with a clock of their own.

use super::*;

const WELL: Peers = Peers { may_go: true, usual: Duration::from_millis(1) };

fn check() -> Check {
    Check {
        grpc: None,
        path: None,
        status: Vec::new(),
        body: None,
        host: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
    }
}

fn eject() -> Eject {
    Eject {
        errors: 5,
        error_rate: 500_000,
        window: Duration::from_secs(10),
        min_requests: 5,
        slow_times: 5,
        slow_over: Duration::from_millis(500),
        time: Duration::from_secs(10),
        max_time: Duration::from_secs(25),
        most: 500_000,
    }
}

fn counts(heads: u64, bad: u64, failures: u64, waiting: u32) -> Counts {
    Counts { heads, bad, failures, waiting, ..Counts::default() }
}

/// `+` is a good check, `-` a failed one; gives the state after each: `u`p or `d`own.
fn story(checks: &str) -> (String, usize) {
    let (mut state, now, mut changes) = (State::default(), Instant::now(), 0);
    let mut told = String::new();
    for outcome in checks.chars() {
        let outcome = if outcome == '+' { Ok(()) } else { Err("no".to_owned()) };
        changes += usize::from(state.checked(&check(), outcome, now).is_some());
        told.push(if state.is_well() { 'u' } else { 'd' });
    }
    (told, changes)
}

#[test]
fn checks_need_rise_and_fall_and_the_first_decides_alone() {
    for (checks, states, changes) in [
        ("+---", "uuud", 1),
        ("+--+--", "uuuuuu", 0),
        ("-", "d", 1),
        ("-+", "dd", 1),
        ("-++", "ddu", 2),
        ("+---+-+-++", "uuuddddddu", 2),
    ] {
        assert_eq!(story(checks), (states.to_owned(), changes), "{checks}");
    }
    let flapping: String = "+-".repeat(500);
    assert_eq!(story(&flapping).1, 0, "a target that alternates does not flap");
}

#[test]
fn failures_in_a_row_or_in_part_take_out() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    for (counts, errors, out) in [
        (counts(100, 0, 0, 0), 4, false),
        (counts(100, 0, 0, 0), 5, true),
        (counts(4, 2, 0, 0), 0, false),
        (counts(5, 2, 0, 0), 0, false),
        (counts(6, 3, 0, 0), 0, true),
        (counts(3, 0, 3, 0), 0, true),
        (counts(0, 0, 5, 0), 0, true),
    ] {
        let mut state = State::default();
        assert_eq!(state.look(&eject(), &Counts::default(), 0, WELL, at(0)), None);
        let change = state.look(&eject(), &counts, errors, WELL, at(1));
        assert_eq!(change.is_some(), out, "{counts:?} {errors}");
        let mut kept = State::default();
        kept.look(&eject(), &Counts::default(), 0, WELL, at(0));
        let full = Peers { may_go: false, ..WELL };
        assert_eq!(kept.look(&eject(), &counts, errors, full, at(1)), None, "too many are out");
    }
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let (mut state, start) = (State::default(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let few = Eject { error_rate: 900_000, ..eject() };
    state.look(&few, &Counts::default(), 0, WELL, at(0));
    assert_eq!(state.look(&few, &counts(5, 4, 0, 0), 0, WELL, at(1)), None);
    for second in 2..12 {
        state.look(&few, &counts(5, 4, 0, 0), 0, WELL, at(second));
    }
    assert_eq!(state.look(&few, &counts(10, 8, 0, 0), 0, WELL, at(12)), None, "4 of 5 is below 90 %");
    assert!(state.look(&few, &counts(30, 28, 0, 0), 0, WELL, at(13)).is_some(), "24 of 25 is not");
}

#[test]
fn who_waits_in_vain_takes_out_what_hangs() {
    let start = Instant::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    for (waiting, heads, usual, out) in
        [(5, 100, 1, true), (4, 100, 1, false), (5, 101, 1, false), (5, 100, 200, false), (5, 100, 0, false)]
    {
        let mut state = State::default();
        let peers = Peers { usual: Duration::from_millis(usual), ..WELL };
        state.look(&eject(), &counts(100, 0, 0, waiting), 0, peers, at(0));
        let change = state.look(&eject(), &counts(heads, 0, 0, waiting), 0, peers, at(600));
        assert_eq!(change.is_some(), out, "{waiting} {heads} {usual}");
    }
}

#[test]
fn a_target_that_answers_late_is_out() {
    let (mut state, start) = (State::default(), Instant::now());
    state.look(&eject(), &Counts::default(), 0, WELL, start);
    let mut late = counts(20, 0, 0, 0);
    late.answered.buckets[12] = 20;
    let change = state.look(&eject(), &late, 0, WELL, start + Duration::from_secs(1));
    let Some(Change::Out(why)) = change else { panic!("{change:?}") };
    assert!(why.starts_with("1000 ms to answer where others take 1 ms"), "{why}");
}

#[test]
fn each_time_out_is_longer_and_a_good_time_is_forgiven() {
    let (mut state, mut now) = (State::default(), Instant::now());
    for (seconds, good) in [(10, 1), (20, 1), (25, 1), (25, 26), (10, 0)] {
        assert!(state.look(&eject(), &Counts::default(), 5, WELL, now).is_some());
        assert_eq!(
            state.look(&eject(), &Counts::default(), 5, WELL, now + Duration::from_secs(seconds - 1)),
            None
        );
        now += Duration::from_secs(seconds);
        assert_eq!(state.look(&eject(), &Counts::default(), 0, WELL, now), Some(Change::Back));
        now += Duration::from_secs(good);
    }
}

/// Requests are not spent on finding out what a check finds out.
#[test]
fn where_there_are_checks_one_has_to_be_good_before_a_target_is_back() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let (good, failed) = (|| Ok(()), || Err("no".to_owned()));
    let (mut state, none) = (State::default(), Counts::default());
    assert_eq!(state.checked(&check(), good(), at(0)), None);
    assert!(state.look(&eject(), &none, 5, WELL, at(1)).is_some(), "5 failures in a row");
    assert_eq!(state.look(&eject(), &none, 0, WELL, at(12)), None, "the good check was before that");
    assert_eq!(state.checked(&check(), good(), at(13)), None);
    assert_eq!(state.checked(&check(), failed(), at(14)), None, "two more would take it out");
    assert_eq!(state.look(&eject(), &none, 0, WELL, at(15)), None);
    assert_eq!(state.checked(&check(), good(), at(16)), None);
    assert_eq!(state.look(&eject(), &none, 0, WELL, at(17)), Some(Change::Back));
    // Without checks, time alone decides.
    let mut state = State::default();
    assert!(state.look(&eject(), &none, 5, WELL, at(1)).is_some());
    assert_eq!(state.look(&eject(), &none, 0, WELL, at(12)), Some(Change::Back));
}

#[test]
fn a_target_that_comes_back_starts_slowly() {
    let (mut state, now) = (State::default(), Instant::now());
    let slow = Duration::from_secs(10);
    assert_eq!(state.tenths(), 10);
    state.checked(&check(), Err("no".to_owned()), now);
    state.checked(&check(), Ok(()), now);
    state.checked(&check(), Ok(()), now);
    assert_eq!((state.tenths(), state.ailment().as_deref()), (1, Some("starting slowly")));
    for (seconds, tenths) in [(1, 1), (5, 5), (9, 9), (10, 10)] {
        state.warm(slow, now + Duration::from_secs(seconds));
        assert_eq!(state.tenths(), tenths);
    }
    assert_eq!(state.ailment(), None);
}

#[test]
fn a_reload_that_asks_for_less_forgets() {
    let (mut state, now) = (State::default(), Instant::now());
    state.checked(&check(), Err("no".to_owned()), now);
    state.look(&eject(), &Counts::default(), 5, WELL, now);
    let nothing = Settings { check: None, eject: None, slow_start: Duration::ZERO, panic_threshold: 0 };
    assert!(!state.is_well());
    state.forget(&nothing);
    assert!(state.is_well());
}
