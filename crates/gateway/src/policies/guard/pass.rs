//! What a client carries to show that it met a challenge: sealed by the gateway, bound to its address and, where a code of an
//! authenticator was asked for, to its consumer, with an end.
//!
//! Takes who a client is and a time; gives texts for cookies and URLs, and says whether one holds. Nothing of it is kept, so every
//! gateway with the same secret takes the passes of the others.

use aws_lc_rs::{digest, hmac};

use super::table::Who;
use crate::identity::jose::base64url;

/// Bytes of what is sealed, and of the seal.
const BODY: usize = 17;
const SEAL: usize = 16;

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A task that is to be solved.
    Task = 1,
    /// A challenge was met.
    Pass = 2,
    /// A question to the operator's own verification.
    Question = 3,
    /// A consumer has typed a code of its authenticator.
    Code = 4,
}

/// Whose a text is: of an address, and of a consumer there where it is bound to one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bearer<'n> {
    /// The address.
    pub(super) who: Who,
    /// The consumer; empty for whoever comes from there.
    pub(super) consumer: &'n str,
}

impl From<Who> for Bearer<'_> {
    fn from(who: Who) -> Self {
        Bearer { who, consumer: "" }
    }
}

/// Seals and opens.
pub(super) struct Sealer {
    key: hmac::Key,
}

