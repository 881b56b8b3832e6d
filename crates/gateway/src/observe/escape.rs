//! Bytes from outside as text that cannot break out of its place in a log line.
//!
//! Takes any bytes and the most bytes they may become; gives them escaped, the rest cut and marked with `…`. Must
//! never let a control byte, a quote, a line end or a terminal sequence through as it came.

/// Marks where a value was cut.
const CUT: &str = "…";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes a JSON string with its quotes, at most `most` bytes between them. What is no UTF-8 becomes `\ufffd`.
pub(crate) fn json(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    out.push(b'"');
    if bytes.len() <= most && is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        json_slowly(out, bytes, most);
    }
    out.push(b'"');
}

/// Printable ASCII without quote and backslash. In blocks, of which the last overlaps the one before: copying the
/// odd end to a block of its own took longer than all the rest.
fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        bytes.as_chunks::<16>().0.iter().all(is_plain_block) && is_plain_block(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        is_plain_block(first) && is_plain_block(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        is_plain_block(first) && is_plain_block(last)
    } else {
        bytes.iter().all(|byte| is_plain_block(&[*byte]))
    }
}

/// Without a branch for each byte, so that the compiler takes all of them at once.
#[inline]
fn is_plain_block<const LENGTH: usize>(block: &[u8; LENGTH]) -> bool {
    let mut odd = 0;
    for &byte in block {
        odd |= u8::from(byte.wrapping_sub(b' ') > 0x5e) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    }
    odd == 0
}

fn json_slowly(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let end = out.len().saturating_add(most);
    let mut piece = Vec::with_capacity(12);
    for chunk in bytes.utf8_chunks() {
        let broken = (!chunk.invalid().is_empty()).then_some('\u{fffd}');
        for character in chunk.valid().chars().chain(broken) {
            piece.clear();
            json_character(&mut piece, character);
            // Room is kept for the mark, unless this is known to be the last character.
            if out.len().saturating_add(piece.len()).saturating_add(CUT.len()) > end {
                out.extend_from_slice(CUT.as_bytes());
                return;
            }
            out.extend_from_slice(&piece);
        }
    }
}

fn json_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='~' => out.push(u8::try_from(character).unwrap_or(b'?')),
        // Control characters of terminals, line ends of other alphabets, and what turns the order of reading.
        '\0'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fffd}' => {
            out.extend_from_slice(b"\\u");
            let code = u32::from(character);
            out.extend([12, 8, 4, 0].map(|shift| digit(code >> shift)));
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Writes the bytes as they stand between quotes in the Combined Log Format, at most `most` of them: `\x` and two
/// digits for everything but printable ASCII, and for quote and backslash. Nothing becomes `-`.
pub(crate) fn quoted(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    if bytes.len() <= most && is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    let end = out.len().saturating_add(most);
    for &byte in bytes {
        if out.len().saturating_add(7) > end {
            out.extend_from_slice(b"...");
            return;
        }
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => {
                out.extend([b'\\', b'x', digit(u32::from(byte >> 4)), digit(u32::from(byte))]);
            }
            _ => out.push(byte),
        }
    }
}

/// Writes the bytes as [`quoted`] does, and spaces as `\x20`: for values that stand between spaces.
pub(crate) fn word(out: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let start = out.len();
    quoted(out, bytes, most);
    while let Some(at) = out.get(start..).and_then(|word| memchr::memchr(b' ', word)) {
        let at = start.saturating_add(at);
        out.splice(at..at.saturating_add(1), *b"\\x20");
    }
}

fn digit(number: u32) -> u8 {
    HEX.get((number & 15) as usize).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_json(bytes: &[u8], most: usize) -> String {
        let mut out = Vec::new();
        json(&mut out, bytes, most);
        String::from_utf8(out).unwrap()
    }

    fn as_quoted(bytes: &[u8], most: usize) -> String {
        let mut out = Vec::new();
        quoted(&mut out, bytes, most);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_breaks_out_of_a_json_string() {
        for (bytes, text) in [
            (&b"/plain?x=1"[..], r#""/plain?x=1""#),
            (b"", r#""""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"a\r\nb\tc\0", r#""a\r\nb\tc\u0000""#),
            (b"\x1b[31m\x7f", r#""\u001b[31m\u007f""#),
            (b"\xff\xfeok", r#""\ufffd\ufffdok""#),
            (b"caf\xc3\xa9", "\"caf\u{e9}\""),
            ("\u{9b}\u{2028}\u{202e}".as_bytes(), r#""\u009b\u2028\u202e""#),
            ("\u{1f980}".as_bytes(), "\"\u{1f980}\""),
        ] {
            assert_eq!(as_json(bytes, 100), text);
        }
    }

    #[test]
    fn a_long_value_is_cut_at_a_whole_character() {
        assert_eq!(as_json(b"0123456789", 10), "\"0123456789\"");
        assert_eq!(as_json(b"0123456789a", 10), "\"0123456…\"");
        assert_eq!(as_json(&[0; 100], 10), "\"\\u0000…\"");
        assert_eq!(as_quoted(b"0123456789abcdef", 12), "012345...");
    }

    #[test]
    fn no_place_in_a_value_is_overlooked() {
        for length in 1..70 {
            for place in 0..length {
                for odd in [0, 0x1f, b'"', b'\\', 0x7f, 0x80, 0xff] {
                    let mut bytes = vec![b'~'; length];
                    assert!(is_plain(&bytes));
                    bytes[place] = odd;
                    assert!(!is_plain(&bytes), "{odd:#x} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn nothing_breaks_out_of_quotes() {
        assert_eq!(as_quoted(b"a\"b\\\n\x1b\xc3", 100), r"a\x22b\x5c\x0a\x1b\xc3");
        assert_eq!(as_quoted(b"", 100), "-");
    }
}
