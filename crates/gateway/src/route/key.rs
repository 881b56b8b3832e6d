//! The literal text of a node of the tree: one segment, or several that follow each other without a fork.
//!
//! Takes what is left of a path, says how much of it the text takes. Short texts stand where their node stands, so that
//! looking at one is no second miss of the cache.

use super::hash::{Decoded, Segment};

/// Longest text that stands in place.
const SHORT: usize = 29;

/// The text of a node. Several segments are joined by `/`, which then stands in none of them.
pub(super) enum Key {
    Short { several: bool, length: u8, bytes: [u8; SHORT] },
    Long { several: bool, bytes: Box<[u8]> },
}

impl Key {
    /// The key of these decoded segments.
    pub(super) fn new(text: &[u8], several: bool) -> Key {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text);
                Key::Short { several, length, bytes }
            }
            _ => Key::Long { several, bytes: text.into() },
        }
    }

    /// How many bytes of `rest` are this key, as whole segments; `first` is the first segment of `rest`.
    #[inline]
    pub(super) fn takes(&self, rest: &[u8], first: Segment<'_>) -> Option<usize> {
        let (several, text) = match self {
            Key::Short { several, length, bytes } => (*several, bytes.get(..usize::from(*length))?),
            Key::Long { several, bytes } => (*several, &**bytes),
        };
        if !several {
            return is(first.bytes, first.escaped, text).then_some(first.bytes.len());
        }
        if rest.starts_with(text) && matches!(rest.get(text.len()), None | Some(b'/')) {
            return Some(text.len());
        }
        taken_apart(rest, text)
    }
}

/// [`Key::takes`] where escapes may stand for bytes of the text.
fn taken_apart(rest: &[u8], text: &[u8]) -> Option<usize> {
    let mut segments = rest.split(|&byte| byte == b'/');
    let mut taken = 0;
    for wanted in text.split(|&byte| byte == b'/') {
        let segment = segments.next().filter(|segment| is(segment, true, wanted))?;
        taken += segment.len() + 1;
    }
    Some(taken - 1)
}

fn is(segment: &[u8], escaped: bool, wanted: &[u8]) -> bool {
    if escaped { Decoded::path(segment).eq(wanted.iter().copied()) } else { segment == wanted }
}

#[cfg(test)]
mod tests {
    use super::super::hash::first_segment;
    use super::*;

    #[test]
    fn a_key_takes_whole_segments_only() {
        let long = format!("{}/b", "a".repeat(40));
        for (text, several, rest, taken) in [
            ("a", false, "a", Some(1)),
            ("a", false, "a/b", Some(1)),
            ("a", false, "ab", None),
            ("a", false, "%61/b", Some(3)),
            ("a/b", false, "a/b", None),
            ("a/b", false, "a%2Fb", Some(5)),
            ("a/b", true, "a/b", Some(3)),
            ("a/b", true, "a/b/c", Some(3)),
            ("a/b", true, "a/bc", None),
            ("a/b", true, "a", None),
            ("a/b", true, "a%2Fb", None),
            ("a/b", true, "%61/%62/c", Some(7)),
            ("a/", true, "a/", Some(2)),
            ("a/", true, "a//c", Some(2)),
            ("a/", true, "a/c", None),
            ("", false, "", Some(0)),
            ("", false, "/x", Some(0)),
            (long.as_str(), true, long.as_str(), Some(42)),
        ] {
            let key = Key::new(text.as_bytes(), several);
            let rest = rest.as_bytes();
            assert_eq!(key.takes(rest, first_segment(rest)), taken, "{text} {several} {rest:?}");
        }
    }
}
