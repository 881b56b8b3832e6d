//! The tries of an exchange that failed, and what stood in for the service, as they stand in its line.

use super::{millis, most, number, socket, text};
use crate::exchange::record::{Attempt, PartTold, Record};

/// Appends the failed tries and the circuits that were not closed, if there were any.
pub(super) fn attempts(out: &mut Vec<u8>, attempts: &[Attempt]) {
    if attempts.is_empty() {
        return;
    }
    let mut end: &[u8] = b"";
    let tries = attempts.iter().filter(|attempt| attempt.circuit().is_none());
    for (nth, attempt) in tries.take(most::ATTEMPTS).enumerate() {
        let start: &[u8] =
            if nth == 0 { b",\"failed_tries\":[{\"endpoint\":\"" } else { b",{\"endpoint\":\"" };
        out.extend_from_slice(start);
        socket(out, attempt.endpoint);
        text(out, b"\",\"outcome\":", attempt.outcome.as_bytes(), most::REASON);
        if attempt.status != 0 {
            number(out, b",\"status\":", u64::from(attempt.status));
        }
        out.push(b'}');
        end = b"]";
    }
    out.extend_from_slice(end);
    circuits(out, attempts);
}

/// Appends the targets whose circuits were not closed.
fn circuits(out: &mut Vec<u8>, attempts: &[Attempt]) {
    let mut end: &[u8] = b"";
    let circuits = attempts.iter().filter_map(|attempt| Some((attempt.endpoint, attempt.circuit()?)));
    for (nth, (endpoint, state)) in circuits.take(most::ATTEMPTS).enumerate() {
        let start: &[u8] = if nth == 0 { b",\"circuits\":[{\"endpoint\":\"" } else { b",{\"endpoint\":\"" };
        out.extend_from_slice(start);
        socket(out, endpoint);
        text(out, b"\",\"state\":", state.as_bytes(), most::REASON);
        out.push(b'}');
        end = b"]";
    }
    out.extend_from_slice(end);
}

/// Appends what came of the parts of an aggregate.
pub(super) fn parts(out: &mut Vec<u8>, parts: &[PartTold]) {
    for (nth, part) in parts.iter().enumerate() {
        let start: &[u8] = if nth == 0 { b",\"parts\":[{\"name\":" } else { b",{\"name\":" };
        text(out, start, part.name.as_bytes(), most::NAME);
        text(out, b",\"outcome\":", part.outcome.as_bytes(), most::REASON);
        if part.status != 0 {
            number(out, b",\"status\":", u64::from(part.status));
        }
        if part.requests > 1 {
            number(out, b",\"requests\":", u64::from(part.requests));
        }
        out.extend_from_slice(b",\"ms\":");
        millis(out, part.took);
        out.push(b'}');
    }
    if !parts.is_empty() {
        out.push(b']');
    }
}

/// Appends what the client got in place of the service's answer, and the steps that were tried for that.
pub(super) fn fallback(out: &mut Vec<u8>, record: &Record) {
    if !record.degraded.is_empty() {
        text(out, b",\"degraded\":", record.degraded.as_bytes(), most::REASON);
    }
    for (nth, (step, outcome)) in record.fallback.iter().take(most::STEPS).enumerate() {
        let start: &[u8] = if nth == 0 { b",\"fallback\":[{\"step\":" } else { b",{\"step\":" };
        text(out, start, step.as_bytes(), most::NAME);
        text(out, b",\"outcome\":", outcome.as_bytes(), most::REASON);
        out.push(b'}');
    }
    if !record.fallback.is_empty() {
        out.push(b']');
    }
}
