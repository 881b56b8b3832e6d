//! MessagePack and JSON: byte strings become base64url, keys of maps are texts or whole numbers.
//!
//! Extensions, also the one for times, are refused: JSON has no word for them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tell::{Bytes, Number, Telling, number};
use crate::text::said;
use crate::token::Token;
use crate::{Limits, Misfit, Value};

pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let mut bytes = Bytes::new(bytes);
    let mut telling = Telling::new(limits);
    item(&mut bytes, &mut telling)?;
    if !bytes.is_empty() {
        return Err(bytes.wrong("something stands behind the document"));
    }
    telling.whole()
}

/// What a first byte announces.
enum Kind {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(u64),
    Bytes(u64),
    Array(u64),
    Map(u64),
}

fn kind(bytes: &mut Bytes<'_>) -> Result<Kind, Misfit> {
    let first = bytes.byte()?;
    Ok(match first {
        0x00..=0x7f => Kind::Unsigned(u64::from(first)),
        0x80..=0x8f => Kind::Map(u64::from(first & 0x0f)),
        0x90..=0x9f => Kind::Array(u64::from(first & 0x0f)),
        0xa0..=0xbf => Kind::Text(u64::from(first & 0x1f)),
        0xc0 => Kind::Nil,
        0xc2 => Kind::Bool(false),
        0xc3 => Kind::Bool(true),
        0xc4..=0xc6 => Kind::Bytes(bytes.number(1 << (first - 0xc4))?),
        0xca => Kind::Float(f64::from(f32::from_bits(u32::try_from(bytes.number(4)?).unwrap_or(0)))),
        0xcb => Kind::Float(f64::from_bits(bytes.number(8)?)),
        0xcc..=0xcf => Kind::Unsigned(bytes.number(1 << (first - 0xcc))?),
        0xd0..=0xd3 => {
            let count = 1_u64 << (first - 0xd0);
            let number = bytes.number(count)?;
            // The highest bit of so many bytes is the sign.
            let unused = 64_u64.saturating_sub(count.saturating_mul(8));
            Kind::Signed((number << unused).cast_signed() >> unused)
        }
        0xd9..=0xdb => Kind::Text(bytes.number(1 << (first - 0xd9))?),
        0xdc..=0xdd => Kind::Array(bytes.number(2 << (first - 0xdc))?),
        0xde..=0xdf => Kind::Map(bytes.number(2 << (first - 0xde))?),
        0xe0..=0xff => Kind::Signed(i64::from(first.cast_signed())),
        0xc1 => return Err(bytes.wrong("this is no byte of MessagePack")),
        0xc7..=0xc9 | 0xd4..=0xd8 => return Err(bytes.wrong("extensions are not translated")),
    })
}

fn item(bytes: &mut Bytes<'_>, telling: &mut Telling) -> Result<(), Misfit> {
    match kind(bytes)? {
        Kind::Nil => telling.scalar("null"),
        Kind::Bool(word) => telling.scalar(if word { "true" } else { "false" }),
        Kind::Unsigned(number) => telling.scalar(&number.to_string()),
        Kind::Signed(number) => telling.scalar(&number.to_string()),
        Kind::Float(number) => telling.float(number),
        Kind::Text(length) => {
            let text = bytes.text(length)?;
            telling.text(text)
        }
        Kind::Bytes(length) => {
            let text = URL_SAFE_NO_PAD.encode(bytes.take(length)?);
            telling.text(&text)
        }
        Kind::Array(count) => {
            telling.token(Token::ArrayStart)?;
            for _ in 0..count {
                item(bytes, telling)?;
            }
            telling.token(Token::ArrayEnd)
        }
        Kind::Map(count) => {
            telling.token(Token::ObjectStart)?;
            for _ in 0..count {
                match kind(bytes)? {
                    Kind::Text(length) => telling.name(bytes.text(length)?)?,
                    Kind::Unsigned(number) => telling.name(&number.to_string())?,
                    Kind::Signed(number) => telling.name(&number.to_string())?,
                    _ => {
                        let what = "a map has a key that is neither a text nor a whole number";
                        return Err(Misfit::Unsayable(what));
                    }
                }
                item(bytes, telling)?;
            }
            telling.token(Token::ObjectEnd)
        }
    }
}

