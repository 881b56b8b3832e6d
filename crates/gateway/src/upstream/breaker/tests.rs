//! The states of a circuit as stories, with a clock of their own.

use super::*;

fn breaker() -> Arc<Breaker> {
    let settings = Settings {
        per: CircuitOf::Service,
        on: Failures::default(),
        error_rate: 500_000,
        slow: Some((Duration::from_secs(1), 800_000)),
        window: Duration::from_secs(10),
        min_requests: 10,
        open_for: Duration::from_secs(30),
        half_open: 2,
    };
    Breaker::new(settings, 2)
}

/// So many requests with this outcome, on workers by turns.
fn tell(breaker: &Breaker, count: usize, failed: bool, took: u64) {
    for nth in 0..count {
        pass(breaker).ok().unwrap().told(nth % 2, failed, Duration::from_secs(took));
    }
}

fn state(breaker: &Breaker, at: Instant) -> State {
    breaker.look(true, at);
    breaker.state()
}

#[test]
fn too_many_failures_or_slow_answers_open() {
    for (good, failed, slow, opens) in [
        (5, 5, 0, true),
        (6, 5, 0, false),
        (0, 9, 0, false),
        (2, 0, 8, true),
        (3, 0, 8, false),
        (0, 0, 0, false),
    ] {
        let (breaker, start) = (breaker(), Instant::now());
        assert_eq!(state(&breaker, start), State::Closed);
        tell(&breaker, good, false, 0);
        tell(&breaker, failed, true, 0);
        tell(&breaker, slow, false, 1);
        let wanted = if opens { State::Open } else { State::Closed };
        assert_eq!(state(&breaker, start + Duration::from_secs(1)), wanted, "{good} {failed} {slow}");
    }
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let (breaker, start) = (breaker(), Instant::now());
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    state(&breaker, at(0));
    tell(&breaker, 9, true, 0);
    for second in 1..13 {
        assert_eq!(state(&breaker, at(second)), State::Closed);
    }
    tell(&breaker, 9, true, 0);
    assert_eq!(state(&breaker, at(13)), State::Closed, "9 are too few, and the others are long ago");
}

/// An open circuit, and when it opened.
fn open() -> (Arc<Breaker>, Instant) {
    let (breaker, start) = (breaker(), Instant::now());
    state(&breaker, start);
    tell(&breaker, 10, true, 0);
    assert_eq!(state(&breaker, start), State::Open);
    (breaker, start)
}

#[test]
fn an_open_circuit_refuses_until_trials_were_good() {
    let (breaker, start) = open();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    assert_eq!(pass(&*breaker).err(), Some(Fault::CircuitOpen(breaker.rest())));
    assert_eq!(state(&breaker, at(29)), State::Open);
    assert_eq!(
        (breaker.look(false, at(30)), breaker.state()),
        (None, State::Open),
        "checks say that nobody is well"
    );
    assert_eq!(state(&breaker, at(30)), State::HalfOpen);
    let (first, second) = (pass(&*breaker).ok().unwrap(), pass(&*breaker).ok().unwrap());
    assert_eq!(pass(&*breaker).err(), Some(Fault::CircuitOpen(breaker.rest())), "two trials and no more");
    drop(second);
    let again = pass(&*breaker).ok().unwrap();
    first.told(0, false, Duration::ZERO);
    assert_eq!(state(&breaker, at(31)), State::HalfOpen);
    again.told(1, false, Duration::ZERO);
    assert_eq!(state(&breaker, at(31)), State::Closed);
    tell(&breaker, 9, true, 0);
    assert_eq!(state(&breaker, at(32)), State::Closed, "what was before it closed is forgotten");
    assert_eq!((breaker.opened.load(Ordering::Relaxed), breaker.refused.load(Ordering::Relaxed)), (1, 2));
}

#[test]
fn one_bad_trial_opens_anew() {
    for (failed, took) in [(true, 0), (false, 1)] {
        let (breaker, start) = open();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(state(&breaker, at(30)), State::HalfOpen);
        tell(&breaker, 1, failed, took);
        assert_eq!(state(&breaker, at(31)), State::Open);
        assert_eq!(state(&breaker, at(60)), State::Open);
        assert_eq!(state(&breaker, at(61)), State::HalfOpen);
    }
}
