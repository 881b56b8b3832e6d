//! Field names: checked text together with the number of the well-known ones.
//!
//! Takes the text of a name, gives a [`Name`] that is a token by construction. Finding the number is one table
//! look-up and one comparison that ignores case. A name must never hold a byte that could end its line.

use core::fmt;

use crate::names::{ALL, FieldId};
use crate::octets;

/// A field name: its number and its text, the text as given. Equal are names that differ only in ASCII case.
#[derive(Copy, Clone)]
pub struct Name<'a> {
    id: FieldId,
    text: &'a [u8],
}

/// The text is no field name: empty, longer than 65,535 bytes, or not a token (RFC 9110 section 5.6.2).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct InvalidName;

impl<'a> Name<'a> {
    /// Checks the text (RFC 9110 section 5.6.2) and finds its number.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is no token.
    pub fn new(text: &'a [u8]) -> Result<Name<'a>, InvalidName> {
        let id = find(text);
        if id == FieldId::Other && (!octets::is_token(text) || text.len() > usize::from(u16::MAX)) {
            return Err(InvalidName);
        }
        Ok(Name { id, text })
    }

    pub(crate) const fn known(id: FieldId, text: &'a [u8]) -> Name<'a> {
        Name { id, text }
    }

    /// The number, [`FieldId::Other`] for a name the codec does not know.
    pub fn id(&self) -> FieldId {
        self.id
    }

    /// The text in the case it was given in.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether a field line with this number and text bears this name.
    pub(crate) fn names(&self, id: FieldId, text: &[u8]) -> bool {
        // Most spell a name as everybody does.
        let alike = || self.text == text || self.text.eq_ignore_ascii_case(text);
        self.id == id && (id != FieldId::Other || alike())
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Name<'_>) -> bool {
        self.names(other.id, other.text)
    }
}

impl Eq for Name<'_> {}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.text), f)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a field name: it must be a token of letters, digits and !#$%&'*+-.^_`|~")
    }
}

impl core::error::Error for InvalidName {}

/// An owned name, for what is compiled once and used for every message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameBuf {
    id: FieldId,
    text: Box<[u8]>,
}

impl NameBuf {
    /// Checks and keeps the text.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is no token.
    pub fn new(text: &str) -> Result<NameBuf, InvalidName> {
        let name = Name::new(text.as_bytes())?;
        Ok(NameBuf { id: name.id, text: text.as_bytes().into() })
    }

    /// The name as the fields take it.
    pub fn as_name(&self) -> Name<'_> {
        Name { id: self.id, text: &self.text }
    }
}

/// The number of a name, [`FieldId::Other`] if it has none.
#[inline]
pub(crate) fn find(text: &[u8]) -> FieldId {
    let words = words(text);
    let mut candidate = FIRST.get(slot(words, text.len())).copied().unwrap_or(FieldId::Other);
    while candidate != FieldId::Other {
        let at = candidate as usize;
        if SPELLINGS.get(at).is_some_and(|known| known.spells(words, text.len())) {
            return candidate;
        }
        candidate = NEXT.get(at).copied().unwrap_or(FieldId::Other);
    }
    FieldId::Other
}

/// All the bytes of a name of up to 32, some of them twice: comparing four words is faster than a slice. Of a
/// longer text some are missing, but no known name has its length.
#[inline]
const fn words(text: &[u8]) -> [u64; 4] {
    let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) else {
        return [short_word(text), 0, 0, 0];
    };
    let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    match (text.first_chunk::<16>(), text.last_chunk::<16>()) {
        (Some([_, _, _, _, _, _, _, _, second @ ..]), Some([third @ .., _, _, _, _, _, _, _, _])) => {
            [first, last, u64::from_le_bytes(*second), u64::from_le_bytes(*third)]
        }
        _ => [first, last, 0, 0],
    }
}

/// All the bytes of a text of less than eight.
#[inline]
const fn short_word(text: &[u8]) -> u64 {
    match (text.first_chunk(), text.last_chunk(), text) {
        (Some(first), Some(last), _) => {
            (u32::from_le_bytes(*first) as u64) | (u32::from_le_bytes(*last) as u64) << 32
        }
        (_, _, [a, b, c]) => u32::from_le_bytes([*a, *b, *c, 0]) as u64,
        (_, _, [a, b]) => u16::from_le_bytes([*a, *b]) as u64,
        (_, _, [a]) => *a as u64,
        _ => 0,
    }
}

const SLOTS: usize = 512;

/// Where the search for a name starts. The factor was chosen so that no two known names share a slot.
#[inline]
const fn slot(words: [u64; 4], length: usize) -> usize {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let [first, last, ..] = words;
    let mixed = (first | LOWER) ^ (last | LOWER).rotate_left(23) ^ length as u64;
    (mixed.wrapping_mul(FACTOR) >> (u64::BITS - SLOTS.ilog2())) as usize
}

/// A known name in the form it is compared in: its words in lower case, and 0x20 where it has letters. Or-ing
/// those makes only letters what they are not, so a match is exact.
struct Spelling {
    length: usize,
    lower: [u64; 4],
    letters: [u64; 4],
}

impl Spelling {
    const NONE: Spelling = Spelling { length: 0, lower: [0; 4], letters: [0; 4] };

    #[expect(
        clippy::indexing_slicing,
        reason = "runs in the compiler, where an index out of bounds does not build"
    )]
    const fn of(text: &[u8]) -> Spelling {
        let (mut lower, mut letters) = ([0; 32], [0; 32]);
        let mut at = 0;
        while at < text.len() {
            lower[at] = text[at].to_ascii_lowercase();
            letters[at] = if text[at].is_ascii_alphabetic() { 0x20 } else { 0 };
            at += 1;
        }
        let (lower, letters) = (lower.split_at(at).0, letters.split_at(at).0);
        Spelling { length: at, lower: words(lower), letters: words(letters) }
    }

    fn spells(&self, words: [u64; 4], length: usize) -> bool {
        let pairs = words.iter().zip(&self.letters).zip(&self.lower);
        let off = pairs.fold(0, |off, ((word, letters), lower)| off | ((word | letters) ^ lower));
        off == 0 && length == self.length
    }
}

type Chains = ([FieldId; SLOTS], [FieldId; ALL.len() + 1], [Spelling; ALL.len() + 1]);

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of bounds does not build"
)]
const fn chains() -> Chains {
    let mut first = [FieldId::Other; SLOTS];
    let mut next = [FieldId::Other; ALL.len() + 1];
    let mut spellings = [const { Spelling::NONE }; ALL.len() + 1];
    let mut at = 0;
    while at < ALL.len() {
        let Name { id, text } = ALL[at];
        let slot = slot(words(text), text.len());
        next[id as usize] = first[slot];
        first[slot] = id;
        spellings[id as usize] = Spelling::of(text);
        at += 1;
    }
    (first, next, spellings)
}

const FACTOR: u64 = 0xb94b_45c0_e01b_1d99;

/// The first candidate for a slot, for each candidate the next one of the same slot, and its spelling.
static FIRST: [FieldId; SLOTS] = chains().0;
static NEXT: [FieldId; ALL.len() + 1] = chains().1;
static SPELLINGS: [Spelling; ALL.len() + 1] = chains().2;
