//! The gateway's word on who calls, signed: a short-lived token for services that do not trust their network.
//!
//! Made once for an identity and told for as long as a worker remembers it. Says what the identity says, and nothing of the
//! credential.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http1::NameBuf;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::jose::Signer;
use crate::config::{Diagnostics, IdentityToken, codes};
use crate::exchange::Identity;

/// The shortest life: longer than a worker tells the same token.
const SHORTEST: Duration = Duration::from_secs(90);

/// What signs.
pub struct Word {
    header: NameBuf,
    signer: Arc<Signer>,
    issuer: String,
    audience: String,
    ttl: Duration,
}

/// The key of this process, for configurations that have none of their own: the same over reloads.
fn own_key() -> Option<Arc<Signer>> {
    static OWN: OnceLock<Option<Arc<Signer>>> = OnceLock::new();
    OWN.get_or_init(|| Signer::generate().map(Arc::new)).clone()
}

impl Word {
    /// Compiles the settings; reports what is wrong with them.
    pub fn new(settings: &IdentityToken, faults: &mut Diagnostics) -> Option<Word> {
        let (header, name) = (&settings.header, settings.header.as_str());
        let known = http1::Name::new(name.as_bytes()).ok()?;
        if known.id() != http1::FieldId::Other {
            let text = format!("`{name}` has a meaning of its own and cannot hold the token");
            faults.error(codes::BAD_VALUE, header.span(), text).help("write a name such as X-Identity-Token");
        }
        if settings.ttl.get() < SHORTEST {
            let text = format!("`ttl` of `identity_token` is too short: {}", *settings.ttl);
            faults.error(codes::BAD_VALUE, settings.ttl.span(), text).help("write at least 90s");
        }
        let signer = match &settings.key {
            None => own_key(),
            Some(key) => {
                let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose().as_bytes());
                let signer = der.ok().and_then(|der| Signer::from_pkcs8(der.secret_pkcs8_der()));
                if signer.is_none() {
                    let text = "`key` of `identity_token` is no P-256 private key in PEM";
                    let fault = faults.error(codes::BAD_VALUE, key.span(), text);
                    fault.help("make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
                }
                signer.map(Arc::new)
            }
        };
        Some(Word {
            header: NameBuf::new(name).ok()?,
            signer: signer?,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            ttl: settings.ttl.get(),
        })
    }

    /// The header that holds it.
    pub fn header(&self) -> &NameBuf {
        &self.header
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        self.signer.jwk()
    }

    /// The line that tells who it is. None when the system gives no random numbers: then nothing is told.
    pub fn on(&self, identity: &Identity) -> Option<(NameBuf, Vec<u8>)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "auth": identity.kind,
            "iat": now.as_secs(), "exp": now.saturating_add(self.ttl).as_secs(),
        });
        let object = claims.as_object_mut()?;
        let mut tell =
            |name: &str, value: Option<Value>| object.extend(value.map(|value| (name.to_owned(), value)));
        let list = |texts: &[Box<str>]| (!texts.is_empty()).then(|| json!(texts));
        tell("sub", identity.subject.as_deref().or(identity.consumer.as_deref()).map(Value::from));
        tell("consumer", identity.consumer.as_deref().map(Value::from));
        tell("scope", (!identity.scopes.is_empty()).then(|| identity.scopes.join(" ").into()));
        tell("groups", list(&identity.groups));
        tell("roles", list(&identity.roles));
        let token = self.signer.sign("JWT", &claims)?;
        Some((self.header.clone(), token.into_bytes()))
    }
}
