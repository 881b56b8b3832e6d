//! An authority that speaks ACME (RFC 8555) and believes nothing: every message is verified as a JWS by its key, its
//! nonce and its URL, every proof is fetched from the gateway, every certificate is signed from the request.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::client::{Raw, request};
use testkit::event::eventually;
use testkit::origin::{Origin, Recorded, Reply};
use testkit::tls::Authority;

/// What the authority knows.
#[derive(Default)]
struct Book {
    nonces: HashSet<String>,
    count: usize,
    /// Keys of accounts, by their URLs.
    accounts: HashMap<String, Value>,
    /// Names of orders with what was proved, by number.
    orders: HashMap<String, Order>,
    /// What was wrong with what came.
    wrong: Vec<String>,
    refuses: bool,
}

#[derive(Clone)]
struct Order {
    names: Vec<String>,
    proved: HashSet<String>,
    failed: bool,
    certificate: Option<String>,
}

/// A running authority.
pub(super) struct AcmeAuthority {
    origin: Origin,
    book: Arc<Mutex<Book>>,
    /// Signs the certificates.
    pub(super) issuer: Arc<Authority>,
    gateway: Arc<OnceLock<(SocketAddr, SocketAddr)>>,
}

impl AcmeAuthority {
    pub(super) fn start() -> AcmeAuthority {
        let book = Arc::new(Mutex::new(Book::default()));
        let issuer = Arc::new(Authority::new("the authority"));
        let gateway = Arc::new(OnceLock::new());
        let desk = Desk { book: book.clone(), issuer: issuer.clone(), gateway: gateway.clone() };
        let origin = Origin::answering(move |request| desk.answer(request));
        AcmeAuthority { origin, book, issuer, gateway }
    }

    pub(super) fn directory(&self) -> String {
        format!("{}/directory", self.origin.url())
    }

    /// Where names lead: the listener in clear and the one under TLS.
    pub(super) fn names_lead_to(&self, clear: SocketAddr, secure: SocketAddr) {
        self.gateway.set((clear, secure)).unwrap();
    }

    pub(super) fn refuse(&self, refuses: bool) {
        self.book.lock().unwrap().refuses = refuses;
    }

    pub(super) fn accounts(&self) -> usize {
        self.book.lock().unwrap().accounts.len()
    }

    pub(super) fn orders(&self) -> usize {
        self.book.lock().unwrap().orders.len()
    }

    #[track_caller]
    pub(super) fn assert_content(&self) {
        assert!(self.book.lock().unwrap().wrong.is_empty(), "{:?}", self.book.lock().unwrap().wrong);
        self.origin.assert_clean();
    }
}

struct Desk {
    book: Arc<Mutex<Book>>,
    issuer: Arc<Authority>,
    gateway: Arc<OnceLock<(SocketAddr, SocketAddr)>>,
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(value.as_str()?).ok()
}

