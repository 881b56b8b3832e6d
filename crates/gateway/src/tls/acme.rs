//! Certificates ordered from an authority by ACME (RFC 8555), and the proofs it asks for.
//!
//! Runs on the control side only. Account and certificate lie in one folder, each file written in one step and readable
//! by the gateway alone. Whatever fails leaves the certificate before as it is.

mod client;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, KeyAuthorization,
    NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::certificates::Certificates;
use super::pair::Pair;
use super::provider;
use crate::config::{Acme, Challenge};
use crate::exchange::{Answer, Body};

/// Where proofs are served in clear (RFC 8555 section 8.3).
const WELL_KNOWN: &[u8] = b"/.well-known/acme-challenge/";
/// How long the authority may take to look at the proofs, and to sign.
const PATIENCE: Duration = Duration::from_secs(120);

/// Proofs that are served in clear, by their tokens. Shared by all listeners.
#[derive(Default)]
pub struct Proofs(ArcSwap<HashMap<String, String>>);

impl Proofs {
    /// The answer to the request of an authority; `None` for any other.
    pub fn answer(&self, path: &[u8]) -> Option<Answer> {
        let token = std::str::from_utf8(path.strip_prefix(WELL_KNOWN)?).ok()?;
        let proof = self.0.load().get(token)?.clone();
        let mut answer = Answer::empty(200, "acme_proof");
        let bytes = Arc::from(proof.into_bytes());
        answer.body = Body::Bytes { content_type: "application/octet-stream".into(), bytes };
        Some(answer)
    }

    fn change(&self, change: impl Fn(&mut HashMap<String, String>)) {
        self.0.rcu(|known| {
            let mut next = HashMap::clone(known);
            change(&mut next);
            next
        });
    }
}

/// Whether a certificate is to be ordered now: there is none, it lacks a name, or a third of its time is left. `early` is
/// a share of chance between 0 and 1, so that those who began together do not come back together.
pub fn is_due(pair: Option<&Pair>, settings: &Acme, now: SystemTime, early: f64) -> bool {
    let Some(pair) = pair else { return true };
    if !settings.domains.iter().all(|domain| pair.names.contains(&domain.to_ascii_lowercase())) {
        return true;
    }
    let whole = pair.not_after.duration_since(pair.not_before).unwrap_or_default();
    let left = pair.not_after.duration_since(now).unwrap_or_default();
    left < whole.mul_f64(1.0 / 3.0 + early / 30.0)
}

/// The file with chain and key that were ordered.
pub fn certificate_file(folder: &Path) -> PathBuf {
    folder.join("certificate.pem")
}

/// What an order needs to know.
pub struct Ordering<'a> {
    /// As written.
    pub settings: &'a Acme,
    /// Where account and certificate are kept.
    pub folder: &'a Path,
    /// The authorities of the directory's own certificate, if not those of the system.
    pub directory_ca: Option<&'a Path>,
    /// The listener's certificates.
    pub certificates: &'a Certificates,
    /// Proofs in clear.
    pub proofs: &'a Proofs,
}

