//! Forms (`application/x-www-form-urlencoded`, WHATWG URL section 5) and JSON: an object of texts; a name that comes again
//! holds an array of them.

use super::tell::Telling;
use crate::text::said;
use crate::token::Token;
use crate::{Limits, Misfit, Value};

pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let mut count = 0_usize;
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        count = count.saturating_add(1);
        if count > limits.members {
            return Err(Misfit::Wide(limits.members));
        }
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at_checked(equals).unwrap_or_default();
        let (name, value) = (decoded(name)?, decoded(value.get(1..).unwrap_or_default())?);
        let place = *places.entry(name.clone()).or_insert(fields.len());
        match fields.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    let mut telling = Telling::new(limits);
    telling.token(Token::ObjectStart)?;
    for (name, values) in &fields {
        telling.name(name)?;
        match values.as_slice() {
            [one] => telling.text(one)?,
            more => {
                telling.token(Token::ArrayStart)?;
                more.iter().try_for_each(|value| telling.text(value))?;
                telling.token(Token::ArrayEnd)?;
            }
        }
    }
    telling.token(Token::ObjectEnd)?;
    telling.whole()
}

fn decoded(text: &[u8]) -> Result<String, Misfit> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, behind @ ..]) => {
                let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Err(BAD) };
                out.push(high << 4 | low);
                rest = behind;
            }
            (b'%', _) => return Err(BAD),
            _ => out.push(*byte),
        }
    }
    String::from_utf8(out).map_err(|_| Misfit::Syntax("a text is not UTF-8", 0))
}

const BAD: Misfit = Misfit::Syntax("a percent sign is not followed by two hexadecimal digits", 0);
const FLAT: Misfit =
    Misfit::Unsayable("a form holds an object of texts, numbers and arrays of them, nothing else");

pub(super) fn write(value: &Value) -> Result<Vec<u8>, Misfit> {
    let Value::Object(members) = value else { return Err(FLAT) };
    let mut out = Vec::new();
    for (name, value) in members {
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| pair(name, value, &mut out))?,
            value => pair(name, value, &mut out)?,
        }
    }
    Ok(out)
}

fn pair(name: &[u8], value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if !out.is_empty() {
        out.push(b'&');
    }
    encode(&said(name), out);
    out.push(b'=');
    match value {
        Value::Scalar(word) if **word == *b"null" => {}
        value => encode(&value.said().ok_or(FLAT)?, out),
    }
    Ok(())
}

fn encode(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_objects() {
        for (form, text) in [
            ("a=1&b=x+y%26z&a=2", r#"{"a":["1","2"],"b":"x y&z"}"#),
            ("", "{}"),
            ("a", r#"{"a":""}"#),
            ("%C3%BC=%22", r#"{"ü":"\""}"#),
        ] {
            let value = read(form.as_bytes(), Limits::default()).unwrap();
            assert_eq!(value.write(&Limits::default()).unwrap(), text.as_bytes());
            assert_eq!(read(&write(&value).unwrap(), Limits::default()).unwrap(), value);
        }
        let value = crate::parse(br#"{"a":1.50,"b":[true,null],"c":"x y"}"#, Limits::default()).unwrap();
        assert_eq!(write(&value).unwrap(), b"a=1.50&b=true&b=&c=x+y");
        for text in ["[]", "1", r#"{"a":{}}"#, r#"{"a":[[]]}"#] {
            assert_eq!(write(&crate::parse(text.as_bytes(), Limits::default()).unwrap()), Err(FLAT));
        }
        for form in ["a=%", "a=%zz", "%ff=1"] {
            assert!(read(form.as_bytes(), Limits::default()).is_err());
        }
    }
}
