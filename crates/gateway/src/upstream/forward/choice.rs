//! Which endpoint a try goes to: what the balance says, past those whose circuit lets nothing through.

use std::rc::Rc;

use super::super::breaker::target::{self, Leave};
use super::super::local::{Group, LocalEndpoint};
use super::Forward;
use crate::exchange::Exchange;
use crate::fault::Fault;

/// An endpoint that may be asked: its place in the group, and its leave where it needs one.
pub(super) type Chosen = (usize, Rc<LocalEndpoint>, Option<Leave>);

impl Forward<'_> {
    /// The endpoint for the next try. `fault` is why there is none so far.
    pub(super) fn choose(
        &self,
        group: &Group,
        exchange: &mut Exchange,
        tried: &mut Vec<usize>,
        fault: &mut Fault,
    ) -> Option<Chosen> {
        if target::settings(self.service).is_some() {
            return self.choose_admitted(group, exchange, tried, fault);
        }
        let chosen = group.choose(exchange, self.random, tried);
        let chosen = chosen.or_else(|| {
            self.may_begin_anew(tried, fault).then(|| tried.clear())?;
            group.choose(exchange, self.random, tried)
        });
        chosen.map(|(place, endpoint)| (place, endpoint, None))
    }

    /// Where every endpoint has failed an attempt, each may be asked again.
    fn may_begin_anew(&self, tried: &[usize], fault: &Fault) -> bool {
        self.again.is_again() && *fault == Fault::NoEndpoint && !tried.is_empty()
    }

    /// The same where each endpoint has a circuit of its own.
    #[cold]
    fn choose_admitted(
        &self,
        group: &Group,
        exchange: &mut Exchange,
        tried: &mut Vec<usize>,
        fault: &mut Fault,
    ) -> Option<Chosen> {
        if exchange.record.tries == 0 {
            target::note(exchange, self.service, group.endpoints().map(|endpoint| &*endpoint.shared));
        }
        let mut anew = self.may_begin_anew(tried, fault);
        loop {
            let Some((place, endpoint)) = group.choose(exchange, self.random, tried) else {
                if std::mem::take(&mut anew) {
                    tried.clear();
                    continue;
                }
                return None;
            };
            match target::admit(&endpoint.shared) {
                Ok(leave) => return Some((place, endpoint, leave)),
                Err(refused) => {
                    tried.push(place);
                    // What is wrong with one that was asked tells more.
                    if *fault == Fault::NoEndpoint {
                        *fault = refused;
                    }
                }
            }
        }
    }
}
