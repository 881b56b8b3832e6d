//! What all policies have in common that ask for one kind of credential.
//!
//! Takes how such a policy finds and checks its credential, and makes of it a policy with a gate of its own. No policy
//! itself: nothing here knows what a credential is.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned};
use crate::exchange::{Exchange, Verdict};
use crate::identity::{Check, Gate, GateSettings};

/// The settings of a policy that asks for one kind of credential.
pub(super) trait Credential: DeserializeOwned + Serialize + JsonSchema {
    /// The policy's key in the configuration, its name in metrics and logs.
    const POLICY: &'static str;
    /// What finds and checks the credential.
    type Check: Check + 'static;

    /// Makes it ready to be asked. `key` is where the policy stands.
    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Self::Check>>;

    /// How the gate treats what it found.
    fn gate_settings(&self) -> GateSettings;
}

impl<C: Credential> Settings for C {
    const NAME: &'static str = C::POLICY;
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let check = self.check(key, context, faults)?;
        let callers = context.callers.clone();
        Some(Box::new(Asking(Gate::new(C::POLICY, vec![Box::new(check)], self.gate_settings(), callers))))
    }
}

/// A gate on a route.
pub(super) struct Asking(pub(super) Gate);

impl Policy for Asking {
    fn identifies(&self) -> bool {
        true
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.0.judge(exchange)
    }

    fn response(&self, exchange: &mut Exchange) {
        self.0.respond(exchange);
    }
}
