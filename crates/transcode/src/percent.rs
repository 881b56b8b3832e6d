//! Percent-encoding, taken off segments of paths and parameters of queries.

/// The bytes that are meant. With `keep_slashes` a `%2F` stays as it is, as captures of several segments want it
/// (`google.api.http`, "the server side does the reverse decoding, except `%2F`").
pub(crate) fn decoded(text: &[u8], keep_slashes: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let byte = match (first, after) {
            (b'%', [high, low, ..]) => nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match byte {
            Some(b'/') if keep_slashes => bytes.push(*first),
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            None => bytes.push(*first),
        }
        rest = after;
    }
    bytes
}

/// A word of a query (`application/x-www-form-urlencoded`).
pub(crate) fn form(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    decoded(&spaced, false)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_meant() {
        for (text, slashes, meant) in [
            ("plain", false, "plain"),
            ("a%20b%2fc", false, "a b/c"),
            ("a%20b%2Fc", true, "a b%2Fc"),
            ("%", false, "%"),
            ("%4", false, "%4"),
            ("%zz%41", false, "%zzA"),
        ] {
            assert_eq!(decoded(text.as_bytes(), slashes), meant.as_bytes(), "{text}");
        }
        assert_eq!(form(b"a+b%2Bc"), b"a b+c");
    }
}
