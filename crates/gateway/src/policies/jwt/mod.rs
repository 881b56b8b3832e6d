//! `jwt`: asks for a signed token.
//!
//! Takes the token from one place of the request, proves it by the keys of its issuer and judges its claims. A token that
//! held is remembered by its worker for a minute at most, and not beyond a change of the keys. Waits for keys that are
//! being fetched, a second at most; without keys nobody passes.

mod tokens;

use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use tokens::Tokens;
use tokens::{Issuer, Keys};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, OneOrMany, Pairs, Spanned, codes};
use crate::identity::claims::Rules;
use crate::identity::gate::usual_patience;
use crate::identity::jose::token::plain_kind;
use crate::identity::jose::{Algorithm, BadKey, Key, KeySet};
use crate::identity::patience::Patience;
use crate::identity::place::Written;
use crate::identity::provider::{Origin, ProviderSettings};
use crate::identity::{GateSettings, Place};

use crate::values::{self, HeaderName, Rate, Secret, WebUrl};

/// Asks for a signed token (JSON Web Token, RFC 7519) in `Authorization: Bearer`, with 401 for who has none.
///
/// Keys come from the issuer, found by its metadata (`/.well-known/openid-configuration` or
/// `/.well-known/oauth-authorization-server`), from `jwks_url`, or from `keys`; they are fetched in the background, ahead of
/// their end, and when a token names a key that is not known. While the issuer fails, the last good keys go on for 24 hours.
/// The algorithm belongs to the key and is never the token's choice; `none` is no algorithm; keys inside of tokens are not
/// looked at. `exp` must be there. Several issuers are several `jwt` in `any_of`.
///
/// The caller is known as `{subject}` (`sub`), `{scopes}` (`scope` or `scp`), `{groups}`, `{roles}` and `{jwt.CLAIM}`, and as a
/// consumer when the token has the claims that a consumer names. The service gets no token unless it is wanted.
///
/// ```yaml
/// jwt: { issuer: "https://id.shop.example", audience: shop, scopes: [orders.read] }
/// ```
///
/// ```yaml
/// jwt:
///   jwks_url: https://id.shop.example/keys
///   issuer: https://id.shop.example
///   audience: [shop, shop-admin]
///   type: at+jwt
///   claims: { tenant: [acme, umbrella] }
///   require: email
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Jwt {
    /// Who must have issued the token: its `iss`, letter for letter. Where no keys are given, they are found from here, and
    /// it must be a URL. Default: anybody who has the keys.
    #[serde(default)]
    issuer: Option<Spanned<String>>,
    /// For whom the token must be: one of these must stand in its `aud`. `off` takes tokens for anybody, which is a way for
    /// one service to use a token it got against another. Required.
    audience: OneOrMany<String>,
    /// Where the key set (JWKS) of the issuer is.
    #[serde(default)]
    jwks_url: Option<Spanned<WebUrl>>,
    /// The keys themselves: public keys in PEM, or a key set (JWKS) in JSON. `${file:keys.json}` takes them from a file, and a
    /// change of the file is a change of the configuration.
    #[serde(default)]
    keys: Option<Spanned<Secret>>,
    /// The secret of tokens that are signed with one (HS256, HS384, HS512), at least as long as the hash: 32, 48, 64 bytes.
    #[serde(default)]
    secret: Option<Spanned<Secret>>,
    /// The algorithms that are taken. Default: those of the keys; RS256 for an RSA key that names none; HS256 for a secret.
    #[serde(default)]
    algorithms: OneOrMany<Spanned<Algorithm>>,
    /// What the token must say that it is (`typ`). Default: `JWT`, `at+jwt` or nothing.
    #[serde(default)]
    r#type: OneOrMany<String>,
    /// Claims and what they must be: a text, or one of several. A claim that is a list must have it. Dots lead into objects.
    #[serde(default)]
    claims: Pairs<String, OneOrMany<String>>,
    /// Claims that must be there, whatever they say. Default: none but `exp`.
    #[serde(default)]
    require: OneOrMany<String>,
    /// Scopes that the token must all have, else 403. Default: none.
    #[serde(default)]
    scopes: OneOrMany<String>,
    /// The claim that holds groups. Default: `groups`.
    #[serde(default)]
    groups_claim: Option<String>,
    /// The claim that holds roles, as `realm_access.roles`. Default: `roles`.
    #[serde(default)]
    roles_claim: Option<String>,
    /// By how much the issuer's clock may differ. Default: 60s.
    #[serde(default = "a_minute")]
    leeway: values::Duration,
    /// The header that holds the token, whole. Default: `Authorization`, behind `Bearer`.
    #[serde(default)]
    header: Option<Spanned<HeaderName>>,
    /// The query parameter that holds the token, instead. Its name must be one whose value logs hide, as `access_token`.
    #[serde(default)]
    query: Option<Spanned<String>>,
    /// The cookie that holds the token, instead.
    #[serde(default)]
    cookie: Option<Spanned<HeaderName>>,
    /// Authorities that may certify the issuer's server, in PEM, instead of those of the system: `${file:ca.pem}`.
    #[serde(default)]
    ca: Option<String>,
    /// Whether keys may be fetched without TLS from another machine, where everybody on the way can exchange them. Default:
    /// false.
    #[serde(default)]
    insecure_http: bool,
    /// The shortest time between two fetches for keys that are not known. Default: 30s.
    #[serde(default = "half_a_minute")]
    refetch_after: values::Duration,
    /// Whether who has no token, or none that holds, may pass without an identity. Default: false.
    #[serde(default)]
    optional: bool,
    /// How often tokens may fail, by client address, before the next is answered 429 unseen.
    /// Default: 100/min.
    #[serde(default = "usual_patience")]
    max_failures: Rate,
    /// Whether the service gets the token. Default: false, the gateway takes it out of the request.
    #[serde(default)]
    forward_credentials: bool,
}

