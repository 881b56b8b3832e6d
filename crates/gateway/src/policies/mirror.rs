//! `mirror`: copies of requests go to a service that only watches.
//!
//! Only says what is copied; the road does it when the client has its answer. What the service that watches answers never
//! reaches anybody: it is thrown away, or compared with the real answer.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::upstream::care::Care;
use crate::upstream::mirror::{Compare, Live, MARK, Mirror as Compiled, Pointer};
use crate::values::{Duration, Percent, Size, nearest};

/// Places that may be left out of a comparison.
const MOST_IGNORED: usize = 100;

/// Sends copies of requests to another service, whose answers nobody gets.
///
/// A copy is made of what the route would send, and is sent when the client has its answer: it never makes a client wait.
/// It carries `Tidegate-Mirror: 1`, which no client can send, and the request id of its original. Only GET, HEAD and OPTIONS are
/// copied unless `unsafe_methods` says otherwise. Copies that are too many at a time, or whose body is larger than `max_body`,
/// are dropped and counted.
///
/// `compare: json` looks for differences in status and body, whatever the order of keys; where answers differ is counted in
/// the metrics, and the last 100 differences stand on the admin address under `/api/v1/mirrors`, by their places, without the
/// values.
///
/// ```yaml
/// mirror: { to: users-next, share: 10%, compare: json, ignore: [/time, /orders/*/id] }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Mirror {
    /// The service that gets the copies.
    pub to: Spanned<String>,
    /// The share of requests that is copied. Default 100%.
    #[serde(default = "all")]
    pub share: Percent,
    /// How answers are compared: `off` (the default), `status`, or `json`, which is status and body.
    #[serde(default)]
    pub compare: Comparing,
    /// Places of a JSON body that may differ, as pointers in which `*` stands for any key or index: `/orders/*/time`.
    #[serde(default)]
    pub ignore: OneOrMany<Spanned<String>>,
    /// Also copy requests that change something: POST, PUT, PATCH, DELETE and others. The service that watches must then not
    /// share its data with the real one. Default false.
    #[serde(default)]
    pub unsafe_methods: bool,
    /// The largest body of a request that is copied. Default 64KiB.
    #[serde(default = "body")]
    pub max_body: Size,
    /// The largest body of an answer that is compared. Default 256KiB.
    #[serde(default = "answer")]
    pub max_answer: Size,
    /// Time for the answer of the service that watches. Default 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Duration,
    /// Copies at a time, over all workers. Default 64.
    #[serde(default = "sixty_four")]
    pub max_in_flight: u32,
}

/// How answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MirrorCompare")]
pub enum Comparing {
    /// Not at all.
    #[default]
    Off,
    /// By status.
    Status,
    /// By status and body.
    Json,
}

const fn all() -> Percent {
    Percent::whole(100)
}

const fn body() -> Size {
    Size::from_kib(64)
}

const fn answer() -> Size {
    Size::from_kib(256)
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

const fn sixty_four() -> u32 {
    64
}

impl Settings for Mirror {
    const NAME: &'static str = "mirror";
    // It refuses nothing: it watches by itself.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        let service = context.services.get(self.to.as_str());
        if service.is_none() && context.is_whole {
            let meant = nearest(&self.to, context.services.keys().map(String::as_str));
            let what = format!("unknown service `{}` in `mirror`", *self.to);
            let fault = faults.error(codes::UNKNOWN_NAME, self.to.span(), what);
            fault.help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
        }
        let mut nothing = |is_nothing: bool, what: &str| {
            if is_nothing {
                let fault = format!("`{what}` of `mirror`: nothing would be copied");
                faults.error(codes::BAD_POLICY, key.span(), fault).help("leave it out for the default");
            }
        };
        nothing(self.share == Percent::ZERO, "share");
        nothing(self.max_in_flight == 0, "max_in_flight");
        nothing(self.timeout.is_zero(), "timeout");
        let compare = self.comparing(key, faults);
        if faults.errors() > before {
            return None;
        }
        Some(Box::new(Watching(Arc::new(Compiled {
            service: service.map_or(u32::MAX, |service| service.index),
            name: self.to.as_str().into(),
            share: self.share.parts_per_million(),
            unsafe_methods: self.unsafe_methods,
            compare,
            max_body: self.max_body.as_usize(),
            max_answer: self.max_answer.as_usize(),
            timeout: self.timeout.get(),
            max_in_flight: self.max_in_flight,
            live: Arc::new(Live::default()),
        }))))
    }
}

impl Mirror {
    fn comparing(&self, key: &Spanned<String>, faults: &mut Diagnostics) -> Compare {
        if self.compare != Comparing::Json && !self.ignore.is_empty() {
            let fault = "`ignore` is about `compare: json`";
            faults.error(codes::BAD_POLICY, key.span(), fault).help("add that, or leave it out");
        }
        if self.ignore.len() > MOST_IGNORED {
            let fault = format!("`ignore` has {} places", self.ignore.len());
            faults.error(codes::BAD_POLICY, key.span(), fault).help("write at most 100");
        }
        let mut ignored = Vec::new();
        for written in self.ignore.iter() {
            match Pointer::read(written) {
                Some(pointer) => ignored.push(pointer),
                None => {
                    let fault = format!("`{}` is not a place in JSON", written.escape_debug());
                    faults
                        .error(codes::BAD_POLICY, written.span(), fault)
                        .help("write a pointer such as /orders/*/time");
                }
            }
        }
        match self.compare {
            Comparing::Off => Compare::Off,
            Comparing::Status => Compare::Status,
            Comparing::Json => Compare::Json(ignored),
        }
    }
}

/// Compiled: what is copied, and for whom.
struct Watching(Arc<Compiled>);

impl Policy for Watching {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        let Some(own) = Arc::get_mut(&mut self.0) else { return };
        let identity = format!("mirror {} {} {:?}", place.route, own.name, own.compare);
        own.live = place.lives.keep(&identity, |known| known.cloned().unwrap_or_default());
    }

    fn tells(&self, tell: &mut dyn FnMut(&str)) {
        tell(MARK);
    }

    fn care(&self, care: &mut Care) {
        care.mirror = Some(self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bound, fault};
    use super::*;

    #[test]
    fn what_is_copied() {
        let mut care = Care::default();
        let lines = "mirror: { to: next, share: 10%, compare: json, ignore: /time }";
        bound(lines).unwrap().iter().for_each(|bound| bound.policy.care(&mut care));
        let told = care.told();
        assert_eq!(told, ["10% of its requests copied to `next`"]);
        let mirror = care.mirror.unwrap();
        assert_eq!((mirror.share, mirror.unsafe_methods, mirror.max_in_flight), (100_000, false, 64));
    }

    #[test]
    fn what_cannot_be() {
        for (lines, told) in [
            (
                "mirror: { to: n, share: 0% }",
                "`share` of `mirror`: nothing would be copied: leave it out for the default",
            ),
            ("mirror: { to: n, ignore: /a }", "`ignore` is about `compare: json`: add that, or leave it out"),
            (
                "mirror: { to: n, compare: json, ignore: a.b }",
                "`a.b` is not a place in JSON: write a pointer such as /orders/*/time",
            ),
        ] {
            assert_eq!(fault(lines), told);
        }
    }
}
