//! What a configuration knows of an API key: its keyed hash, and the beginning that logs may tell.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// Bytes of a hash: HMAC with SHA-256.
const LENGTH: usize = 32;

/// The keyed hash of an API key, as `tidegate key new` prints it: the key's readable beginning, a colon, and 64
/// hexadecimal digits. The beginning is for people and decides nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash {
    beginning: String,
    bytes: [u8; LENGTH],
}

impl KeyHash {
    /// A hash and the beginning of its key.
    pub fn new(beginning: impl Into<String>, bytes: [u8; LENGTH]) -> Self {
        Self { beginning: beginning.into(), bytes }
    }

    /// The hash.
    pub const fn bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }

    /// The readable beginning of the key; empty when none was written.
    pub fn beginning(&self) -> &str {
        &self.beginning
    }
}

impl FromStr for KeyHash {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (beginning, digits) = text.rsplit_once(':').unwrap_or(("", text));
        let readable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let bytes = unhex(digits).filter(|_| beginning.len() <= 32 && beginning.chars().all(readable));
        // What was written may be a key, so it is not repeated.
        bytes.map(|bytes| Self::new(beginning, bytes)).ok_or_else(|| {
            Invalid::new(
                "this is not the hash of an API key",
                "write what `tidegate key new` prints as `hash`; a key itself has no place in a configuration",
            )
        })
    }
}

fn unhex(digits: &str) -> Option<[u8; LENGTH]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let mut bytes = [0; LENGTH];
    if !rest.is_empty() || pairs.len() != LENGTH {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.beginning.is_empty() {
            write!(f, "{}:", self.beginning)?;
        }
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", self.beginning)
    }
}

text_value!(KeyHash, "KeyHash", "the hash of an API key", {
    "type": "string",
    "pattern": r"^([A-Za-z0-9_.-]{0,32}:)?[0-9A-Fa-f]{64}$|\$\{",
    "description": "The keyed hash of an API key, as `tidegate key new` prints it."
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_and_written() {
        let digits = "00ff".repeat(16);
        for text in [digits.clone(), format!("tgk_AbCd1234:{digits}")] {
            let hash: KeyHash = text.parse().unwrap();
            assert_eq!((hash.to_string(), hash.bytes()[1]), (text, 255));
        }
        for wrong in [
            "",
            "tgk_secretsecret",
            &digits.replacen('0', "", 1),
            &format!("{digits}00"),
            &format!("a b:{digits}"),
        ] {
            let fault = wrong.parse::<KeyHash>().unwrap_err().to_string();
            assert!(fault.starts_with("this is not the hash") && !fault.contains("secretsecret"), "{fault}");
        }
    }
}