pub(super) fn write(value: &Value) -> Result<Vec<u8>, Misfit> {
    let mut out = Vec::new();
    put(value, &mut out)?;
    Ok(out)
}

fn put(value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match value {
        Value::Scalar(word) => match &**word {
            b"null" => out.push(0xc0),
            b"false" => out.push(0xc2),
            b"true" => out.push(0xc3),
            word => put_number(&number(word)?, out)?,
        },
        Value::Text(text) => put_text(text, out)?,
        Value::Array(elements) => {
            let count = u32::try_from(elements.len()).map_err(|_| TOO_LONG)?;
            match count {
                0..=15 => out.push(0x90 | u8::try_from(count).unwrap_or(0)),
                _ => put_with(0xdd, &count.to_be_bytes(), out),
            }
            elements.iter().try_for_each(|element| put(element, out))?;
        }
        Value::Object(members) => {
            let count = u32::try_from(members.len()).map_err(|_| TOO_LONG)?;
            match count {
                0..=15 => out.push(0x80 | u8::try_from(count).unwrap_or(0)),
                _ => put_with(0xdf, &count.to_be_bytes(), out),
            }
            for (name, value) in members {
                put_text(name, out)?;
                put(value, out)?;
            }
        }
    }
    Ok(())
}

const TOO_LONG: Misfit = Misfit::Unsayable("MessagePack has no room for so much");

fn put_with(first: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    out.extend_from_slice(bytes);
}

fn put_number(number: &Number, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match *number {
        Number::Positive(number) => match u8::try_from(number) {
            Ok(small @ 0..=0x7f) => out.push(small),
            Ok(byte) => put_with(0xcc, &[byte], out),
            Err(_) => match u32::try_from(number) {
                Ok(number) => put_with(0xce, &number.to_be_bytes(), out),
                Err(_) => put_with(0xcf, &number.to_be_bytes(), out),
            },
        },
        Number::Negative(below) => {
            let number = i64::try_from(-1_i128 - i128::from(below))
                .map_err(|_| Misfit::Unsayable("MessagePack has no number so low"))?;
            match i8::try_from(number) {
                Ok(small @ -32..) => out.push(small.cast_unsigned()),
                _ => put_with(0xd3, &number.to_be_bytes(), out),
            }
        }
        Number::Float(float) => put_with(0xcb, &float.to_bits().to_be_bytes(), out),
    }
    Ok(())
}

fn put_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let text = said(text);
    let length = u32::try_from(text.len()).map_err(|_| TOO_LONG)?;
    match length {
        0..=31 => out.push(0xa0 | u8::try_from(length).unwrap_or(0)),
        _ => put_with(0xdb, &length.to_be_bytes(), out),
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Result<String, Misfit> {
        let text = read(bytes, Limits { depth: 4, ..Limits::default() })?.write(&Limits::default())?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_kinds_of_the_specification_are_read() {
        for (bytes, text) in [
            (&b"\x7f"[..], "127"),
            (b"\xcc\xff", "255"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xe0", "-32"),
            (b"\xd0\x80", "-128"),
            (b"\xd1\xff\xfe", "-2"),
            (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
            (b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "1.5"),
            (b"\xa3abc", "\"abc\""),
            (b"\xd9\x01a", "\"a\""),
            (b"\xc4\x02\x01\x02", "\"AQI\""),
            (b"\x82\xa7compact\xc3\xa6schema\x00", r#"{"compact":true,"schema":0}"#),
            (b"\xdc\x00\x02\xc0\xc2", "[null,false]"),
            (b"\xde\x00\x01\x01\x02", r#"{"1":2}"#),
        ] {
            assert_eq!(json(bytes).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for bytes in [
            &b""[..],
            b"\xcc",
            b"\xdd\xff\xff\xff\xff",
            b"\xc1",
            b"\xd4\x01\x01",
            b"\xa2a",
            b"\x01\x01",
            b"\xa1\xff",
            b"\x91\x91\x91\x91\x91\x01",
            b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
            b"\x81\x90\x01",
        ] {
            assert!(json(bytes).is_err(), "{bytes:x?}");
        }
    }
}
