//! One file of records: its head, the frame of each record, and the walk through it.
//!
//! A sum covers the bytes of a record together with the salt of its file and its place, so that nothing else can pass for
//! it: no part of a body, no block of another file, no record of another place. What does not fit ends the walk: as a torn
//! end where the file ends before the answer of a sound frame, as damage everywhere else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use crate::seal::Seal;

/// The form of files and records: another number for each change of it.
const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"TIDEKEEP";
/// What a record begins with: an answer, or a word about others.
const ANSWER: &[u8; 4] = b"answ";
const WORD: &[u8; 4] = b"word";
/// Bytes before the first record.
pub(crate) const HEAD: u64 = 64;
/// Bytes before what a record says: its mark, its length, the sum of both, the sum of the rest.
const FRAME: usize = 32;
/// The longest record that is believed.
const LONGEST: u32 = 1 << 28;

/// What files must be to be read: whose they are, in which form, sealed by which key.
pub(crate) struct Form {
    digest: [u8; 16],
    seal: Option<Seal>,
}

impl Form {
    /// None when the system makes no key of the secret.
    pub(crate) fn new(text: &str, secret: Option<&str>) -> Option<Form> {
        let seal = match secret {
            Some(secret) => Some(Seal::new(secret)?),
            None => None,
        };
        let key = seal.as_ref().map_or(&b""[..], |seal| &seal.name);
        Some(Form { digest: sum(&[&(text.len() as u64).to_le_bytes(), text.as_bytes(), key]), seal })
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// All its bytes, the frame too.
    pub(crate) length: u32,
}

/// How a walk through a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// The last record, an answer, was not written to its end.
    Torn,
    /// Something else stands where a record should.
    Damaged,
}

/// A file.
pub(crate) struct Segment {
    pub(crate) file: File,
    number: u64,
    salt: [u8; 16],
}

/// The beginning of a digest of several parts.
fn sum<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().first_chunk().copied().unwrap_or([0; N])
}

impl Segment {
    /// A new file with its head.
    pub(crate) fn create(path: &Path, number: u64, form: &Form) -> io::Result<Segment> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let written = file.write_all_at(&head(number, &salt, form), 0);
        if let Err(error) = written {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Segment { file, number, salt })
    }

    /// A file that is there; none when it is not one of this form.
    pub(crate) fn open(path: &Path, number: u64, form: &Form) -> io::Result<Option<Segment>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut found = [0; HEAD as usize];
        if file.read_exact_at(&mut found, 0).is_err() {
            return Ok(None);
        }
        let Some(salt) = found.get(24..40).and_then(|salt| salt.try_into().ok()) else { return Ok(None) };
        let is_ours = found == head(number, &salt, form);
        Ok(is_ours.then_some(Segment { file, number, salt }))
    }

    fn bound(&self, offset: u64) -> [u8; 32] {
        let mut bound = [0; 32];
        let parts = self.salt.iter().copied().chain(self.number.to_le_bytes()).chain(offset.to_le_bytes());
        bound.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bound
    }

    /// A record in its frame, for this place. None for one that is too long, or cannot be sealed.
    pub(crate) fn framed(&self, offset: u64, payload: Vec<u8>, word: bool, form: &Form) -> Option<Vec<u8>> {
        let mark = if word { WORD } else { ANSWER };
        let bound = self.bound(offset);
        let stored = match &form.seal {
            Some(seal) => seal.seal(&bound, payload)?,
            None => payload,
        };
        let length = u32::try_from(stored.len()).ok().filter(|length| *length <= LONGEST)?;
        let mut frame = Vec::with_capacity(stored.len().saturating_add(FRAME));
        frame.extend_from_slice(mark);
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&sum::<8>(&[&bound, mark, &length.to_le_bytes()]));
        frame.extend_from_slice(&sum::<16>(&[&bound, mark, &stored]));
        frame.extend_from_slice(&stored);
        Some(frame)
    }

    /// How long the record is whose frame begins so, without the frame; none when it is no frame of this place.
    fn length(&self, offset: u64, frame: &[u8; FRAME]) -> Option<u32> {
        let (mark, rest) = frame.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let told: &[u8; 8] = rest.first_chunk()?;
        let right = (mark == ANSWER || mark == WORD) && *told == sum(&[&self.bound(offset), mark, length]);
        Some(u32::from_le_bytes(*length)).filter(|length| right && *length <= LONGEST)
    }

    /// What the record at a place says; none when it is not the one that was written there.
    pub(crate) fn read(&self, offset: u64, form: &Form) -> Option<Vec<u8>> {
        let mut frame = [0; FRAME];
        self.file.read_exact_at(&mut frame, offset).ok()?;
        let length = self.length(offset, &frame)?;
        self.content(offset, &frame, length, form)
    }

    fn content(&self, offset: u64, frame: &[u8; FRAME], length: u32, form: &Form) -> Option<Vec<u8>> {
        let mut stored = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut stored, offset.checked_add(FRAME as u64)?).ok()?;
        let (bound, told) = (self.bound(offset), frame.last_chunk::<16>()?);
        if *told != sum(&[&bound, frame.first_chunk::<4>()?, &stored]) {
            return None;
        }
        match &form.seal {
            Some(seal) => seal.open(&bound, &stored),
            None => Some(stored),
        }
    }

    /// Walks through all records in their order.
    pub(crate) fn walk(&self, form: &Form, each: &mut dyn FnMut(Place, Vec<u8>)) -> Ending {
        let Ok(size) = self.file.metadata().map(|metadata| metadata.len()) else { return Ending::Damaged };
        let mut offset = HEAD;
        while offset < size {
            let mut frame = [0; FRAME];
            let left = size.saturating_sub(offset);
            if self.file.read_exact_at(&mut frame, offset).is_err() {
                return Ending::Damaged;
            }
            let Some(length) = self.length(offset, &frame) else { return Ending::Damaged };
            let all = u64::from(length).saturating_add(FRAME as u64);
            if all > left {
                // A word that is missing here could be that all before is gone.
                return if frame.starts_with(ANSWER) { Ending::Torn } else { Ending::Damaged };
            }
            let Some(content) = self.content(offset, &frame, length, form) else { return Ending::Damaged };
            let whole = length.saturating_add(u32::try_from(FRAME).unwrap_or(0));
            each(Place { segment: self.number, offset, length: whole }, content);
            offset = offset.saturating_add(all);
        }
        Ending::Whole
    }
}

/// The first bytes of a file.
fn head(number: u64, salt: &[u8; 16], form: &Form) -> [u8; HEAD as usize] {
    let flags = u32::from(form.seal.is_some());
    let mut text = Vec::with_capacity(HEAD as usize);
    text.extend_from_slice(MAGIC);
    text.extend_from_slice(&VERSION.to_le_bytes());
    text.extend_from_slice(&flags.to_le_bytes());
    text.extend_from_slice(&number.to_le_bytes());
    text.extend_from_slice(salt);
    text.extend_from_slice(&form.digest);
    let sum: [u8; 8] = sum(&[&text]);
    text.extend_from_slice(&sum);
    text.first_chunk().copied().unwrap_or([0; HEAD as usize])
}