const fn a_minute() -> values::Duration {
    values::Duration::from_secs(60)
}

const fn half_a_minute() -> values::Duration {
    values::Duration::from_secs(30)
}

impl Jwt {
    /// Whether tokens stand in the same place.
    pub(super) fn stands_with(&self, other: &Jwt) -> bool {
        self.header == other.header && self.query == other.query && self.cookie == other.cookie
    }

    fn place(&self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Place> {
        let written = Written { header: &self.header, query: &self.query, cookie: &self.cookie };
        written.place("jwt", key, Some(Place::Scheme("Bearer")), faults)
    }

    fn issuer(&self, key: &Spanned<String>, context: &Context, faults: &mut Diagnostics) -> Option<Issuer> {
        Some(Issuer { keys: self.keys(key, context, faults)?, rules: self.rules(key, faults)? })
    }

    fn rules(&self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Rules> {
        let off = self.audience.iter().any(|audience| audience == "off");
        if self.audience.is_empty() || (off && self.audience.len() > 1) {
            let fault =
                faults.error(codes::BAD_POLICY, key.span(), "`jwt` does not say for whom tokens must be");
            fault.help("write `audience: NAME`, or `audience: off` to take those for anybody");
            return None;
        }
        let kinds = match self.r#type.is_empty() {
            true => vec![String::new(), "jwt".to_owned(), "at+jwt".to_owned()],
            false => self.r#type.iter().map(|kind| plain_kind(kind)).collect(),
        };
        let named = self.claims.iter().map(|(name, values)| (name.clone(), values.to_vec()));
        let present = self.require.iter().map(|name| (name.clone(), Vec::new()));
        let boxed =
            |texts: &[String]| -> Vec<Box<str>> { texts.iter().map(|text| text.as_str().into()).collect() };
        Some(Rules {
            issuer: self.issuer.as_ref().map(|issuer| issuer.as_str().into()),
            audiences: (!off).then(|| boxed(&self.audience)),
            kinds,
            leeway: self.leeway.get(),
            required: named.chain(present).collect(),
            scopes: boxed(&self.scopes),
            groups: self.groups_claim.clone().unwrap_or_else(|| "groups".to_owned()),
            roles: self.roles_claim.clone().unwrap_or_else(|| "roles".to_owned()),
        })
    }

    fn keys(&self, key: &Spanned<String>, context: &Context, faults: &mut Diagnostics) -> Option<Keys> {
        let algorithms: Vec<Algorithm> = self.algorithms.iter().map(|algorithm| **algorithm).collect();
        match (&self.keys, &self.secret, &self.jwks_url) {
            (Some(keys), None, None) => self.own_keys(keys, &algorithms, faults),
            (None, Some(secret), None) => shared_secret(secret, &algorithms, faults),
            (None, None, Some(url)) => {
                let url = self.secure(url, faults)?;
                Some(self.fetched(Origin::KeySet(url), algorithms, context))
            }
            (None, None, None) => {
                let Some(issuer) = &self.issuer else {
                    let fault = faults.error(
                        codes::BAD_POLICY,
                        key.span(),
                        "`jwt` has no keys: every token would be refused",
                    );
                    fault.help("write `issuer: URL` to find them, or one of `jwks_url`, `keys`, `secret`");
                    return None;
                };
                let Ok(url) = issuer.parse::<WebUrl>() else {
                    let text = format!("the issuer `{}` is no URL that keys can be found from", **issuer);
                    let fault = faults.error(codes::BAD_POLICY, issuer.span(), text);
                    fault.help("write its URL, or add one of `jwks_url`, `keys`, `secret`");
                    return None;
                };
                let url = self.secure(&Spanned::new(url, issuer.span()), faults)?;
                Some(self.fetched(Origin::Issuer(url), algorithms, context))
            }
            _ => {
                let fault = faults.error(codes::BAD_POLICY, key.span(), "`jwt` says two places for its keys");
                fault.help("keep one of `jwks_url`, `keys`, `secret`");
                None
            }
        }
    }

    fn secure(&self, url: &Spanned<WebUrl>, faults: &mut Diagnostics) -> Option<WebUrl> {
        if !url.is_https() && !url.is_local() && !self.insecure_http {
            let text = format!("keys from {} could be exchanged by anybody on the way", **url);
            let fault = faults.error(codes::BAD_POLICY, url.span(), text);
            fault.help("use https, or say `insecure_http: true` if nobody else can be on the way");
            return None;
        }
        Some((**url).clone())
    }

    fn fetched(&self, origin: Origin, algorithms: Vec<Algorithm>, context: &Context) -> Keys {
        let refetch_after = self.refetch_after.get();
        let settings = ProviderSettings { origin, algorithms, ca: self.ca.clone(), refetch_after };
        Keys::Fetched(context.shelf.provider(&settings))
    }

    /// Keys that the configuration holds: JSON, or PEM.
    fn own_keys(
        &self,
        written: &Spanned<Secret>,
        algorithms: &[Algorithm],
        faults: &mut Diagnostics,
    ) -> Option<Keys> {
        let text = written.expose().trim();
        let set = if text.starts_with('{') {
            KeySet::from_json(text.as_bytes(), algorithms, true)
        } else {
            pem(text, algorithms)
        };
        match set {
            Ok(set) => Some(Keys::Own(Arc::new(set))),
            Err(fault) => {
                let fault =
                    faults.error(codes::BAD_POLICY, written.span(), format!("`keys` of `jwt`: {fault}"));
                fault.help("write public keys in PEM (-----BEGIN PUBLIC KEY-----), or a key set in JSON");
                None
            }
        }
    }
}

fn pem(text: &str, algorithms: &[Algorithm]) -> Result<KeySet, String> {
    let mut keys = Vec::new();
    for der in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
        let der = der.map_err(|_| "the PEM is broken".to_owned())?;
        keys.push(
            Key::from_spki(&der, algorithms)
                .map_err(|_| "a key in it is of no kind that is known, or too short")?,
        );
    }
    if keys.is_empty() { Err("there is no public key in it".to_owned()) } else { Ok(KeySet::new(keys)) }
}

