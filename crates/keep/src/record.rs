//! What a record says: that something is kept, that it is gone or stale, or that whatever depends on something is gone.

use crate::pieces::{Reading, Write};
use crate::store::Variant;

const PUT: u8 = 1;
const GONE: u8 = 2;
const STALE: u8 = 3;
const CHANGED: u8 = 4;

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'b> {
    /// This is kept under a key, in the place of what was.
    Put(Put<'b>),
    /// Nothing is kept any more.
    Gone(&'b [u8], Variant),
    /// It is stale.
    Stale(&'b [u8], Variant),
    /// What depends on one of these is gone.
    Changed(Vec<u16>),
}

/// Something that is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Put<'b> {
    pub(crate) variant: Variant,
    pub(crate) stale: bool,
    /// What it depends on.
    pub(crate) marks: Vec<u16>,
    /// What is known of it without reading it.
    pub(crate) note: &'b [u8],
    pub(crate) key: &'b [u8],
    pub(crate) value: &'b [u8],
}

fn numbers(out: &mut Vec<u8>, numbers: &[u16]) {
    out.long(numbers.len() as u64);
    numbers.iter().for_each(|number| out.short(*number));
}

fn read_numbers(rest: &mut Reading<'_>) -> Option<Vec<u16>> {
    let count = rest.long()?;
    if count > rest.0.len() as u64 / 2 {
        return None;
    }
    (0..count).map(|_| rest.short()).collect()
}

impl<'b> Record<'b> {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Record::Put(put) => {
                out.reserve(put.value.len().saturating_add(put.key.len()).saturating_add(256));
                out.byte(PUT);
                out.byte(u8::from(put.stale));
                out.extend_from_slice(&put.variant);
                numbers(&mut out, &put.marks);
                out.text(put.note);
                out.text(put.key);
                out.extend_from_slice(put.value);
            }
            Record::Gone(key, variant) | Record::Stale(key, variant) => {
                out.byte(if matches!(self, Record::Gone(..)) { GONE } else { STALE });
                out.extend_from_slice(variant);
                out.extend_from_slice(key);
            }
            Record::Changed(marks) => {
                out.byte(CHANGED);
                numbers(&mut out, marks);
            }
        }
        out
    }

    /// None for what is no record.
    pub(crate) fn read(bytes: &'b [u8]) -> Option<Record<'b>> {
        let mut rest = Reading(bytes);
        match rest.byte()? {
            PUT => {
                let stale = match rest.byte()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                let (variant, marks) = (rest.fixed()?, read_numbers(&mut rest)?);
                let (note, key) = (rest.text()?, rest.text()?);
                Some(Record::Put(Put { variant, stale, marks, note, key, value: rest.0 }))
            }
            kind @ (GONE | STALE) => {
                let variant = rest.fixed()?;
                Some(if kind == GONE {
                    Record::Gone(rest.0, variant)
                } else {
                    Record::Stale(rest.0, variant)
                })
            }
            CHANGED => {
                let marks = read_numbers(&mut rest)?;
                rest.is_over().then_some(Record::Changed(marks))
            }
            _ => None,
        }
    }
}
