//! Reads along in compressed heads (RFC 7541), for what the engine does not tell: fragments in paths, which it cuts off,
//! and pseudo-header fields in trailers, which it drops.
//!
//! Takes the payloads of HEADERS and CONTINUATION; gives what is odd about each block, or that it cannot be read. Of the
//! table it keeps what each entry is about and how long it is, never its text.

use std::collections::VecDeque;

use super::frames::{END_HEADERS, Frame, kind};
use super::huffman::{self, Malformed};

/// Bytes of the table; no other bound was ever announced (RFC 9113 section 6.5.2).
const TABLE: usize = 4096;
/// What an entry costs besides its bytes (RFC 7541 section 4.1).
const ENTRY_COST: usize = 32;
/// Flags of HEADERS (RFC 9113 section 6.2).
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// A number larger than this is an attack.
const MOST: usize = 1 << 24;

/// What is odd about a block.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Odd {
    /// It has a pseudo-header field.
    pub pseudo: bool,
    /// Its `:path` has a fragment.
    pub fragment: bool,
}

/// The blocks of one direction of a connection.
#[derive(Default)]
pub struct Blocks {
    flags: u8,
    is_head: bool,
    length: usize,
    /// What has come of a payload, where it came in pieces.
    partial: Vec<u8>,
    /// What has come of a block, where it came in frames.
    block: Vec<u8>,
    table: Table,
}

impl Blocks {
    /// A frame of these types begins. Something, once its block is complete with it: see [`Blocks::payload`].
    pub fn begin(&mut self, frame: Frame) -> Option<Result<Odd, Malformed>> {
        (self.flags, self.length, self.is_head) =
            (frame.flags, frame.length as usize, frame.kind == kind::HEADERS);
        self.partial.clear();
        if self.is_head {
            self.block.clear();
        }
        if self.length == 0 { self.take(&[]) } else { None }
    }

    /// The next bytes of the payload. What the block had, once it is complete.
    pub fn payload(&mut self, bytes: &[u8]) -> Option<Result<Odd, Malformed>> {
        if self.partial.is_empty() && bytes.len() == self.length {
            return self.take(bytes);
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() < self.length {
            return None;
        }
        let payload = std::mem::take(&mut self.partial);
        self.take(&payload)
    }

    /// Takes a whole payload.
    fn take(&mut self, payload: &[u8]) -> Option<Result<Odd, Malformed>> {
        // Wrong padding is for the engine to refuse.
        let part = if self.is_head { unpadded(payload, self.flags)? } else { payload };
        let is_last = self.flags & END_HEADERS != 0;
        if is_last && self.block.is_empty() {
            return Some(self.table.read(part));
        }
        self.block.extend_from_slice(part);
        is_last.then(|| {
            let block = std::mem::take(&mut self.block);
            self.table.read(&block)
        })
    }
}

/// The part of a block in the payload of HEADERS.
fn unpadded(payload: &[u8], flags: u8) -> Option<&[u8]> {
    let mut part = payload;
    if flags & PADDED != 0 {
        let (length, rest) = part.split_first()?;
        part = rest.get(..rest.len().checked_sub(usize::from(*length))?)?;
    }
    if flags & PRIORITY != 0 { part.get(5..) } else { Some(part) }
}

/// What a name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    Path,
    Pseudo,
    Field,
}

/// A name as far as it matters.
#[derive(Clone, Copy, Debug)]
struct Named {
    about: About,
    length: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    name: Named,
    size: usize,
    fragment: bool,
}

/// The dynamic table, its newest entry first.
struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Table {
        Table { entries: VecDeque::new(), size: 0, most: TABLE }
    }
}

/// A string, coded or not.
struct Text<'b> {
    bytes: &'b [u8],
    coded: bool,
}

impl Text<'_> {
    fn each(&self, mut each: impl FnMut(u8)) -> Result<(), Malformed> {
        if self.coded {
            return huffman::read(self.bytes, each);
        }
        self.bytes.iter().for_each(|byte| each(*byte));
        Ok(())
    }

    fn length(&self) -> Result<usize, Malformed> {
        if !self.coded {
            return Ok(self.bytes.len());
        }
        let mut length = 0_usize;
        self.each(|_| length = length.saturating_add(1)).map(|()| length)
    }

    fn named(&self) -> Result<Named, Malformed> {
        let (mut length, mut start) = (0_usize, [0; 6]);
        self.each(|byte| {
            if let Some(place) = start.get_mut(length) {
                *place = byte;
            }
            length = length.saturating_add(1);
        })?;
        let about = match start {
            [b':', b'p', b'a', b't', b'h', 0] if length == 5 => About::Path,
            [b':', ..] => About::Pseudo,
            _ => About::Field,
        };
        Ok(Named { about, length })
    }

    fn has_fragment(&self) -> Result<bool, Malformed> {
        let mut found = false;
        self.each(|byte| found |= byte == b'#').map(|()| found)
    }
}

