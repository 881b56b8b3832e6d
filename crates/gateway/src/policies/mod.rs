//! What a route does besides forwarding: one file for each policy, one line for each in the list.
//!
//! Takes an exchange on its way; each policy lets it pass, changes it, or answers. Policies never see sockets, and
//! run in one fixed order whatever the order in the file.

use crate::exchange::{Answer, Exchange, Verdict};

/// A policy, compiled and ready to run on any worker.
pub trait Policy: Send + Sync {
    /// Looks at the request, before anything is sent to a service.
    fn request<'a>(&'a self, _exchange: &'a mut Exchange) -> Verdict<'a> {
        Verdict::Go
    }

    /// Looks at the head of the answer, the service's or our own, before the client gets it.
    fn response(&self, _exchange: &mut Exchange) {}
}

/// A policy in its place on a route.
pub struct Bound {
    /// Its name in the configuration, in metrics and logs.
    pub name: &'static str,
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// Whether it only watches: what it refuses is counted and passes.
    pub shadow: bool,
}

/// Runs the policies of a route on the request, in order; the first refusal ends it.
pub async fn request(bound: &[Bound], exchange: &mut Exchange) -> Result<(), Box<Answer>> {
    for Bound { name, policy, shadow } in bound {
        exchange.record.policies_run = exchange.record.policies_run.saturating_add(1);
        let Some(answer) = decide(policy.request(exchange)).await else { continue };
        if *shadow {
            exchange.record.shadowed.push((name, answer.reason));
            continue;
        }
        exchange.record.refused_by = Some(name);
        return Err(answer);
    }
    Ok(())
}

async fn decide(mut verdict: Verdict<'_>) -> Option<Box<Answer>> {
    loop {
        match verdict {
            Verdict::Go => return None,
            Verdict::Answer(answer) => return Some(answer),
            Verdict::Wait(future) => verdict = future.await,
        }
    }
}

/// Runs those policies on the answer that have seen the request, in reverse order.
pub fn response(bound: &[Bound], exchange: &mut Exchange) {
    let ran = exchange.record.policies_run;
    for Bound { policy, .. } in bound.iter().take(ran).rev() {
        policy.response(exchange);
    }
}
