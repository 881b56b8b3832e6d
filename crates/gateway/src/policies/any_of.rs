//! `any_of`: asks for one of several kinds of credential.
//!
//! Takes the policies that check credentials and asks them one after the other; the first that holds is who it is. A
//! credential that failed is never an identity, and does not keep out who has another one that holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api_key::ApiKey;
use super::basic::Basic;
use super::gate::{Asking, Credential};
use super::hmac::Hmac;
use super::introspection::Introspection;
use super::jwt::{Jwt, Tokens};
use super::mtls::Mtls;
use super::oidc::Oidc;
use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::identity::gate::usual_patience;
use crate::identity::patience::Patience;
use crate::identity::{Check, Gate, GateSettings};
use crate::values::Rate;

/// Asks for one of several kinds of credential, in the order written, with 401 for who has none of them.
///
/// Each is a policy with its own settings; `optional`, `forward_credentials` and `max_failures` stand here and not there.
/// Several issuers of tokens are several `jwt`. Where two policies that check credentials stand on one route instead, both
/// are needed.
///
/// ```yaml
/// any_of:
///   of:
///     - jwt: { issuer: "https://id.shop.example", audience: shop }
///     - jwt: { issuer: "https://partners.example", audience: shop }
///     - basic: {}
///   optional: true
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct AnyOf {
    /// The kinds of credential: `api_key`, `jwt`, `basic`, `hmac`, `introspection`, `mtls`, `oidc`, each with its settings.
    of: Vec<Way>,
    /// Whether who has no credential, or none that holds, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often credentials may fail, by client address, before the next is answered 429 unseen.
    /// Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets the credentials. Default: false, the gateway takes all of them out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

/// One kind of credential.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// An API key.
    ApiKey(ApiKey),
    /// A token.
    Jwt(Box<Jwt>),
    /// A name and a password.
    Basic(Basic),
    /// A signature of the request.
    Hmac(Hmac),
    /// A client certificate.
    Mtls(Mtls),
    /// A login.
    Oidc(Box<Oidc>),
    /// A token that its server is asked about.
    Introspection(Box<Introspection>),
}

impl AnyOf {
    fn checks(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Vec<Box<dyn Check>>> {
        let mut checks: Vec<Box<dyn Check>> = Vec::new();
        let mut done: Vec<&Jwt> = Vec::new();
        for way in &self.of {
            match way {
                Way::ApiKey(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                Way::Basic(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                Way::Hmac(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                Way::Mtls(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                Way::Oidc(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                Way::Introspection(settings) => checks.push(Box::new(settings.check(key, context, faults)?)),
                // Tokens in one place are taken apart once, whoever issued them.
                Way::Jwt(jwt) if done.iter().any(|other| other.stands_with(jwt)) => {}
                Way::Jwt(jwt) => {
                    let together = self.of.iter().filter_map(|way| match way {
                        Way::Jwt(other) if other.stands_with(jwt) => Some((**other).clone()),
                        _ => None,
                    });
                    let all: Vec<Jwt> = together.collect();
                    checks.push(Box::new(Tokens::of(&all, key, context, faults)?));
                    done.push(jwt);
                }
            }
        }
        Some(checks)
    }
}

impl Settings for AnyOf {
    const NAME: &'static str = "any_of";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        if self.of.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`any_of` names no kind of credential");
            fault.help("write `of: [{ jwt: .. }, { api_key: {} }]`");
            return None;
        }
        let own = |way: &Way| match way {
            Way::ApiKey(settings) => settings.gate_settings(),
            Way::Jwt(settings) => settings.gate_settings(),
            Way::Basic(settings) => settings.gate_settings(),
            Way::Hmac(settings) => settings.gate_settings(),
            Way::Mtls(settings) => settings.gate_settings(),
            Way::Oidc(settings) => settings.gate_settings(),
            Way::Introspection(settings) => settings.gate_settings(),
        };
        let usual = Patience::new(usual_patience());
        let says = |settings: GateSettings| {
            settings.optional || settings.forward_credentials || settings.patience != usual
        };
        if self.of.iter().any(|way| says(own(way))) {
            let text = "a kind of credential in `any_of` says what only `any_of` can say";
            let fault = faults.error(codes::BAD_POLICY, key.span(), text);
            fault.help("write `optional`, `forward_credentials` and `max_failures` beside `of`");
            return None;
        }
        let checks = self.checks(key, context, faults)?;
        let settings = GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        };
        Some(Box::new(Asking(Gate::new(Self::NAME, checks, settings, context.callers.clone()))))
    }
}
