//! Who judges bodies: of requests before a service gets any of them, of answers before the client does, or of both when all
//! is over and nothing can be refused any more.
//!
//! Made by policies, driven by the road, which reads bodies whole and within bounds for them.

use std::rc::Rc;

use http1::Fields;

use super::{Answer, Exchange};

/// Judges the body of a request, all of it.
pub trait BodyJudge {
    /// Most bytes of the body; none where it need not be read.
    fn most(&self, exchange: &Exchange) -> Option<u64>;

    /// Whether a service may get a body of this kind, as the head says when all policies have seen it.
    ///
    /// # Errors
    /// The refusal.
    fn head(&self, exchange: &mut Exchange) -> Result<(), Box<Answer>>;

    /// Whether a service may get it, as the service would get it.
    ///
    /// # Errors
    /// The refusal.
    fn judge(&self, exchange: &mut Exchange, body: &[u8]) -> Result<(), Box<Answer>>;
}

/// Judges the body of an answer, all of it.
pub trait AnswerJudge {
    /// The policy that wants to know.
    fn by(&self) -> &'static str;

    /// Most bytes of the body.
    fn most(&self) -> usize;

    /// Whether the client may get it.
    ///
    /// # Errors
    /// What logs are told of why not.
    fn judge(&self, exchange: &Exchange, body: &[u8]) -> Result<(), String>;
}

/// Looks at what has passed, and refuses nothing.
pub trait LateJudge {
    /// Most bytes of the request's body that are kept for it; 0 for none.
    fn keeps(&self) -> usize;

    /// Says what it would have refused. `body` is that of the request, where it came whole and was kept.
    fn tell(&self, exchange: &mut Exchange, body: Option<&[u8]>);
}

/// Who judges one exchange.
#[derive(Default)]
pub struct Judges {
    /// The request's body.
    pub body: Vec<Rc<dyn BodyJudge>>,
    /// The answer's.
    pub answer: Vec<Rc<dyn AnswerJudge>>,
    /// Afterwards.
    pub late: Vec<Rc<dyn LateJudge>>,
    /// The fields of the answer as the service gave them.
    pub came: Option<Fields>,
}

impl Exchange {
    /// Who judges this exchange, to add to them.
    pub fn judges(&mut self) -> &mut Judges {
        self.judges.get_or_insert_default()
    }

    /// The head of the service's answer has come: keeps it for those who judge the answer.
    pub fn head_came(&mut self) {
        if let Some(judges) = &mut self.judges {
            judges.came = Some(self.response.fields.clone());
        }
    }
}
