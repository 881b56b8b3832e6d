//! Base64 for URLs without padding (RFC 7515 section 2), as strict as can be: one text for each bytes.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bytes of a text; none when it is not the one text that stands for them.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for letter in group {
            bits = bits << 6 | u32::from(value(*letter)?);
        }
        match group.len() {
            4 => bytes.extend(bits.to_be_bytes().get(1..)?),
            // What is left over must be zero, or two texts would stand for the same bytes.
            3 if bits & 3 == 0 => bytes.extend((bits >> 2).to_be_bytes().get(2..)?),
            2 if bits & 15 == 0 => bytes.extend((bits >> 4).to_be_bytes().get(3..)?),
            _ => return None,
        }
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter.wrapping_sub(b'A')),
        b'a'..=b'z' => Some(letter.wrapping_sub(b'a').wrapping_add(26)),
        b'0'..=b'9' => Some(letter.wrapping_sub(b'0').wrapping_add(52)),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// The text of bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let (bits, letters) = match group.len() {
            3 => (bits, 4),
            2 => (bits << 2, 3),
            _ => (bits << 4, 2),
        };
        for letter in (0..letters).rev() {
            let letter = LETTERS.get((bits >> (6 * letter) & 63) as usize).unwrap_or(&b'A');
            text.push(char::from(*letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes() {
        // RFC 7515 appendix C, and RFC 4648 section 10 without padding.
        for (bytes, text) in [
            (&[3, 236, 255, 224, 193][..], "A-z_4ME"),
            (b"", ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes));
        }
        for wrong in ["Z", "Zh", "Zm9", "Zg==", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "ZgZ"] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
