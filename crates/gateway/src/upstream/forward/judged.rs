//! Answers of which the client gets nothing before all is there: those that are judged, and those of which a program makes
//! others. They are read whole, within bounds.
//!
//! One that is not what it must be is a fault of the service, as one that breaks the rules of HTTP.

use shape::Misfit;

use super::Forward;
use super::progress::answer_fault;
use crate::exchange::{Exchange, programs};
use crate::fault::Fault;
use crate::http::http2::inflow::Inflow;
use crate::http::incoming::Piece;
use crate::upstream::connection::Connection;

impl Forward<'_> {
    /// The whole body of an answer over HTTP/1.1, if somebody judges it and it is good, or has made another one of it.
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
                Piece::Done => return done(exchange, whole).await.map(Some),
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
                Piece::Done => return done(exchange, whole).await.map(Some),
                Piece::Starved => {
                    inflow.timer.arm(self.service.idle_timeout);
                    inflow.fill().await.map_err(answer_fault)?;
                }
            }
        }
    }
}

/// Most bytes that are held, and whether it is a program that says so; `None` when nobody needs all of it.
fn most(exchange: &Exchange) -> Option<(usize, bool)> {
    let judges = exchange.judges.iter().flat_map(|judges| &judges.answer).map(|judge| (judge.most(), false));
    let plan = exchange.shaping.as_ref().and_then(|shaping| shaping.answer.as_ref());
    let program = plan.filter(|plan| plan.time().is_some()).map(|plan| (plan.limits.size, true));
    judges.chain(program).min()
}

/// Whether so many bytes may be held for those who need all of it.
pub(super) fn bound(exchange: &mut Exchange, length: usize) -> Result<(), Fault> {
    most(exchange).map_or(Ok(()), |most| within(exchange, most, length))
}

fn within(exchange: &mut Exchange, (most, is_of_program): (usize, bool), length: usize) -> Result<(), Fault> {
    if length <= most {
        return Ok(());
    }
    if is_of_program {
        return Err(Fault::AnswerUnfit(Misfit::Large(most as u64)));
    }
    exchange.record.why = format!("the answer has more than {most} bytes").into();
    Err(Fault::AnswerInvalid)
}

fn hold(exchange: &mut Exchange, whole: &mut Vec<u8>, data: &[u8], most: (usize, bool)) -> Result<(), Fault> {
    within(exchange, most, whole.len().saturating_add(data.len()))?;
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

/// Judges a body, and lets programs make another one of it.
async fn done(exchange: &mut Exchange, whole: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let whole = judge(exchange, whole)?;
    let Some(plan) = exchange.shaping.as_mut().and_then(|shaping| shaping.long_answer()) else {
        return Ok(whole);
    };
    // Who watches sees what the service gave.
    if let Some(mut witness) = exchange.witness.take() {
        witness.data(&whole);
        witness.end();
    }
    programs::made_answer(*plan, exchange, whole).await
}
