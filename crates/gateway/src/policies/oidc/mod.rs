//! `oidc`: lets people with browsers log in at a provider (OpenID Connect), and knows them by a sealed cookie.
//!
//! `sessions` looks at the cookie and renews what is about to end, `steps` sends browsers to the provider and takes them back.
//! Must never send a browser to another origin than the provider's or its own, and never take a login that this browser did
//! not begin.

mod sessions;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use super::gate::Credential;
use crate::config::{Diagnostics, OneOrMany, Span, Spanned, codes};
use crate::identity::claims::Rules;
use crate::identity::gate::usual_patience;
use crate::identity::oidc::{Cookies, Party, PartySettings, Sealer, login, seal};
use crate::identity::patience::Patience;
use crate::identity::provider::{Origin, ProviderSettings};
use crate::identity::{Callers, GateSettings, Provider, Realm};
use crate::values::{self, HeaderName, Secret, WebUrl};

/// By how much the clocks may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// Lets people with browsers log in at a provider (OpenID Connect, authorization code with PKCE), and knows them by a sealed
/// cookie.
///
/// Who has no session and asks for a page (GET or HEAD with `Accept: text/html`) is sent to the provider and comes back to the
/// page that was asked for; every other request without one gets 401. Three paths below `path` belong to the gateway, on every
/// route with this policy: `/oidc/callback`, to which the provider sends back (to be registered there as
/// `https://HOST/oidc/callback`), `/oidc/login?to=/page` and `/oidc/logout`. The caller is known as with `jwt`, by the claims
/// of the ID token. Sessions are renewed ahead of their end, with one question for all requests that come at once; while the
/// provider is down they go on for `grace`. Nothing is kept by the gateway: every node with the `session_keys` takes the
/// sessions of the others.
///
/// ```yaml
/// oidc:
///   issuer: https://id.shop.example
///   client_id: shop
///   client_secret: "${OIDC_SECRET:-none}"
///   session_keys: "${SESSION_KEY:-of at least 32 letters, by chance}"
///   scopes: [openid, email, offline_access]
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Oidc {
    /// The provider. Its endpoints and keys are found by its metadata (`/.well-known/openid-configuration`).
    issuer: Spanned<WebUrl>,
    /// The name of the gateway there.
    client_id: String,
    /// Its secret there. Default: none, for a client that is known by PKCE alone.
    #[serde(default)]
    client_secret: Option<Secret>,
    /// Secrets of at least 32 letters that seal the cookies, made with `openssl rand -base64 48`. The first seals, all open:
    /// put a new one before the old, and take the old one out when `session` has passed.
    session_keys: OneOrMany<Spanned<Secret>>,
    /// The scopes to ask for. With `offline_access`, or where the provider gives refresh tokens without it, sessions are
    /// renewed. Default: `openid`.
    #[serde(default = "openid")]
    scopes: OneOrMany<String>,
    /// Where the paths of the policy begin. Default: `/oidc`.
    #[serde(default = "usual_path")]
    path: Spanned<String>,
    /// The address that browsers know the gateway by, where it is not the scheme and `Host` of the request, as behind a proxy
    /// that ends TLS: `https://shop.example`.
    #[serde(default)]
    url: Option<Spanned<WebUrl>>,
    /// What the names of the cookies begin with; under TLS `__Host-` stands before it. Default: `tidegate`.
    #[serde(default = "usual_cookie")]
    cookie: HeaderName,
    /// How long a login lasts, renewed or not. Default: 8h.
    #[serde(default = "eight_hours")]
    session: values::Duration,
    /// How long a session that should be renewed goes on while the provider cannot be asked. Default: 1h.
    #[serde(default = "an_hour")]
    grace: values::Duration,
    /// The path to which a logout leads, to be registered at the provider as `https://HOST/`. It should not need a login.
    /// Default: `/`.
    #[serde(default = "root")]
    after_logout: Spanned<String>,
    /// The claim that holds groups. Default: `groups`.
    #[serde(default = "groups")]
    groups_claim: String,
    /// The claim that holds roles. Default: `roles`.
    #[serde(default = "roles")]
    roles_claim: String,
    /// How long an answer of the provider may take. Default: 5s.
    #[serde(default = "five_seconds")]
    timeout: values::Duration,
    /// Authorities that may certify the provider, in PEM, instead of those of the system.
    #[serde(default)]
    ca: Option<String>,
    /// Whether all this may be without TLS beyond this machine: the provider, and the cookies. Default: false.
    #[serde(default)]
    insecure_http: bool,
    /// Whether who has no session may pass without an identity; a page then links to `/oidc/login`. Default: false.
    #[serde(default)]
    optional: bool,
}

fn openid() -> OneOrMany<String> {
    vec!["openid".to_owned()].into()
}

fn usual_path() -> Spanned<String> {
    Spanned::new("/oidc".to_owned(), Span::NONE)
}

fn root() -> Spanned<String> {
    Spanned::new("/".to_owned(), Span::NONE)
}

fn groups() -> String {
    "groups".to_owned()
}

