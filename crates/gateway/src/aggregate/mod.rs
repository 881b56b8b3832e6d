//! One answer made of several: the parts of an aggregate, and how their answers become one.
//!
//! Takes what a route says of its parts, compiled by `snapshot`; gives what each part asks for once the parts before it have
//! answered (`ask`), and the one body made of all answers (`merge`). Asks nobody itself: that is the road's.

pub mod ask;
pub mod document;
pub mod fresh;
pub mod merge;
pub mod skeleton;
pub mod template;
pub mod text;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http1::NameBuf;

use document::{Bounds, Document};
use skeleton::Skeleton;
use template::Template;
use text::{Path, PathText, Piece, Text, Value};

/// Parts of one aggregate at most.
pub const MOST_PARTS: usize = 16;
/// Elements of one fan-out at most.
pub const MOST_ITEMS: u32 = 100;

/// An aggregate, ready to run.
pub struct Aggregate {
    /// The parts in the order of the file.
    pub parts: Box<[Part]>,
    /// How their answers become one.
    pub form: Form,
}

/// How the answers of the parts become one.
pub enum Form {
    /// An object with the parts' names.
    Object,
    /// JSON with places.
    Skeleton(Skeleton),
    /// A text.
    Text(Arc<Template>),
}

/// One part.
pub struct Part {
    /// Its name.
    pub name: Arc<str>,
    /// The same as JSON, with its quotes.
    pub quoted: Box<[u8]>,
    /// The place in the snapshot of the route that it runs as: its service, policies and counters.
    pub route: u32,
    /// The name of its service.
    pub service: Arc<str>,
    /// Its method.
    pub method: Box<[u8]>,
    /// Its path.
    pub path: PathText,
    /// Its query.
    pub query: Option<Text>,
    /// Field lines it sends besides those of the client.
    pub headers: Vec<(NameBuf, Text)>,
    /// The body it sends.
    pub body: Option<Skeleton>,
    /// Time for it, its answer's body included; `None` for what the route has left.
    pub timeout: Option<Duration>,
    /// What becomes of the whole when it fails.
    pub rule: Rule,
    /// The parts that come before it, as bits.
    pub needs: u32,
    /// The list that it is asked for each element of.
    pub each: Option<Each>,
    /// What of its answer counts.
    pub select: Select,
    /// Whether its keys stand beside the names of the others.
    pub flatten: bool,
    /// Whether somebody reads single values of its answer.
    pub is_read: bool,
    /// Most bytes of its answer.
    pub largest: usize,
    /// How deep and wide its answer may be.
    pub bounds: Bounds,
}

/// What becomes of the whole when a part fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// It fails too.
    Required,
    /// The part is missing in it.
    Optional,
    /// This stands in the part's place.
    Default(Bytes),
}

/// A list whose elements a part is asked for.
pub struct Each {
    /// The part that gives it.
    pub part: usize,
    /// Where it stands there.
    pub path: Path,
    /// Elements at most.
    pub most: usize,
    /// Requests under way at a time.
    pub at_once: usize,
}

/// What of an answer counts.
#[derive(Debug, PartialEq)]
pub enum Select {
    /// All of it.
    All,
    /// This value of it.
    One(Path),
    /// An object of these values, each with the key it gets.
    Some(Vec<(Box<str>, Path)>),
}

/// What is known of a part while its aggregate runs.
#[derive(Debug, Default)]
pub enum State {
    /// Nothing yet.
    #[default]
    Pending,
    /// It answered.
    Answered(Got),
    /// It failed, and this stands in its place.
    Missing(Option<Got>),
}

/// The answer of a part.
#[derive(Debug)]
pub struct Got {
    /// Its status.
    pub status: u16,
    /// The JSON that counts.
    pub body: Bytes,
    /// The same to look into, where somebody does.
    pub document: Option<Document>,
}

impl State {
    /// What stands in the whole for the part.
    pub fn got(&self) -> Option<&Got> {
        match self {
            State::Pending | State::Missing(None) => None,
            State::Answered(got) | State::Missing(Some(got)) => Some(got),
        }
    }

    /// The same, taken out.
    pub fn into_got(self) -> Option<Got> {
        match self {
            State::Pending | State::Missing(None) => None,
            State::Answered(got) | State::Missing(Some(got)) => Some(got),
        }
    }
}

impl Form {
    /// The type of the one answer.
    pub fn content_type(&self) -> &str {
        match self {
            Form::Object | Form::Skeleton(_) => "application/json",
            Form::Text(template) => template.content_type(),
        }
    }
}

impl Aggregate {
    /// The parts that may start: neither done nor begun, and everything before them done. Sets of parts are bits.
    pub fn ready(&self, begun: u32, done: u32) -> impl Iterator<Item = usize> + '_ {
        let free = move |(place, part): &(usize, &Part)| {
            let own = bit(*place);
            begun & own == 0 && part.needs & !done == 0
        };
        self.parts.iter().enumerate().filter(free).map(|(place, _)| place)
    }
}

impl Part {
    /// The parts whose answers it looks into, as bits.
    pub fn reads(&self) -> u32 {
        let texts = std::iter::once(self.path.text())
            .chain(&self.query)
            .chain(self.headers.iter().map(|(_, text)| text));
        let pieces = texts.flat_map(|text| &text.0).chain(self.body.iter().flat_map(Skeleton::pieces));
        reads(pieces) | self.each.as_ref().map_or(0, |each| bit(each.part))
    }
}

/// The parts whose answers these places look into, as bits.
pub fn reads<'p>(pieces: impl Iterator<Item = &'p Piece>) -> u32 {
    let of = |piece: &Piece| match piece {
        Piece::Value(Value::Body(part, path)) if !path.0.is_empty() => bit(*part),
        _ => 0,
    };
    pieces.map(of).fold(0, std::ops::BitOr::bitor)
}

/// The bit of a part.
pub fn bit(place: usize) -> u32 {
    u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or(0)
}
