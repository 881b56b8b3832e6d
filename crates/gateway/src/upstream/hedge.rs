//! When a request goes to a further target while the first is still waited for: settings, compiled.
//!
//! Decided by the policy `hedge`, walked by the road (`forward/hedged.rs`), paid out of the budget of the service like every
//! other repetition.

use std::time::Duration;

use http1::Upgrade;

use super::pace::Quantile;
use super::request;
use super::service::Service;
use crate::exchange::Exchange;

/// How a route's requests are hedged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// How long the head of an answer is waited for.
    pub after: After,
    /// How many further targets are asked at most.
    pub most: u32,
    /// The share of the service's requests that may be repetitions, in parts of a million.
    pub share: u32,
}

/// How long the head of an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// So long.
    Time(Duration),
    /// As long as such a share of the service's answers take of late.
    Quantile(Quantile),
}

impl Hedge {
    /// How long the head of an answer is waited for now; `None` while too little is known.
    pub fn delay(&self, service: &Service) -> Option<Duration> {
        match self.after {
            After::Time(time) => Some(time),
            After::Quantile(quantile) => service.pace.get()?.of(quantile),
        }
    }

    /// What `explain` says of it.
    pub fn told(&self) -> String {
        let after = match self.after {
            After::Time(time) => format!("{} ms", time.as_millis()),
            After::Quantile(quantile) => format!("the {} of the service", quantile.word()),
        };
        let others = if self.most == 1 {
            "another target is".to_owned()
        } else {
            format!("up to {} others are", self.most)
        };
        format!("{others} asked as well when no answer has begun after {after}")
    }
}

/// Whether a request may be sent twice at a time: it only reads, has no body, and does not switch the connection.
pub fn is_for(exchange: &Exchange) -> bool {
    exchange.request.method.is_safe()
        && request::is_bodyless(exchange)
        && exchange.request.upgrade == Upgrade::None
}
