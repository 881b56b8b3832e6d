//! The part of a request's body that is kept to be sent once more, up to a bound.

use std::cell::Cell;
use std::rc::Rc;

use super::buffer::{SIZE, Span};

/// A body as far as it has been read.
pub struct Kept {
    bytes: Vec<u8>,
    most: usize,
    /// From where on it is being sent again; `None` while the client's own bytes are being read.
    place: Option<usize>,
    whole: Rc<Cell<bool>>,
}

impl Kept {
    /// Keeps this many bytes at most.
    pub fn new(most: usize) -> Kept {
        Kept { bytes: Vec::new(), most, place: None, whole: Rc::new(Cell::new(true)) }
    }

    /// A body that is there already, to be sent from its beginning.
    pub fn of(bytes: Vec<u8>) -> Kept {
        Kept { most: bytes.len(), bytes, place: Some(0), whole: Rc::new(Cell::new(true)) }
    }

    /// Keeps more than was asked for before.
    pub fn widen(&mut self, most: usize) {
        self.most = self.most.max(most);
    }

    /// Whether all that was read so far is kept.
    pub fn whole(&self) -> &Rc<Cell<bool>> {
        &self.whole
    }

    /// What is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps what has been read.
    pub fn keep(&mut self, data: &[u8]) {
        if self.whole.get() && data.len() <= self.most.saturating_sub(self.bytes.len()) {
            self.bytes.extend_from_slice(data);
        } else {
            self.whole.set(false);
            self.bytes = Vec::new();
        }
    }

    /// Begins anew. False when not all is kept.
    pub fn rewind(&mut self) -> bool {
        self.place = Some(0);
        self.whole.get()
    }

    /// The next piece of what is sent again; `None` once the client's own bytes are to be read.
    pub fn next_piece(&mut self) -> Option<Span> {
        let start = self.place?;
        let end = start.saturating_add(SIZE).min(self.bytes.len());
        self.place = (start < end).then_some(end);
        self.place.map(|end| Span::between(start, end))
    }

    /// The bytes of a piece, while pieces are sent again.
    pub fn data(&self, span: Span) -> Option<&[u8]> {
        self.place.map(|_| span.of_bytes(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_comes_again_and_then_what_follows() {
        let mut kept = Kept::new(SIZE + 10);
        kept.keep(&[b'a'; SIZE]);
        kept.keep(b"bcd");
        assert!(kept.next_piece().is_none(), "nothing comes again before it is asked for");
        for _ in 0..2 {
            assert!(kept.rewind());
            let first = kept.next_piece().unwrap();
            assert_eq!(kept.data(first).unwrap().len(), SIZE);
            let second = kept.next_piece().unwrap();
            assert_eq!(kept.data(second), Some(&b"bcd"[..]));
            assert!(
                kept.next_piece().is_none() && kept.data(second).is_none(),
                "the client's own bytes follow"
            );
        }
    }

    #[test]
    fn more_than_the_bound_is_not_kept() {
        let mut kept = Kept::new(4);
        kept.keep(b"abc");
        kept.keep(b"de");
        kept.keep(b"f");
        assert!(!kept.whole().get() && !kept.rewind());
        assert!(kept.bytes.is_empty());
    }
}
