//! What the gateway proves itself to a service with.

use super::place::Spanned;
use crate::values::{HeaderName, Secret, WebUrl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A credential that a service gets with every request, in the place of whatever the client sent there.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// A token behind `Authorization: Bearer`; `${file:token}` takes it from a file, and a change of the file is noticed.
    Bearer(Spanned<Secret>),
    /// A name and a password (RFC 7617).
    Basic(BasicCredentials),
    /// A header.
    Header(HeaderCredentials),
    /// A query parameter.
    Query(QueryCredentials),
    /// A signature for each request (AWS Signature Version 4), for services of Amazon Web Services and whoever speaks their way.
    Aws(Box<AwsCredentials>),
    /// A token that the gateway gets for itself (OAuth 2.0 client credentials, RFC 6749 section 4.4): one for all workers, got
    /// before the one in use ends.
    Oauth2(OauthCredentials),
}

/// A name and a password for a service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BasicCredentials {
    /// The name, without `:`.
    pub user: Spanned<String>,
    /// The password.
    pub password: Secret,
}

/// A header for a service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HeaderCredentials {
    /// Its name, one that `explain` hides: `Authorization`, `X-API-Key`, `X-Auth-Token`, ...
    pub name: Spanned<HeaderName>,
    /// Its value.
    pub value: Spanned<Secret>,
}

/// A query parameter for a service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct QueryCredentials {
    /// Its name, one that logs hide: `api_key`, `key`, `token`, ...
    pub name: Spanned<String>,
    /// Its value.
    pub value: Secret,
}

/// Keys that requests are signed with.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct AwsCredentials {
    /// The name of the key: `AKIA...`.
    pub access_key: Spanned<String>,
    /// The key itself; `${file:secret}` takes it from a file, and a change of the file is noticed.
    pub secret_key: Secret,
    /// The token of a session, for keys that hold for a while.
    #[serde(default)]
    pub session_token: Option<Spanned<Secret>>,
    /// The region of the service: `eu-central-1`.
    pub region: Spanned<String>,
    /// The service as its signatures name it: `s3`, `execute-api`, `lambda`.
    pub service: Spanned<String>,
}

/// Where the gateway gets a token for a service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct OauthCredentials {
    /// The token endpoint.
    pub token_url: Spanned<WebUrl>,
    /// The name of this client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Scopes to ask for, with spaces between them. Default: none.
    #[serde(default)]
    pub scope: Option<String>,
    /// The audience to ask for, where the server wants one.
    #[serde(default)]
    pub audience: Option<String>,
    /// Authorities that may certify the server, in PEM, instead of those of the system.
    #[serde(default)]
    pub ca: Option<String>,
    /// Whether the secret may go to another machine without TLS. Default: false.
    #[serde(default)]
    pub insecure_http: bool,
}
