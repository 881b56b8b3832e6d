//! Lines that are put together once and added to many heads.
//!
//! Takes fields; gives them to [`Fields::append`] and [`Fields::append_with`]. Two short lines stand in the value itself: who
//! keeps thousands of them finds each with one look at memory, not three. It must never hold what fields may not hold.

use smallvec::SmallVec;

use crate::fields::{Field, Fields, Line};

/// Lines, and the bytes of lines, that need no memory of their own.
const LINES: usize = 2;
const BYTES: usize = 48;

/// Lines that are added to many heads. They have nothing but their names and values, cleaned as [`Fields::push`] does it.
#[derive(Default, Clone)]
pub struct Prepared {
    pub(crate) lines: SmallVec<[Line; LINES]>,
    pub(crate) bytes: SmallVec<[u8; BYTES]>,
}

impl From<&Fields> for Prepared {
    /// The same lines, without what was removed from between them.
    fn from(fields: &Fields) -> Prepared {
        // Once more, so that the bytes are those of the lines, each as it goes to the wire, and no others.
        let mut lines = Fields::new();
        fields.iter().filter_map(Field::named).for_each(|(name, value)| lines.push(name, value));
        let (lines, bytes) = lines.parts();
        Prepared { lines: SmallVec::from_slice(lines), bytes: SmallVec::from_slice(bytes) }
    }
}

impl Prepared {
    /// The lines in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.lines.iter().map(|line| line.field(&self.bytes))
    }
}

impl PartialEq for Prepared {
    /// Equal are the same names, in the same case, with the same values in the same order.
    fn eq(&self, other: &Prepared) -> bool {
        self.iter().eq(other.iter())
    }
}
