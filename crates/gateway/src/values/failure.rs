//! The ways in which a service fails, by name: `connect`, `timeout`, `5xx`, `503`.
//!
//! The words of `retry`, `fallback` and `circuit_breaker` alike.

use super::{Invalid, nearest, text_value};
use std::{fmt, str::FromStr};

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection: refused, out of time, or without the TLS that was asked for.
    Connect,
    /// The connection ended before the head of an answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer that breaks the rules of HTTP.
    Invalid,
    /// The circuit of the service is open: it was not asked.
    OpenCircuit,
    /// The service has as many requests as it takes: it was not asked.
    Full,
    /// The service has no target, or none whose name resolves.
    NoTarget,
    /// An answer of 500 to 599.
    Class5,
    /// An answer of this status, 400 to 599.
    Status(u16),
}

const WORDS: [(&str, Failure); 8] = [
    ("connect", Failure::Connect),
    ("reset", Failure::Reset),
    ("timeout", Failure::Timeout),
    ("invalid", Failure::Invalid),
    ("open_circuit", Failure::OpenCircuit),
    ("full", Failure::Full),
    ("no_target", Failure::NoTarget),
    ("5xx", Failure::Class5),
];

impl FromStr for Failure {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some((_, failure)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*failure);
        }
        if let Ok(status @ 400..=599) = text.parse() {
            return Ok(Failure::Status(status));
        }
        let remedy = match nearest(text, WORDS.iter().map(|(word, _)| *word)) {
            Some(word) => format!("did you mean `{word}`?"),
            None => {
                "write connect, reset, timeout, invalid, open_circuit, full, no_target, 5xx, or a status from 400"
                    .to_owned()
            }
        };
        Err(Invalid::new(format!("`{}` is no way to fail", text.escape_debug()), remedy))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Status(status) => status.fmt(f),
            other => f.write_str(WORDS.iter().find(|(_, word)| word == other).map_or("", |(word, _)| word)),
        }
    }
}

text_value!(Failure, "Failure", "a way to fail such as connect, timeout, 5xx or 503", {
    "anyOf": [
        { "enum": ["connect", "reset", "timeout", "invalid", "open_circuit", "full", "no_target", "5xx"] },
        { "type": "integer", "minimum": 400, "maximum": 599 }
    ],
    "description": "A way in which a service fails: `connect`, `reset`, `timeout`, `invalid`, `open_circuit`, `full`, `no_target`, `5xx`, or a status from 400."
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_statuses() {
        for text in ["connect", "5xx", "503", "open_circuit"] {
            assert_eq!(text.parse::<Failure>().unwrap().to_string(), text);
        }
        for (text, fault) in [
            ("timeuot", "`timeuot` is no way to fail: did you mean `timeout`?"),
            (
                "200",
                "`200` is no way to fail: write connect, reset, timeout, invalid, open_circuit, full, \
                 no_target, 5xx, or a status from 400",
            ),
        ] {
            assert_eq!(text.parse::<Failure>().unwrap_err().to_string(), fault);
        }
    }
}
