//! What requests are counted by, and over which of them: alike for every policy that bounds how much.
//!
//! No policy itself. Takes what a user writes under `per` and `scope`; gives sources, and the words that tell what is
//! counted from everything else that is. Faults are reported.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::values::{PerWord, Source};

/// Over which requests is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// Those of its route.
    #[default]
    Route,
    /// Those of all routes to the same service that have it.
    Service,
    /// Those of all routes that have it.
    Global,
}

impl Scope {
    /// What is counted together at a place, in words. A route without a service counts for itself.
    pub(super) fn of(self, place: &Place<'_, '_>) -> String {
        match self {
            Scope::Service if !place.service.is_empty() => format!("service {}", place.service),
            Scope::Route | Scope::Service => format!("route {}", place.route),
            Scope::Global => "global".to_owned(),
        }
    }
}

/// What requests are counted by; none for all together.
pub(super) fn sources(
    per: Option<OneOrMany<Spanned<PerWord>>>,
    usual: PerWord,
    faults: &mut Diagnostics,
) -> Vec<Source> {
    let per = per.map_or_else(|| vec![usual.into()], OneOrMany::into_vec);
    if let Some(all) = per.iter().find(|word| ***word == PerWord::All).filter(|_| per.len() > 1) {
        let fault = faults.error(codes::BAD_POLICY, all.span(), "`all` stands beside sources in `per`");
        fault.help("write `per: all` to count all requests together, or leave `all` out");
    }
    let per = per.into_iter().filter_map(|word| match word.into_inner() {
        PerWord::All => None,
        PerWord::By(source) => Some(source),
    });
    per.collect()
}

/// The sources in words.
pub(super) fn words(per: &[Source]) -> String {
    let words: Vec<String> = per.iter().map(Source::to_string).collect();
    words.join(" ")
}
