//! A request becomes a call: the template of its path, the parameters of its query, its body.

use std::sync::Arc;

use prost::Message;
use prost_reflect::{DynamicMessage, Value};

use crate::catalog::{Body, Call, Catalog};
use crate::field::{self, Fields};
use crate::percent::form;
use crate::{Wrong, depth, json};

/// Why a request is no call.
#[derive(Debug, PartialEq, Eq)]
pub enum Missed {
    /// No template has its path.
    Path,
    /// Templates have its path, but not with its method: with these.
    Method(Vec<String>),
    /// What is said in its path or query does not fit.
    Wrong(Wrong),
}

/// A request as far as its head says what it calls.
#[derive(Debug)]
pub struct Asked {
    call: Arc<Call>,
    said: Vec<(Fields, Value)>,
}

impl Catalog {
    /// What a request calls. The path is in canonical form, path and query still percent-encoded.
    ///
    /// # Errors
    /// Why it calls nothing.
    pub fn ask(&self, method: &str, path: &[u8], query: &[u8]) -> Result<Asked, Missed> {
        // An answer to HEAD is that to GET without its body.
        let method = if method == "HEAD" { "GET" } else { method };
        let mut others = Vec::new();
        for call in &self.calls {
            let Some(texts) = call.template.captured(path) else { continue };
            if call.verb != method && call.verb != "*" {
                if !others.contains(&call.verb) {
                    others.push(call.verb.clone());
                }
                continue;
            }
            return asked(call, texts, query).map_err(Missed::Wrong);
        }
        Err(if others.is_empty() { Missed::Path } else { Missed::Method(others) })
    }
}

fn asked(call: &Arc<Call>, texts: Vec<Vec<u8>>, query: &[u8]) -> Result<Asked, Wrong> {
    let mut said = parameters(call, query)?;
    // Behind the query, which so cannot say otherwise.
    for ((capture, fields), text) in call.template.captures.iter().zip(&call.captures).zip(texts) {
        said.push((fields.clone(), meant(&capture.field, fields, text)?));
    }
    Ok(Asked { call: call.clone(), said })
}

/// What a text means for the last of these fields.
fn meant(path: &str, fields: &Fields, text: Vec<u8>) -> Result<Value, Wrong> {
    let Some(last) = fields.last() else { return Err(Wrong::at(path, "there is no such field")) };
    let Ok(text) = String::from_utf8(text) else { return Err(Wrong::at(path, "it is not in UTF-8")) };
    field::value(last, &text).map_err(|what| Wrong::at(path, what))
}

/// The fields that a query says.
fn parameters(call: &Call, query: &[u8]) -> Result<Vec<(Fields, Value)>, Wrong> {
    let mut said: Vec<(Fields, Value)> = Vec::new();
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, text) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                (pair.get(..at).unwrap_or_default(), pair.get(at.saturating_add(1)..).unwrap_or_default())
            }
            None => (pair, &b""[..]),
        };
        let name = String::from_utf8_lossy(&form(name)).into_owned();
        let found = match &call.body {
            Body::All => Err("the fields stand in the body, not in the query"),
            Body::Field(body) => {
                field::find(&call.input, &name).and_then(|fields| match fields.first() == Some(body) {
                    true => Err("this field stands in the body"),
                    false => Ok(fields),
                })
            }
            Body::Nothing => field::find(&call.input, &name),
        };
        let fields = match found {
            Ok(fields) => fields,
            Err(_) if call.options.ignore_unknown => continue,
            Err(why) => return Err(Wrong::at(name, why)),
        };
        let Some(last) = fields.last() else { continue };
        if !field::is_sayable(last) {
            return Err(Wrong::at(name, "a query cannot say this field; say those in it"));
        }
        if !last.is_list() && said.iter().any(|(known, _)| *known == fields) {
            return Err(Wrong::at(name, "it is said twice"));
        }
        let value = meant(&name, &fields, form(text))?;
        said.push((fields, value));
    }
    Ok(said)
}

impl Asked {
    /// What is called.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// The one frame of the call: its message, with what stands before it.
    ///
    /// # Errors
    /// The body does not fit.
    pub fn frame(self, body: &[u8]) -> Result<Vec<u8>, Wrong> {
        let Asked { call, said } = self;
        let ignore = call.options.ignore_unknown;
        let mut message = match &call.body {
            _ if body.iter().all(u8::is_ascii_whitespace) => DynamicMessage::new(call.input.clone()),
            Body::Nothing => return Err(Wrong::whole("this call takes no body")),
            Body::All => json::message(&call.input, body, ignore)?,
            Body::Field(field) => {
                let name = serde_json::to_string(field.json_name()).unwrap_or_default();
                json::member(&call.input, &name, body, ignore)?
            }
        };
        for (fields, value) in said {
            field::put(&mut message, &fields, value);
        }
        if !depth::is_told(&message) {
            return Err(Wrong::whole("the message is nested deeper than services read"));
        }
        let encoded = message.encode_to_vec();
        let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        if encoded.len() > call.options.size {
            return Err(Wrong::whole(format!("the message is larger than {} bytes", call.options.size)));
        }
        let mut frame = Vec::with_capacity(encoded.len().saturating_add(5));
        frame.push(0);
        frame.extend(length.to_be_bytes());
        frame.extend(encoded);
        Ok(frame)
    }
}
