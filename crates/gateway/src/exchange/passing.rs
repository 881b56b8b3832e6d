//! What sees the body of an answer pass on its way out, and what policies keep between a request and its answer.
//!
//! Made by policies, driven by whoever sends the answer. Must never wait: it runs between two pieces of a body.

use std::any::Any;
use std::io;

/// Takes a copy of a body as it goes out. Dropped before its end, the body was not whole.
pub trait Tap {
    /// A piece of the body as it is sent.
    fn data(&mut self, piece: &[u8]);
    /// The body is whole.
    fn end(&mut self);
}

/// Changes the coding of a body as it goes out.
pub trait Coat {
    /// Takes a piece; what is ready of the coded body is put behind `out`.
    ///
    /// # Errors
    /// The body cannot be coded, and its answer is to be cut.
    fn data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Puts everything taken so far behind `out`, so that the client can read it.
    ///
    /// # Errors
    /// As above.
    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()>;

    /// The body is whole: puts its coded end behind `out`.
    ///
    /// # Errors
    /// As above.
    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// What policies keep between a request and its answer, one value of each type. Let go at the end of the exchange.
#[derive(Default)]
pub struct Notes(Vec<Box<dyn Any>>);

impl Notes {
    /// Keeps a value.
    pub fn put<T: Any>(&mut self, note: T) {
        self.0.push(Box::new(note));
    }

    /// Gives the value of this type back.
    pub fn take<T: Any>(&mut self) -> Option<Box<T>> {
        let place = self.0.iter().position(|note| note.is::<T>())?;
        self.0.swap_remove(place).downcast().ok()
    }

    /// The value of this type, which stays.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.iter().find_map(|note| note.downcast_ref())
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
