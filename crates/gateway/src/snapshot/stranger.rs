//! Who watches requests that no route takes: the guard that stands in `defaults`.

use super::compile::settle;
use crate::config::{Config, Diagnostics};
use crate::policies::{self, Bound, Context, Lives};

/// The guard of `defaults` for requests that no route takes. Its faults have been told where it stands.
pub(super) fn stranger(
    config: &Config,
    context: &Context,
    lives: &mut Lives<'_>,
    faults: &mut Diagnostics,
) -> Option<Bound> {
    let (key, settings) =
        config.defaults.policies.iter().find(|(key, _)| key.as_str() == policies::guard::LIVE)?;
    let kind = policies::LIST.iter().find(|kind| kind.name == key.as_str())?;
    let mut bound = [kind.bind(key, settings, context, &mut Diagnostics::default())?];
    settle(&mut bound, ("none", "", false), lives, faults);
    bound.into_iter().next()
}
