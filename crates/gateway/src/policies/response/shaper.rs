//! Bodies on their way through an exchange: what is to be shaped, what may pass as it is, and what is refused.
//!
//! Takes the head of a request or an answer; writes into the exchange what becomes of its body, and says in the head what
//! will be true of it then. Must never let a body pass as it was where it was to be shaped.

use bytes::Bytes;
use http1::{Fields, Framing, Method, Name, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shape::{Coding, Format, Limits, Misfit, Plan, shaped};

use super::formats::Formats;
use super::ops::Ops;
use crate::exchange::{Exchange, Shaping};
use crate::fault::Fault;
use crate::fault::response::respond_fault;
use crate::http::list::elements;

/// What becomes of bodies that are in none of the formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BodyOther")]
pub(in crate::policies) enum Other {
    /// They pass as they are.
    Pass,
    /// They are refused.
    Refuse,
}

/// Shapes the bodies of a route.
pub(in crate::policies) struct Shaper {
    pub ops: Ops,
    pub formats: Formats,
    pub limits: Limits,
    pub other: Other,
}

const UNKNOWN: Misfit = Misfit::Kind("the body is in a format that is not taken here");
const CHARSET: Misfit = Misfit::Kind("the body is not in UTF-8");
const PART: Misfit = Misfit::Kind("a part of a body cannot be shaped");

/// Fields that are about the bytes of a body as they were (RFC 9530, RFC 3230, RFC 1864).
const OF_THE_BYTES: [&[u8]; 4] = [b"Content-Digest", b"Repr-Digest", b"Digest", b"Content-MD5"];

impl Shaper {
    /// Whether nothing is done to bodies.
    pub(in crate::policies) fn is_idle(&self) -> bool {
        self.ops.is_empty() && !self.formats.translate()
    }

    /// What comes with these fields: its format, or none where it may pass.
    fn format(&self, fields: &Fields) -> Result<Option<&Format>, Misfit> {
        let mut lines = fields.get_all(names::CONTENT_TYPE);
        let kind = match (lines.next(), lines.next()) {
            // What does not say what it is could be anything: it is taken for what is looked for.
            (None, _) => return Ok(self.formats.of("application/json")),
            (Some(kind), None) => String::from_utf8_lossy(kind).to_ascii_lowercase(),
            (Some(_), Some(_)) => return Err(Misfit::Kind("the body is said to be of two kinds")),
        };
        let mut words = kind.split(';').map(str::trim);
        let name = words.next().unwrap_or_default();
        let Some(format) = self.formats.of(name) else {
            // What is JSON in some other way is not among what may pass for something else.
            let may_pass = self.other == Other::Pass && !name.contains("json");
            return if may_pass { Ok(None) } else { Err(UNKNOWN) };
        };
        let charset = words.find_map(|word| word.strip_prefix("charset="));
        if charset.is_some_and(|name| !matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii")) {
            return Err(CHARSET);
        }
        Ok(Some(format))
    }

    fn plan(&self, exchange: &Exchange, from: &Format, to: &Format, fields: &Fields) -> Result<Plan, Misfit> {
        let coding = match fields.get_all(names::CONTENT_ENCODING).collect::<Vec<_>>().as_slice() {
            [] => None,
            [one] => Coding::of(one)?,
            _ => return Err(Misfit::Coding("the body is coded more than once")),
        };
        Ok(Plan {
            programs: vec![self.ops.filled(exchange)],
            from: from.clone(),
            to: to.clone(),
            coding,
            limits: self.limits,
        })
    }

    /// Looks at a request, and has its body shaped.
    pub(in crate::policies) fn request(&self, exchange: &mut Exchange) {
        if self.is_idle() || matches!(exchange.request.framing, Framing::None | Framing::Length(0)) {
            return;
        }
        let plan = match self.format(&exchange.request.fields) {
            Ok(None) => return,
            Ok(Some(from)) => {
                let to = self.formats.target(&exchange.request.fields).unwrap_or(from);
                let plan = self.plan(exchange, from, to, &exchange.request.fields);
                let fields = &mut exchange.request.fields;
                if from != to {
                    fields.set(names::CONTENT_TYPE, to.media_type().as_bytes());
                }
                fields.remove(names::CONTENT_ENCODING);
                remove_digests(fields);
                plan.map(Box::new)
            }
            Err(misfit) => Err(misfit),
        };
        exchange.shaping.get_or_insert_default().request = Some(plan);
    }

    /// Prepares a request whose answer is to be shaped: only whole answers can be.
    pub(in crate::policies) fn ask_whole(exchange: &mut Exchange) {
        exchange.shaping.get_or_insert_default();
        let fields = &mut exchange.request.fields;
        fields.remove(names::RANGE);
        fields.remove(names::IF_RANGE);
    }

    /// Looks at the head of an answer, and has its body shaped. `to` is what it becomes; none for what it is.
    pub(in crate::policies) fn answer(&self, exchange: &mut Exchange, to: Option<&Format>) {
        let of_service = exchange.record.answered.is_some() || exchange.instead.is_some();
        let done = exchange.shaping.as_ref().is_some_and(|shaping| shaping.refused);
        if done || !of_service || self.is_idle() || exchange.response.status == 101 {
            return;
        }
        if let Err(misfit) = self.try_answer(exchange, to) {
            refuse(exchange, misfit);
        }
    }

    fn try_answer(&self, exchange: &mut Exchange, to: Option<&Format>) -> Result<(), Misfit> {
        let head = &exchange.response;
        let bodyless = matches!(head.status, 100..200 | 204 | 304)
            || exchange.record.method == Method::Head
            || (exchange.instead.is_none() && matches!(head.framing, Framing::None | Framing::Length(0)));
        let is_part = head.status == 206 || head.fields.contains(names::CONTENT_RANGE);
        let parts = head.fields.get(names::CONTENT_TYPE).is_some_and(|kind| {
            kind.get(..20).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/byteranges"))
        });
        if is_part && parts && !bodyless {
            return Err(PART);
        }
        // A head alone promises nothing that could leak.
        let from = match self.format(&head.fields) {
            Err(_) if bodyless => None,
            format => format?,
        };
        let untold = !head.fields.contains(names::CONTENT_TYPE);
        let Some(from) = from.filter(|_| !(bodyless && untold && head.status != 304)) else { return Ok(()) };
        if is_part && !bodyless {
            return Err(PART);
        }
        let to = to.unwrap_or(from);
        let plan = match bodyless {
            true => None,
            false => Some(self.plan(exchange, from, to, &exchange.response.fields)?),
        };
        let translated = from != to && !untold;
        let head = &mut exchange.response;
        head.declared_length = None;
        if translated || (from != to && !bodyless) {
            head.fields.set(names::CONTENT_TYPE, to.media_type().as_bytes());
        }
        head.fields.remove(names::CONTENT_ENCODING);
        head.fields.remove(names::ACCEPT_RANGES);
        remove_digests(&mut head.fields);
        weaken(&mut head.fields);
        let Some(plan) = plan else { return Ok(()) };
        let waits = exchange.shaping.as_ref().is_some_and(|shaping| shaping.answer.is_some());
        match exchange.instead.take_if(|_| !waits && plan.time().is_none()) {
            Some(body) => {
                let body = shaped(&plan, &body)?;
                exchange.response.framing = Framing::Length(body.len() as u64);
                exchange.instead = Some(Bytes::from(body));
            }
            // What stands in for the service's answer may be there already: a program makes another of it when it is sent.
            None => {
                exchange.response.framing = Framing::Chunked;
                self.add(exchange, plan);
            }
        }
        Ok(())
    }

    /// Lets a plan follow the one that another policy has made.
    fn add(&self, exchange: &mut Exchange, plan: Plan) {
        let shaping: &mut Shaping = exchange.shaping.get_or_insert_default();
        match &mut shaping.answer {
            None => shaping.answer = Some(Box::new(plan)),
            Some(before) => {
                before.programs.extend(plan.programs);
                before.to = plan.to;
                before.limits.size = before.limits.size.max(plan.limits.size);
            }
        }
    }
}

/// Refuses an answer in the service's stead.
fn refuse(exchange: &mut Exchange, misfit: Misfit) {
    let body = respond_fault(exchange, &Fault::AnswerUnfit(misfit));
    exchange.record.why = misfit.code().into();
    exchange.instead = Some(Bytes::copy_from_slice(&body));
    let shaping: &mut Shaping = exchange.shaping.get_or_insert_default();
    (shaping.answer, shaping.refused) = (None, true);
}

fn remove_digests(fields: &mut Fields) {
    for name in OF_THE_BYTES {
        if let Ok(name) = Name::new(name) {
            fields.remove(name);
        }
    }
}

/// The bytes are others now, so a tag says only that the meaning is the same (RFC 9110 section 8.8.3).
fn weaken(fields: &mut Fields) {
    let tag = fields.get(names::ETAG).filter(|tag| !tag.starts_with(b"W/")).map(<[u8]>::to_vec);
    if let Some(tag) = tag {
        fields.remove(names::ETAG);
        fields.push_parts(names::ETAG, &[b"W/", &tag]);
    }
}

/// Adds `Accept` to what the answer depends on.
pub(super) fn vary_by_accept(fields: &mut Fields) {
    let knows = |name: &[u8]| name.eq_ignore_ascii_case(b"accept") || name == b"*";
    if !fields.get_all(names::VARY).flat_map(elements).any(knows) {
        fields.push(names::VARY, b"Accept");
    }
}
