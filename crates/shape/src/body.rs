//! One body on its way: taken apart if it is coded, read, shaped, and written, in whatever pieces it comes.
//!
//! JSON passes as a stream wherever the program lets it; every other format is held whole, within the limits. Once a
//! misfit was told, nothing more is to be asked of it.

use std::sync::Arc;
use std::time::Duration;

use crate::chain::Chain;
use crate::coding::{Coding, Decoder};
use crate::format::Format;
use crate::op::Program;
use crate::scan::Scanner;
use crate::token::{Sink, Token};
use crate::tree::Builder;
use crate::write::Writer;
use crate::{Limits, Misfit, Value};

/// A program, with the texts that are filled in.
pub type Filled = (Arc<Program>, Arc<[Option<String>]>);

/// What is done to a body.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The programs, one after the other.
    pub programs: Vec<Filled>,
    /// What it comes in.
    pub from: Format,
    /// What it becomes.
    pub to: Format,
    /// How it is coded.
    pub coding: Option<Coding>,
    /// What it may be.
    pub limits: Limits,
}

impl Plan {
    /// The time that programs of jq may take over the body; none where nothing of it may take long.
    pub fn time(&self) -> Option<Duration> {
        self.programs.iter().filter_map(|(program, _)| program.time()).reduce(Duration::saturating_add)
    }
}

/// A body that is made another one.
pub struct Body {
    decoder: Option<Decoder>,
    source: Source,
    work: Work,
    /// Whether anything has come.
    begun: bool,
}

enum Source {
    Stream(Scanner),
    Held(Format, Limits, Vec<u8>),
}

/// The programs at work, and what they write to.
struct Work {
    chains: Vec<Chain>,
    target: Target,
}

enum Target {
    Stream(Writer),
    Held(Format, Limits, Builder, Option<Value>),
}

impl Sink for Target {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        match self {
            Target::Stream(writer) => writer.take(token),
            Target::Held(_, _, builder, whole) => {
                builder.take(token)?;
                if let Some(value) = builder.take_whole() {
                    *whole = Some(value);
                }
                Ok(())
            }
        }
    }
}

impl Sink for Work {
    fn take(&mut self, token: Token<'_>) -> Result<(), Misfit> {
        along(&mut self.chains, token, &mut self.target)
    }
}

fn along(chains: &mut [Chain], token: Token<'_>, target: &mut Target) -> Result<(), Misfit> {
    match chains.split_first_mut() {
        None => target.take(token),
        Some((first, rest)) => first.take(token, &mut |token: Token<'_>| along(rest, token, target)),
    }
}

impl Body {
    /// A body that comes.
    ///
    /// # Errors
    /// Its coding cannot be taken apart.
    pub fn new(plan: &Plan) -> Result<Body, Misfit> {
        let limits = plan.limits;
        let decoder = plan.coding.map(|coding| Decoder::new(coding, &limits)).transpose()?;
        let source = match &plan.from {
            Format::Json => Source::Stream(Scanner::new(limits, false)),
            Format::Lines => Source::Stream(Scanner::new(limits, true)),
            other => Source::Held(other.clone(), limits, Vec::new()),
        };
        let target = match &plan.to {
            Format::Json | Format::Lines => Target::Stream(Writer::new(&limits, plan.to == Format::Lines)),
            other => Target::Held(other.clone(), limits, Builder::new(limits), None),
        };
        let chains =
            plan.programs.iter().map(|(program, slots)| Chain::new(program, slots, &limits)).collect();
        Ok(Body { decoder, source, work: Work { chains, target }, begun: false })
    }

    /// Whether what has come is given at once as far as it is whole: one text on each line.
    pub fn is_lines(&self) -> bool {
        matches!(&self.work.target, Target::Stream(writer) if writer.is_lines())
    }

    /// Takes a piece; what is ready is put behind `out`.
    ///
    /// # Errors
    /// The body does not fit.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
        self.begun |= !piece.is_empty();
        let Body { decoder, source, work, .. } = self;
        match decoder {
            None => read(source, work, piece)?,
            Some(decoder) => decoder.push(piece, &mut |part| read(source, work, part))?,
        }
        if let Target::Stream(writer) = &mut work.target {
            out.append(&mut writer.out);
        }
        Ok(())
    }

    /// The body is whole; the rest is put behind `out`.
    ///
    /// # Errors
    /// It is not whole, or does not fit.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Misfit> {
        // Nothing at all stays nothing.
        if !self.begun {
            return Ok(());
        }
        let Body { decoder, source, work, .. } = self;
        if let Some(decoder) = decoder {
            decoder.finish(&mut |part| read(source, work, part))?;
        }
        match source {
            Source::Stream(scanner) => scanner.finish(work)?,
            Source::Held(format, limits, bytes) => {
                let value = format.read(bytes, *limits)?;
                *bytes = Vec::new();
                value.tell(work)?;
                work.take(Token::End)?;
            }
        }
        match &mut work.target {
            Target::Stream(writer) => out.append(&mut writer.out),
            Target::Held(format, limits, _, whole) => {
                let value = whole.take().ok_or(Misfit::Cut)?;
                // A name twice is refused as it is in JSON.
                value.write(limits)?;
                out.extend_from_slice(&format.write(&value, limits)?);
            }
        }
        Ok(())
    }
}

fn read(source: &mut Source, work: &mut Work, piece: &[u8]) -> Result<(), Misfit> {
    match source {
        Source::Stream(scanner) => scanner.push(piece, work),
        Source::Held(_, limits, bytes) => {
            if bytes.len().saturating_add(piece.len()) > limits.size {
                return Err(Misfit::Large(limits.size as u64));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        }
    }
}

/// A whole body at once.
///
/// # Errors
/// It does not fit.
pub fn shaped(plan: &Plan, bytes: &[u8]) -> Result<Vec<u8>, Misfit> {
    let mut body = Body::new(plan)?;
    let mut out = Vec::with_capacity(bytes.len());
    body.push(bytes, &mut out)?;
    body.finish(&mut out)?;
    Ok(out)
}
