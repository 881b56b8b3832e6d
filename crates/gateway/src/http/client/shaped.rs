//! Bodies of requests that are made others as they are read.
//!
//! Takes the pieces as the client sent them; gives those of what becomes of them. Must never give one as it came.

use super::super::buffer::Span;
use super::super::incoming::Piece;
use super::super::kept::Kept;
use super::super::reshaped::Reshaped;
use super::{ClientLimits, ClientReader};
use crate::fault::Fault;

impl ClientReader {
    /// What has become of the body so far.
    pub(super) fn reshaped_piece(&mut self) -> Result<Piece, Fault> {
        let Some(mut reshaped) = self.reshaped.take() else { return Ok(Piece::Done) };
        let piece = self.next_reshaped(&mut reshaped);
        self.reshaped = Some(reshaped);
        piece
    }

    fn next_reshaped(&mut self, reshaped: &mut Reshaped) -> Result<Piece, Fault> {
        loop {
            if let Some(length) = reshaped.give() {
                return Ok(Piece::Data(Span::of(length)));
            }
            match self.own_piece()? {
                Piece::Data(span) => reshaped.take(self.own_data(span)).map_err(Fault::BodyUnfit)?,
                Piece::Starved => return Ok(Piece::Starved),
                Piece::Done if reshaped.whole().map_err(Fault::BodyUnfit)? > 0 => {}
                Piece::Done => {
                    self.trailers_mut().clear();
                    return Ok(Piece::Done);
                }
            }
        }
    }

    /// Lets the body be made another one, and reads ahead until this much of it is ready. Gives its length if that is all.
    pub async fn reshape(
        &mut self,
        limits: &ClientLimits,
        body: shape::Body,
        most: usize,
    ) -> Result<Option<usize>, Fault> {
        let mut reshaped = Box::new(Reshaped::new(body));
        // A body that was signed or judged has been read whole.
        if let Some(kept) = self.kept.take() {
            if !kept.whole().get() {
                return Err(Fault::BodyTooLarge(self.body_limit));
            }
            reshaped.take(kept.bytes()).map_err(Fault::BodyUnfit)?;
        }
        let length = loop {
            if reshaped.ready() > most {
                break None;
            }
            match self.own_piece()? {
                Piece::Data(span) => reshaped.take(self.own_data(span)).map_err(Fault::BodyUnfit)?,
                Piece::Starved => self.receive(limits).await?,
                Piece::Done => break Some(reshaped.whole().map_err(Fault::BodyUnfit)?),
            }
        };
        self.reshaped = Some(reshaped);
        Ok(length)
    }

    /// Lets these bytes be the body, in place of one that has been read whole.
    pub fn stand_in(&mut self, body: Vec<u8>) {
        (self.kept, self.reshaped) = (Some(Box::new(Kept::of(body))), None);
    }
}
