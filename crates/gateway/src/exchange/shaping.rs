//! What is to become of the bodies of an exchange, as its policies have said.

use shape::{Misfit, Plan};
use transcode::Asked;

use super::Exchange;

/// What is done to the bodies of one exchange.
#[derive(Default)]
pub struct Shaping {
    /// To the request's: how, or why it cannot be.
    pub request: Option<Result<Box<Plan>, Misfit>>,
    /// Which call of gRPC it becomes after that.
    pub call: Option<Box<Asked>>,
    /// To the answer's.
    pub answer: Option<Box<Plan>>,
    /// Whether the answer was refused in the service's stead, so that there is nothing left to shape.
    pub refused: bool,
}

impl Exchange {
    /// Whether the client gets nothing of an answer before all of it is there.
    pub fn holds_answers(&self) -> bool {
        let plan = || self.shaping.as_ref()?.answer.as_ref()?.time();
        self.judges.is_some() || plan().is_some()
    }
}

impl Shaping {
    /// Takes what is done to the answer, where programs of jq are among it: then it is done apart, to all of it.
    pub fn long_answer(&mut self) -> Option<Box<Plan>> {
        self.answer.take_if(|plan| plan.time().is_some())
    }
}
