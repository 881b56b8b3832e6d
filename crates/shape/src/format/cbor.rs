//! CBOR (RFC 8949) and JSON, as section 6 of the RFC advises: byte strings become base64url, undefined becomes null.
//!
//! Tags are refused, but for the one that only says that this is CBOR. Keys of maps are texts or whole numbers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tell::{Bytes, Number, Telling, number};
use crate::text::said;
use crate::token::Token;
use crate::{Limits, Misfit, Value};

/// The tag that says that this is CBOR.
const SELF_DESCRIBED: u64 = 55_799;

pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let mut bytes = Bytes::new(bytes);
    let mut telling = Telling::new(limits);
    item(&mut bytes, &mut telling)?;
    if !bytes.is_empty() {
        return Err(bytes.wrong("something stands behind the document"));
    }
    telling.whole()
}

/// A head: its kind, what follows its kind, and its number; none where the end is not said before.
struct Head {
    major: u8,
    short: u8,
    number: Option<u64>,
}

fn head(bytes: &mut Bytes<'_>) -> Result<Head, Misfit> {
    let first = bytes.byte()?;
    let (major, short) = (first >> 5, first & 0x1f);
    let number = match short {
        0..=23 => Some(u64::from(short)),
        24 => Some(bytes.number(1)?),
        25 => Some(bytes.number(2)?),
        26 => Some(bytes.number(4)?),
        27 => Some(bytes.number(8)?),
        31 => None,
        _ => return Err(bytes.wrong("this is no head of CBOR")),
    };
    Ok(Head { major, short, number })
}

fn item(bytes: &mut Bytes<'_>, telling: &mut Telling) -> Result<(), Misfit> {
    let mut first = head(bytes)?;
    while first.major == 6 {
        if first.number != Some(SELF_DESCRIBED) {
            return Err(bytes.wrong("tags are not translated"));
        }
        first = head(bytes)?;
    }
    value(&first, bytes, telling)
}

fn value(head: &Head, bytes: &mut Bytes<'_>, telling: &mut Telling) -> Result<(), Misfit> {
    match (head.major, head.number) {
        (0, Some(number)) => telling.scalar(&number.to_string()),
        (1, Some(number)) => telling.scalar(&(-1_i128 - i128::from(number)).to_string()),
        (2, Some(length)) => {
            let text = URL_SAFE_NO_PAD.encode(bytes.take(length)?);
            telling.text(&text)
        }
        (3, _) => {
            let text = text(head, bytes)?;
            telling.text(&text)
        }
        (4, count) => {
            telling.token(Token::ArrayStart)?;
            each(count, bytes, &mut |next, bytes| item_after(next, bytes, telling))?;
            telling.token(Token::ArrayEnd)
        }
        (5, count) => {
            telling.token(Token::ObjectStart)?;
            each(count, bytes, &mut |next, bytes| {
                let name = name(&next, bytes)?;
                telling.name(&name)?;
                item(bytes, telling)
            })?;
            telling.token(Token::ObjectEnd)
        }
        (7, number) => simple(head.short, number, bytes, telling),
        _ => Err(bytes.wrong("this is no item of CBOR")),
    }
}

fn item_after(first: Head, bytes: &mut Bytes<'_>, telling: &mut Telling) -> Result<(), Misfit> {
    if first.major != 6 {
        return value(&first, bytes, telling);
    }
    if first.number != Some(SELF_DESCRIBED) {
        return Err(bytes.wrong("tags are not translated"));
    }
    item(bytes, telling)
}

/// Reads the heads of what an array or a map holds.
fn each(
    count: Option<u64>,
    bytes: &mut Bytes<'_>,
    read: &mut dyn FnMut(Head, &mut Bytes<'_>) -> Result<(), Misfit>,
) -> Result<(), Misfit> {
    let mut left = count;
    loop {
        if left == Some(0) {
            return Ok(());
        }
        let next = head(bytes)?;
        if count.is_none() && next.major == 7 && next.number.is_none() {
            return Ok(());
        }
        read(next, bytes)?;
        left = left.map(|left| left.saturating_sub(1));
    }
}

fn name(head: &Head, bytes: &mut Bytes<'_>) -> Result<String, Misfit> {
    match (head.major, head.number) {
        (0, Some(number)) => Ok(number.to_string()),
        (1, Some(number)) => Ok((-1_i128 - i128::from(number)).to_string()),
        (3, _) => text(head, bytes),
        _ => Err(Misfit::Unsayable("a map has a key that is neither a text nor a whole number")),
    }
}

fn text(head: &Head, bytes: &mut Bytes<'_>) -> Result<String, Misfit> {
    if let Some(length) = head.number {
        return bytes.text(length).map(str::to_owned);
    }
    let mut whole = String::new();
    each(None, bytes, &mut |part, bytes| match (part.major, part.number) {
        (3, Some(length)) => {
            whole.push_str(bytes.text(length)?);
            Ok(())
        }
        _ => Err(bytes.wrong("a text has a part that is none")),
    })?;
    Ok(whole)
}

fn simple(short: u8, number: Option<u64>, bytes: &Bytes<'_>, telling: &mut Telling) -> Result<(), Misfit> {
    match (short, number) {
        (20, _) => telling.scalar("false"),
        (21, _) => telling.scalar("true"),
        (22 | 23, _) => telling.scalar("null"),
        (25, Some(bits)) => telling.float(half(bits)),
        (26, Some(bits)) => telling.float(f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(0)))),
        (27, Some(bits)) => telling.float(f64::from_bits(bits)),
        _ => Err(bytes.wrong("this simple value has no word in JSON")),
    }
}

