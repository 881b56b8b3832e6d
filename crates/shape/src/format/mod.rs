//! The formats between which bodies are translated: each reads bytes to a document held whole, or writes one.
//!
//! JSON streams; the others are held whole, within the limits. What one cannot say is refused, never said wrongly.

mod cbor;
mod csv;
mod form;
mod msgpack;
mod tell;
mod xml;

use std::sync::Arc;

pub use xml::{Xml, is_name as is_xml_name};

use crate::{Limits, Misfit, Value};

/// A format of bodies.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// One JSON text on each line.
    Lines,
    /// XML 1.0, by these rules.
    Xml(Arc<Xml>),
    /// `application/x-www-form-urlencoded`
    Form,
    /// RFC 4180, the first line with the names.
    Csv,
    /// MessagePack.
    MsgPack,
    /// RFC 8949.
    Cbor,
}

impl Format {
    /// The media type under which it is sent.
    pub fn media_type(&self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Lines => "application/x-ndjson",
            Format::Xml(_) => "application/xml; charset=utf-8",
            Format::Form => "application/x-www-form-urlencoded",
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::MsgPack => "application/msgpack",
            Format::Cbor => "application/cbor",
        }
    }

    /// Whether a media type, without its parameters and in lower case, is of this format.
    pub fn takes(&self, kind: &str) -> bool {
        match self {
            Format::Json => matches!(kind, "application/json" | "text/json") || kind.ends_with("+json"),
            Format::Lines => {
                matches!(kind, "application/x-ndjson" | "application/ndjson" | "application/jsonl")
            }
            Format::Xml(_) => matches!(kind, "application/xml" | "text/xml") || kind.ends_with("+xml"),
            Format::Form => kind == "application/x-www-form-urlencoded",
            Format::Csv => kind == "text/csv",
            Format::MsgPack => {
                matches!(kind, "application/msgpack" | "application/vnd.msgpack" | "application/x-msgpack")
            }
            Format::Cbor => kind == "application/cbor" || kind.ends_with("+cbor"),
        }
    }

    /// Reads a document held whole.
    ///
    /// # Errors
    /// It is not of this format, or beyond a limit.
    pub(crate) fn read(&self, bytes: &[u8], limits: Limits) -> Result<Value, Misfit> {
        match self {
            Format::Json | Format::Lines => crate::parse(bytes, limits),
            Format::Xml(rules) => xml::read(bytes, rules, limits),
            Format::Form => form::read(bytes, limits),
            Format::Csv => csv::read(bytes, limits),
            Format::MsgPack => msgpack::read(bytes, limits),
            Format::Cbor => cbor::read(bytes, limits),
        }
    }

    /// Writes a document.
    ///
    /// # Errors
    /// The format cannot say it.
    pub(crate) fn write(&self, value: &Value, limits: &Limits) -> Result<Vec<u8>, Misfit> {
        match self {
            Format::Json | Format::Lines => value.write(limits),
            Format::Xml(rules) => xml::write(value, rules),
            Format::Form => form::write(value),
            Format::Csv => csv::write(value),
            Format::MsgPack => msgpack::write(value),
            Format::Cbor => cbor::write(value),
        }
    }
}
