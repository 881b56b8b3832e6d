//! Bodies that are made others on their way: of a request as it is read, of an answer as it goes out.
//!
//! Takes the pieces as they come; gives what becomes of them. Of an answer nothing is sent until so much is ready, or all:
//! what does not fit becomes a refusal as long as it can, and is never passed as it was.

use std::io;

use http1::ResponseHead;
use shape::{Body, Misfit, Plan};

use crate::fault::Fault;

/// Bytes that are collected before anything is sent.
pub const HELD: usize = 64 * 1024;

/// A request's body as it is made another one.
pub struct Reshaped {
    body: Body,
    /// What is ready.
    ready: Vec<u8>,
    /// Whether that is being given.
    giving: bool,
    /// Whether there is no more.
    ended: bool,
    /// Whether anything was given.
    begun: bool,
    /// What was wrong with it: then nothing more is given.
    misfit: Option<Misfit>,
}

impl Reshaped {
    /// Nothing of it has come.
    pub fn new(body: Body) -> Reshaped {
        Reshaped { body, ready: Vec::new(), giving: false, ended: false, begun: false, misfit: None }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// The body does not fit.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Misfit> {
        self.fits()?;
        let taken = self.body.push(piece, &mut self.ready);
        self.kept(taken)
    }

    fn fits(&self) -> Result<(), Misfit> {
        self.misfit.map_or(Ok(()), Err)
    }

    fn kept(&mut self, done: Result<(), Misfit>) -> Result<(), Misfit> {
        self.misfit = done.err();
        done
    }

    /// The body is whole: says how much of it is ready. May be said again.
    ///
    /// # Errors
    /// It is not, or does not fit.
    pub fn whole(&mut self) -> Result<usize, Misfit> {
        self.fits()?;
        if !std::mem::replace(&mut self.ended, true) {
            let finished = self.body.finish(&mut self.ready);
            self.kept(finished)?;
        }
        Ok(self.ready.len())
    }

    /// How much is ready.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Gives what is ready, once; its bytes stay until the next question.
    pub fn give(&mut self) -> Option<usize> {
        if std::mem::take(&mut self.giving) {
            self.ready.clear();
        }
        if self.ready.is_empty() || self.misfit.is_some() {
            return None;
        }
        (self.giving, self.begun) = (true, true);
        Some(self.ready.len())
    }

    /// What is being given.
    pub fn given(&self) -> Option<&[u8]> {
        self.giving.then_some(&*self.ready)
    }

    /// Whether nothing was given yet.
    pub fn is_fresh(&self) -> bool {
        !self.begun
    }
}

/// An answer's body as it is made another one, with the head that waits for it.
pub(super) struct Dressing {
    body: Result<Body, Misfit>,
    /// Until something is sent.
    head: Option<Box<ResponseHead>>,
    ready: Vec<u8>,
}

impl Dressing {
    pub(super) fn new(plan: &Plan, head: ResponseHead) -> Dressing {
        Dressing { body: Body::new(plan), head: Some(Box::new(head)), ready: Vec::new() }
    }

    pub(super) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let taken = match &mut self.body {
            Ok(body) => body.push(piece, &mut self.ready),
            Err(misfit) => Err(*misfit),
        };
        self.fits(taken)
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        let finished = match &mut self.body {
            Ok(body) => body.finish(&mut self.ready),
            Err(misfit) => Err(*misfit),
        };
        self.fits(finished)
    }

    /// After a misfit nothing is given any more, whoever asks.
    fn fits(&mut self, done: Result<(), Misfit>) -> io::Result<()> {
        if let Err(misfit) = done {
            self.ready.clear();
            self.body = Err(misfit);
        }
        done.map_err(io::Error::other)
    }

    /// The head, once it is time to send it. `rests` says that the service has nothing more at the moment.
    pub(super) fn head(&mut self, rests: bool) -> Option<Box<ResponseHead>> {
        let lines = || self.body.as_ref().is_ok_and(Body::is_lines);
        let due = self.ready.len() > HELD || (rests && lines());
        if due { self.head.take() } else { None }
    }

    /// The head, whatever the time.
    pub(super) fn last_head(&mut self) -> Option<Box<ResponseHead>> {
        self.head.take()
    }

    /// What is ready to go out; nothing before the head.
    pub(super) fn ready(&mut self) -> Option<Vec<u8>> {
        let goes = self.head.is_none() && !self.ready.is_empty();
        goes.then(|| std::mem::take(&mut self.ready))
    }
}

/// The fault of an answer that could not be sent: its body does not fit, or the client does not take it.
pub fn client_fault(error: io::Error) -> Fault {
    match error.get_ref().and_then(|why| why.downcast_ref::<Misfit>()) {
        Some(misfit) => Fault::AnswerUnfit(*misfit),
        None if error.kind() == io::ErrorKind::TimedOut => Fault::ClientStalled,
        None => Fault::ClientGone,
    }
}
