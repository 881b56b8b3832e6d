//! The fields by which clients learn what is left of a limit.
//!
//! Takes the limits and the levels that a request met; writes `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651) or the older `X-RateLimit-*`.

use http1::NameBuf;

use super::settings::{Headers, Settled};
use crate::exchange::{Exchange, Meter};

/// Names of the fields and what is the same in every answer.
pub(super) struct Fields {
    which: Headers,
    policy: String,
    names: Names,
}

struct Names {
    limit: Option<NameBuf>,
    policy: Option<NameBuf>,
    legacy: [Option<NameBuf>; 3],
}

impl Fields {
    /// The fields of these limits.
    pub(super) fn new(which: Headers, limits: &[Settled]) -> Fields {
        let policy: Vec<String> = limits.iter().map(policy).collect();
        let name = |text: &str| NameBuf::new(text).ok();
        let names = Names {
            limit: name("RateLimit"),
            policy: name("RateLimit-Policy"),
            legacy: ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"].map(name),
        };
        Fields { which, policy: policy.join(", "), names }
    }

    /// Whether answers tell anything.
    pub(super) fn tells(&self) -> bool {
        self.which != Headers::Off
    }

    /// Writes what the meters of the exchange say into its response. `limits` are the names and counts in the order of the
    /// meters.
    pub(super) fn write<'l>(
        &self,
        exchange: &mut Exchange,
        limits: impl Iterator<Item = (&'l str, u64)> + Clone,
    ) {
        let fields = &mut exchange.response.fields;
        let told = limits.zip(&exchange.meters);
        if let (Headers::Standard | Headers::Both, Some(policy), Some(limit)) =
            (self.which, &self.names.policy, &self.names.limit)
        {
            fields.push(policy.as_name(), self.policy.as_bytes());
            let text = &mut exchange.scratch;
            text.clear();
            told.clone().for_each(|((name, _), meter)| left(text, name, meter));
            fields.push(limit.as_name(), text);
        }
        if let (Headers::Legacy | Headers::Both, Some(((_, count), meter))) =
            (self.which, told.min_by_key(|(_, meter)| meter.remaining))
        {
            let numbers = [count, meter.remaining, meter.reset];
            for (name, number) in self.names.legacy.iter().zip(numbers) {
                if let Some(name) = name {
                    fields.push(name.as_name(), itoa::Buffer::new().format(number).as_bytes());
                }
            }
        }
    }
}

/// One item of `RateLimit-Policy`: `"100/min";q=100;w=60`. The window is left out where it is no whole number of seconds.
fn policy(limit: &Settled) -> String {
    let (name, count, period) = (&limit.name, limit.rate.count(), limit.rate.period());
    let window = if period.subsec_nanos() == 0 { format!(";w={}", period.as_secs()) } else { String::new() };
    // RFC 9651 section 3.3.1: an integer has at most fifteen digits.
    format!("\"{name}\";q={}{window}", count.min(MOST))
}

const MOST: u64 = 999_999_999_999_999;

/// One item of `RateLimit`: `"100/min";r=42;t=17`.
fn left(text: &mut Vec<u8>, name: &str, meter: &Meter) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    let mut digits = itoa::Buffer::new();
    text.push(b'"');
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\";r=");
    text.extend_from_slice(digits.format(meter.remaining.min(MOST)).as_bytes());
    text.extend_from_slice(b";t=");
    text.extend_from_slice(digits.format(meter.reset.min(MOST)).as_bytes());
}
