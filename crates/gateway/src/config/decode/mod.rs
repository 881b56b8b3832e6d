//! From tree to types: plain derived `serde` types, every fault at once, each with its place.
//!
//! `serde` stops at the first fault. So a value with a fault is reported, put aside, and the whole is read again
//! without it, until nothing is left to report. Unknown keys are reported by the deserializer itself, which is told
//! the known ones by the derived code. Does no I/O and never panics.

mod access;
mod deserializer;
mod fault;

use super::codes;
use super::diagnostic::Diagnostics;
use super::node::Node;
use super::place::{Span, Spanned};
use deserializer::{NodeReader, Run};
use fault::Kind;
use serde::de::DeserializeOwned;

/// Rounds after which a value is given up; each round reports one fault.
const ROUNDS: usize = 200;

/// Reads a value from a node and reports every fault in it.
///
/// Gives what could be read: the value may lack parts that had faults, and is `None` when nothing sensible is left.
/// Whether the configuration is good is decided by [`Diagnostics::has_errors`] alone.
///
/// Beyond what derived types do by themselves:
/// - a field of type `Spanned<T>` knows its place;
/// - an error message of two lines, as of `serde::de::Error::custom`, is taken as message and help;
/// - an enum named `$shape` by `#[serde(rename = "$shape")]` is chosen by what was written: its variants are among
///   `text`, `number`, `bool`, `list`, `map`, and `other` for all that no other one takes.
pub fn decode<T: DeserializeOwned>(node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
    read(None, node, diagnostics)
}

/// Reads the value of a key: as [`decode`], with the key in every message and at the place of what is missing.
pub fn decode_key<T: DeserializeOwned>(
    key: &Spanned<String>,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    read(Some(key), node, diagnostics)
}

fn read<T: DeserializeOwned>(
    key: Option<&Spanned<String>>,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let owner = key.map_or(node.span, Spanned::span);
    let run = Run::new(key.map(|key| key.as_str()), diagnostics.subject());
    let mut faults = Vec::new();
    let mut result = None;
    for _ in 0..ROUNDS {
        match T::deserialize(NodeReader::new(&run, node, owner)) {
            Ok(value) => {
                result = Some(value);
                break;
            }
            Err(fault) => {
                let put_aside = fault.put_aside;
                if !fault.silent {
                    faults.push(fault);
                }
                if !put_aside {
                    break;
                }
            }
        }
    }
    for fault in run.into_unknown_keys().into_iter().chain(faults) {
        let place = fault.place.unwrap_or_else(|| run_place(owner));
        let code = match fault.kind {
            Kind::WrongType => codes::WRONG_TYPE,
            Kind::BadValue => codes::BAD_VALUE,
            Kind::UnknownKey => codes::UNKNOWN_KEY,
            Kind::MissingKey => codes::MISSING_KEY,
        };
        let message = match fault.kind {
            Kind::UnknownKey | Kind::MissingKey => format!("{}{}", fault.message, place.inside()),
            Kind::WrongType | Kind::BadValue => format!("{}{}", place.before(), fault.message),
        };
        let report = diagnostics.error(code, place.span, message).help_if(fault.help);
        if let Some(label) = fault.label {
            report.label(label);
        }
    }
    result
}

fn run_place(span: Span) -> Box<fault::FaultPlace> {
    Box::new(fault::FaultPlace { span, path: String::new(), subject: None })
}
