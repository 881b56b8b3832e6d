//! The fields by which clients learn what is left of a limit.
//!
//! Takes the limits and the levels that a request met; writes `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651) or the older `X-RateLimit-*`. All but the
//! numbers is made ready beforehand.

use http1::{Fields as Lines, NameBuf, Prepared};

use super::settings::Headers;
use super::settled::Measure;
use crate::exchange::{Exchange, Meter};

/// Names of the fields and what is the same in every answer.
pub(super) struct Fields {
    which: Headers,
    /// `RateLimit-Policy` where every request meets the same measures.
    policy: Option<Prepared>,
    /// The same and the beginning of `RateLimit`, where there is one measure.
    only: Option<Prepared>,
    names: Names,
}

struct Names {
    limit: Option<NameBuf>,
    policy: Option<NameBuf>,
    legacy: [Option<NameBuf>; 3],
}

/// What is told of one measure.
pub(super) struct Told {
    /// Its name.
    pub(super) name: String,
    /// `"100/min";q=100;w=60`.
    policy: Vec<u8>,
    /// `"100/min";r=`.
    left: Vec<u8>,
    count: u64,
}

impl Told {
    /// What is told of a measure. Its window is left out where it is no whole number of seconds.
    pub(super) fn new(measure: &Measure) -> Told {
        let Measure { name, rate, .. } = measure;
        let (count, period) = (rate.count(), rate.period());
        let window =
            if period.subsec_nanos() == 0 { format!(";w={}", period.as_secs()) } else { String::new() };
        Told {
            policy: format!("\"{name}\";q={}{window}", count.min(MOST)).into_bytes(),
            left: format!("\"{name}\";r=").into_bytes(),
            name: name.clone(),
            count,
        }
    }
}

/// RFC 9651 section 3.3.1: an integer has at most fifteen digits.
const MOST: u64 = 999_999_999_999_999;

impl Fields {
    /// The fields of these measures; `always` if every request meets all of them.
    pub(super) fn new(which: Headers, told: &[Told], always: bool) -> Fields {
        let policy: Vec<&[u8]> = told.iter().map(|told| told.policy.as_slice()).collect();
        let name = |text: &str| NameBuf::new(text).ok();
        let names = Names {
            limit: name("RateLimit"),
            policy: name("RateLimit-Policy"),
            legacy: ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"].map(name),
        };
        let line = names.policy.as_ref().filter(|_| always).map(|name| {
            let mut line = Lines::new();
            line.push(name.as_name(), &policy.join(b", ".as_slice()));
            line
        });
        let only = match (told, &line, &names.limit) {
            ([told], Some(line), Some(limit)) => {
                let mut both = line.clone();
                both.push(limit.as_name(), &told.left);
                Some(Prepared::from(&both))
            }
            _ => None,
        };
        Fields { which, policy: line.as_ref().map(Prepared::from), only, names }
    }

    /// Whether answers tell anything.
    pub(super) fn tells(&self) -> bool {
        self.which != Headers::Off
    }

    /// Writes what the meters of the exchange say into its response.
    pub(super) fn write(&self, exchange: &mut Exchange, told: &[Told]) {
        if self.which == Headers::Standard
            && let (Some(only), [meter]) = (&self.only, exchange.meters.as_slice())
        {
            let (mut remaining, mut reset) = (itoa::Buffer::new(), itoa::Buffer::new());
            let remaining = remaining.format(meter.remaining.min(MOST)).as_bytes();
            let reset = reset.format(meter.reset.min(MOST)).as_bytes();
            return exchange.response.fields.append_with(only, &[remaining, b";t=", reset]);
        }
        if let (Headers::Standard | Headers::Both, Some(policy), Some(limit)) =
            (self.which, &self.names.policy, &self.names.limit)
        {
            let Exchange { response, meters, scratch, .. } = exchange;
            let fields = &mut response.fields;
            match &self.policy {
                Some(line) => fields.append(line),
                None => {
                    scratch.clear();
                    for told in meters.iter().filter_map(|meter| told.get(meter.measure as usize)) {
                        comma(scratch);
                        scratch.extend_from_slice(&told.policy);
                    }
                    fields.push(policy.as_name(), scratch);
                }
            }
            scratch.clear();
            meters.iter().for_each(|meter| left(scratch, told, meter));
            fields.push(limit.as_name(), scratch);
        }
        if matches!(self.which, Headers::Legacy | Headers::Both) {
            self.write_legacy(exchange, told);
        }
    }

    fn write_legacy(&self, exchange: &mut Exchange, told: &[Told]) {
        let Exchange { response, meters, .. } = exchange;
        let Some(meter) = meters.iter().min_by_key(|meter| meter.remaining) else { return };
        let count = told.get(meter.measure as usize).map_or(0, |told| told.count);
        let numbers = [count, meter.remaining, meter.reset];
        for (name, number) in self.names.legacy.iter().zip(numbers) {
            if let Some(name) = name {
                response.fields.push(name.as_name(), itoa::Buffer::new().format(number).as_bytes());
            }
        }
    }
}

fn comma(text: &mut Vec<u8>) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
}

/// One item of `RateLimit`: `"100/min";r=42;t=17`.
fn left(text: &mut Vec<u8>, told: &[Told], meter: &Meter) {
    let Some(told) = told.get(meter.measure as usize) else { return };
    comma(text);
    let mut digits = itoa::Buffer::new();
    text.extend_from_slice(&told.left);
    text.extend_from_slice(digits.format(meter.remaining.min(MOST)).as_bytes());
    text.extend_from_slice(b";t=");
    text.extend_from_slice(digits.format(meter.reset.min(MOST)).as_bytes());
}
