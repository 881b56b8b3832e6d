//! Texts of JSON as they are written between their quotes: whether they are well formed, and what they say.

use std::borrow::Cow;

/// How far a text is well formed: the length of what may stand alone. With `whole`, that must be all of it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn checked(text: &[u8], whole: bool) -> Result<usize, &'static str> {
    let mut from = 0;
    loop {
        let rest = text.get(from..).unwrap_or_default();
        let stop = memchr::memchr(b'\\', rest);
        let plain = rest.get(..stop.unwrap_or(rest.len())).unwrap_or_default();
        if plain.iter().any(|byte| *byte < 0x20) {
            return Err("a control character stands in a text");
        }
        if !plain.is_ascii()
            && let Err(error) = std::str::from_utf8(plain)
        {
            return match (error.error_len(), stop) {
                (None, None) if !whole => Ok(from.saturating_add(error.valid_up_to())),
                _ => Err("the body is not UTF-8"),
            };
        }
        from = from.saturating_add(plain.len());
        if stop.is_none() {
            return Ok(from);
        }
        match escape(text.get(from..).unwrap_or_default()) {
            Escape::Of(_, length) => from = from.saturating_add(length),
            Escape::Unfinished if !whole => return Ok(from),
            Escape::Unfinished | Escape::Wrong => return Err("an escape in a text is not one of JSON"),
        }
    }
}

enum Escape {
    Of(char, usize),
    Unfinished,
    Wrong,
}

/// The escape with which a text begins.
fn escape(text: &[u8]) -> Escape {
    let Some(kind) = text.get(1) else { return Escape::Unfinished };
    let plain = match kind {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unit(text),
        _ => return Escape::Wrong,
    };
    Escape::Of(plain, 2)
}

/// A `\uXXXX`, or two of them for one character (RFC 8259 section 7). Half a pair is no character.
fn unit(text: &[u8]) -> Escape {
    let first = match hex(text) {
        Ok(first) => first,
        Err(refused) => return refused,
    };
    match first {
        0xd800..=0xdbff => {
            let rest = text.get(6..).unwrap_or_default();
            match (rest.first(), rest.get(1)) {
                (None, _) | (Some(b'\\'), None) => return Escape::Unfinished,
                (Some(b'\\'), Some(b'u')) => {}
                _ => return Escape::Wrong,
            }
            let second = match hex(rest) {
                Ok(second @ 0xdc00..=0xdfff) => second,
                Ok(_) => return Escape::Wrong,
                Err(refused) => return refused,
            };
            let joined = 0x10000_u32.saturating_add((first & 0x3ff) << 10).saturating_add(second & 0x3ff);
            char::from_u32(joined).map_or(Escape::Wrong, |c| Escape::Of(c, 12))
        }
        _ => char::from_u32(first).map_or(Escape::Wrong, |c| Escape::Of(c, 6)),
    }
}

fn hex(text: &[u8]) -> Result<u32, Escape> {
    let digits = text.get(2..text.len().min(6)).unwrap_or_default();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Escape::Wrong);
    }
    if digits.len() < 4 {
        return Err(Escape::Unfinished);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Escape::Wrong)?;
    u32::from_str_radix(text, 16).map_err(|_| Escape::Wrong)
}

/// What a checked text says.
pub fn plain(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, after) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(before);
        match escape(after) {
            Escape::Of(c, length) => {
                let mut buffer = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                rest = after.get(length..).unwrap_or_default();
            }
            // It was checked, so this is never the way.
            Escape::Unfinished | Escape::Wrong => {
                out.extend_from_slice(after);
                rest = b"";
            }
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// What a checked text says, as text.
pub fn said(text: &[u8]) -> String {
    String::from_utf8_lossy(&plain(text)).into_owned()
}

/// Writes a text as JSON has it between quotes.
pub fn written(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out
}

/// Whether this is a number as JSON writes it (RFC 8259 section 6).
pub fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked() {
        for (text, good) in [
            (&b"plain"[..], true),
            (b"", true),
            (br#"a\"\\\/\b\f\n\r\t\u00e9"#, true),
            (br"\ud83d\ude00", true),
            ("ü😀".as_bytes(), true),
            (br"\ud83d", false),
            (br"\ud83d\u0041", false),
            (br"\ude00", false),
            (br"\x41", false),
            (br"\u00g0", false),
            (br"\u12", false),
            (b"\\", false),
            (b"a\nb", false),
            (b"\xff", false),
            (b"\xed\xa0\x80", false),
            (b"\xc3", false),
        ] {
            assert_eq!(checked(text, true).is_ok(), good, "{}", String::from_utf8_lossy(text));
        }
        for (text, alone) in [
            (&b"abc\\"[..], 3),
            (br"abc\u00", 3),
            (br"abc\ud83d\ude", 3),
            (br"abc\ud83d", 3),
            (b"abc\xc3", 3),
            (br"abc\n", 5),
        ] {
            assert_eq!(checked(text, false), Ok(alone), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_said_is_written_again() {
        assert_eq!(&*plain(br#"p\u0061ss\/\ud83d\ude00\n""#), "pass/😀\n\"".as_bytes());
        for text in ["", "a\"b\\c\u{1}\n", "ü"] {
            assert_eq!(said(&written(text)), text);
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for (text, good) in [
            ("0", true),
            ("-0", true),
            ("-12.50e+10", true),
            ("1E1000000000", true),
            ("01", false),
            ("+1", false),
            ("1.", false),
            (".5", false),
            ("1e", false),
            ("1e+", false),
            ("-", false),
            ("1x", false),
            ("NaN", false),
            ("0x1", false),
            ("", false),
        ] {
            assert_eq!(is_number(text.as_bytes()), good, "{text}");
        }
    }
}