impl Sealer {
    /// With this secret.
    pub(super) fn new(secret: &[u8]) -> Sealer {
        Sealer { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    fn seal_of(&self, body: &[u8], bearer: Bearer<'_>) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"tidegate guard");
        context.update(body);
        context.update(&bearer.who.bits.to_be_bytes());
        context.update(bearer.consumer.as_bytes());
        let mut seal = [0; SEAL];
        seal.iter_mut().zip(context.sign().as_ref()).for_each(|(place, byte)| *place = *byte);
        seal
    }

    /// A text that holds until this second.
    pub(super) fn seal(&self, kind: Kind, bearer: Bearer<'_>, until: u64, salt: u64) -> String {
        let mut bytes = vec![kind as u8];
        bytes.extend_from_slice(&until.to_be_bytes());
        bytes.extend_from_slice(&salt.to_be_bytes());
        let seal = self.seal_of(&bytes, bearer);
        bytes.extend_from_slice(&seal);
        base64url::encode(&bytes)
    }

    /// Whether a text was sealed for this, for this client, and its time is not over.
    pub(super) fn holds(&self, kind: Kind, text: &[u8], bearer: Bearer<'_>, now: u64) -> bool {
        if text.len() > 64 {
            return false;
        }
        let Some(bytes) = base64url::decode(text) else { return false };
        let Some((body, seal)) = bytes.split_at_checked(BODY) else { return false };
        let right =
            aws_lc_rs::constant_time::verify_slices_are_equal(&self.seal_of(body, bearer), seal).is_ok();
        let until = body.get(1..9).and_then(|until| until.try_into().ok()).map_or(0, u64::from_be_bytes);
        right && body.first() == Some(&(kind as u8)) && until > now
    }

    /// Whether `TASK.NUMBER` solves a task of this client: the SHA-256 of the text begins with so many zero bits.
    pub(super) fn is_solved(&self, text: &[u8], who: Who, now: u64, bits: u32) -> bool {
        if text.len() > 96 {
            return false;
        }
        let Some(dot) = text.iter().position(|byte| *byte == b'.') else { return false };
        let task = text.get(..dot).unwrap_or_default();
        zeros(digest::digest(&digest::SHA256, text).as_ref()) >= bits
            && self.holds(Kind::Task, task, who.into(), now)
    }
}

/// The word by which the operator's verification says yes to a question: the question, a dot, and its HMAC-SHA256 in
/// hexadecimal with the common secret.
pub(super) fn is_confirmed(secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let dot = text.iter().position(|byte| *byte == b'.')?;
    let (question, seal) = text.split_at_checked(dot)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let told = hex(seal.get(1..)?)?;
    hmac::verify(&key, question, &told).is_ok().then(|| question.to_vec())
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok());
    rest.is_empty().then(|| bytes.collect())?
}

/// How many zero bits stand at the beginning.
fn zeros(bytes: &[u8]) -> u32 {
    let whole = bytes.iter().take_while(|byte| **byte == 0).count();
    let next = bytes.get(whole).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(whole).unwrap_or(0).saturating_mul(8).saturating_add(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who = Who { bits: 77, is_consumer: false };

    #[test]
    fn a_pass_holds_for_its_address_its_purpose_and_its_time() {
        let sealer = Sealer::new(b"secret");
        let own = Bearer::from(WHO);
        let pass = sealer.seal(Kind::Pass, own, 1_000, 5);
        let other = Bearer::from(Who { bits: 78, ..WHO });
        for (kind, bearer, now, holds) in [
            (Kind::Pass, own, 999, true),
            (Kind::Pass, own, 1_000, false),
            (Kind::Task, own, 999, false),
            (Kind::Code, own, 999, false),
            (Kind::Pass, other, 999, false),
            (Kind::Pass, Bearer { consumer: "alice", ..own }, 999, false),
        ] {
            assert_eq!(sealer.holds(kind, pass.as_bytes(), bearer, now), holds, "{kind:?} {bearer:?} {now}");
        }
        assert!(!Sealer::new(b"other").holds(Kind::Pass, pass.as_bytes(), own, 1));
        for nth in 0..pass.len() {
            let mut forged = pass.clone().into_bytes();
            forged[nth] = if forged[nth] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8_lossy(&forged).into_owned();
            // The last letter may hold bits that mean nothing; then the text is refused for not being canonical.
            assert!(!sealer.holds(Kind::Pass, &forged, own, 1), "{text}");
        }
        for text in ["", ".", "AAAA", &"A".repeat(200)] {
            assert!(!sealer.holds(Kind::Pass, text.as_bytes(), own, 1), "{text}");
        }
    }

    #[test]
    fn a_pass_for_a_code_holds_for_its_consumer() {
        let sealer = Sealer::new(b"secret");
        let alice = Bearer { who: WHO, consumer: "alice" };
        let pass = sealer.seal(Kind::Code, alice, 1_000, 5);
        for (bearer, holds) in [
            (alice, true),
            (Bearer { consumer: "bob", ..alice }, false),
            (WHO.into(), false),
            (Bearer { who: Who { bits: 78, ..WHO }, ..alice }, false),
        ] {
            assert_eq!(sealer.holds(Kind::Code, pass.as_bytes(), bearer, 999), holds, "{bearer:?}");
        }
    }

    #[test]
    fn a_task_is_solved_by_work_alone() {
        let sealer = Sealer::new(b"secret");
        let task = sealer.seal(Kind::Task, WHO.into(), 1_000, 5);
        assert!(task.len() + 11 <= 55, "one block of SHA-256 for ten digits: {}", task.len());
        let solved = (0u32..).map(|number| format!("{task}.{number}"));
        let solved =
            solved.take(1_000_000).find(|text| sealer.is_solved(text.as_bytes(), WHO, 1, 10)).unwrap();
        assert!(!sealer.is_solved(solved.as_bytes(), WHO, 1_000, 10), "its time is over");
        assert!(!sealer.is_solved(solved.as_bytes(), WHO, 1, 40));
        assert!(!Sealer::new(b"other").is_solved(solved.as_bytes(), WHO, 1, 10));
        assert_eq!((zeros(&[0, 0, 1]), zeros(&[0xff]), zeros(&[0, 0])), (23, 0, 16));
    }

    #[test]
    fn a_confirmation_is_the_hmac_of_the_question() {
        // printf question | openssl dgst -sha256 -hmac key
        let seal = "a9b9c4fe8e4d7d1a3d4ba0d0a5dd5b7f";
        assert_eq!(is_confirmed(b"key", format!("question.{seal}").as_bytes()), None);
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let tag = hmac::sign(&key, b"question");
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            is_confirmed(b"key", format!("question.{hex}").as_bytes()).as_deref(),
            Some(&b"question"[..])
        );
        assert_eq!(is_confirmed(b"other", format!("question.{hex}").as_bytes()), None);
        assert_eq!(is_confirmed(b"key", b"question.xyz"), None);
        assert_eq!(is_confirmed(b"key", b"question"), None);
    }
}
