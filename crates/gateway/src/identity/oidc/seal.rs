//! Seals what browsers carry, so that nobody can read or change it, and opens it again.
//!
//! AES-256-GCM-SIV with a random nonce: a nonce that came twice would tell no more than that two texts are equal. Every key is
//! derived from a secret of the configuration; the first seals, all open, so that keys are changed without a login lost.
//! What was sealed for one purpose opens for no other.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::identity::jose::base64url;

/// The form of what is sealed.
const VERSION: u8 = 1;
/// Bytes of the name of a key.
const ID: usize = 4;
/// The shortest secret.
pub const LEAST: usize = 32;
/// Longest text that is opened.
const LONGEST: usize = 32 * 1024;

/// Keys that seal and open.
pub struct Sealer {
    keys: Vec<([u8; ID], RandomizedNonceKey)>,
    context: String,
}

/// The length of what is derived: a key and its name.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        32 + ID
    }
}

fn derive(secret: &str) -> Option<([u8; ID], RandomizedNonceKey)> {
    let mut bytes = [0; 32 + ID];
    let base = Salt::new(HKDF_SHA256, b"tidegate oidc").extract(secret.as_bytes());
    base.expand(&[b"seal 1"], Derived).ok()?.fill(&mut bytes).ok()?;
    let (key, id) = bytes.split_at_checked(32)?;
    Some((id.try_into().ok()?, RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok()?))
}

impl Sealer {
    /// Of these secrets, for one context: what others seal with the same secrets does not open here. None for a secret that
    /// is too short, or no secret at all.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>, context: String) -> Option<Sealer> {
        let long = |secret: &'s str| Some(secret).filter(|secret| secret.len() >= LEAST);
        let keys: Option<Vec<_>> = secrets.into_iter().map(|secret| long(secret).and_then(derive)).collect();
        keys.filter(|keys| !keys.is_empty()).map(|keys| Sealer { keys, context })
    }

    fn bound_to(&self, purpose: &str, head: &[u8]) -> Vec<u8> {
        [head, purpose.as_bytes(), b"\0", self.context.as_bytes()].concat()
    }

    /// Seals a text. None when the system gives no random numbers.
    pub fn seal(&self, purpose: &str, text: &[u8]) -> Option<String> {
        let (id, key) = self.keys.first()?;
        let mut out = vec![VERSION];
        out.extend_from_slice(id);
        let mut sealed = text.to_vec();
        let bound = self.bound_to(purpose, &out);
        let nonce = key.seal_in_place_append_tag(Aad::from(&bound[..]), &mut sealed).ok()?;
        out.extend_from_slice(nonce.as_ref());
        out.extend_from_slice(&sealed);
        Some(base64url::encode(&out))
    }

    /// Opens what was sealed for this purpose; none for anything else.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        if sealed.len() > LONGEST {
            return None;
        }
        let bytes = base64url::decode(sealed)?;
        let (head, rest) = bytes.split_at_checked(1 + ID)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let (_, key) =
            self.keys.iter().find(|(id, _)| head.first() == Some(&VERSION) && head.get(1..) == Some(id))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let length = key.open_in_place(nonce, Aad::from(self.bound_to(purpose, head)), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old secret that is long enough to seal with";
    const NEW: &str = "a new secret that is long enough to seal with";

    fn sealer(secrets: &[&str], context: &str) -> Sealer {
        Sealer::new(secrets.iter().copied(), context.to_owned()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone_and_with_older_keys() {
        let (old, both, new) = (sealer(&[OLD], "a"), sealer(&[NEW, OLD], "a"), sealer(&[NEW], "a"));
        let sealed = old.seal("session", b"text").unwrap();
        assert_ne!(sealed, old.seal("session", b"text").unwrap());
        assert_eq!(old.open("session", sealed.as_bytes()).unwrap(), b"text");
        assert_eq!(both.open("session", sealed.as_bytes()).unwrap(), b"text");
        assert_eq!(new.open("session", sealed.as_bytes()), None);
        assert_eq!(old.open("login", sealed.as_bytes()), None);
        assert_eq!(sealer(&[OLD], "b").open("session", sealed.as_bytes()), None);
        assert!(new.open("session", both.seal("session", b"text").unwrap().as_bytes()).is_some());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(old.open("session", &changed), None, "{place}");
            assert_eq!(old.open("session", &sealed.as_bytes()[..place]), None, "{place}");
        }
        assert!(Sealer::new(["short"], String::new()).is_none() && Sealer::new([], String::new()).is_none());
    }
}
