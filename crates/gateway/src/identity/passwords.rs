//! Verifies passwords off the workers: a hash that is worth its name takes tens of milliseconds.
//!
//! One thread for the whole process, with a bounded queue before it: who guesses costs one core at most, and when the
//! queue is full nobody is asked in. Who is not known is checked against a hash all the same, so that it takes as long.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::oneshot;

/// Passwords that wait.
const QUEUE: usize = 64;
/// What a password of somebody unknown is checked against: nobody knows one for it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dGlkZWdhdGUtbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct Question {
    hash: String,
    password: Vec<u8>,
    answer: oneshot::Sender<bool>,
}

/// Whether a text is a hash that passwords can be verified by: argon2 in the PHC form, or bcrypt.
pub fn is_hash(hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        return PasswordHash::new(hash).is_ok();
    }
    let mut parts = hash.split('$').skip(1);
    let (kind, cost, rest) = (parts.next(), parts.next(), parts.next());
    let cost = cost.and_then(|cost| cost.parse::<u8>().ok());
    let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
    matches!(kind, Some("2a" | "2b" | "2x" | "2y"))
        && cost.is_some_and(|cost| (4..=16).contains(&cost))
        && rest.is_some_and(|rest| rest.len() == 53 && letters(rest))
        && parts.next().is_none()
}

/// Asks whether a password is that of a hash, or of nobody. None when too many wait.
pub fn ask(hash: Option<&str>, password: Vec<u8>) -> Option<oneshot::Receiver<bool>> {
    static VERIFIER: OnceLock<Option<SyncSender<Question>>> = OnceLock::new();
    let verifier = VERIFIER.get_or_init(|| {
        let (queue, questions) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("passwords".to_owned());
        thread.spawn(move || verify_all(&questions)).ok().map(|_| queue)
    });
    let (answer, told) = oneshot::channel();
    let question = Question { hash: hash.unwrap_or(NOBODY).to_owned(), password, answer };
    verifier.as_ref()?.try_send(question).ok()?;
    Some(told)
}

fn verify_all(questions: &Receiver<Question>) {
    while let Ok(Question { hash, password, answer }) = questions.recv() {
        // Who asked may have gone meanwhile.
        if !answer.is_closed() {
            let _ = answer.send(verify(&hash, &password));
        }
    }
}

fn verify(hash: &str, password: &[u8]) -> bool {
    if hash.starts_with("$argon2") {
        let parsed = PasswordHash::new(hash);
        return parsed.is_ok_and(|parsed| Argon2::default().verify_password(password, &parsed).is_ok());
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";

    #[test]
    fn hashes_are_known_by_their_form() {
        for good in [NOBODY, BCRYPT] {
            assert!(is_hash(good), "{good}");
        }
        for wrong in [
            "",
            "secret",
            "$1$x$y",
            "{SHA}x",
            "$2b$31$",
            "$2b$20$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie",
            "$argon2id$x",
        ] {
            assert!(!is_hash(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_the_password_of_a_hash_holds() {
        let salt = b"0123456789abcdef";
        let argon = {
            use argon2::password_hash::PasswordHasher;
            let hash: PasswordHash = Argon2::default().hash_password_with_salt(b"sesame", salt).unwrap();
            hash.to_string()
        };
        let bcrypt = bcrypt::hash("sesame", 4).unwrap();
        for hash in [&argon, &bcrypt] {
            assert!(is_hash(hash), "{hash}");
            assert!(verify(hash, b"sesame"));
            for wrong in [&b"sesam"[..], b"sesame ", b"", b"Sesame"] {
                assert!(!verify(hash, wrong));
            }
        }
        assert!(!verify(NOBODY, b"") && !verify(NOBODY, b"x"));
    }
}