impl Ordering<'_> {
    /// Orders a certificate, keeps it in the folder and lets it be shown.
    ///
    /// # Errors
    /// Why there is none, in words. What was shown before is shown on.
    pub async fn run(&self) -> Result<(), String> {
        let mut given = Given::default();
        let ordered = self.order(&mut given).await;
        for token in &given.tokens {
            self.proofs.change(|proofs| _ = proofs.remove(token));
        }
        self.certificates.prove(HashMap::new());
        let pem = ordered?;
        let path = certificate_file(self.folder);
        write(&path, pem.as_bytes())?;
        self.certificates.adopt(Pair::load(&path, &path)?);
        Ok(())
    }

    async fn order(&self, given: &mut Given) -> Result<String, String> {
        let account = self.account().await?;
        let names: Vec<Identifier> =
            self.settings.domains.iter().map(|domain| Identifier::Dns(domain.to_ascii_lowercase())).collect();
        let told = |error: instant_acme::Error| error.to_string();
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(told)?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(told)?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(format!("an authorization is {other:?}")),
            }
            let kind = match self.settings.challenge {
                Challenge::Http01 => ChallengeType::Http01,
                Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            };
            let challenge = authorization.challenge(kind);
            let mut challenge = challenge.ok_or("the authority does not take this kind of proof")?;
            let name = challenge.identifier().to_string();
            self.give(given, name, &challenge.token, &challenge.key_authorization())?;
            challenge.set_ready().await.map_err(told)?;
        }
        let patience = RetryPolicy::default().timeout(PATIENCE);
        match order.poll_ready(&patience).await.map_err(told)? {
            OrderStatus::Ready => {}
            other => {
                let reason = order.state().error.as_ref().map(ToString::to_string);
                return Err(reason.unwrap_or_else(|| format!("the proofs were not accepted ({other:?})")));
            }
        }
        let names: Vec<String> = self.settings.domains.iter().map(|name| name.to_ascii_lowercase()).collect();
        let (request, key) = request(names).map_err(|error| error.to_string())?;
        order.finalize_csr(&request).await.map_err(told)?;
        let chain = order.poll_certificate(&patience).await.map_err(told)?;
        Ok(format!("{}\n{key}", chain.trim_end()))
    }

    /// The account of the folder, or a new one.
    async fn account(&self) -> Result<Account, String> {
        let told = |error: instant_acme::Error| format!("the account: {error}");
        let client = client::Client::new(self.directory_ca)?;
        let builder = Account::builder_with_http(Box::new(client));
        // One for each directory, so that a trial does not cost the real one.
        let tame = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = self.settings.directory.chars().map(tame).collect();
        let path = self.folder.join(format!("account-{name}.json"));
        if let Ok(bytes) = fs::read(&path) {
            let credentials: AccountCredentials = serde_json::from_slice(&bytes)
                .map_err(|error| format!("`{}` holds no account: {error}", path.display()))?;
            return builder.from_credentials(credentials).await.map_err(told);
        }
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let account = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.agree_to_terms,
            only_return_existing: false,
        };
        let directory = self.settings.directory.to_string();
        let (account, credentials) = builder.create(&account, directory, None).await.map_err(told)?;
        let text = serde_json::to_vec(&credentials).map_err(|error| error.to_string())?;
        write(&path, &text)?;
        Ok(account)
    }

    /// Holds a proof ready.
    fn give(
        &self,
        given: &mut Given,
        name: String,
        token: &str,
        proof: &KeyAuthorization,
    ) -> Result<(), String> {
        match self.settings.challenge {
            Challenge::Http01 => {
                given.tokens.push(token.to_owned());
                self.proofs.change(|proofs| _ = proofs.insert(token.to_owned(), proof.as_str().to_owned()));
            }
            Challenge::TlsAlpn01 => {
                let key = certificate_of_proof(&name, proof.digest().as_ref())?;
                given.keys.insert(name, Arc::new(key));
                self.certificates.prove(given.keys.clone());
            }
        }
        Ok(())
    }
}

/// Proofs held ready for one order.
#[derive(Default)]
struct Given {
    tokens: Vec<String>,
    keys: HashMap<String, Arc<CertifiedKey>>,
}

/// A request for a certificate, and the key it is for.
fn request(names: Vec<String>) -> Result<(Vec<u8>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((request.der().to_vec(), key.serialize_pem()))
}

/// The certificate that proves a name in a handshake (RFC 8737 section 3).
fn certificate_of_proof(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let made = || -> Result<_, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = made().map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not looked at as others are: the extension is critical, and nobody but the authority understands it.
    let key = provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// Writes a file in one step, for the gateway alone to read.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let draft = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    written().map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Span, Spanned};

    fn pair(names: &[&str], days: u64) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = SystemTime::UNIX_EPOCH.into();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400)).into();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Pair::new(vec![certificate.der().clone()], key).unwrap()
    }

    fn settings(domains: &[&str]) -> Acme {
        let word = |text: &str| Spanned::new(text.to_owned(), Span::NONE);
        Acme {
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect::<Vec<_>>().into(),
            email: None,
            directory: word("https://a.test"),
            directory_ca: None,
            folder: word("acme"),
            challenge: Challenge::default(),
            agree_to_terms: true,
        }
    }

    #[test]
    fn a_certificate_is_renewed_in_its_last_third_and_those_of_others_a_little_earlier() {
        let pair = pair(&["a.test", "b.test"], 90);
        let on = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
        let due = |day, early| is_due(Some(&pair), &settings(&["A.test"]), on(day), early);
        assert!(is_due(None, &settings(&["a.test"]), on(0), 0.0));
        assert_eq!((due(1, 1.0), due(58, 0.0), due(58, 1.0)), (false, false, true));
        assert_eq!((due(59, 0.0), due(61, 0.0), due(1000, 0.0)), (false, true, true));
        assert!(is_due(Some(&pair), &settings(&["a.test", "c.test"]), on(1), 0.0), "a name is missing");
    }
}
