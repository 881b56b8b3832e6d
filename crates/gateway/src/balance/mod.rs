//! Which endpoint of a service takes the request: one file for each way of choosing.
//!
//! Takes weights, loads and a hash; gives the place of an endpoint. Knows no sockets and waits for nothing. An
//! endpoint of weight 0 is chosen only when there is no other.

pub mod ewma;
pub mod hash;
pub mod least_request;
pub mod random;
pub mod round_robin;

use crate::values::{Source, random::Random};

/// A way of choosing, as compiled.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// By turns, smoothly by weight.
    RoundRobin,
    /// The less busy of two drawn by weight.
    LeastRequest,
    /// Drawn by weight.
    Random,
    /// Of two drawn by weight, the one whose answers are to be expected sooner.
    Ewma,
    /// The same value goes to the same endpoint; few move when endpoints come or go.
    Hash(Source),
}

/// What a way of choosing may look at in one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Exchanges that wait for it.
    pub in_flight: u32,
    /// Moving average of its time to answer, in microseconds; 0 when unknown.
    pub ewma_micros: u32,
}

/// What one choice is made from.
pub struct Choice<'a> {
    /// The worker's random numbers.
    pub random: &'a Random,
    /// The load of the endpoint at a place.
    pub load: &'a dyn Fn(usize) -> Load,
    /// Hash of the value that decides, for [`Balance::Hash`]; without one the choice is drawn.
    pub hash: Option<u64>,
    /// Places not to choose: they failed for this request.
    pub tried: &'a [usize],
}

impl Choice<'_> {
    fn allows(&self, place: usize) -> bool {
        !self.tried.contains(&place)
    }
}

/// The endpoints of a service as one worker spreads its requests over them.
pub struct Spread {
    weights: Vec<u32>,
    total: u64,
    turns: round_robin::Turns,
    ring: hash::Ring,
}

impl Spread {
    /// Prepares the choice among endpoints of these weights and names. `start` lets workers begin at different
    /// places, so that they do not march in step.
    pub fn new(balance: &Balance, endpoints: &[(u32, &str)], start: usize) -> Spread {
        let all_zero = endpoints.iter().all(|(weight, _)| *weight == 0);
        let weights: Vec<u32> =
            endpoints.iter().map(|(weight, _)| if all_zero { 1 } else { *weight }).collect();
        let ring = match balance {
            Balance::Hash(_) => {
                hash::Ring::new(endpoints.iter().map(|(_, name)| *name).zip(weights.iter().copied()))
            }
            _ => hash::Ring::default(),
        };
        Spread {
            total: weights.iter().map(|weight| u64::from(*weight)).sum(),
            turns: round_robin::Turns::new(&weights, start),
            ring,
            weights,
        }
    }

    /// The place of the endpoint to ask; `None` when all were tried, or there is none.
    pub fn choose(&self, balance: &Balance, choice: &Choice<'_>) -> Option<usize> {
        if self.weights.len() == 1 {
            return choice.allows(0).then_some(0);
        }
        let chosen = match (balance, choice.hash) {
            (Balance::RoundRobin, _) => self.turns.next(choice),
            (Balance::LeastRequest, _) => least_request::choose(self, choice),
            (Balance::Ewma, _) => ewma::choose(self, choice),
            (Balance::Hash(_), Some(hash)) => self.ring.find(hash, choice),
            (Balance::Random | Balance::Hash(_), _) => random::draw(self, choice),
        };
        // A draw may miss what is left; the first that was not tried is better than none.
        chosen.or_else(|| (0..self.weights.len()).find(|place| choice.allows(*place)))
    }

    fn weight(&self, place: usize) -> u32 {
        self.weights.get(place).copied().unwrap_or(0)
    }

    /// Of two different endpoints drawn by weight, the one whose cost for its weight is lower (Mitzenmacher, "The
    /// power of two choices in randomized load balancing", 2001).
    fn better_of_two(&self, choice: &Choice<'_>, cost: impl Fn(Load) -> u64) -> Option<usize> {
        let first = random::draw(self, choice)?;
        let Some(second) = random::draw_without(self, choice, Some(first)) else { return Some(first) };
        let weighed = |place: usize, other: usize| {
            u128::from(cost((choice.load)(place))).saturating_mul(u128::from(self.weight(other)))
        };
        Some(if weighed(second, first) < weighed(first, second) { second } else { first })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// How often each place is chosen in `rounds` choices.
    pub(crate) fn counts(balance: &Balance, weights: &[u32], rounds: u32, loads: &[Load]) -> Vec<u32> {
        let names: Vec<String> = (0..weights.len()).map(|place| format!("e{place}")).collect();
        let endpoints: Vec<_> = weights.iter().copied().zip(names.iter().map(String::as_str)).collect();
        let spread = Spread::new(balance, &endpoints, 0);
        let random = Random::new(11);
        let load = |place: usize| loads.get(place).copied().unwrap_or_default();
        let mut counts = vec![0; weights.len()];
        for _ in 0..rounds {
            let choice = Choice { random: &random, load: &load, hash: Some(random.next()), tried: &[] };
            counts[spread.choose(balance, &choice).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn what_was_tried_is_not_chosen_again_and_the_rest_is_found() {
        let random = Random::new(3);
        for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Random, Balance::Ewma] {
            let spread = Spread::new(&balance, &[(100, "a"), (1, "b"), (0, "c")], 0);
            let choose = |tried: &[usize]| {
                let load = |_| Load::default();
                spread.choose(&balance, &Choice { random: &random, load: &load, hash: None, tried })
            };
            assert_eq!(choose(&[0]), Some(1), "{balance:?}");
            assert_eq!(choose(&[0, 1]), Some(2), "{balance:?}: weight 0 is the last resort");
            assert_eq!(choose(&[0, 1, 2]), None, "{balance:?}");
        }
    }
}
