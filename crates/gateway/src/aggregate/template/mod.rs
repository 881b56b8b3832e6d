//! The answer as a text: a template of minijinja over the request and what the parts have answered.
//!
//! Takes the template as written, read and checked when it is loaded (`check`); gives the text that it makes, apart from the
//! workers, in so many steps, so much time and so many bytes. Must never include, read or call anything, nor let pass for JSON
//! what is none.

mod check;
mod filters;
mod node;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use shape::Misfit;

use super::document::{Bounds, check as check_json};
use super::{Got, Part, State};
use crate::exchange::{Exchange, programs};
use crate::values::{Source, Syntax};
use node::Node;

pub use check::{Flaw, Names};

/// Bytes of a template.
pub const MOST_TEXT: usize = 64 * 1024;
/// Bytes of what it makes, and of any one text on the way there.
pub const MOST_MADE: usize = 16 << 20;
/// Steps for one answer.
const MOST_STEPS: u64 = 1_000_000;
/// Time for one answer, waiting for its turn included.
const TIME: Duration = Duration::from_secs(5);
/// Stack of the thread that reads one: what is written inside each other is read inside each other.
const STACK: usize = 256 << 20;
/// What the one template of its environment is called.
const NAME: &str = "template";

/// A template, ready to be filled.
pub struct Template {
    environment: Environment<'static>,
    /// What it takes of the request, under the names that it is written with.
    sources: Vec<(Vec<String>, Source)>,
    content_type: Box<str>,
    syntax: Syntax,
}

/// Why nothing was made of a template.
#[derive(Debug, PartialEq)]
pub struct Unmade {
    /// What kind of failure it is.
    pub misfit: Misfit,
    /// What failed, for whoever wrote it.
    pub why: String,
}

impl Template {
    /// Reads a template; says beside it what it takes of the parts, whose names are given.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(text: &str, content_type: &str, parts: &[&str]) -> Result<(Template, Names), Vec<Flaw>> {
        let read = || {
            let names = check::check(text, parts)?;
            let mut environment = filters::environment(Syntax::of(content_type));
            environment.set_fuel(Some(MOST_STEPS));
            environment.add_template_owned(NAME, text.to_owned()).map_err(|error| vec![Flaw::of(&error)])?;
            let (content_type, syntax) = (content_type.into(), Syntax::of(content_type));
            let template = Template { environment, sources: names.sources.clone(), content_type, syntax };
            Ok((template, names))
        };
        let apart = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read).ok()?;
            thread.join().ok()
        });
        let unread = Flaw { line: 1, what: "the template cannot be read".to_owned(), help: String::new() };
        apart.unwrap_or_else(|| Err(vec![unread]))
    }

    /// The type of what it makes.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The text for a request and what came of the parts.
    ///
    /// # Errors
    /// The template makes nothing of it, nothing that may be sent, or not in time.
    pub async fn write(
        self: &Arc<Self>,
        exchange: &Exchange,
        parts: &[Part],
        states: Vec<State>,
    ) -> Result<Vec<u8>, Unmade> {
        let known = self.sources.iter().filter_map(|(names, source)| {
            Some((names.clone(), String::from_utf8_lossy(&exchange.source(source)?).into_owned()))
        });
        let known: Vec<(Vec<String>, String)> = known.collect();
        let answers =
            parts.iter().zip(states).filter_map(|(part, state)| Some((part.name.clone(), state.into_got()?)));
        let answers: Vec<(Arc<str>, Got)> = answers.collect();
        let template = self.clone();
        let made = programs::apart(TIME, move |stop| template.text(known, answers, stop)).await;
        made.unwrap_or_else(|misfit| Err(Unmade { misfit, why: misfit.to_string() }))
    }

    fn text(
        &self,
        known: Vec<(Vec<String>, String)>,
        answers: Vec<(Arc<str>, Got)>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<u8>, Unmade> {
        let mut names = Branch::default();
        for (path, text) in known {
            names.put(&path, Value::from(text));
        }
        for (name, got) in answers {
            let name = name.to_string();
            names.put(&[name.clone(), "status".to_owned()], Value::from(got.status));
            if let Some(document) = got.document {
                names.put(&[name, "body".to_owned()], Node::whole(document, stop));
            }
        }
        let mut out = Bounded::default();
        let template = self.environment.get_template(NAME).map_err(|error| unmade(&error))?;
        let filled = template.render_captured_to(names.into_value(), &mut out).map(drop);
        filled
            .map_err(|error| if out.is_full { spent("it makes more than it may") } else { unmade(&error) })?;
        if self.syntax == Syntax::Json {
            let bounds = Bounds { values: usize::MAX, ..Bounds::default() };
            check_json(&out.made, bounds).map_err(|refused| Unmade {
                misfit: Misfit::Program("the template makes no JSON"),
                why: format!("what the template makes is no JSON: {}", refused.code()),
            })?;
        }
        Ok(out.made)
    }
}

/// Whether a type says that a body is JSON (RFC 6839 section 3.1).
fn spent(what: &'static str) -> Unmade {
    Unmade { misfit: Misfit::Spent(what), why: format!("template: {what}") }
}

fn unmade(error: &Error) -> Unmade {
    if error.kind() == ErrorKind::OutOfFuel {
        return spent("it takes more steps than it may");
    }
    let flaw = Flaw::of(error);
    Unmade {
        misfit: Misfit::Program("the template fails"),
        why: format!("template, line {}: {}", flaw.line, flaw.what),
    }
}

/// Values under names, which stand in each other.
#[derive(Default)]
struct Branch {
    value: Option<Value>,
    inside: BTreeMap<String, Branch>,
}

impl Branch {
    fn put(&mut self, path: &[String], value: Value) {
        match path.split_first() {
            None => self.value = Some(value),
            Some((first, rest)) => self.inside.entry(first.clone()).or_default().put(rest, value),
        }
    }

    fn into_value(self) -> Value {
        let inside =
            || Value::from_pairs(self.inside.into_iter().map(|(name, branch)| (name, branch.into_value())));
        self.value.unwrap_or_else(inside)
    }
}

/// What was made, up to a bound.
#[derive(Default)]
struct Bounded {
    made: Vec<u8>,
    /// Whether there was more.
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if text.len() > MOST_MADE.saturating_sub(self.made.len()) {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.made.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
