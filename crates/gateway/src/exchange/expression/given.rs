//! What an expression reads of an exchange, as values of the interpreter.
//!
//! Only what an expression names is made. What is there twice, is no text, or is larger than an expression may see, is not
//! given at all: then nothing can be told, and whoever asks lets nobody pass for it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cel::common::types::CelString;
use cel::objects::{Key, Map};
use cel::{Context, Value};
use serde_json::Value as Json;

use super::check::Use;
use super::{MOST_ITEMS, MOST_TEXT};
use crate::exchange::Exchange;
use crate::exchange::caller::Texts;
use crate::exchange::source::decoded;

/// How deep a claim may be nested.
const DEEPEST: u32 = 8;
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];

type Untold = Cow<'static, str>;

/// Gives one thing to an expression.
pub(super) fn give<'e>(used: &Use, exchange: &'e Exchange, to: &mut Context<'_, 'e>) -> Result<(), Untold> {
    match used {
        Use::Name(name) => {
            match plain(name, exchange)? {
                Plain::Text(text) => to.add_variable_as_val(*name, Box::new(CelString::from(text))),
                Plain::Value(value) => to.add_variable_from_value(*name, value),
            }
            Ok(())
        }
        Use::Header(name) => {
            let mut lines = exchange
                .request
                .fields
                .iter()
                .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
            let (value, second) = (lines.next(), lines.next());
            if second.is_some() {
                return Err(Cow::Borrowed("the expression reads a header that is there twice"));
            }
            let value = value.map(|field| text(field.value)).transpose()?;
            add(to, "request.headers", name, value.map(Value::from))
        }
        Use::Query(name) => {
            let mut found = None;
            for pair in exchange.query.split(|byte| *byte == b'&') {
                let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
                if *decoded(pair.get(..equals).unwrap_or_default()) != *name.as_bytes() {
                    continue;
                }
                let value = decoded(pair.get(equals.saturating_add(1)..).unwrap_or_default());
                if found.replace(Value::from(text(&value)?)).is_some() {
                    return Err(Cow::Borrowed("the expression reads a parameter that is there twice"));
                }
            }
            add(to, "request.query", name, found)
        }
        Use::Claim(name) => {
            let claim = exchange.identity.as_ref().and_then(|who| who.claims.get(name));
            add(to, "claims", name, claim.map(|claim| of_json(claim, DEEPEST)).transpose()?)
        }
    }
}

/// Adds an entry to a map of the expression, or the empty map.
fn add(to: &mut Context<'_, '_>, map: &str, name: &str, value: Option<Value>) -> Result<(), Untold> {
    let mut entries: HashMap<Key, Value> =
        match to.get_variable(map).map(|known| Value::try_from(known.as_ref())) {
            Some(Ok(Value::Map(known))) => (*known.map).clone(),
            _ => HashMap::new(),
        };
    if let Some(value) = value {
        entries.insert(Key::from(name), value);
    }
    to.add_variable_from_value(map, Value::Map(Map { map: Arc::new(entries) }));
    Ok(())
}

enum Plain<'e> {
    Text(Cow<'e, str>),
    Value(Value),
}

fn plain<'e>(name: &str, exchange: &'e Exchange) -> Result<Plain<'e>, Untold> {
    let who = exchange.identity.as_deref();
    let seconds = exchange.record.started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let number = |number: u64| Ok(Plain::Value(Value::Int(i64::try_from(number).unwrap_or(i64::MAX))));
    let list = |texts: Option<&Texts>| {
        let texts = texts.map_or(&[][..], |texts| texts);
        if texts.len() > MOST_ITEMS {
            return Err(Cow::Borrowed("the expression reads a list that is too long"));
        }
        Ok(Plain::Value(Value::List(Arc::new(texts.iter().map(|text| Value::from(&**text)).collect()))))
    };
    let bytes = |bytes: &'e [u8]| text(bytes).map(|text| Plain::Text(Cow::Borrowed(text)));
    match name {
        "request.method" => bytes(exchange.request.method_text()),
        "request.path" => bytes(&exchange.path),
        "request.host" => bytes(&exchange.host),
        "request.scheme" => bytes(if exchange.client.https { b"https" } else { b"http" }),
        "client.address" => Ok(Plain::Text(Cow::Owned(exchange.client.ip.to_string()))),
        "time.unix" => number(seconds),
        "time.hour" => number(seconds / 3600 % 24),
        "time.minute" => number(seconds / 60 % 60),
        "time.weekday" => {
            let day = DAYS.get(usize::try_from(seconds / 86_400 % 7).unwrap_or(0)).copied();
            Ok(Plain::Text(Cow::Borrowed(day.unwrap_or_default())))
        }
        "authenticated" => Ok(Plain::Value(Value::Bool(who.is_some()))),
        "consumer" => bytes(who.and_then(|who| who.consumer.as_deref()).unwrap_or_default().as_bytes()),
        "subject" => bytes(who.and_then(|who| who.subject.as_deref()).unwrap_or_default().as_bytes()),
        "groups" => list(who.map(|who| &who.groups)),
        "scopes" => list(who.map(|who| &who.scopes)),
        "roles" => list(who.map(|who| &who.roles)),
        _ => Err(Cow::Borrowed("the expression reads what is not known")),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Untold> {
    if bytes.len() > MOST_TEXT {
        return Err(Cow::Borrowed("the expression reads a text that is too long"));
    }
    std::str::from_utf8(bytes).map_err(|_| Cow::Borrowed("the expression reads what is no text"))
}

fn of_json(json: &Json, deep: u32) -> Result<Value, Untold> {
    let Some(deep) = deep.checked_sub(1) else {
        return Err(Cow::Borrowed("the expression reads a claim that is nested too deep"));
    };
    let too_long = || Cow::Borrowed("the expression reads a list that is too long");
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => Value::Null,
        },
        Json::String(own) => Value::from(text(own.as_bytes())?),
        Json::Array(items) if items.len() > MOST_ITEMS => return Err(too_long()),
        Json::Array(items) => {
            let items: Result<Vec<Value>, Untold> = items.iter().map(|item| of_json(item, deep)).collect();
            Value::List(Arc::new(items?))
        }
        Json::Object(parts) if parts.len() > MOST_ITEMS => return Err(too_long()),
        Json::Object(parts) => {
            let mut entries = HashMap::with_capacity(parts.len());
            for (name, part) in parts {
                entries.insert(Key::from(name.as_str()), of_json(part, deep)?);
            }
            Value::Map(Map { map: Arc::new(entries) })
        }
    })
}
