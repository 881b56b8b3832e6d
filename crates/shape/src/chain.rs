//! A program at work: tokens in, tokens out, one step after the other.

use std::sync::Arc;

use crate::case::spelled;
use crate::op::{Case, Program, Step, Whole};
use crate::path::{Place, Trie};
use crate::stage::{Edit, Keep};
use crate::token::{Sink, Token};
use crate::tree::Builder;
use crate::whole::apply;
use crate::{Limits, Misfit};

/// The steps of a program, each with where it is.
pub(crate) struct Chain {
    stages: Vec<Stage>,
}

enum Stage {
    Edit(Edit),
    Keep(Keep),
    Case(Case),
    Wrap(Wrap),
    Whole(Box<Held>),
}

impl Chain {
    pub(crate) fn new(program: &Program, slots: &Arc<[Option<String>]>, limits: &Limits) -> Chain {
        let stages = program.steps.iter().map(|step| match step {
            Step::Edit(trie, acts) => Stage::Edit(Edit::new(trie, acts)),
            Step::Keep(trie) => Stage::Keep(Keep::new(trie)),
            Step::Case(case) => Stage::Case(*case),
            Step::Wrap(names) => Stage::Wrap(Wrap { names: names.clone(), open: false }),
            Step::Whole(trie, ops) => Stage::Whole(Box::new(Held {
                trie: trie.clone(),
                ops: ops.clone(),
                slots: slots.clone(),
                place: Place::default(),
                builder: Builder::new(*limits),
                limits: *limits,
                open: None,
                passing: 0,
            })),
        });
        Chain { stages: stages.collect() }
    }

    /// Lets a token through all steps.
    pub(crate) fn take(&mut self, token: Token<'_>, last: &mut dyn Sink) -> Result<(), Misfit> {
        through(&mut self.stages, token, last)
    }
}

fn through(stages: &mut [Stage], token: Token<'_>, last: &mut dyn Sink) -> Result<(), Misfit> {
    let Some((first, rest)) = stages.split_first_mut() else { return last.take(token) };
    let mut next = |token: Token<'_>| through(rest, token, last);
    match first {
        Stage::Edit(edit) => edit.take(token, &mut next),
        Stage::Keep(keep) => keep.take(token, &mut next),
        Stage::Case(case) => match token {
            Token::Name(name) => next(Token::Name(&spelled(name, *case))),
            token => next(token),
        },
        Stage::Wrap(wrap) => wrap.take(token, &mut next),
        Stage::Whole(held) => held.take(token, &mut next),
    }
}

/// Puts the document into objects.
struct Wrap {
    names: Arc<[Box<[u8]>]>,
    open: bool,
}

impl Wrap {
    fn take(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        if token == Token::End {
            self.open = false;
            self.names.iter().try_for_each(|_| next.take(Token::ObjectEnd))?;
            return next.take(Token::End);
        }
        if !self.open {
            self.open = true;
            for name in self.names.iter() {
                next.take(Token::ObjectStart)?;
                next.take(Token::Name(name))?;
            }
        }
        next.take(token)
    }
}

/// Holds whole what stands at its place, and gives what becomes of it.
struct Held {
    trie: Arc<Trie>,
    ops: Vec<Arc<Whole>>,
    slots: Arc<[Option<String>]>,
    place: Place,
    builder: Builder,
    limits: Limits,
    /// How many levels are open of what is held.
    open: Option<usize>,
    /// How many levels are open of what no path leads to.
    passing: usize,
}

impl Held {
    fn take(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        if let Some(open) = self.open {
            return self.hold(open, token, next);
        }
        if self.passing > 0 {
            self.passing = match token {
                Token::ObjectStart | Token::ArrayStart => self.passing.saturating_add(1),
                Token::ObjectEnd | Token::ArrayEnd => self.passing.saturating_sub(1),
                _ => self.passing,
            };
            return next.take(token);
        }
        match token {
            Token::Name(name) => {
                self.place.name(&self.trie, name);
                next.take(token)
            }
            Token::ObjectEnd | Token::ArrayEnd => {
                self.place.leave();
                next.take(token)
            }
            Token::TextPart(_) | Token::TextEnd | Token::End => next.take(token),
            _ => self.value(token, next),
        }
    }

    fn value(&mut self, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        if self.place.value(&self.trie).is_some() {
            return self.hold(0, token, next);
        }
        if matches!(token, Token::ObjectStart | Token::ArrayStart) {
            if self.place.leads_on() {
                self.place.enter(token == Token::ArrayStart);
            } else {
                self.passing = 1;
            }
        }
        next.take(token)
    }

    fn hold(&mut self, open: usize, token: Token<'_>, next: &mut dyn Sink) -> Result<(), Misfit> {
        self.builder.take(token)?;
        self.open = Some(match token {
            Token::ObjectStart | Token::ArrayStart => open.saturating_add(1),
            Token::ObjectEnd | Token::ArrayEnd => open.saturating_sub(1),
            _ => open,
        });
        let Some(mut value) = self.builder.take_whole() else { return Ok(()) };
        self.open = None;
        self.ops.iter().try_for_each(|op| apply(op, &mut value, &self.slots, &self.limits))?;
        value.tell(next)
    }
}
