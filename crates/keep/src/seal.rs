//! Sealing of records with a key that is derived from a secret of the configuration.
//!
//! AES-256-GCM-SIV with a random nonce for each record, bound to the file and the place in it. Another secret makes another
//! name, by which a file of another key is known as foreign before anything of it is tried.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Bytes of the name of a key.
const NAME: usize = 16;

pub(crate) struct Seal {
    key: RandomizedNonceKey,
    pub(crate) name: [u8; NAME],
}

/// The length of what is derived: a key and its name.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        32 + NAME
    }
}

impl Seal {
    /// The key that a secret stands for.
    pub(crate) fn new(secret: &str) -> Option<Seal> {
        let mut bytes = [0; 32 + NAME];
        let base = Salt::new(HKDF_SHA256, b"tidegate keep").extract(secret.as_bytes());
        base.expand(&[b"seal 1"], Derived).ok()?.fill(&mut bytes).ok()?;
        let (key, name) = bytes.split_at_checked(32)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, key).ok()?;
        Some(Seal { key, name: name.try_into().ok()? })
    }

    pub(crate) fn seal(&self, bound: &[u8], mut text: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = self.key.seal_in_place_append_tag(Aad::from(bound), &mut text).ok()?;
        Some([nonce.as_ref().as_slice(), &text].concat())
    }

    pub(crate) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let length = self.key.open_in_place(nonce, Aad::from(bound), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}