impl Table {
    /// Reads a block.
    fn read(&mut self, mut rest: &[u8]) -> Result<Odd, Malformed> {
        let mut odd = Odd::default();
        while let Some(&first) = rest.first() {
            let (about, fragment) = match first {
                0x80.. => {
                    let entry = self.entry(number(&mut rest, 7)?)?;
                    (entry.name.about, entry.fragment)
                }
                0x40..0x80 => {
                    let (entry, bytes) = self.literal(&mut rest, 6, true)?;
                    self.insert(entry, bytes);
                    (entry.name.about, entry.fragment)
                }
                0x20..0x40 => {
                    self.most = Some(number(&mut rest, 5)?).filter(|most| *most <= TABLE).ok_or(Malformed)?;
                    self.evict(0);
                    continue;
                }
                _ => {
                    let (entry, _) = self.literal(&mut rest, 4, false)?;
                    (entry.name.about, entry.fragment)
                }
            };
            odd.pseudo |= about != About::Field;
            odd.fragment |= fragment;
        }
        Ok(odd)
    }

    /// A literal, whose name may be that of an entry; and its size, where that is wanted.
    fn literal(&self, rest: &mut &[u8], bits: u8, sized: bool) -> Result<(Entry, usize), Malformed> {
        let name = match number(rest, bits)? {
            0 => text(rest)?.named()?,
            index => self.entry(index)?.name,
        };
        let value = text(rest)?;
        let fragment = name.about == About::Path && value.has_fragment()?;
        let length = if sized { value.length()? } else { 0 };
        let size = name.length.saturating_add(length).saturating_add(ENTRY_COST);
        Ok((Entry { name, size, fragment }, size))
    }

    /// The entry of an index: of the static table, or behind it of the dynamic one.
    fn entry(&self, index: usize) -> Result<Entry, Malformed> {
        let place = index.checked_sub(1).ok_or(Malformed)?;
        if let Some(&length) = STATIC.get(place) {
            let about = match index {
                4 | 5 => About::Path,
                1..15 => About::Pseudo,
                _ => About::Field,
            };
            let name = Named { about, length: usize::from(length) };
            return Ok(Entry { name, size: 0, fragment: false });
        }
        let place = place.saturating_sub(STATIC.len());
        self.entries.get(place).copied().ok_or(Malformed)
    }

    fn insert(&mut self, entry: Entry, size: usize) {
        self.evict(size);
        // One that is larger than the table empties it (RFC 7541 section 4.4).
        if size <= self.most {
            self.size = self.size.saturating_add(size);
            self.entries.push_front(entry);
        }
    }

    /// Makes room for so much.
    fn evict(&mut self, size: usize) {
        while self.size.saturating_add(size) > self.most {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(entry.size);
        }
    }
}

/// A number with a prefix of so many bits (RFC 7541 section 5.1).
fn number(rest: &mut &[u8], bits: u8) -> Result<usize, Malformed> {
    let (first, mut tail) = rest.split_first().ok_or(Malformed)?;
    let full = 0xff_u8.checked_shr(8_u32.saturating_sub(bits.into())).unwrap_or(0);
    let mut number = usize::from(first & full);
    if first & full == full {
        let mut shift = 0_u32;
        loop {
            let (byte, more) = tail.split_first().ok_or(Malformed)?;
            tail = more;
            let part = usize::from(byte & 0x7f).checked_shl(shift).ok_or(Malformed)?;
            number = number.saturating_add(part);
            if number > MOST || shift > 28 {
                return Err(Malformed);
            }
            if byte & 0x80 == 0 {
                break;
            }
            shift = shift.saturating_add(7);
        }
    }
    *rest = tail;
    Ok(number)
}

/// A string (RFC 7541 section 5.2).
fn text<'b>(rest: &mut &'b [u8]) -> Result<Text<'b>, Malformed> {
    let coded = rest.first().ok_or(Malformed)? & 0x80 != 0;
    let length = number(rest, 7)?;
    let (bytes, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    Ok(Text { bytes, coded })
}

/// Lengths of the names in the static table (RFC 7541 appendix A).
const STATIC: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13,
    12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3,
    16,
];

#[cfg(test)]
mod tests;