/// The thumbprint of a key of P-256 (RFC 7638).
fn thumbprint(key: &Value) -> String {
    let text = format!(r#"{{"crv":{},"kty":{},"x":{},"y":{}}}"#, key["crv"], key["kty"], key["x"], key["y"]);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

impl Desk {
    fn answer(&self, request: &Recorded) -> Reply {
        let host = request.headers_named("host")[0].to_owned();
        let url = |path: &str| format!("http://{host}{path}");
        let reply = match request.target.as_str() {
            "/directory" => Reply::ok(
                json!({
                    "newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/order"),
                    "revokeCert": url("/revoke"), "keyChange": url("/change"),
                })
                .to_string(),
            ),
            "/nonce" => Reply::ok(""),
            path => match self.verified(request, &url(path)) {
                Ok((key, account, payload)) => self.act(path, &key, &account, &payload, &url),
                Err(wrong) => {
                    self.book.lock().unwrap().wrong.push(wrong.clone());
                    problem(400, "malformed", &wrong)
                }
            },
        };
        let mut book = self.book.lock().unwrap();
        book.count += 1;
        let nonce = URL_SAFE_NO_PAD.encode(format!("nonce {}", book.count));
        book.nonces.insert(nonce.clone());
        reply.header("Replay-Nonce", &nonce)
    }

    /// The key, the account and the payload of a message that is what it says (RFC 8555 section 6).
    fn verified(&self, request: &Recorded, url: &str) -> Result<(Value, String, Value), String> {
        let mut book = self.book.lock().unwrap();
        if request.headers_named("content-type") != ["application/jose+json"] {
            return Err("the content type".into());
        }
        let message: Value = serde_json::from_slice(&request.body).map_err(|error| error.to_string())?;
        let head = decoded(&message["protected"]).ok_or("the head")?;
        let head: Value = serde_json::from_slice(&head).map_err(|error| error.to_string())?;
        if head["alg"] != "ES256" || head["url"] != url {
            return Err(format!("the head {head} at {url}"));
        }
        if !book.nonces.remove(head["nonce"].as_str().unwrap_or_default()) {
            return Err("a nonce that was never given, or was used".into());
        }
        let (key, account) = match head["kid"].as_str() {
            Some(account) => {
                (book.accounts.get(account).cloned().ok_or("an unknown account")?, account.to_owned())
            }
            None => (head["jwk"].clone(), String::new()),
        };
        if account.is_empty() != url.ends_with("/account") {
            return Err("a key where an account is wanted, or the other way round".into());
        }
        let mut point = vec![4];
        point.extend(decoded(&key["x"]).ok_or("x")?);
        point.extend(decoded(&key["y"]).ok_or("y")?);
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let signed = format!("{}.{}", text("protected"), text("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .verify(signed.as_bytes(), &decoded(&message["signature"]).ok_or("the signature")?)
            .map_err(|_| "the signature is not of this key")?;
        let payload = decoded(&message["payload"]).ok_or("the payload")?;
        Ok((key, account, serde_json::from_slice(&payload).unwrap_or(Value::Null)))
    }

    fn act(
        &self,
        path: &str,
        key: &Value,
        account: &str,
        payload: &Value,
        url: &dyn Fn(&str) -> String,
    ) -> Reply {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts[..] {
            ["account"] => {
                if payload["termsOfServiceAgreed"] != true {
                    return problem(403, "userActionRequired", "the terms");
                }
                let mut book = self.book.lock().unwrap();
                let name = url(&format!("/account/{}", book.accounts.len()));
                book.accounts.insert(name.clone(), key.clone());
                Reply::status(201).header("Location", &name).body(json!({ "status": "valid" }).to_string())
            }
            ["order"] => self.order_anew(account, payload, url),
            ["order", number] => Reply::ok(told(number, &self.order(number), url)),
            ["authorization", number, name] => {
                let order = self.order(number);
                let status = match (order.proved.contains(name), order.failed) {
                    (true, _) => "valid",
                    (false, true) => "invalid",
                    (false, false) => "pending",
                };
                let challenge = |kind: &str| {
                    json!({ "type": kind, "status": status, "token": format!("token-{number}-{name}"),
                        "url": url(&format!("/challenge/{kind}/{number}/{name}")) })
                };
                let all = json!({ "status": status, "identifier": { "type": "dns", "value": name },
                    "challenges": [challenge("http-01"), challenge("tls-alpn-01"), challenge("dns-01")] });
                Reply::ok(all.to_string())
            }
            ["challenge", kind, number, name] => self.prove(kind, number, name, key, &url(path)),
            ["finalize", number] => {
                let request = decoded(&payload["csr"]).unwrap();
                let order = self.order(number);
                assert_eq!(order.proved.len(), order.names.len(), "finalized before all was proved");
                let certificate = self.issuer.sign_request(&request, &order.names);
                self.book.lock().unwrap().orders.get_mut(number).unwrap().certificate = Some(certificate);
                Reply::ok(told(number, &self.order(number), url))
            }
            ["certificate", number] => Reply::ok(self.order(number).certificate.unwrap()),
            _ => problem(404, "malformed", path),
        }
    }

    fn order_anew(&self, account: &str, payload: &Value, url: &dyn Fn(&str) -> String) -> Reply {
        assert!(!account.is_empty());
        let mut book = self.book.lock().unwrap();
        let names = payload["identifiers"].as_array().unwrap();
        let names = names.iter().map(|name| name["value"].as_str().unwrap().to_owned()).collect();
        let number = book.orders.len().to_string();
        let order = Order { names, proved: HashSet::new(), failed: false, certificate: None };
        book.orders.insert(number.clone(), order.clone());
        let location = url(&format!("/order/{number}"));
        Reply::status(201).header("Location", &location).body(told(&number, &order, url))
    }

    fn prove(&self, kind: &str, number: &str, name: &str, key: &Value, url: &str) -> Reply {
        let proof = format!("token-{number}-{name}.{}", thumbprint(key));
        let refuses = self.book.lock().unwrap().refuses;
        let proved = !refuses && self.looks(kind, name, &format!("token-{number}-{name}"), &proof);
        let mut book = self.book.lock().unwrap();
        let order = book.orders.get_mut(number).unwrap();
        if proved {
            order.proved.insert(name.to_owned())
        } else {
            std::mem::replace(&mut order.failed, true)
        };
        let status = if proved { "valid" } else { "invalid" };
        let told = json!({ "type": kind, "status": status, "url": url,
            "token": format!("token-{number}-{name}") });
        Reply::ok(told.to_string())
    }

    fn order(&self, number: &str) -> Order {
        self.book.lock().unwrap().orders[number].clone()
    }

    /// Fetches the proof from where the name leads.
    fn looks(&self, kind: &str, name: &str, token: &str, proof: &str) -> bool {
        let (clear, secure) = eventually("the names to lead somewhere", || self.gateway.get().copied());
        if kind == "http-01" {
            let path = format!("/.well-known/acme-challenge/{token}");
            let answer = request(clear, "GET", &path, &[("Host", name)], b"");
            return answer.status == 200 && answer.text() == proof;
        }
        let mut client = self.issuer.client_of_anybody();
        client.alpn_protocols = vec![b"acme-tls/1".to_vec()];
        let Ok(mut raw) = Raw::try_connect_tls(secure, &Arc::new(client), name) else { return false };
        let tls = raw.wire().tls().unwrap();
        let shown = tls.peer_certificates().unwrap()[0].to_vec();
        // The extension of RFC 8737 section 3 holds the digest as an octet string.
        let wanted = digest(&SHA256, proof.as_bytes());
        tls.alpn_protocol() == Some(b"acme-tls/1")
            && shown.windows(32).any(|window| window == wanted.as_ref())
    }
}

fn told(number: &str, order: &Order, url: &dyn Fn(&str) -> String) -> String {
    let status = match order {
        Order { certificate: Some(_), .. } => "valid",
        Order { failed: true, .. } => "invalid",
        Order { proved, names, .. } if proved.len() == names.len() => "ready",
        _ => "pending",
    };
    let authorizations: Vec<String> =
        order.names.iter().map(|name| url(&format!("/authorization/{number}/{name}"))).collect();
    let mut all = json!({ "status": status, "authorizations": authorizations,
        "identifiers": order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect::<Vec<_>>(),
        "finalize": url(&format!("/finalize/{number}")) });
    if order.certificate.is_some() {
        all["certificate"] = url(&format!("/certificate/{number}")).into();
    }
    all.to_string()
}

fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let text =
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status });
    Reply::status(status).header("Content-Type", "application/problem+json").body(text.to_string())
}
