//! Cuts a head into its lines.
//!
//! Takes the same buffer again and again, grown at its end, gives each complete line once. Every answer depends
//! on the bytes alone and never on how they were split: a line that has outgrown its limit is refused with the
//! same error whether its end is there or not. It must never read a byte twice while it waits for the end.

use memchr::memchr;

use crate::error::HeadError;

/// Where the reading of a head stands, as offsets into the message.
#[derive(Copy, Clone, Default, Debug)]
pub(crate) struct Lines {
    /// Where the next line starts.
    at: usize,
    /// Up to where no LF was found.
    searched: usize,
}

/// How far a line may reach.
#[derive(Copy, Clone)]
pub(crate) struct LineLimit {
    /// Bytes of the line without CRLF.
    pub(crate) line: usize,
    /// What to say if it is longer.
    pub(crate) too_long: HeadError,
    /// Bytes of the whole head.
    pub(crate) head: usize,
}

impl Lines {
    /// Where the next line starts.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes to an offset, for what stands before the first line.
    pub(crate) fn skip_to(&mut self, at: usize) {
        *self = Lines { at, searched: at };
    }

    /// The next line without its CRLF and the offset of its first byte; `None` if its end is not there yet.
    #[inline]
    pub(crate) fn next<'a>(
        &mut self,
        input: &'a [u8],
        limit: LineLimit,
    ) -> Result<Option<(usize, &'a [u8])>, HeadError> {
        let start = self.at;
        // The last place where LF may stand, by the limit that is reached first.
        let by_line = start.saturating_add(limit.line).saturating_add(1);
        let by_head = limit.head.min(u32::MAX as usize).saturating_sub(1);
        let (last, error) =
            if by_line <= by_head { (by_line, limit.too_long) } else { (by_head, HeadError::HeadTooLong) };
        let found = input.get(self.searched..).and_then(|rest| memchr(b'\n', rest));
        let Some(found) = found else {
            self.searched = input.len().max(self.searched);
            return if input.len() > last { Err(error) } else { Ok(None) };
        };
        let end = self.searched + found;
        if end > last {
            return Err(error);
        }
        let line = input.get(start..end).unwrap_or_default();
        let [line @ .., b'\r'] = line else { return Err(HeadError::BareLf) };
        self.skip_to(end + 1);
        Ok(Some((start, line)))
    }
}