fn shared_secret(
    secret: &Spanned<Secret>,
    algorithms: &[Algorithm],
    faults: &mut Diagnostics,
) -> Option<Keys> {
    let algorithms = if algorithms.is_empty() { &[Algorithm::HS256] } else { algorithms };
    let mut keys = Vec::new();
    for algorithm in algorithms {
        match Key::shared(secret.expose().as_bytes(), *algorithm, None) {
            Ok(key) => keys.push(key),
            Err(BadKey::Weak) => {
                let text = format!("the secret is too short for {}", algorithm.name());
                let fault = faults.error(codes::BAD_POLICY, secret.span(), text);
                fault.help("it must be as long as the hash: 32 bytes for HS256, 48 for HS384, 64 for HS512");
                return None;
            }
            Err(_) => {
                let text = format!("{} does not work with a shared secret", algorithm.name());
                let fault = faults.error(codes::BAD_POLICY, secret.span(), text);
                fault.help("write `algorithms: HS256`, or give `keys` instead of a `secret`");
                return None;
            }
        }
    }
    Some(Keys::Own(Arc::new(KeySet::new(keys))))
}

impl Credential for Jwt {
    const POLICY: &'static str = "jwt";
    type Check = Tokens;

    fn check(
        &self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Arc<Tokens>> {
        Tokens::of(std::slice::from_ref(self), key, context, faults)
    }

    fn gate_settings(&self) -> GateSettings {
        GateSettings {
            optional: self.optional,
            forward_credentials: self.forward_credentials,
            patience: Patience::new(self.max_failures),
        }
    }
}
