//! What both policies do with what they find: refuse, or only tell.
//!
//! Bodies are judged by whoever drives the exchange, when all of them is there; a body beyond its bound is never passed on
//! unjudged where the policy refuses.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use contract::{Api, Limits, Violation};
use http1::{Framing, Method, names};
use serde_json::{Value, json};

use shape::Misfit;
use shape::coding::decoded;

use super::schemas::Schemas;
use crate::exchange::judging::{AnswerJudge, BodyJudge, LateJudge};
use crate::exchange::{Answer, Exchange, Problem, Tap};

/// What holds for everything that a policy judges.
pub(super) struct Rules {
    /// The policy.
    pub by: &'static str,
    /// Whether it only watches.
    pub shadow: bool,
    pub limits: Limits,
    pub max_body: usize,
    pub max_answer: usize,
}

/// What a body has to be.
#[derive(Clone)]
pub(super) enum Wanted {
    /// That of an operation of a document.
    Operation(Arc<Api>, usize),
    /// What schemas of the configuration say.
    Schemas(Arc<Schemas>),
}

/// The value of a header, several lines as one list.
pub(super) fn header(fields: &http1::Fields, name: &str) -> Option<String> {
    let lines = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    let texts: Vec<_> = lines.map(|field| String::from_utf8_lossy(field.value)).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The refusal of a request.
pub(super) fn refusal(violations: &[Violation]) -> Answer {
    let is_type = |one: &Violation| one.place == "header" && one.name == "Content-Type";
    let (status, reason, title) = match violations.iter().any(is_type) {
        true => (415, "media_type_refused", "Unsupported Media Type"),
        false => (400, "request_invalid", "Bad Request"),
    };
    let errors: Vec<Value> = violations
        .iter()
        .map(|one| match one.name.as_str() {
            "" => json!({ "in": one.place, "pointer": one.pointer, "detail": one.detail }),
            name => json!({ "in": one.place, "name": name, "pointer": one.pointer, "detail": one.detail }),
        })
        .collect();
    let problem = Problem {
        kind: if status == 415 { MEDIA_TYPE } else { INVALID },
        title,
        detail: "the request is not what the service takes".into(),
        members: vec![("errors", errors.into())],
    };
    Answer::typed_problem(status, reason, problem)
}

const INVALID: &str = "urn:tidegate:problem:request_invalid";
const MEDIA_TYPE: &str = "urn:tidegate:problem:media_type_refused";

/// One sentence about what is wrong, for logs.
pub(super) fn sentence(violations: &[Violation]) -> String {
    let told = |one: &Violation| {
        let at = [one.place, one.name.as_str(), one.pointer.as_str()];
        let at: Vec<&str> = at.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}: {}", at.join(" "), one.detail)
    };
    violations.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// The sentence of a body that is not readable.
fn undecodable(why: Misfit) -> Vec<Violation> {
    let (name, pointer) = (String::new(), String::new());
    vec![Violation { place: "body", name, pointer, detail: why.to_string() }]
}

impl Wanted {
    /// What is wrong with the kind of a request's body, as its head says.
    fn kind(&self, fields: &http1::Fields) -> Option<Violation> {
        let kind = fields.get(names::CONTENT_TYPE);
        match self {
            Wanted::Operation(api, place) => api.operations.get(*place)?.media(kind, true).err(),
            Wanted::Schemas(schemas) => schemas.kind(kind),
        }
    }

    /// Whether the body of a request of this kind is judged.
    fn reads(&self, fields: &http1::Fields) -> bool {
        let kind = fields.get(names::CONTENT_TYPE);
        match self {
            Wanted::Operation(api, place) => api
                .operations
                .get(*place)
                .and_then(|operation| operation.media(kind, true).ok().flatten())
                .is_some_and(|media| media.reads(kind)),
            Wanted::Schemas(schemas) => schemas.body.is_some(),
        }
    }

    /// What is wrong with the body of a request.
    fn body(&self, rules: &Rules, fields: &http1::Fields, body: &[u8]) -> Vec<Violation> {
        let coding = fields.get(names::CONTENT_ENCODING).unwrap_or_default();
        let plain = match decoded(body, coding, rules.max_body) {
            Ok(plain) => plain,
            Err(why) => return undecodable(why),
        };
        let kind = fields.get(names::CONTENT_TYPE);
        match self {
            Wanted::Operation(api, place) => {
                let operation = api.operations.get(*place);
                let media = operation.and_then(|operation| operation.media(kind, true).ok().flatten());
                media.map(|media| media.check(kind, &plain, rules.limits)).unwrap_or_default()
            }
            Wanted::Schemas(schemas) => schemas.body(&plain, rules.limits),
        }
    }

    /// What is wrong with the body of an answer.
    fn answer(&self, rules: &Rules, head: &AnswerHead, body: &[u8]) -> Vec<Violation> {
        let plain = match decoded(body, &head.coding, rules.max_answer) {
            Ok(plain) => plain,
            Err(why) => return undecodable(why),
        };
        let kind = head.kind.as_deref();
        match self {
            Wanted::Operation(api, place) => {
                let response = api.operations.get(*place).and_then(|one| one.response(head.status));
                let media = response.and_then(|response| response.media(kind).ok().flatten());
                media.map(|media| media.check(kind, &plain, rules.limits)).unwrap_or_default()
            }
            Wanted::Schemas(schemas) => schemas.answer(&plain, rules.limits),
        }
    }
}

/// Judges the body of a request.
struct Body {
    rules: Arc<Rules>,
    wanted: Wanted,
}

impl BodyJudge for Body {
    fn most(&self, exchange: &Exchange) -> Option<u64> {
        self.wanted.reads(&exchange.request.fields).then_some(self.rules.max_body as u64)
    }

    fn head(&self, exchange: &mut Exchange) -> Result<(), Box<Answer>> {
        let found = self.wanted.kind(&exchange.request.fields);
        self.told(exchange, &Vec::from_iter(found))
    }

    fn judge(&self, exchange: &mut Exchange, body: &[u8]) -> Result<(), Box<Answer>> {
        // Another judge may have had it read, of a kind that is not for this one.
        if !self.wanted.reads(&exchange.request.fields) {
            return Ok(());
        }
        let found = self.wanted.body(&self.rules, &exchange.request.fields, body);
        self.told(exchange, &found)
    }
}

impl Body {
    fn told(&self, exchange: &mut Exchange, found: &[Violation]) -> Result<(), Box<Answer>> {
        if found.is_empty() {
            return Ok(());
        }
        exchange.record.refused_by = Some(self.rules.by);
        exchange.record.why = sentence(found).into();
        Err(Box::new(refusal(found)))
    }
}

impl LateJudge for Body {
    fn keeps(&self) -> usize {
        self.rules.max_body
    }

    fn tell(&self, exchange: &mut Exchange, body: Option<&[u8]>) {
        let fields = &exchange.request.fields;
        let (found, reason) = match (self.wanted.kind(fields), body) {
            (Some(kind), _) => (vec![kind], "media_type_refused"),
            (None, _) if !self.wanted.reads(fields) => return,
            (None, None) => return exchange.record.shadowed.push((self.rules.by, "body_not_judged")),
            (None, Some(body)) => (self.wanted.body(&self.rules, fields, body), "request_invalid"),
        };
        if !found.is_empty() {
            exchange.record.shadowed.push((self.rules.by, reason));
            note(exchange, &found);
        }
    }
}

/// Tells logs what is wrong, unless they know of something else.
fn note(exchange: &mut Exchange, found: &[Violation]) {
    if exchange.record.why.is_empty() {
        exchange.record.why = sentence(found).into();
    }
}

/// Has the body of a request judged.
pub(super) fn judge_body(exchange: &mut Exchange, rules: &Arc<Rules>, wanted: Wanted) {
    let judge = Rc::new(Body { rules: rules.clone(), wanted });
    if rules.shadow {
        exchange.judges().late.push(judge);
        return;
    }
    exchange.judges().body.push(judge);
}

/// The head of an answer, as far as its body is judged by it.
struct AnswerHead {
    status: u16,
    kind: Option<Vec<u8>>,
    coding: Vec<u8>,
}

/// Judges the body of an answer.
struct AnswerBody {
    rules: Arc<Rules>,
    wanted: Wanted,
    head: AnswerHead,
}

impl AnswerJudge for AnswerBody {
    fn by(&self) -> &'static str {
        self.rules.by
    }

    fn most(&self) -> usize {
        self.rules.max_answer
    }

    fn judge(&self, _: &Exchange, body: &[u8]) -> Result<(), String> {
        let found = self.wanted.answer(&self.rules, &self.head, body);
        if found.is_empty() { Ok(()) } else { Err(sentence(&found)) }
    }
}

