//! What a credential that failed is told from others by, for whoever counts how many are tried.
//!
//! Taken only where somebody wants it. A hash that is good for nothing else: neither the credential nor a part of it is kept.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exchange::Exchange;

static WANTED: AtomicBool = AtomicBool::new(false);

/// The hash of a credential that failed, in the notes of its exchange.
pub struct Tried(pub u64);

/// From now on it is wanted.
pub fn want() {
    WANTED.store(true, Ordering::Relaxed);
}

/// The hash of what stands in a request before its credentials are taken out; none where nobody wants to know.
pub fn before(exchange: &Exchange) -> Option<u64> {
    WANTED.load(Ordering::Relaxed).then(|| sum(exchange))
}

/// Keeps the difference that the credentials made.
pub fn after(exchange: &mut Exchange, before: Option<u64>) {
    if let Some(before) = before {
        let tried = before.wrapping_sub(sum(exchange));
        exchange.notes.put(Tried(tried));
    }
}

/// The sum of the hashes of all lines, so that what is taken out makes the same difference whatever else stands there.
fn sum(exchange: &Exchange) -> u64 {
    static RANDOM: OnceLock<RandomState> = OnceLock::new();
    let random = RANDOM.get_or_init(RandomState::new);
    let lines = exchange.request.fields.iter().map(|field| random.hash_one((field.name, field.value)));
    lines.fold(random.hash_one(&exchange.query), u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use http1::Name;

    use super::*;

    #[test]
    fn the_same_credential_makes_the_same_difference() {
        let tried = |fields: &[(&str, &str)]| {
            let mut exchange = Exchange::default();
            for (name, value) in fields {
                exchange.request.fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
            }
            want();
            let told = before(&exchange);
            exchange.request.fields.remove(Name::new(b"X-Key").unwrap());
            after(&mut exchange, told);
            exchange.notes.take::<Tried>().unwrap().0
        };
        let one = tried(&[("X-Key", "a"), ("Accept", "*/*")]);
        assert_eq!(one, tried(&[("X-Other", "1"), ("X-Key", "a")]));
        assert_ne!(one, tried(&[("X-Key", "b"), ("Accept", "*/*")]));
        assert_eq!(tried(&[("Accept", "*/*")]), 0);
    }
}
