//! What the route's pattern took from the path: its `{name}` segments, and the rest behind `*`.

use std::ops::Range;

/// Names and values in reused memory.
#[derive(Default, Clone, Debug)]
pub struct Captures {
    names: Vec<u8>,
    parts: Vec<(Range<usize>, Vec<u8>)>,
    used: usize,
}

impl Captures {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.names.clear();
        self.used = 0;
    }

    /// Adds one part; the rest behind `*` is named `*`.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let start = self.names.len();
        self.names.extend_from_slice(name.as_bytes());
        let name = start..self.names.len();
        match self.parts.get_mut(self.used) {
            Some((known, bytes)) => {
                *known = name;
                bytes.clear();
                bytes.extend_from_slice(value);
            }
            None => self.parts.push((name, value.to_vec())),
        }
        self.used = self.used.saturating_add(1);
    }

    /// The part of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
    }

    /// All parts, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let parts = self.parts.iter().take(self.used);
        parts.map(|(name, value)| (self.names.get(name.clone()).unwrap_or_default(), value.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name_and_memory_is_used_again() {
        let mut captures = Captures::default();
        captures.push("id", b"17");
        captures.push("*", b"a/b");
        assert_eq!(captures.get("*"), Some(&b"a/b"[..]));
        captures.clear();
        captures.push("user", b"x");
        assert_eq!((captures.get("id"), captures.get("user")), (None, Some(&b"x"[..])));
        assert_eq!(captures.iter().count(), 1);
    }
}
