//! What is to become of the bodies of an exchange, as its policies have said.

use shape::{Misfit, Plan};
use transcode::Asked;

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
