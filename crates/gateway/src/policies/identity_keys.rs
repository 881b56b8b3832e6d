//! `identity_keys`: tells the keys by which services verify the gateway's word.
//!
//! What the admin address tells at `/.well-known/jwks.json`, for services that do not reach that address. Public keys
//! alone, which are no secret.

use std::sync::Arc;

use http1::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::answer::Body;
use crate::exchange::{Answer, Exchange, Verdict};
use crate::values;

/// Answers GET with the key set (RFC 7517) that verifies `identity_token`, for services that do not reach the admin address.
///
/// Every other method goes on to the route's action, which is usually a `respond`. It stands behind the policies that say
/// who may ask; public keys are no secret, so it needs none.
///
/// ```yaml
/// identity_keys: { max_age: 5m }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct IdentityKeys {
    /// For how long the keys may be kept (`Cache-Control`). Default: 5m.
    #[serde(default = "five_minutes")]
    max_age: values::Duration,
}

const fn five_minutes() -> values::Duration {
    values::Duration::from_secs(300)
}

impl Settings for IdentityKeys {
    const NAME: &'static str = "identity_keys";
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let keys = context.callers.published_keys();
        if context.is_whole && !context.callers.have_word() {
            let text = "`identity_keys` has no keys to tell: there is no `identity_token`";
            faults.error(codes::BAD_POLICY, key.span(), text).help("write `identity_token: {}` at the top");
            return None;
        }
        let caching = format!("public, max-age={}", self.max_age.get().as_secs());
        let mut answer = Answer::empty(200, "identity_keys").with("Cache-Control", caching);
        answer.body = Body::Bytes {
            content_type: "application/jwk-set+json".into(),
            bytes: Arc::from(keys.to_string().into_bytes()),
        };
        Some(Box::new(Told(answer)))
    }
}

struct Told(Answer);

impl Policy for Told {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if matches!(exchange.record.method, Method::Get | Method::Head) {
            return Verdict::answer(self.0.clone());
        }
        Verdict::Go
    }
}
