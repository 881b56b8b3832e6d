//! Programs of jq: a document in, one document out, within so many steps and so much memory.
//!
//! The language is read, compiled and run by `jaq`; its values are those of [`value`], which count what is done with them, and
//! every term that is evaluated counts as well. So no program runs longer than it may, whatever it says: there is nothing in
//! the language that would have to be refused for it. Programs see nothing but their document.

mod arithmetic;
mod expressions;
mod meter;
mod natives;
mod number;
#[cfg(test)]
mod tests;
mod value;
mod walk;

use std::fmt;
use std::time::Duration;

use jaq_core::compile::Undefined;
use jaq_core::data::HasLut;
use jaq_core::load::{Arena, Error as Unread, File, Loader, span};
use jaq_core::{Compiler, Ctx, DataT, Filter, Lut, Vars};

pub use meter::Room;

use crate::{Limits, Misfit, Value};
use value::V;

/// Bytes of a program.
const MOST_TEXT: usize = 8 * 1024;
/// Stack of the thread that compiles: what is written inside each other is compiled inside each other.
const STACK: usize = 256 * 1024 * 1024;
/// How many times the largest document the values of a program may weigh.
const WEIGHT: u64 = 8;

/// Steps that a program may take at most. What so many have built one inside the other can be taken down on a stack of 512 MiB,
/// with room to spare.
pub const MOST_STEPS: u64 = 1_000_000;

/// The kind of data that programs work on.
struct Ways;

impl DataT for Ways {
    type V<'a> = V;
    type Data<'a> = Counted<'a>;
}

/// The terms of a program; each look at them is a step.
#[derive(Clone)]
struct Counted<'a>(&'a Lut<Ways>);

impl<'a> HasLut<'a, Ways> for Counted<'a> {
    fn lut(&self) -> &'a Lut<Ways> {
        meter::tick(1);
        self.0
    }
}

/// A compiled program.
pub struct Jq {
    filter: Filter<Ways>,
    text: String,
    steps: u64,
    time: Duration,
}

/// Why a text is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The line of the program, from 1; none where it is about all of it.
    pub line: Option<usize>,
    /// The character in it, from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, in line {line} of the program, column {}", self.what, self.column),
            None => f.write_str(&self.what),
        }
    }
}

impl fmt::Debug for Jq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jq").field("text", &self.text).field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl PartialEq for Jq {
    fn eq(&self, other: &Jq) -> bool {
        (&self.text, self.steps, self.time) == (&other.text, other.steps, other.time)
    }
}

impl Jq {
    /// Compiles a program, which may take so many steps and so much time for one document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(text: &str, steps: u64, time: Duration) -> Result<Jq, Flaw> {
        let whole = |what: &str| Flaw { line: None, column: 0, what: what.to_owned() };
        if text.len() > MOST_TEXT {
            return Err(whole("the program is longer than 8KiB"));
        }
        let owned = text.to_owned();
        let thread = std::thread::Builder::new().name("compiling".to_owned()).stack_size(STACK);
        let compiled = thread.spawn(move || compile(&owned)).map(std::thread::JoinHandle::join);
        match compiled {
            Ok(Ok(Ok(filter))) => {
                Ok(Jq { filter, text: text.to_owned(), steps: steps.min(MOST_STEPS), time })
            }
            Ok(Ok(Err(flaw))) => Err(flaw),
            Ok(Err(_)) | Err(_) => Err(whole("the program cannot be compiled")),
        }
    }

    /// The time that it may take for one document; it is whoever makes the [`Room`] who ends it.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// What the program makes of a document. It runs only inside a [`Room`].
    ///
    /// # Errors
    /// It gives no document or more than one, refuses, or is stopped.
    pub(crate) fn run(&self, document: &Value, limits: &Limits) -> Result<Value, Misfit> {
        let weight = WEIGHT.saturating_mul(limits.size as u64);
        meter::within(self.steps, weight, || {
            let context = Ctx::<Ways>::new(Counted(&self.filter.lut), Vars::new([]));
            let mut given = self.filter.id.run((context, V::of(document)?));
            let value = match given.next() {
                None => return Err(Misfit::Program("the program gives no document")),
                Some(Ok(value)) => value,
                Some(Err(_)) => return Err(Misfit::Program("the program refuses the document")),
            };
            if given.next().is_some() {
                return Err(Misfit::Program("the program gives more than one document"));
            }
            value.into_document(limits)
        })?
    }
}

fn compile(text: &str) -> Result<Filter<Ways>, Flaw> {
    let arena = Arena::default();
    let loader = Loader::new(natives::defs());
    let program = File { code: text, path: () };
    let modules = loader.load(&arena, program).map_err(|errors| {
        let first = errors.into_iter().next().map(|(_, error)| error);
        match first {
            Some(Unread::Lex(errors)) => errors
                .first()
                .map(|(wanted, found)| flaw(text, found, &format!("there is no {} here", wanted.as_str()))),
            Some(Unread::Parse(errors)) => errors
                .first()
                .map(|(wanted, found)| flaw(text, found, &format!("{} is to stand here", wanted.as_str()))),
            Some(Unread::Io(errors)) => errors
                .first()
                .map(|(name, _)| flaw(text, name, "a program is one text, and takes in no other")),
            None => None,
        }
        .unwrap_or_else(|| flaw(text, "", "it cannot be read"))
    })?;
    Compiler::default().with_funs(natives::funs()).compile(modules).map_err(|errors| {
        let unknown = errors.iter().flat_map(|(_, unknown)| unknown).next();
        match unknown {
            Some((name, Undefined::Filter(arity))) => {
                let count = if *arity == 1 { "argument" } else { "arguments" };
                flaw(text, name, &format!("`{name}` with {arity} {count} is no function that is known here"))
            }
            Some((name, kind)) => {
                flaw(text, name, &format!("`{name}` is no {} that is known here", kind.as_str()))
            }
            None => flaw(text, "", "it cannot be compiled"),
        }
    })
}

/// What is wrong at a part of a text, which is one of its slices; where it is not, at its end.
fn flaw(text: &str, part: &str, what: &str) -> Flaw {
    let inside = text.as_bytes().as_ptr_range().contains(&part.as_ptr());
    let start = if inside { span(text, part).start } else { text.len() };
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    Flaw { line: Some(line), column, what: what.to_owned() }
}
