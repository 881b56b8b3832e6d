//! The consumers of a configuration, compiled: found by the keyed hash of an API key, and told to services.
//!
//! Takes consumers as written; gives identities. Compiled once for a configuration and shared by all its policies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::{constant_time, hmac};
use http1::{Fields, NameBuf, Prepared};
use serde_json::{Value, json};

use super::jose::{Algorithm, Key as VerifyingKey};
use super::passwords;
use super::signatures::{self, Signed};
use super::totp::Totp;
use super::word::Word;
use crate::config::{self, Config, Diagnostics, Span, Spanned, codes};
use crate::exchange::caller::{self, Texts};
use crate::exchange::{ClientCert, Exchange, Identity};
use crate::values::{HeaderName, Moment, Secret, Source, Template};

/// Keys the hash of API keys where the configuration has no secret of its own: keys made by `tidegate key new` carry
/// more chance than anybody can try out, so that the hash need not be secret.
const OPEN_SECRET: &[u8] = b"tidegate api key 1";

/// Everybody who may call, as far as the configuration names them.
pub struct Callers {
    keys: HashMap<[u8; 32], Key>,
    by_claims: Vec<Arc<Consumer>>,
    certificates: Vec<(config::Certificate, Arc<Consumer>)>,
    logins: HashMap<String, (String, Arc<Consumer>)>,
    signers: HashMap<String, (VerifyingKey, Algorithm, Arc<Consumer>)>,
    codes: HashMap<Arc<str>, Totp>,
    secret: hmac::Key,
    headers: Vec<(NameBuf, Template)>,
    word: Option<Word>,
}

/// An API key of a consumer.
struct Key {
    hash: [u8; 32],
    from: Option<SystemTime>,
    until: Option<SystemTime>,
    consumer: Arc<Consumer>,
}

/// A consumer, compiled.
struct Consumer {
    name: Arc<str>,
    groups: Texts,
    scopes: Texts,
    roles: Texts,
    claims: Vec<(String, String)>,
}

impl Default for Callers {
    fn default() -> Callers {
        Callers {
            keys: HashMap::new(),
            by_claims: Vec::new(),
            certificates: Vec::new(),
            logins: HashMap::new(),
            signers: HashMap::new(),
            codes: HashMap::new(),
            secret: hashing(None),
            headers: Vec::new(),
            word: None,
        }
    }
}

fn hashing(secret: Option<&str>) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.map_or(OPEN_SECRET, str::as_bytes))
}

/// The keyed hash of an API key. Without a secret that of keys for configurations that have none.
pub fn hash(key: &[u8], secret: Option<&str>) -> [u8; 32] {
    digest(&hashing(secret), key)
}

fn digest(secret: &hmac::Key, key: &[u8]) -> [u8; 32] {
    #[cfg(test)]
    tests::HASHED.with_borrow_mut(|hashed| hashed.push(key.len()));
    let mut bytes = [0; 32];
    let tag = hmac::sign(secret, key);
    bytes.iter_mut().zip(tag.as_ref()).for_each(|(byte, from)| *byte = *from);
    bytes
}

impl Callers {
    /// The consumers of a configuration; reports what stands against each other.
    pub fn new(config: &Config, faults: &mut Diagnostics) -> Callers {
        let mut callers = Callers {
            secret: hashing(config.key_secret.as_ref().map(|secret| secret.expose())),
            headers: headers(config, faults),
            word: config.identity_token.as_ref().and_then(|settings| Word::new(settings, faults)),
            ..Callers::default()
        };
        let mut places: HashMap<[u8; 32], Span> = HashMap::new();
        for (name, written) in &config.consumers {
            let consumer = Arc::new(Consumer::new(name, written));
            if !consumer.claims.is_empty() {
                callers.by_claims.push(consumer.clone());
            }
            for certificate in written.mtls.iter() {
                if *certificate == config::Certificate::default() {
                    let text = format!("a certificate of consumer `{name}` is anybody's");
                    let fault = faults.error(codes::BAD_VALUE, name.span(), text);
                    fault.help("write `san`, `subject` or `fingerprint`");
                }
                callers.certificates.push((certificate.clone(), consumer.clone()));
            }
            for login in written.basic.iter() {
                callers.add_login(login, &consumer, faults);
            }
            for key in written.hmac.iter() {
                callers.add_signer(key, &consumer, faults);
            }
            if let Some(secret) = &written.totp {
                callers.add_code(secret, &consumer, faults);
            }
            for key in written.api_keys.iter() {
                let hash = *key.hash.bytes();
                if let Some(first) = places.insert(hash, key.hash.span()) {
                    let text = format!("the API key of consumer `{name}` stands here again");
                    let fault = faults.error(codes::CONFLICT, key.hash.span(), text);
                    fault.note(first, "first here").help("give each consumer a key of its own");
                }
                check_times(key, faults);
                let (from, until) = (key.not_before.map(Moment::get), key.expires.map(Moment::get));
                callers.keys.insert(hash, Key { hash, from, until, consumer: consumer.clone() });
            }
        }
        callers
    }

