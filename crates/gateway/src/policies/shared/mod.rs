//! The Redis that policies share with those of other gateways: one connection for each worker, one script for each policy.
//!
//! No policy itself. Takes a question, which is a call of a script; gives the numbers of its answer, or that there is none
//! in time. What happens then is said by the policy. Must never hold a request longer than the deadline.

mod link;
mod remote;

use std::hash::Hasher;

use aws_lc_rs::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use crate::config::{Diagnostics, Redis, Spanned, codes};
use crate::exchange::Answer;
pub(super) use link::{Link, Question, open};
pub(super) use remote::{About, Remote};

/// Where limits are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LimitStore")]
pub(super) enum Kept {
    /// In this gateway.
    #[default]
    Local,
    /// In Redis.
    Redis,
}

/// What becomes of requests while Redis does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LimitFault")]
pub(super) enum OnFault {
    /// Each gateway counts for itself.
    Local,
    /// They pass.
    Open,
    /// They are refused.
    Closed,
}

/// The Redis of the configuration, which has to be there where it is whole. `key` is where a policy stands that wants it.
pub(super) fn redis_of(context: &Context, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Redis> {
    if context.redis.is_none() && context.is_whole {
        let what = "`store: redis`, and the file does not say where Redis is";
        faults.error(codes::BAD_POLICY, key.span(), what).help("write `redis: redis://HOST:6379` at its top");
    }
    context.redis.clone()
}

/// The answer where Redis would have to say whether a request may pass, and does not.
pub(super) fn unknown() -> Answer {
    let answer = Answer::problem(503, "limit_unknown", "it is not known whether this request may pass");
    answer.with("Retry-After", "1")
}

/// A digest of what is hashed, alike in all gateways.
pub(super) struct Digest(digest::Context);

impl Digest {
    /// Of nothing yet.
    pub(super) fn new() -> Digest {
        Digest(digest::Context::new(&digest::SHA256))
    }

    /// Half of its bits.
    pub(super) fn half(self) -> u128 {
        let digest = self.0.finish();
        let half = digest.as_ref().first_chunk::<16>();
        half.map_or(0, |half| u128::from_be_bytes(*half))
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    // Gateways on machines of other byte orders count the same keys.
    fn write_u32(&mut self, number: u32) {
        self.0.update(&number.to_be_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finish();
        digest.as_ref().first_chunk::<8>().map_or(0, |part| u64::from_be_bytes(*part))
    }
}
