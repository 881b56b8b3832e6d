//! Who sent the request, as a policy found out: the identity of one exchange.
//!
//! Made by the policies that check credentials, from a credential that held; there is none before, and none for a
//! credential that failed. Holds what may be told about the caller and never the credential itself.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http1::Prepared;
use serde_json::{Map, Value};

/// Texts in their order: two words, where a vector has three, in what each request looks at.
pub type Texts = Box<[Box<str>]>;

/// Adds those that are not there.
pub fn add<'t>(texts: &mut Texts, more: impl Iterator<Item = &'t str>) {
    let mut all = std::mem::take(texts).into_vec();
    for text in more {
        if !all.iter().any(|known| **known == *text) {
            all.push(text.into());
        }
    }
    *texts = all.into();
}

/// Who sent a request.
///
/// In the order in which requests want to know it: of each of thousands of callers no more memory is touched than has to be.
#[derive(Clone, Default, PartialEq)]
#[repr(C)]
pub struct Identity {
    /// The groups of the consumer, and those the credential names.
    pub groups: Texts,
    /// The header lines by which services learn who it is.
    pub told: Prepared,
    /// How it was found out: the name of the policy, as `api_key` or `jwt`.
    pub kind: &'static str,
    /// The consumer of the configuration, if the caller is one.
    pub consumer: Option<Arc<str>>,
    /// Who the credential is about, in the words of whoever issued it: the `sub` of a token, the name of a user.
    pub subject: Option<Box<str>>,
    /// What logs may tell of the credential: the readable beginning of an API key. Empty for nothing.
    pub credential: Box<str>,
    /// The scopes that were given to the caller (RFC 6749 section 3.3).
    pub scopes: Texts,
    /// The roles of the caller.
    pub roles: Texts,
    /// The claims of the token, whole; empty for other credentials.
    pub claims: Map<String, Value>,
}

/// What each request looks at, and the counts of an [`Rc`](std::rc::Rc) before it, are two lines of the caches.
const _: () = assert!(std::mem::offset_of!(Identity, kind) + 16 <= 2 * 64);

impl fmt::Debug for Identity {
    /// Claims may hold what is nobody's business, so only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("kind", &self.kind)
            .field("consumer", &self.consumer)
            .field("claims", &self.claims.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// An identity of this kind that says nothing yet.
    pub fn new(kind: &'static str) -> Identity {
        Identity { kind, ..Identity::default() }
    }

    /// A claim by its name, or by a path of names with dots between them that leads into objects. A claim whose own
    /// name has dots, as URLs have, is found first.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        find(&self.claims, path)
    }

    /// The text of a claim: strings, numbers and truth values as they are, lists of them with commas between.
    pub fn claim_text(&self, path: &str) -> Option<Cow<'_, str>> {
        text(self.claim(path)?)
    }

    /// Who it is for a log: the consumer, else the subject.
    pub fn name(&self) -> Option<&str> {
        self.consumer.as_deref().or(self.subject.as_deref())
    }
}

/// A value in an object by its name or by a path of names.
pub fn find<'v>(object: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(object.get(first)?.as_object()?, rest)
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(text).collect();
            Some(Cow::Owned(texts?.join(",")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let Value::Object(claims) = json!({
            "sub": "u1", "n": 7, "yes": true, "list": ["a", "b"], "realm": { "roles": ["x"] },
            "https://shop.example/role": "admin", "nothing": null, "deep": [{ "a": 1 }],
        }) else {
            unreachable!()
        };
        let identity = Identity { claims, ..Identity::new("jwt") };
        for (path, wish) in [
            ("sub", Some("u1")),
            ("n", Some("7")),
            ("yes", Some("true")),
            ("list", Some("a,b")),
            ("realm.roles", Some("x")),
            ("https://shop.example/role", Some("admin")),
            ("nothing", None),
            ("realm", None),
            ("deep", None),
            ("absent", None),
            ("sub.x", None),
        ] {
            assert_eq!(identity.claim_text(path).as_deref(), wish, "{path}");
        }
        assert!(!format!("{identity:?}").contains("admin"));
    }
}
