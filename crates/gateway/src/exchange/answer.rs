//! A response made here: by a policy, by an action such as `redirect`, or for a fault.
//!
//! It says what to send; how it is put on the wire, and in which of the formats the client accepts, is `fault.rs`.

use std::sync::Arc;

use http1::NameBuf;

/// A response made by the gateway itself.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Stable word for the reason, in logs, metrics and problem types: `no_route`, `ip_denied`.
    pub reason: &'static str,
    /// Further field lines.
    pub fields: Vec<(NameBuf, Vec<u8>)>,
    /// What stands in the body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// Problem details (RFC 9457) with this sentence for the client, as JSON, text or HTML by `Accept`.
    Problem(String),
    /// Problem details of a type that is not ours.
    Typed(Box<Problem>),
    /// These bytes.
    Bytes {
        /// Value of `Content-Type`.
        content_type: Arc<str>,
        /// The body.
        bytes: Arc<[u8]>,
    },
}

/// Problem details of a type that others have defined.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its type, a URI.
    pub kind: &'static str,
    /// Its title, as defined there.
    pub title: &'static str,
    /// One sentence for the client.
    pub detail: String,
    /// Further members (RFC 9457 section 3.2), in the JSON form only.
    pub members: Vec<(&'static str, serde_json::Value)>,
}

impl Answer {
    /// A refusal with problem details of a type that others have defined.
    pub fn typed_problem(status: u16, reason: &'static str, problem: Problem) -> Answer {
        Answer { status, reason, fields: Vec::new(), body: Body::Typed(Box::new(problem)) }
    }

    /// A refusal with problem details: a status, the stable word for the reason and one sentence for the client.
    pub fn problem(status: u16, reason: &'static str, detail: impl Into<String>) -> Answer {
        Answer { status, reason, fields: Vec::new(), body: Body::Problem(detail.into()) }
    }

    /// An answer without a body.
    pub fn empty(status: u16, reason: &'static str) -> Answer {
        Answer { status, reason, fields: Vec::new(), body: Body::Empty }
    }

    /// Adds a field line. A name that is no token adds nothing.
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Answer {
        if let Ok(name) = NameBuf::new(name) {
            self.fields.push((name, value.into()));
        }
        self
    }
}
