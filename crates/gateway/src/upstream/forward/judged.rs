//! Answers that are judged before the client gets any of them: read whole, within bounds.
//!
//! One that is not what it must be is a fault of the service, as one that breaks the rules of HTTP.

use super::Forward;
use super::progress::answer_fault;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::http::http2::inflow::Inflow;
use crate::http::incoming::Piece;
use crate::upstream::connection::Connection;

impl Forward<'_> {
    /// The whole body of an answer over HTTP/1.1, if somebody judges it and it is good.
    pub(super) async fn judged_http1(
        &self,
        exchange: &mut Exchange,
        connection: &mut Connection,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Some(most) = most(exchange) else { return Ok(None) };
        let mut whole = Vec::new();
        loop {
            match connection.incoming.piece().map_err(Fault::AnswerBody)? {
                Piece::Data(span) => hold(exchange, &mut whole, connection.incoming.data(span), most)?,
                Piece::Done => return judge(exchange, whole).map(Some),
                Piece::Starved => {
                    connection.incoming.socket.read_timer.arm(self.service.idle_timeout);
                    connection.incoming.fill().await.map_err(answer_fault)?;
                }
            }
        }
    }

    /// The whole body of an answer over HTTP/2, likewise.
    pub(super) async fn judged_http2(
        &self,
        exchange: &mut Exchange,
        inflow: &mut Inflow,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Some(most) = most(exchange) else { return Ok(None) };
        let mut whole = Vec::new();
        loop {
            match inflow.piece() {
                Piece::Data(span) => hold(exchange, &mut whole, inflow.data(span), most)?,
                Piece::Done => return judge(exchange, whole).map(Some),
                Piece::Starved => {
                    inflow.timer.arm(self.service.idle_timeout);
                    inflow.fill().await.map_err(answer_fault)?;
                }
            }
        }
    }
}

/// Most bytes that are held; `None` when nobody judges.
fn most(exchange: &Exchange) -> Option<usize> {
    exchange.judges.as_ref()?.answer.iter().map(|judge| judge.most()).min()
}

/// Whether so many bytes may be held for those who judge.
pub(super) fn bound(exchange: &mut Exchange, length: usize) -> Result<(), Fault> {
    match most(exchange) {
        Some(most) if length > most => {
            exchange.record.why = format!("the answer has more than {most} bytes").into();
            Err(Fault::AnswerInvalid)
        }
        _ => Ok(()),
    }
}

fn hold(exchange: &mut Exchange, whole: &mut Vec<u8>, data: &[u8], most: usize) -> Result<(), Fault> {
    if data.len() > most.saturating_sub(whole.len()) {
        exchange.record.why = format!("the answer has more than {most} bytes").into();
        return Err(Fault::AnswerInvalid);
    }
    whole.extend_from_slice(data);
    Ok(())
}

/// Whether the body of an answer is good.
pub(super) fn judge(exchange: &mut Exchange, whole: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let judges = exchange.judges.as_mut().map(|judges| std::mem::take(&mut judges.answer));
    for judge in judges.unwrap_or_default() {
        if let Err(why) = judge.judge(exchange, &whole) {
            exchange.record.why = why.into();
            exchange.record.refused_by = Some(judge.by());
            return Err(Fault::AnswerInvalid);
        }
    }
    Ok(whole)
}
