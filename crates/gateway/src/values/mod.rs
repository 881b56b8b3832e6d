//! Leaf types of the configuration language: durations, sizes, rates, networks, secrets, templates, names.
//!
//! Each is read from text by `FromStr`, which is the only place that may refuse it, and written back by `Display`
//! so that reading what was written gives the same value. None does I/O, none holds a lock, none knows where in
//! a file it stood.

mod address;
mod amount;
mod body_path;
mod braces;
mod cidr;
pub mod composed;
mod cron;
mod duration;
mod failure;
mod header;
mod hex_text;
mod key_hash;
mod moment;
mod names;
mod or_off;
mod origin;
mod per_word;
mod percent;
mod rate;
mod redis_url;
mod secret;
mod size;
mod source;
mod syntax;
mod target;
mod template;
mod web_url;
mod when;
mod zone;

mod ip_text;
pub mod random;
pub mod table;

pub use address::Address;
pub use amount::Amount;
pub use body_path::BodyPath;
pub use cidr::Cidr;
pub use composed::Composed;
pub use duration::Duration;
pub use failure::Failure;
pub use header::{HeaderName, HeaderPattern, HeaderValue};
pub use hex_text::{hex16, hex32};
pub use ip_text::push_ip;
pub use key_hash::KeyHash;
pub use moment::Moment;
pub use names::{Name, nearest};
pub use or_off::OrOff;
pub use origin::OriginPattern;
pub use per_word::PerWord;
pub use percent::Percent;
pub use rate::Rate;
pub use redis_url::RedisUrl;
pub use secret::Secret;
pub use size::Size;
pub use source::{CertFact, Source};
pub use syntax::Syntax;
pub use target::{TargetHost, TargetUrl};
pub use template::{Part, Template};
pub use web_url::WebUrl;
pub use when::When;
pub use zone::Zone;

use std::fmt;

/// Why a text is not a value of the wanted kind, and what to write instead.
///
/// `Display` gives both on one line: "`5 m` is not a duration: write a number and a unit: 250ms, 10s, 5m, 1h, 7d".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong, as a sentence without a full stop.
    pub what: String,
    /// What to write instead; empty when there is nothing to say.
    pub remedy: String,
}

impl Invalid {
    /// A fault with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// The two parts on two lines: the form in which a fault travels through `serde`, whose errors are one text.
    /// The reader of the configuration takes them apart again.
    pub fn two_lines(&self) -> String {
        format!("{}\n{}", self.what, self.remedy)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remedy.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.what, self.remedy)
        }
    }
}

impl std::error::Error for Invalid {}

/// Gives a type with `FromStr` and `Display` its `Deserialize`, `Serialize` and `JsonSchema`.
///
/// The last argument is the body of the JSON schema.
macro_rules! text_value {
    ($type:ty, $name:literal, $expecting:literal, $schema:tt) => {
        crate::values::text_value!(@read $type, $name, $expecting, $schema);
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
    (@read $type:ty, $name:literal, $expecting:literal, $schema:tt) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(|invalid: crate::values::Invalid| E::custom(invalid.two_lines()))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use text_value;

/// Splits a text into its leading decimal digits as a number and the rest.
///
/// `None` when there is no digit or the number does not fit into 64 bits.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}
