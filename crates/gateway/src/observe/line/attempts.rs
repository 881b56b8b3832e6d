//! The tries of an exchange that failed, as they stand in its line.

use super::{most, number, socket, text};
use crate::exchange::record::Attempt;

/// Appends the failed tries, if there were any.
pub(super) fn attempts(out: &mut Vec<u8>, attempts: &[Attempt]) {
    for (nth, attempt) in attempts.iter().take(most::ATTEMPTS).enumerate() {
        let start: &[u8] =
            if nth == 0 { b",\"failed_tries\":[{\"endpoint\":\"" } else { b",{\"endpoint\":\"" };
        out.extend_from_slice(start);
        socket(out, attempt.endpoint);
        text(out, b"\",\"outcome\":", attempt.outcome.as_bytes(), most::REASON);
        if attempt.status != 0 {
            number(out, b",\"status\":", u64::from(attempt.status));
        }
        out.push(b'}');
    }
    if !attempts.is_empty() {
        out.push(b']');
    }
}
