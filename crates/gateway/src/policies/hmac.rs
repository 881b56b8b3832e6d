//! `hmac`: asks for a signature of the request (RFC 9421).
//!
//! Takes the signature of a consumer's key over the parts of the request that must be covered; says what the body must be,
//! which the road compares before a service gets any of it. Must never take a signature twice.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http1::Framing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, OneOrMany, Span, Spanned, codes};
use crate::exchange::digest::BodyDigest;
use crate::exchange::{Exchange, Identity};
use crate::identity::gate::usual_patience;
use crate::identity::memory::now;
use crate::identity::patience::Patience;
use crate::identity::signatures::seen::{self, Seen};
use crate::identity::signatures::{self, BadSignature, Signed, Times, base, digest};
use crate::identity::{Callers, Check, Finding, GateSettings, Recalled, Refusal};
use crate::values::{self, Rate, Size};

const CONTENT_DIGEST: &str = "content-digest";
/// What a signature covers where nothing else is said.
const USUAL: [&str; 5] = ["@method", "@authority", "@path", "@query", CONTENT_DIGEST];
/// Components that are derived from a request (RFC 9421 section 2.2), as far as they are known here.
const DERIVED: [&str; 6] = ["@method", "@authority", "@path", "@query", "@scheme", "@target-uri"];

/// Asks for a signature of the request by a key of one of the `consumers` (HTTP Message Signatures, RFC 9421), with 401 for
/// who has none.
///
/// A consumer has `hmac: { key_id: .., secret: .. }` for `hmac-sha256`, or `public_key` for `ed25519`, `ecdsa-p256-sha256`,
/// `ecdsa-p384-sha384`, `rsa-pss-sha512` and `rsa-v1_5-sha256`. The signature must cover the `components`, say when it was made
/// (`created`) and name its key (`keyid`); the algorithm belongs to the key. Where the request has a body, `Content-Digest`
/// (RFC 9530, `sha-256` or `sha-512`) must be covered, and the whole body is read and compared before the service gets any of
/// it: 400 when it is another one. Each signature is good once, so a client that may send two equal requests in one second
/// adds a `nonce`.
///
/// ```yaml
/// hmac: {}
/// ```
///
/// ```yaml
/// hmac: { components: ["@method", "@target-uri", content-digest, x-tenant], max_age: 60s, nonce: true }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Hmac {
    /// What the signature must cover at least: names of headers in lower case, `@method`, `@authority`, `@path`, `@query`,
    /// `@scheme`, `@target-uri` (which says the three before it as well). `content-digest` is needed only where there is a
    /// body. Default: `["@method", "@authority", "@path", "@query", content-digest]`.
    #[serde(default = "usual_components")]
    components: OneOrMany<Spanned<String>>,
    /// How old a signature may be. Default: 5m.
    #[serde(default = "five_minutes")]
    max_age: Spanned<values::Duration>,
    /// By how much the clocks may differ. Default: 30s.
    #[serde(default = "half_a_minute")]
    leeway: values::Duration,
    /// Whether the signature must have a `nonce`. Default: false.
    #[serde(default)]
    nonce: bool,
    /// Whether a signature is good once. `false` lets it be used again for as long as it holds. Default: true.
    #[serde(default = "yes")]
    once: bool,
    /// Most bytes of body that are held to compare them: a larger one gets 413. Default: 1MiB.
    #[serde(default = "a_mebibyte")]
    max_body: Size,
    /// Whether who has no signature, or none that is good, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often signatures may fail, by client address, before the next is answered 429 unseen. Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets the signature. Default: false, the gateway takes it out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

fn usual_components() -> OneOrMany<Spanned<String>> {
    USUAL.iter().map(|name| Spanned::new((*name).to_owned(), Span::NONE)).collect::<Vec<_>>().into()
}

fn five_minutes() -> Spanned<values::Duration> {
    Spanned::new(values::Duration::from_secs(300), Span::NONE)
}

const fn half_a_minute() -> values::Duration {
    values::Duration::from_secs(30)
}

const fn yes() -> bool {
    true
}

const fn a_mebibyte() -> Size {
    Size::from_kib(1024)
}

impl Hmac {
    fn check_component(&self, name: &Spanned<String>, faults: &mut Diagnostics) {
        let text = name.as_str();
        let known = match text.strip_prefix('@') {
            Some(_) => DERIVED.contains(&text),
            None => {
                http1::Name::new(text.as_bytes()).is_ok()
                    && !text.bytes().any(|byte| byte.is_ascii_uppercase())
            }
        };
        if known {
            return;
        }
        let fault = faults.error(
            codes::BAD_POLICY,
            name.span(),
            format!("`{}` is no component of a request", text.escape_debug()),
        );
        match values::nearest(text, DERIVED) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault.help("write the name of a header in lower case, or one of @method, @authority, @path, @query, @scheme, @target-uri"),
        };
    }
}