fn roles() -> String {
    "roles".to_owned()
}

#[expect(clippy::expect_used, reason = "this very text is a token")]
fn usual_cookie() -> HeaderName {
    "tidegate".parse().expect("a token")
}

const fn eight_hours() -> values::Duration {
    values::Duration::from_secs(8 * 3600)
}

const fn an_hour() -> values::Duration {
    values::Duration::from_secs(3600)
}

const fn five_seconds() -> values::Duration {
    values::Duration::from_secs(5)
}

impl Oidc {
    fn check_settings(&self, faults: &mut Diagnostics) {
        if !self.issuer.is_https() && !self.issuer.is_local() && !self.insecure_http {
            let text = format!("logins at {} could be read and changed by anybody on the way", *self.issuer);
            let fault = faults.error(codes::BAD_POLICY, self.issuer.span(), text);
            fault.help("use https, or say `insecure_http: true` if nobody else can be on the way");
        }
        if let Some(short) = self.session_keys.iter().find(|key| key.expose().len() < seal::LEAST) {
            let fault = faults.error(codes::BAD_POLICY, short.span(), "a key in `session_keys` is too short");
            fault.help("it has at least 32 letters: openssl rand -base64 48");
        }
        if self.session_keys.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, self.issuer.span(), "`oidc` has no `session_keys`");
            fault.help("write one secret of at least 32 letters, as `${SESSION_KEY}`");
        }
        for path in [&self.path, &self.after_logout] {
            if login::path_of_ours(path).is_none() {
                let fault = faults.error(
                    codes::BAD_POLICY,
                    path.span(),
                    format!("`{}` is no path", path.escape_debug()),
                );
                fault.help("write a path such as /oidc");
            }
        }
        if let Some(url) = self.url.as_ref().filter(|url| url.target() != "/") {
            let fault = faults.error(codes::BAD_POLICY, url.span(), format!("`{}` has a path", **url));
            fault.help("write scheme and host alone, as https://shop.example");
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            let fault =
                faults.error(codes::BAD_POLICY, self.issuer.span(), "`scopes` of `oidc` lack `openid`");
            fault.help("without it a provider does not say who it is: write `scopes: [openid, ..]`");
        }
    }
}

impl Credential for Oidc {
    const POLICY: &'static str = "oidc";
    type Check = Logins;

    fn check(&self, _: &Spanned<String>, context: &Context, faults: &mut Diagnostics) -> Option<Arc<Logins>> {
        let before = faults.errors();
        self.check_settings(faults);
        let keys = self.session_keys.iter();
        let sealer = Sealer::new(
            keys.map(|key| key.expose()),
            format!("{} {} {}", *self.issuer, self.client_id, self.cookie),
        );
        if faults.errors() > before {
            return None;
        }
        let sealer = sealer?;
        let party = PartySettings {
            issuer: (*self.issuer).clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.as_ref().map(|secret| secret.expose().to_owned()),
            ca: self.ca.clone(),
            timeout: self.timeout.get(),
        };
        let keys = ProviderSettings {
            origin: Origin::Issuer((*self.issuer).clone()),
            algorithms: Vec::new(),
            ca: self.ca.clone(),
            refetch_after: Duration::from_secs(30),
        };
        let rules = Rules {
            issuer: Some(self.issuer.as_str().into()),
            audiences: Some(vec![self.client_id.as_str().into()]),
            kinds: vec![String::new(), "jwt".to_owned()],
            leeway: LEEWAY,
            required: Vec::new(),
            scopes: Vec::new(),
            groups: self.groups_claim.clone(),
            roles: self.roles_claim.clone(),
        };
        let below = |what: &str| format!("{}/{what}", self.path.trim_end_matches('/')).into_bytes();
        context.shelf.one(self, || {
            Some(Logins {
                party: context.shelf.party(&party),
                keys: context.shelf.provider(&keys),
                rules,
                callers: context.callers.clone(),
                realm: Realm::new(),
                sealer,
                cookies: Cookies::new(
                    self.cookie.as_str(),
                    self.url.as_ref().is_some_and(|url| url.is_https()),
                ),
                callback: below("callback"),
                login: below("login"),
                logout: below("logout"),
                after_logout: self.after_logout.to_string(),
                url: self.url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
                scope: self.scopes.join(" "),
                length: self.session.get(),
                grace: self.grace.get(),
                insecure_http: self.insecure_http,
            })
        })
    }

    fn gate_settings(&self) -> GateSettings {
        let patience = Patience::new(usual_patience());
        GateSettings { optional: self.optional, forward_credentials: false, patience }
    }
}

/// The logins at one provider.
pub(super) struct Logins {
    party: Arc<Party>,
    keys: Arc<Provider>,
    rules: Rules,
    callers: Arc<Callers>,
    realm: Realm,
    sealer: Sealer,
    cookies: Cookies,
    callback: Vec<u8>,
    login: Vec<u8>,
    logout: Vec<u8>,
    after_logout: String,
    url: Option<String>,
    scope: String,
    length: Duration,
    grace: Duration,
    insecure_http: bool,
}
