//! What was measured: rounds of figures, kept raw, and what is drawn from them.
//! Takes rounds; gives medians, spreads and ratios.
//! It must never compare rounds of different times: a ratio is taken inside each round, then its median.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// Figures of one round by name, the unit in the name.
pub(super) type Round = BTreeMap<String, f64>;

/// All of one day.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct Results {
    pub(super) day: String,
    /// Machine and versions, as shown above the tables.
    pub(super) ground: BTreeMap<String, String>,
    pub(super) jobs: BTreeMap<String, JobResult>,
}

/// One job.
#[derive(Serialize, Deserialize)]
pub(super) struct JobResult {
    pub(super) title: String,
    pub(super) runs: usize,
    /// Seconds of load in a round.
    pub(super) seconds: f64,
    /// The gateway that was measured: on one day it may be several.
    #[serde(default)]
    pub(super) of: String,
    pub(super) lines: Vec<Line>,
}

/// One contender of a job; the rounds of all lines stand beside each other.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) contender: String,
    pub(super) rounds: Vec<Round>,
}

impl Results {
    /// What an earlier run of this day has left, so that jobs can be measured one by one.
    pub(super) fn read(file: &Path) -> Results {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) fn to_json(&self) -> Result<String, Failure> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|e| format!("results: {e}"))
    }
}

impl Line {
    /// The figure in each round that has it.
    fn values(&self, figure: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(figure).copied()).collect()
    }

    pub(super) fn median(&self, figure: &str) -> Option<f64> {
        median(self.values(figure))
    }

    /// Smallest and largest.
    pub(super) fn spread(&self, figure: &str) -> Option<(f64, f64)> {
        let values = self.values(figure);
        Some((values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?))
    }

    pub(super) fn sum(&self, figure: &str) -> f64 {
        self.values(figure).iter().fold(0.0, |sum, value| sum + value)
    }

    /// The median of the ratios to another line, round by round.
    pub(super) fn ratio(&self, to: &Line, figure: &str) -> Option<f64> {
        let pairs = self.rounds.iter().zip(&to.rounds);
        let ratios = pairs.filter_map(|(own, other)| Some(own.get(figure)? / other.get(figure)?));
        median(ratios.filter(|ratio| ratio.is_finite()).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = values.get(middle.wrapping_sub(1))?;
    Some((lower + upper) / 2.0)
}

#[test]
fn medians_and_ratios_are_taken_round_by_round() {
    let line = |values: &[f64]| Line {
        contender: String::new(),
        rounds: values.iter().map(|value| Round::from([("cpu_us".to_owned(), *value)])).collect(),
    };
    let (own, other) = (line(&[9.0, 20.0, 8.0]), line(&[10.0, 40.0, 10.0]));
    assert_eq!(own.median("cpu_us"), Some(9.0));
    assert_eq!(line(&[1.0, 2.0]).median("cpu_us"), Some(1.5));
    assert_eq!(own.ratio(&other, "cpu_us"), Some(0.8));
    assert_eq!(own.spread("cpu_us"), Some((8.0, 20.0)));
    assert_eq!(own.median("gone"), None);
}
