//! Finding a key of the configuration by its bytes, fast.
//!
//! Takes the keys at build time and pieces of a request at match time, gives ids. The hash is that of Firefox (one multiply
//! for 8 bytes): the keys come from the configuration only, so nobody outside can choose them to collide, and a lookup
//! of foreign bytes ends at the first free slot, of which at least half are.

use crate::http::path::hex;

/// An odd multiplier that spreads bits well: 2^64 divided by pi (as in Firefox's and rustc's FxHash).
const SPREAD: u64 = 0x517c_c1b7_2722_0a95;

/// Each byte of a word one.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The high bit of each byte of a word.
const HIGHS: u64 = 0x8080_8080_8080_8080;

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(SPREAD)
}

/// The hash of `key` as a child of `parent`, from the hash of the key alone.
pub(super) fn under(parent: u32, key: u64) -> u64 {
    mix(key, u64::from(parent) + 1)
}

/// The hash of some bytes.
pub(super) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let (mut hash, mut word, mut length) = (0, 0_u64, 0_u64);
    for byte in bytes {
        word |= u64::from(byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            hash = mix(hash, word);
            word = 0;
        }
    }
    if !length.is_multiple_of(8) {
        hash = mix(hash, word);
    }
    mix(hash, length)
}

/// The first segment of a path and what one look at its bytes shows.
#[derive(Copy, Clone)]
pub(super) struct Segment<'p> {
    /// The bytes up to the next `/` or the end.
    pub(super) bytes: &'p [u8],
    /// Their hash; of no use when they are `escaped`.
    pub(super) hash: u64,
    /// A `%` stands in them.
    pub(super) escaped: bool,
}

/// Looks at the first segment of `rest`, 8 bytes at a time.
pub(super) fn first_segment(rest: &[u8]) -> Segment<'_> {
    let (mut hash, mut length, mut escaped) = (0, 0, 0);
    let mut left = rest;
    loop {
        let (word, after, width) = match left.split_first_chunk::<8>() {
            Some((chunk, after)) => (u64::from_le_bytes(*chunk), after, 8),
            None => (short_word(left), [].as_slice(), left.len()),
        };
        let slash = places_of(b'/', word);
        let kept = if slash == 0 { width } else { slash.trailing_zeros() as usize / 8 };
        // A shift by 64 is none: all 8 bytes are kept.
        let mask = 1_u64.checked_shl(8 * kept as u32).map_or(u64::MAX, |bit| bit - 1);
        escaped |= places_of(b'%', word) & mask;
        length += kept;
        if kept > 0 {
            hash = mix(hash, word & mask);
        }
        if kept < 8 {
            break;
        }
        left = after;
    }
    let bytes = rest.get(..length).unwrap_or(rest);
    Segment { bytes, hash: mix(hash, length as u64), escaped: escaped != 0 }
}

/// A word of fewer than 8 bytes, the rest zero.
fn short_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// A mark on each byte of `word` that is `byte`; marks above the lowest one may be wrong ("Bit Twiddling Hacks",
/// S. E. Anderson, "Determine if a word has a zero byte").
fn places_of(byte: u8, word: u64) -> u64 {
    let zero = word ^ (ONES * u64::from(byte));
    zero.wrapping_sub(ONES) & !zero & HIGHS
}

/// Bytes with their escapes resolved, without a buffer.
#[derive(Clone)]
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
    plus_is_space: bool,
}

impl<'a> Decoded<'a> {
    /// The bytes of a path segment; `%2F` gives `/` here, which no segment holds otherwise.
    pub(super) fn path(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, plus_is_space: false }
    }

    /// The bytes of a name or value in a query, where `+` is a space.
    pub(super) fn query(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, plus_is_space: true }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        match byte {
            b'%' => {
                let Some((&[high, low], after)) = rest.split_first_chunk::<2>() else { return Some(b'%') };
                let (Some(high), Some(low)) = (hex(high), hex(low)) else { return Some(b'%') };
                self.rest = after;
                Some(high << 4 | low)
            }
            b'+' if self.plus_is_space => Some(b' '),
            _ => Some(byte),
        }
    }
}

/// Says that a slot or a link leads nowhere.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Copy, Clone)]
struct Slot {
    tag: u32,
    id: u32,
}

/// A hash table from keys to ids that leaves the keys with their owner: open addressing, at most half full.
pub(super) struct Index {
    slots: Vec<Slot>,
    shift: u32,
}

impl Index {
    /// A table for so many keys.
    pub(super) fn with_room_for(keys: usize) -> Self {
        let size = (keys * 2).next_power_of_two().max(2);
        Self { slots: vec![Slot { tag: 0, id: NONE }; size], shift: 64 - size.trailing_zeros() }
    }

    /// Takes in a key that is not yet there.
    pub(super) fn insert(&mut self, hash: u64, id: u32) {
        let mut at = self.home(hash);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.id == NONE {
                *slot = Slot { tag: hash as u32, id };
                return;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// What `is` makes of the id whose key is the wanted one.
    #[inline]
    pub(super) fn find<T>(&self, hash: u64, is: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots.get(at)?;
            if slot.id == NONE {
                return None;
            }
            if slot.tag == hash as u32
                && let Some(found) = is(slot.id)
            {
                return Some(found);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    fn home(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_at_the_slash_and_hashes_as_its_bytes() {
        for length in 0..40 {
            let name: Vec<u8> = (b'0'..).take(length).collect();
            for rest in ["", "/", "/%41/abcdefghijklmnopq", "//////////"] {
                let path = [name.as_slice(), rest.as_bytes()].concat();
                let segment = first_segment(&path);
                assert_eq!(segment.bytes, name);
                assert!(!segment.escaped);
                assert_eq!(segment.hash, hash(name.iter().copied()));
            }
        }
    }

    #[test]
    fn an_escape_is_seen_at_each_place() {
        for before in 0..20 {
            for after in 0..20 {
                let path = format!("{}%2F{}/x", "a".repeat(before), "b".repeat(after));
                assert!(first_segment(path.as_bytes()).escaped, "{path}");
            }
        }
    }

    #[test]
    fn decoding_leaves_what_is_no_escape() {
        for (given, path, query) in [
            ("a%2Fb", "a/b", "a/b"),
            ("%4", "%4", "%4"),
            ("%zz%", "%zz%", "%zz%"),
            ("a+b", "a+b", "a b"),
            ("%2B", "+", "+"),
        ] {
            assert_eq!(Decoded::path(given.as_bytes()).collect::<Vec<_>>(), path.as_bytes());
            assert_eq!(Decoded::query(given.as_bytes()).collect::<Vec<_>>(), query.as_bytes());
        }
    }

    #[test]
    fn an_index_finds_each_key_and_no_other() {
        let keys: Vec<String> = (0..1000).map(|at| format!("key{at}")).collect();
        let mut index = Index::with_room_for(keys.len());
        for (at, key) in keys.iter().enumerate() {
            index.insert(hash(key.bytes()), at as u32);
        }
        let find =
            |text: &str| index.find(hash(text.bytes()), |id| (keys[id as usize] == text).then_some(id));
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(find(key), Some(at as u32));
        }
        assert_eq!(find("key1000"), None);
    }
}
