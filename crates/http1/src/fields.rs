//! The fields of a head: an arena of bytes and a list of ranges.
//!
//! Takes parsed lines and pushed fields, gives them back in order. Both vectors are kept when it is cleared, so
//! that the steady state allocates nothing. It must never hold a name or value that is not one: what is pushed
//! is cleaned, so an encoder can write it unseen.

use core::fmt;
use core::ops::Range;

use crate::name::Name;
use crate::names::FieldId;
use crate::octets;
use crate::prepared::Prepared;

/// Field lines in the order they came.
#[derive(Default, Clone)]
pub struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// One field line, borrowed.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was written.
    pub name: &'a [u8],
    /// The value without white space at its ends.
    pub value: &'a [u8],
    /// The number of the name.
    pub id: FieldId,
}

/// Where name and value of a line stand in the arena.
#[derive(Copy, Clone)]
pub(crate) struct Line {
    pub(crate) name: u32,
    pub(crate) value: u32,
    pub(crate) value_len: u32,
    pub(crate) name_len: u16,
    pub(crate) id: FieldId,
    /// Whether it stands there byte for byte as it is to be written: name, colon, SP, value, CRLF.
    pub(crate) is_wire: bool,
}

impl Line {
    fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        bytes.get(start..start + usize::from(self.name_len)).unwrap_or_default()
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.value as usize;
        bytes.get(start..start + self.value_len as usize).unwrap_or_default()
    }

    pub(crate) fn field<'a>(&self, bytes: &'a [u8]) -> Field<'a> {
        Field { name: self.name(bytes), value: self.value(bytes), id: self.id }
    }

    /// Where the line stands in the arena with its CRLF.
    fn place(&self) -> Range<usize> {
        self.name as usize..self.value as usize + self.value_len as usize + 2
    }

    /// The same line in an arena where it stands so much later.
    fn moved(&self, by: u32) -> Line {
        Line { name: self.name.saturating_add(by), value: self.value.saturating_add(by), ..*self }
    }

    fn bears(&self, name: Name<'_>, bytes: &[u8]) -> bool {
        self.id == name.id() && (self.id != FieldId::Other || name.names(self.id, self.name(bytes)))
    }
}

