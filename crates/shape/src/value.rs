//! A document held whole: its texts and numbers as they were written.

/// The members of an object, in their order.
pub type Members = Vec<(Box<[u8]>, Value)>;

/// One value. Texts and names are as JSON writes them between quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, `true`, `false` or `null`.
    Scalar(Box<[u8]>),
    /// A text.
    Text(Box<[u8]>),
    /// Its elements.
    Array(Vec<Value>),
    /// Its members, in their order.
    Object(Members),
}

impl Value {
    /// `null`
    pub fn null() -> Value {
        Value::Scalar(Box::from(&b"null"[..]))
    }

    /// A text that says this.
    pub fn text(text: &str) -> Value {
        Value::Text(crate::text::written(text).into())
    }

    /// A number, or `true`, `false` or `null`, as it is written.
    pub fn scalar(word: &str) -> Value {
        Value::Scalar(word.as_bytes().into())
    }

    /// A name as a member has it.
    pub fn name(name: &str) -> Box<[u8]> {
        crate::text::written(name).into()
    }

    /// The member of a name.
    pub fn member(&self, name: &str) -> Option<&Value> {
        let Value::Object(members) = self else { return None };
        members.iter().find(|(own, _)| is_name(own, name)).map(|(_, value)| value)
    }

    /// What a scalar or a text says; nothing of an array or object.
    pub fn said(&self) -> Option<String> {
        match self {
            Value::Scalar(word) => Some(String::from_utf8_lossy(word).into_owned()),
            Value::Text(text) => Some(crate::text::said(text)),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The same for those who work with `serde_json`. Numbers beyond its own become the nearest it has.
    pub fn to_serde(&self) -> serde_json::Value {
        match self {
            Value::Scalar(word) => serde_json::from_slice(word).unwrap_or(serde_json::Value::Null),
            Value::Text(text) => serde_json::Value::String(crate::text::said(text)),
            Value::Array(elements) => elements.iter().map(Value::to_serde).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| (crate::text::said(name), value.to_serde()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// A value of `serde_json`.
    pub fn from_serde(value: &serde_json::Value) -> Value {
        match value {
            serde_json::Value::String(text) => Value::text(text),
            serde_json::Value::Array(elements) => {
                Value::Array(elements.iter().map(Value::from_serde).collect())
            }
            serde_json::Value::Object(members) => Value::Object(
                members.iter().map(|(name, value)| (Value::name(name), Value::from_serde(value))).collect(),
            ),
            word => Value::scalar(&word.to_string()),
        }
    }
}

/// Whether a name as it is written says this.
pub(crate) fn is_name(written: &[u8], name: &str) -> bool {
    *crate::text::plain(written) == *name.as_bytes()
}