    fn add_login(&mut self, login: &config::Login, consumer: &Arc<Consumer>, faults: &mut Diagnostics) {
        let (user, hash) = (login.user.as_str(), login.password_hash.expose());
        if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
            let fault =
                faults.error(codes::BAD_VALUE, login.user.span(), format!("`{user}` is not a user name"));
            fault.help("write a text without `:` (RFC 7617)");
        }
        if !passwords::is_hash(hash) {
            let text = format!("the password of `{user}` is no hash that is known");
            let fault = faults.error(codes::BAD_VALUE, login.password_hash.span(), text);
            fault.help(
                "write an argon2 hash ($argon2id$..) or a bcrypt one ($2b$..): `htpasswd -nbB NAME PASSWORD`",
            );
        }
        if self.logins.insert(user.to_owned(), (hash.to_owned(), consumer.clone())).is_some() {
            let fault = faults.error(
                codes::CONFLICT,
                login.user.span(),
                format!("the user `{user}` stands here again"),
            );
            fault.help("give each a name of its own");
        }
    }

    fn add_signer(
        &mut self,
        written: &config::SigningKey,
        consumer: &Arc<Consumer>,
        faults: &mut Diagnostics,
    ) {
        let Some((key, algorithm)) = signatures::key::compile(written, faults) else { return };
        let id = &written.key_id;
        if self.signers.insert(id.to_string(), (key, algorithm, consumer.clone())).is_some() {
            let fault = faults.error(
                codes::CONFLICT,
                id.span(),
                format!("the `key_id` `{}` stands here again", **id),
            );
            fault.help("give each key a name of its own");
        }
    }

    fn add_code(&mut self, secret: &Spanned<Secret>, consumer: &Arc<Consumer>, faults: &mut Diagnostics) {
        match Totp::new(secret.expose()) {
            Ok(totp) => drop(self.codes.insert(consumer.name.clone(), totp)),
            Err(why) => {
                let text = format!("the `totp` of consumer `{}` is no secret: {why}", consumer.name);
                let fault = faults.error(codes::BAD_VALUE, secret.span(), text);
                fault.help("make one: head -c 20 /dev/urandom | base32");
            }
        }
    }

    /// Whether any consumer has an authenticator.
    pub fn have_codes(&self) -> bool {
        !self.codes.is_empty()
    }

    /// The authenticator of a consumer.
    pub fn code_of(&self, consumer: &str) -> Option<&Totp> {
        self.codes.get(consumer)
    }

    /// Whether any consumer has a key that signs requests.
    pub fn have_signers(&self) -> bool {
        !self.signers.is_empty()
    }

    /// Whether one of the consumers has a key of this name.
    pub fn knows_signer(&self, key_id: &str) -> bool {
        self.signers.contains_key(key_id)
    }

    /// Who has made this signature of this text.
    ///
    /// # Errors
    /// Why nobody has, in words.
    pub fn by_signature(&self, signed: &Signed, text: &[u8]) -> Result<Identity, &'static str> {
        let id = signed.key_id().unwrap_or_default();
        let Some((key, algorithm, consumer)) = self.signers.get(id) else {
            // As much is done for a name that nobody has as for a secret that somebody has.
            let _ = hmac::verify(&self.secret, text, &signed.signature);
            return Err("no consumer has a key of this name");
        };
        let says_other = match signed.params.get("alg") {
            None => false,
            Some(_) => signed.params.text("alg") != signatures::name_of(*algorithm),
        };
        if !key.verifies(*algorithm, text, &signed.signature) {
            return Err("the signature is not that of the key");
        }
        if says_other {
            return Err("the key is not for the algorithm of the signature");
        }
        let mut identity = Identity::new("hmac");
        identity.subject = Some(id.into());
        consumer.lend(&mut identity);
        Ok(identity)
    }

    /// Whether any consumer has a certificate.
    pub fn have_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    /// Whose certificate this is, the first in the file.
    pub fn by_certificate(&self, own: &ClientCert) -> Option<Identity> {
        let is = |written: &config::Certificate| {
            // An alternative name holds no comma: a certificate that has one is refused in the handshake.
            let san = |wanted: &String| own.san.split(',').any(|name| name == wanted);
            written.san.as_ref().is_none_or(san)
                && written.subject.as_ref().is_none_or(|subject| *subject == own.subject)
                && written
                    .fingerprint
                    .as_ref()
                    .is_none_or(|print| print.eq_ignore_ascii_case(&own.fingerprint))
        };
        let (_, consumer) = self.certificates.iter().find(|(written, _)| is(written))?;
        let mut identity = Identity::new("mtls");
        identity.subject = Some(own.subject.as_str().into());
        consumer.lend(&mut identity);
        Some(identity)
    }

    /// Whether any consumer has a password.
    pub fn have_logins(&self) -> bool {
        !self.logins.is_empty()
    }

    /// The hash to check the password of a user by, and who that is. For somebody unknown the hash of somebody else, so
    /// that it takes as long.
    pub fn login(&self, user: &str) -> (Option<&str>, Option<Identity>) {
        let Some((hash, consumer)) = self.logins.get(user) else {
            return (self.logins.values().next().map(|(hash, _)| hash.as_str()), None);
        };
        let mut identity = Identity::new("basic");
        identity.subject = Some(user.into());
        consumer.lend(&mut identity);
        (Some(hash), Some(identity))
    }

    /// Whether any consumer has an API key.
    pub fn have_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Who has this API key, and until when it holds; none for a key that nobody has, or not at this time.
    ///
    /// Takes the same time for every key that is not good: the hash of all of it is made before anything is looked
    /// up, and what is looked up is the hash.
    pub fn by_key(&self, key: &[u8], now: SystemTime) -> Option<(Identity, Option<SystemTime>)> {
        let hash = digest(&self.secret, key);
        let known = self.keys.get(&hash)?;
        constant_time::verify_slices_are_equal(&known.hash, &hash).ok()?;
        let early = known.from.is_some_and(|from| now < from);
        let late = known.until.is_some_and(|until| now >= until);
        if early || late {
            return None;
        }
        let mut identity = Identity::new("api_key");
        identity.credential = readable(key).into();
        known.consumer.lend(&mut identity);
        Some((identity, known.until))
    }

    /// Finds the consumer whose token has these claims.
    pub fn find_by_claims(&self, identity: &mut Identity) {
        let has = |(path, value): &(String, String)| identity.claim_text(path).as_deref() == Some(value);
        let found = self.by_claims.iter().find(|consumer| consumer.claims.iter().all(has));
        if let Some(consumer) = found {
            consumer.lend(identity);
        }
    }

    /// Makes the lines by which services learn who the caller is.
    pub fn tell(&self, identity: &mut Identity) {
        let asked = Exchange { identity: Some(identity.clone().into()), ..Exchange::default() };
        let told = self.headers.iter().filter_map(|(name, template)| {
            let text = asked.render(template);
            (!text.is_empty()).then_some((name.clone(), text))
        });
        let signed = self.word.as_ref().and_then(|word| word.on(identity));
        let mut lines = Fields::new();
        told.chain(signed).for_each(|(name, value)| lines.push(name.as_name(), &value));
        identity.told = Prepared::from(&lines);
    }

    /// Whether services are told by a signed word who calls.
    pub fn have_word(&self) -> bool {
        self.word.is_some()
    }

    /// The keys by which services verify the gateway's word (RFC 7517 section 5).
    pub fn published_keys(&self) -> Value {
        json!({ "keys": self.word.iter().map(Word::jwk).collect::<Vec<_>>() })
    }

    /// The names of those lines.
    pub fn told_names(&self) -> impl Iterator<Item = &NameBuf> {
        self.headers.iter().map(|(name, _)| name).chain(self.word.as_ref().map(Word::header))
    }
}