/// A number of sixteen bits (RFC 8949 appendix D).
fn half(bits: u64) -> f64 {
    let (exponent, fraction) = (bits >> 10 & 0x1f, bits & 0x3ff);
    let fraction = f64::from(u32::try_from(fraction).unwrap_or(0));
    let power = i32::try_from(exponent).unwrap_or(0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(power.saturating_sub(25)),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

pub(super) fn write(value: &Value) -> Result<Vec<u8>, Misfit> {
    let mut out = Vec::new();
    put(value, &mut out)?;
    Ok(out)
}

fn put(value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
    match value {
        Value::Scalar(word) => match &**word {
            b"false" => out.push(0xf4),
            b"true" => out.push(0xf5),
            b"null" => out.push(0xf6),
            word => match number(word)? {
                Number::Positive(number) => put_head(0, number, out),
                Number::Negative(number) => put_head(1, number, out),
                Number::Float(float) => {
                    out.push(0xfb);
                    out.extend(float.to_bits().to_be_bytes());
                }
            },
        },
        Value::Text(text) => put_text(text, out),
        Value::Array(elements) => {
            put_head(4, elements.len() as u64, out);
            elements.iter().try_for_each(|element| put(element, out))?;
        }
        Value::Object(members) => {
            put_head(5, members.len() as u64, out);
            for (name, value) in members {
                put_text(name, out);
                put(value, out)?;
            }
        }
    }
    Ok(())
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let text = said(text);
    put_head(3, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_head(major: u8, number: u64, out: &mut Vec<u8>) {
    let kind = major << 5;
    let bytes = number.to_be_bytes();
    let (short, count) = match number {
        0..=23 => (u8::try_from(number).unwrap_or(0), 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(kind | short);
    out.extend_from_slice(bytes.get(8_usize.saturating_sub(count)..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Result<String, Misfit> {
        let text = read(bytes, Limits { depth: 4, ..Limits::default() })?.write(&Limits::default())?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_samples_of_the_rfc_are_read() {
        for (bytes, text) in [
            (&b"\x00"[..], "0"),
            (b"\x18\x64", "100"),
            (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "-18446744073709551616"),
            (b"\xf9\x3c\x00", "1.0"),
            (b"\xf9\x00\x01", "5.960464477539063e-8"),
            (b"\xf9\xc4\x00", "-4.0"),
            (b"\xfa\x47\xc3\x50\x00", "100000.0"),
            (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", "1.1"),
            (b"\xf4", "false"),
            (b"\xf7", "null"),
            (b"\x44\x01\x02\x03\x04", "\"AQIDBA\""),
            (b"\x62\x22\x5c", r#""\"\\""#),
            (b"\x83\x01\x82\x02\x03\x82\x04\x05", "[1,[2,3],[4,5]]"),
            (b"\xa2\x01\x02\x03\x04", r#"{"1":2,"3":4}"#),
            (b"\xbf\x61a\x01\x61b\x9f\x02\x03\xff\xff", r#"{"a":1,"b":[2,3]}"#),
            (b"\x7f\x65strea\x64ming\xff", "\"streaming\""),
            (b"\xd9\xd9\xf7\x01", "1"),
        ] {
            assert_eq!(json(bytes).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for bytes in [
            &b""[..],
            b"\x18",
            b"\x62a",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xff",
            b"\xc0\x61a",
            b"\x01\x01",
            b"\xf9\x7c\x00",
            b"\xa1\x80\x01",
            b"\x81\x81\x81\x81\x81\x01",
            b"\x61\xff",
            b"\x1c",
            b"\x7f\x01\xff",
        ] {
            assert!(json(bytes).is_err(), "{bytes:x?}");
        }
    }
}
