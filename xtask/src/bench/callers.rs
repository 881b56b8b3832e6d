//! Callers of the measurements: tokens and keys that contenders check, and what each contender is told of them.
//! Takes a folder; gives files with a token or a key on each line, and the public key as contenders want it.
//! It must never let one contender check less than it can: all check the signature of every token.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::contender::{Kind, write};
use crate::Failure;

/// How many callers there are, each with a token and a key of its own.
const CALLERS: usize = 1_000;
/// How long the tokens hold.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What stands before the two coordinates of a P-256 key in its DER form (RFC 5480 section 2).
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// What callers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A token, signed by ES256.
    Token,
    /// A key of their own.
    Key,
}

impl Shown {
    /// The file of what they show, one on each line.
    pub(super) fn file(self) -> &'static str {
        match self {
            Shown::Token => "tokens",
            Shown::Key => "keys",
        }
    }

    /// The header they show it in, and what stands before it.
    pub(super) fn header(self) -> (&'static str, &'static str) {
        match self {
            Shown::Token => ("Authorization", "Bearer "),
            Shown::Key => ("X-API-Key", ""),
        }
    }
}

/// Writes what callers show, unless it is there: `tokens` with `jwks.json` and `jwt.pem`, or `keys` with `hashes`.
pub(super) fn prepare(shown: Shown, folder: &Path, gateway: &Path) -> Result<(), Failure> {
    match shown {
        _ if folder.join(shown.file()).exists() => Ok(()),
        Shown::Token => tokens(folder),
        Shown::Key => keys(folder, gateway),
    }
}

fn tokens(folder: &Path) -> Result<(), Failure> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| "no key can be made")?;
    let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at_checked(32).ok_or("the key has no coordinates")?;
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let key = serde_json::json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "bench", "x": encode(x), "y": encode(y),
    });
    write(&folder.join("jwks.json"), &serde_json::json!({ "keys": [key] }).to_string())?;
    let der = BASE64_STANDARD.encode([P256.as_slice(), point].concat());
    let lines: Vec<&str> =
        (0..der.len()).step_by(64).filter_map(|at| der.get(at..(at + 64).min(der.len()))).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    write(&folder.join("jwt.pem"), &pem)?;
    let until = (SystemTime::now() + LIFE).duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?.as_secs();
    let random = SystemRandom::new();
    let mut text = String::new();
    for number in 0..CALLERS {
        let claims = serde_json::json!({
            "iss": "https://id.bench", "aud": "bench", "sub": format!("user-{number}"), "exp": until, "scope": "read write",
        });
        let header = br#"{"alg":"ES256","typ":"JWT","kid":"bench"}"#;
        let signed = format!("{}.{}", encode(header), encode(claims.to_string().as_bytes()));
        let signature = pair.sign(&random, signed.as_bytes()).map_err(|_| "a token cannot be signed")?;
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{signed}.{}", encode(signature.as_ref()));
    }
    write(&folder.join(Shown::Token.file()), &text)
}

fn keys(folder: &Path, gateway: &Path) -> Result<(), Failure> {
    let (mut keys, mut hashes) = (String::new(), String::new());
    for number in 0..CALLERS {
        let output = Command::new(gateway).args(["key", "new", "--json"]).output();
        let output = output.map_err(|e| format!("tidegate key new: {e}"))?;
        let made: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|e| format!("tidegate key new: {e}"))?;
        let part =
            |name: &str| made.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let _ = writeln!(keys, "{}", part("key"));
        let _ = writeln!(hashes, "  caller-{number}: {{ api_keys: \"{}\" }}", part("hash"));
    }
    write(&folder.join("hashes"), &hashes)?;
    write(&folder.join(Shown::Key.file()), &keys)
}

/// What a contender is told of the callers: what stands outside of the server, then what stands in it. HAProxy 2.6 and
/// Envoy keep verified tokens as they can: HAProxy not at all, Envoy in the cache of its filter.
pub(super) fn words(kind: Kind, shown: Shown, folder: &Path) -> Result<(String, String), Failure> {
    let inside = |text: &str| Ok((String::new(), text.to_owned()));
    match (kind, shown) {
        (Kind::Haproxy, Shown::Token) => inside(
            "http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(\"ES256\",\"{{DIR}}/jwt.pem\") -m int 1 }\n",
        ),
        (Kind::Haproxy, Shown::Key) => {
            inside("http-request deny deny_status 401 unless { req.hdr(x-api-key) -f {{DIR}}/keys }\n")
        }
        (Kind::Envoy, Shown::Token) => inside(
            "          - name: envoy.filters.http.jwt_authn\n            typed_config:\n              \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication\n              \
             providers:\n                bench:\n                  issuer: https://id.bench\n                  \
             audiences: [bench]\n                  local_jwks: { filename: {{DIR}}/jwks.json }\n                  \
             jwt_cache_config: { jwt_cache_size: 2000 }\n              \
             rules: [{ match: { prefix: \"/\" }, requires: { provider_name: bench } }]\n",
        ),
        (Kind::Tidegate, Shown::Token) => inside(
            "defaults:\n  jwt: { issuer: https://id.bench, audience: bench, keys: \"${file:{{DIR}}/jwks.json}\" }\n",
        ),
        (Kind::Tidegate, Shown::Key) => {
            let file = folder.join("hashes");
            let hashes = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            inside(&format!("consumers:\n{hashes}defaults:\n  api_key: {{}}\n"))
        }
        (kind, shown) => Err(format!("{kind:?} is not measured with what callers show: {shown:?}")),
    }
}

/// A script of wrk that shows all of them in turn.
pub(super) fn script(shown: Shown, folder: &Path) -> String {
    let (header, before) = shown.header();
    let file = folder.join(shown.file());
    format!(
        "local n, i, built = 0, 0, {{}}\n\
         function init(args)\n  for line in io.lines('{}') do\n    \
         built[n] = wrk.format('GET', '/users/1', {{ ['{header}'] = '{before}' .. line }})\n    n = n + 1\n  end\nend\n\
         function request()\n  i = (i + 7919) % n\n  return built[i]\nend\n",
        file.display()
    )
}