impl Fields {
    /// No fields, no memory.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
    }

    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no field line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The field lines in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.lines.iter().map(|line| line.field(&self.bytes))
    }

    /// The value of the first line of that name.
    pub fn get(&self, name: Name<'_>) -> Option<&[u8]> {
        self.lines.iter().find(|line| line.bears(name, &self.bytes)).map(|line| line.value(&self.bytes))
    }

    /// The values of all lines of that name in order.
    pub fn get_all<'f>(&'f self, name: Name<'_>) -> impl Iterator<Item = &'f [u8]> {
        self.lines
            .iter()
            .filter(move |line| line.bears(name, &self.bytes))
            .map(|line| line.value(&self.bytes))
    }

    /// Whether a line of that name is there.
    pub fn contains(&self, name: Name<'_>) -> bool {
        self.lines.iter().any(|line| line.bears(name, &self.bytes))
    }

    /// Adds a line at the end. Bytes that a field value may not have (CR, LF, NUL and all other control bytes
    /// but HTAB) become SP as RFC 9110 section 5.5 asks, and white space at the ends is removed.
    pub fn push(&mut self, name: Name<'_>, value: &[u8]) {
        self.push_parts(name, &[value]);
    }

    /// Adds a line whose value is the parts put together, as [`Fields::push`] does. A line that would take the
    /// arena beyond 4 GiB, or whose name is longer than 64 KiB, is not added.
    #[inline]
    pub fn push_parts(&mut self, name: Name<'_>, parts: &[&[u8]]) {
        let Ok(name_len) = u16::try_from(name.text().len()) else { return };
        let start = self.bytes.len();
        self.bytes.reserve(name.text().len() + parts.iter().map(|part| part.len()).sum::<usize>() + 4);
        self.bytes.extend_from_slice(name.text());
        self.bytes.extend_from_slice(b": ");
        let value_start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.finish(start, name_len, name.id(), value_start, value_start);
    }

    /// Adds lines that were put together once at the end. Lines that would take the arena beyond 4 GiB are not added.
    pub fn append(&mut self, others: &Prepared) {
        let end = self.bytes.len().saturating_add(others.bytes.len());
        if u32::try_from(end).is_err() {
            return;
        }
        // It is no larger than the end.
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&others.bytes);
        self.lines.extend(others.lines.iter().map(|line| line.moved(start)));
    }

    /// Adds lines that were put together once at the end, and these parts behind the value of the last, as if that had been
    /// pushed whole: the beginning of a line that only ends otherwise in each head is put together once. Where there are no
    /// lines, or the arena would grow beyond 4 GiB, nothing is added.
    #[inline]
    pub fn append_with(&mut self, others: &Prepared, parts: &[&[u8]]) {
        let Some((last, before)) = others.lines.split_last() else { return };
        let start = self.bytes.len();
        let bare = others.bytes.get(..last.value as usize + last.value_len as usize).unwrap_or_default();
        let more = parts.iter().fold(bare.len() + 2, |sum, part| sum.saturating_add(part.len()));
        if u32::try_from(start.saturating_add(more)).is_err() {
            return;
        }
        self.bytes.reserve(more);
        self.bytes.extend_from_slice(bare);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        // It is no larger than what was looked at.
        self.lines.extend(before.iter().map(|line| line.moved(start as u32)));
        let name = start + last.name as usize;
        self.finish(name, last.name_len, last.id, start + last.value as usize, start + bare.len());
    }

    /// Ends a line whose name and value start there; up to `clean_to` the value is one already.
    #[inline]
    fn finish(&mut self, start: usize, name_len: u16, id: FieldId, value_start: usize, clean_to: usize) {
        // Every place in the line is before its end.
        let Ok(end) = u32::try_from(self.bytes.len()) else { return self.bytes.truncate(start) };
        let (mut value_start, mut value_end) = (value_start as u32, end);
        let new = self.bytes.get_mut(clean_to..).unwrap_or_default();
        if !octets::is_value(new) {
            clean(new);
        }
        let value = self.bytes.get(value_start as usize..).unwrap_or_default();
        if value.first().is_some_and(|first| octets::is_ows(*first))
            || value.last().is_some_and(|last| octets::is_ows(*last))
        {
            let bare = octets::trim_start(value);
            value_start = end - bare.len() as u32;
            value_end = value_start + octets::trim_end(bare).len() as u32;
        }
        self.bytes.extend_from_slice(b"\r\n");
        let (name, value_len) = (start as u32, value_end - value_start);
        // A colon and SP are behind each name.
        let is_wire = value_end == end && value_start == name + u32::from(name_len) + 2;
        self.lines.push(Line { name, value: value_start, value_len, name_len, id, is_wire });
    }

    /// Becomes a copy of others, in the memory that is there.
    pub fn copy_from(&mut self, others: &Fields) {
        self.bytes.clone_from(&others.bytes);
        self.lines.clone_from(&others.lines);
    }

    /// The bytes that the fields take.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.lines.len() * size_of::<Line>()
    }

    /// Removes all lines of that name and adds one at the end.
    pub fn set(&mut self, name: Name<'_>, value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes all lines of that name and says how many there were.
    pub fn remove(&mut self, name: Name<'_>) -> usize {
        // Mostly there is none: looking is half the work of keeping each line.
        if !self.contains(name) {
            return 0;
        }
        let before = self.lines.len();
        let bytes = &self.bytes;
        self.lines.retain(|line| !line.bears(name, bytes));
        before - self.lines.len()
    }

    /// Keeps only the lines for which `keep` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let bytes = &self.bytes;
        self.lines.retain(|line| keep(line.field(bytes)));
    }

    /// The lines and the arena that they stand in.
    pub(crate) fn parts(&self) -> (&[Line], &[u8]) {
        (&self.lines, &self.bytes)
    }

    /// Notes a line that stands at these places of the head being parsed; `adopt` brings the bytes.
    pub(crate) fn note(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Takes the bytes of the head whose lines were noted, in one copy.
    pub(crate) fn adopt(&mut self, head: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
    }

    /// Appends the lines that `keep` wants, each as name, colon, SP, value, CRLF. Lines that stand so beside each other
    /// in the arena, which nearly all do, are one copy.
    pub(crate) fn write(&self, out: &mut Vec<u8>, keep: impl Fn(FieldId) -> bool) {
        out.reserve(self.bytes.len() + 4 * self.lines.len());
        let mut run = 0..0;
        for line in self.lines.iter().filter(|line| keep(line.id)) {
            let place = line.place();
            if line.is_wire && place.start == run.end {
                run.end = place.end;
                continue;
            }
            out.extend_from_slice(self.bytes.get(run).unwrap_or_default());
            run = if line.is_wire { place } else { 0..0 };
            if !line.is_wire {
                for part in [line.name(&self.bytes), b": ", line.value(&self.bytes), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(self.bytes.get(run).unwrap_or_default());
    }

    /// Removes every field a `Connection` line names (RFC 9110 section 7.6.1) and those for which `drop` says
    /// yes.
    pub(crate) fn remove_nominated(&mut self, drop: impl Fn(FieldId) -> bool) {
        let Fields { bytes, lines } = self;
        // Nearly every head nominates nothing of its own, so the list is only made where one does.
        let mut named = Vec::new();
        for line in lines.iter().filter(|line| line.id == FieldId::Connection) {
            let value = line.value(bytes);
            if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
                continue;
            }
            let options =
                value.split(|&byte| byte == b',').filter_map(|text| Name::new(octets::trim(text)).ok());
            named.extend(options.filter(|name| !drop(name.id())));
        }
        lines.retain(|line| !drop(line.id) && !named.iter().any(|name| line.bears(*name, bytes)));
    }
}

/// Makes a value of bytes that are none.
#[cold]
fn clean(value: &mut [u8]) {
    for byte in value.iter_mut().filter(|byte| !octets::is_value_byte(**byte)) {
        *byte = b' ';
    }
}

impl PartialEq for Fields {
    /// Equal are the same names, in the same case, with the same values in the same order.
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Field<'a> {
    /// Name and value, to be pushed elsewhere.
    pub(crate) fn named(self) -> Option<(Name<'a>, &'a [u8])> {
        Some((Name::new(self.name).ok()?, self.value))
    }
}

impl fmt::Debug for Field<'_> {
    /// Credentials are not shown: a head may end up in a log of faults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use FieldId::{Authorization, Cookie, ProxyAuthorization, SetCookie, XApiKey};
        let secret = matches!(self.id, Authorization | Cookie | ProxyAuthorization | SetCookie | XApiKey);
        let value = if secret { "***".into() } else { String::from_utf8_lossy(self.value) };
        write!(f, "{}: {value:?}", String::from_utf8_lossy(self.name))
    }
}