impl Credential for Hmac {
    const POLICY: &'static str = "hmac";
    type Check = Signatures;

    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Signatures>> {
        let before = faults.errors();
        for name in self.components.iter() {
            self.check_component(name, faults);
        }
        if self.max_age.get() > Duration::from_secs(3600) {
            let text = format!("`max_age` of `hmac` is too long: {}", *self.max_age);
            let fault = faults.error(codes::BAD_POLICY, self.max_age.span(), text);
            fault.help("write at most 1h: used signatures are remembered for so long");
        }
        if !context.callers.have_signers() && context.is_whole {
            let text = "`hmac` lets nobody pass: no consumer has a key that signs";
            let fault = faults.error(codes::BAD_POLICY, key.span(), text);
            fault.help("write `consumers: { NAME: { hmac: { key_id: .., secret: .. } } }`");
        }
        if faults.errors() > before {
            return None;
        }
        let compiled = Signatures {
            components: self.components.iter().map(|name| name.as_str().into()).collect(),
            times: Times { max_age: self.max_age.get(), leeway: self.leeway.get() },
            nonce: self.nonce,
            once: self.once,
            max_body: self.max_body.bytes(),
            callers: context.callers.clone(),
        };
        context.shelf.one(self, || Some(compiled))
    }

    fn gate_settings(&self) -> GateSettings {
        GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        }
    }
}

/// The signatures that hold.
pub(super) struct Signatures {
    components: Vec<Box<str>>,
    times: Times,
    nonce: bool,
    once: bool,
    max_body: u64,
    callers: Arc<Callers>,
}

impl Signatures {
    /// The one signature of a request that counts: that of a key which is known, or else the first.
    fn pick(&self, exchange: &Exchange) -> Result<Signed, Refusal> {
        let mut signed = signatures::signatures(exchange).map_err(|bad| {
            Refusal::bad(match bad {
                BadSignature::Malformed => "`Signature-Input` or `Signature` is malformed",
                BadSignature::Unpaired => "`Signature-Input` and `Signature` do not belong together",
            })
        })?;
        let known = |one: &Signed| one.key_id().is_some_and(|id| self.callers.knows_signer(id));
        match signed.iter().filter(|one| known(one)).count() {
            0 | 1 => {}
            _ => return Err(Refusal::unclear()),
        }
        let place = signed.iter().position(known).unwrap_or(0);
        if signed.is_empty() {
            Err(Refusal::bad("there is no signature"))
        } else {
            Ok(signed.swap_remove(place))
        }
    }

    /// Who has signed the request, and what its body must be.
    fn verify(&self, exchange: &Exchange) -> Result<(Identity, Option<BodyDigest>), Refusal> {
        let signed = self.pick(exchange)?;
        let (started, at) = now(exchange);
        let has_body = !matches!(exchange.request.framing, Framing::None | Framing::Length(0));
        let needed = |name: &str| name != CONTENT_DIGEST || has_body;
        if let Some(missing) = self.components.iter().find(|name| needed(name) && !signed.covers(name)) {
            return Err(Refusal::bad(format!("the signature does not cover `{missing}`")));
        }
        let until = signed.judge_times(&self.times, at).map_err(Refusal::bad)?;
        if self.nonce && signed.params.text("nonce").is_none_or(str::is_empty) {
            return Err(Refusal::bad("the signature has no nonce"));
        }
        let text = base::base(exchange, &signed).map_err(|name| {
            Refusal::bad(format!("the signature covers {name}, which is not there or not known"))
        })?;
        let mut identity = self.callers.by_signature(&signed, &text).map_err(Refusal::bad)?;
        let mut digest = None;
        if signed.covers(CONTENT_DIGEST) {
            let wanted = digest::wanted(exchange).ok_or_else(|| {
                Refusal::bad("`Content-Digest` is malformed, or of no algorithm that is known")
            })?;
            digest = Some(BodyDigest { most: self.max_body, wanted_by: Hmac::POLICY, ..wanted });
        }
        if self.once && !exchange.rehearsal {
            let holds = until.duration_since(at).unwrap_or_default();
            match seen::note(&text, started, holds) {
                Seen::First => {}
                Seen::Again => return Err(Refusal::bad("the signature has been used before")),
                Seen::NoRoom => return Err(Refusal::undecided("too many signatures are in use")),
            }
        }
        self.callers.tell(&mut identity);
        Ok((identity, digest))
    }
}

impl Check for Signatures {
    fn policy(&self) -> &'static str {
        Hmac::POLICY
    }

    fn recall(&self, exchange: &Exchange) -> Recalled {
        // A signature is of one request, so there is nothing to remember.
        if signatures::is_signed(exchange) { Recalled::Unknown } else { Recalled::Absent }
    }

    fn check<'a>(&'a self, exchange: &Exchange) -> Finding<'a> {
        match self.verify(exchange) {
            Ok((identity, None)) => Finding::Held(Rc::new(identity)),
            Ok((identity, Some(digest))) => {
                let digest = Box::new(digest);
                Finding::HeldWith(Rc::new(identity), Box::new(|exchange| exchange.plan.digest = Some(digest)))
            }
            Err(refusal) => Finding::Failed(refusal),
        }
    }

    fn take(&self, exchange: &mut Exchange) {
        exchange.request.fields.retain(|field| {
            !field.name.eq_ignore_ascii_case(b"Signature")
                && !field.name.eq_ignore_ascii_case(b"Signature-Input")
        });
    }

    fn challenge(&self, _: Option<&Refusal>) -> String {
        "Signature realm=\"tidegate\"".to_owned()
    }
}