impl Consumer {
    fn new(name: &str, written: &config::Consumer) -> Consumer {
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
        Consumer {
            name: name.into(),
            groups: written.groups.iter().map(|group| group.as_str().into()).collect(),
            scopes: texts(&written.scopes),
            roles: texts(&written.roles),
            claims: written.jwt.iter().cloned().collect(),
        }
    }

    /// Adds what the configuration says of this consumer to an identity.
    fn lend(&self, identity: &mut Identity) {
        identity.consumer = Some(self.name.clone());
        for (to, from) in [
            (&mut identity.groups, &self.groups),
            (&mut identity.scopes, &self.scopes),
            (&mut identity.roles, &self.roles),
        ] {
            caller::add(to, from.iter().map(|text| &**text));
        }
    }
}

fn check_times(key: &config::ApiKey, faults: &mut Diagnostics) {
    if let (Some(from), Some(until)) = (key.not_before, key.expires)
        && from >= until
    {
        let text =
            format!("this API key never holds: `expires` ({until}) is not after `not_before` ({from})");
        faults.error(codes::CONFLICT, key.hash.span(), text).help("exchange the two, or leave one out");
    }
}

/// The beginning of a key that may stand in logs: the name of its kind and eight more characters, which leave enough
/// chance to keys made by `tidegate key new`; nothing of a shorter key.
pub fn readable(key: &[u8]) -> &str {
    const SHOWN: usize = 12;
    const LEAST: usize = 40;
    let text = std::str::from_utf8(key).unwrap_or_default();
    if text.len() < LEAST { "" } else { text.get(..SHOWN).unwrap_or_default() }
}

