//! A simulated day of the guard: 10,000 honest clients of five kinds and six attackers, by the lines that run in the gateway.
//!
//! Time and chance are injected. Without a word it is a short morning with a tenth of the clients; `cargo xtask guard-day` runs
//! the whole day and prints its table: what was seen when, and who was troubled without cause.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout
)]

mod actors;
mod day;

use day::{Day, Plan};

#[test]
fn attackers_are_seen_and_honest_clients_are_left_alone() {
    let seed = std::env::var("GUARD_DAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let is_whole = std::env::var("GUARD_DAY").is_ok_and(|word| word == "whole");
    let plan = if is_whole { Plan::whole() } else { Plan::short() };
    let outcome = Day::new(plan, seed).run();
    println!("{}", outcome.table());
    // One in 10,000 may be challenged; of fewer clients none.
    assert!(outcome.honest_on[3] <= outcome.honest / 10_000, "honest clients were challenged");
    assert_eq!(outcome.honest_on[4], 0, "honest clients were blocked");
    for attack in &outcome.attacks {
        assert!(attack.half_stopped.is_some(), "{} was never stopped", attack.name);
    }
}
