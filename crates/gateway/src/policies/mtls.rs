//! `mtls`: asks for the client certificate of a consumer.
//!
//! The handshake has verified the certificate; this says whose it is. Takes what the connection tells of it and compares it
//! whole with what the consumers name.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{ClientCert, Exchange};
use crate::identity::gate::usual_patience;
use crate::identity::memory::now;
use crate::identity::patience::Patience;
use crate::identity::{Callers, Check, Finding, GateSettings, Realm, Recalled, Refusal};

/// How long a worker remembers whose a certificate is.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Asks for the client certificate of one of the `consumers`, with 401 for who has none.
///
/// The listener must ask for certificates (`tls: { client_ca: .. }`) and verifies them; `consumers: { NAME: { mtls: .. } }` says
/// whose they are, by `san`, `subject` or `fingerprint`. The caller is known as that consumer, and `{subject}` is the subject of
/// the certificate.
///
/// ```yaml
/// mtls: {}
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Mtls {
    /// Whether who has no certificate, or one of nobody, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
}

impl Credential for Mtls {
    const POLICY: &'static str = "mtls";
    type Check = Certificates;

    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Certificates>> {
        if !context.callers.have_certificates() && context.is_whole {
            let text = "`mtls` lets nobody pass: no consumer has a certificate";
            let fault = faults.error(codes::BAD_POLICY, key.span(), text);
            fault.help("write `consumers: { NAME: { mtls: { san: \"DNS:orders.internal\" } } }`");
            return None;
        }
        let callers = context.callers.clone();
        context.shelf.one(self, || Some(Certificates { callers, realm: Realm::new() }))
    }

    fn gate_settings(&self) -> GateSettings {
        let patience = Patience::new(usual_patience());
        GateSettings { optional: self.optional, forward_credentials: false, patience }
    }
}

/// The certificates that are known.
pub(super) struct Certificates {
    callers: Arc<Callers>,
    realm: Realm,
}

fn certificate(exchange: &Exchange) -> Option<&ClientCert> {
    exchange.secure.as_ref()?.client_cert.as_ref()
}

impl Check for Certificates {
    fn policy(&self) -> &'static str {
        Mtls::POLICY
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        let Some(own) = certificate(exchange) else { return Recalled::Absent };
        let known = self.realm.recall(0, own.fingerprint.as_bytes(), now(exchange));
        known.map_or(Recalled::Unknown, Recalled::Held)
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        let Some(own) = certificate(exchange) else { return Finding::Absent };
        let Some(mut identity) = self.callers.by_certificate(own) else {
            return Finding::Failed(Refusal::bad("no consumer has this certificate"));
        };
        self.callers.tell(&mut identity);
        let identity = Rc::new(identity);
        self.realm.keep(0, own.fingerprint.as_bytes(), &identity, (REMEMBERED, None), now(exchange));
        Finding::Held(identity)
    }

    /// The certificate belongs to the connection; what services are told of it, the listener says.
    fn take(&self, _: &mut Exchange) {}

    fn challenge(&self, _: Option<&Refusal>) -> String {
        "Certificate realm=\"tidegate\"".to_owned()
    }
}