/// The headers that tell services who calls. They may tell nothing else, so that each is made once for an identity.
fn headers(config: &Config, faults: &mut Diagnostics) -> Vec<(NameBuf, Template)> {
    let mut headers = Vec::new();
    for (name, template) in &config.identity_headers {
        check_header(name, template, faults);
        if let Ok(name) = NameBuf::new(name.as_str()) {
            headers.push((name, (**template).clone()));
        }
    }
    headers
}

fn check_header(name: &Spanned<HeaderName>, template: &Spanned<Template>, faults: &mut Diagnostics) {
    let known = http1::Name::new(name.as_str().as_bytes());
    if known.is_ok_and(|known| known.id() != http1::FieldId::Other) {
        let text = format!("`{name}` has a meaning of its own and cannot tell who calls");
        faults.error(codes::BAD_VALUE, name.span(), text).help("write a name such as X-Consumer");
    }
    let about_the_caller = |source: &Source| {
        use Source::{Consumer, Groups, Jwt, Roles, Scopes, Subject};
        matches!(source, Consumer | Subject | Groups | Scopes | Roles | Jwt(_))
    };
    if let Some(odd) = template.sources().find(|source| !about_the_caller(source)) {
        let text = format!("`{odd}` does not say who calls");
        faults.error(codes::BAD_VALUE, template.span(), text).help(
            "`identity_headers` take consumer, subject, groups, scopes, roles and jwt.CLAIM; write others with the \
             policy `headers`",
        );
    }
    if template.sources().next().is_none() {
        let text = format!("`{name}` is the same for every caller");
        faults.error(codes::BAD_VALUE, template.span(), text).help("write a source such as {consumer}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// The lengths of what was hashed.
        pub(super) static HASHED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }

    /// J10: nothing but the hash of the whole key decides, whatever of it is right. A comparison of keys, or a key that is
    /// refused before it is hashed, would tell by its time how much of a guess is right.
    #[test]
    fn every_guess_costs_one_hash_of_all_of_it() {
        let key = b"tgk_AbCd1234efghefghefghefghefghefghefghefgh";
        let consumer = || Arc::new(Consumer::new("mobile", &config::Consumer::default()));
        let now = SystemTime::now();
        let mut callers = Callers::default();
        let later = now.checked_add(std::time::Duration::from_secs(60));
        for (key, from, until) in
            [(&key[..], None, None), (b"early", later, None), (b"late", None, Some(now))]
        {
            let hash = hash(key, None);
            callers.keys.insert(hash, Key { hash, from, until, consumer: consumer() });
        }
        let guesses = (0..key.len()).map(|right| [&key[..right], &[b'x'; 44][right..]].concat());
        let others = [&b"early"[..], b"late", b"nobody", b"", &[b'k'; 512]].map(<[u8]>::to_vec);
        for guess in guesses.chain(others) {
            HASHED.take();
            assert!(callers.by_key(&guess, now).is_none());
            assert_eq!(HASHED.take(), [guess.len()]);
        }
        assert!(callers.by_key(key, now).is_some());
        assert_eq!(HASHED.take(), [key.len()], "and so does the key itself");
    }

    #[test]
    fn logs_may_tell_the_beginning_of_a_long_key_only() {
        assert_eq!(readable(b"tgk_AbCd1234efghefghefghefghefghefghefghefgh"), "tgk_AbCd1234");
        for short in ["", "swordfish", "tgk_AbCd1234efghefghefgh"] {
            assert_eq!(readable(short.as_bytes()), "");
        }
    }

    #[test]
    fn a_hash_depends_on_all_of_the_key_and_on_the_secret() {
        let base = hash(b"key", None);
        assert_eq!(base, hash(b"key", None));
        for (key, secret) in [("kez", None), ("ke", None), ("key", Some("s")), ("", None)] {
            assert_ne!(base, hash(key.as_bytes(), secret));
        }
    }
}