/// Refuses an answer for its head.
struct Bad {
    by: &'static str,
    most: usize,
    why: String,
}

impl AnswerJudge for Bad {
    fn by(&self) -> &'static str {
        self.by
    }

    fn most(&self) -> usize {
        self.most
    }

    fn judge(&self, _: &Exchange, _: &[u8]) -> Result<(), String> {
        Err(self.why.clone())
    }
}

/// Whether an answer is one of the service, and has not been judged before in vain.
pub(super) fn is_of_service(exchange: &Exchange) -> bool {
    let (record, status) = (&exchange.record, exchange.response.status);
    record.reason.is_empty()
        && record.degraded.is_empty()
        && record.service_status == status
        && exchange.instead.is_none()
        && status != 101
}

/// The fields of an answer as the service gave them, whatever was made of them since.
pub(super) fn came(exchange: &Exchange) -> &http1::Fields {
    let came = exchange.judges.as_ref().and_then(|judges| judges.came.as_ref());
    came.unwrap_or(&exchange.response.fields)
}

/// Whether an answer has a body.
pub(super) fn has_body(exchange: &Exchange) -> bool {
    let head = &exchange.response;
    exchange.request.method != Method::Head
        && !matches!(head.status, 204 | 304)
        && !matches!(head.framing, Framing::None | Framing::Length(0))
}

/// Begins to judge an answer: one that an attempt before gave is forgotten.
pub(super) fn forget(exchange: &mut Exchange, rules: &Rules) {
    if let Some(judges) = &mut exchange.judges {
        judges.answer.retain(|judge| judge.by() != rules.by);
    }
}

/// Refuses an answer for its head, or tells of it.
pub(super) fn refuse_answer(exchange: &mut Exchange, rules: &Arc<Rules>, found: &[Violation]) {
    if rules.shadow {
        exchange.record.shadowed.push((rules.by, "answer_invalid"));
        return note(exchange, found);
    }
    let bad = Bad { by: rules.by, most: rules.max_answer, why: sentence(found) };
    exchange.judges().answer.push(Rc::new(bad));
}

/// Has the body of an answer judged.
pub(super) fn judge_answer(exchange: &mut Exchange, rules: &Arc<Rules>, wanted: Wanted) {
    let fields = came(exchange);
    let head = AnswerHead {
        status: exchange.response.status,
        kind: fields.get(names::CONTENT_TYPE).map(<[u8]>::to_vec),
        coding: fields.get(names::CONTENT_ENCODING).unwrap_or_default().to_vec(),
    };
    let judge = AnswerBody { rules: rules.clone(), wanted, head };
    if !rules.shadow {
        exchange.judges().answer.push(Rc::new(judge));
        return;
    }
    let seen = Rc::new(RefCell::new(Seen { most: rules.max_answer, ..Seen::default() }));
    let next = exchange.witness.take();
    exchange.witness = Some(Box::new(Watching { seen: seen.clone(), next }));
    exchange.judges().late.push(Rc::new(LateAnswer { judge, seen }));
}

/// A body that has passed.
#[derive(Default)]
struct Seen {
    body: Vec<u8>,
    most: usize,
    missed: bool,
    ended: bool,
}

/// Takes a body down as it passes.
struct Watching {
    seen: Rc<RefCell<Seen>>,
    next: Option<Box<dyn Tap>>,
}

impl Tap for Watching {
    fn data(&mut self, piece: &[u8]) {
        if let Some(next) = &mut self.next {
            next.data(piece);
        }
        let mut seen = self.seen.borrow_mut();
        if seen.missed || piece.len() > seen.most.saturating_sub(seen.body.len()) {
            (seen.missed, seen.body) = (true, Vec::new());
        } else {
            seen.body.extend_from_slice(piece);
        }
    }

    fn end(&mut self) {
        if let Some(next) = &mut self.next {
            next.end();
        }
        self.seen.borrow_mut().ended = true;
    }
}

/// Judges an answer that has passed.
struct LateAnswer {
    judge: AnswerBody,
    seen: Rc<RefCell<Seen>>,
}

impl LateJudge for LateAnswer {
    fn keeps(&self) -> usize {
        0
    }

    fn tell(&self, exchange: &mut Exchange, _: Option<&[u8]>) {
        let (seen, by) = (self.seen.borrow(), self.judge.rules.by);
        if seen.missed {
            exchange.record.shadowed.push((by, "answer_not_judged"));
        }
        if seen.missed || !seen.ended {
            return;
        }
        if let Err(why) = self.judge.judge(exchange, &seen.body) {
            exchange.record.shadowed.push((by, "answer_invalid"));
            if exchange.record.why.is_empty() {
                exchange.record.why = why.into();
            }
        }
    }
}
