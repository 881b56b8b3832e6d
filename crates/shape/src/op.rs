//! Operations on a document, and their compiled form.
//!
//! Compiling decides which of them run over the stream in constant memory and which need a part of the document whole: a
//! place below the last `*` of a path, or all of it.

use std::sync::Arc;
use std::time::Duration;

use crate::jq::Jq;
use crate::path::{Path, Segment, Trie};
use crate::text::written;
use crate::value::Value;

/// Operations of one program.
const MOST: usize = 64;
/// Paths of one program.
const MOST_PATHS: usize = 1024;

/// One operation on a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// What stands there goes.
    Remove(Vec<Path>),
    /// Nothing stays but what stands there.
    Keep(Vec<Path>),
    /// Members get another name, in their place.
    Rename(Vec<(Path, String)>),
    /// Values become unreadable.
    Mask(Vec<Path>, Mask),
    /// All names are spelled in another way.
    Case(Case),
    /// Values go to another place, past the last `*` that both paths share.
    Move(Vec<(Path, Path)>),
    /// Values that stand there afterwards.
    Set(Vec<(Path, Skeleton)>),
    /// The same where nothing stands.
    Default(Vec<(Path, Skeleton)>),
    /// The document becomes a member of an object, of several inside each other.
    Wrap(Vec<String>),
    /// The members of an object there come to stand in its parent, their names behind this.
    Flatten(Path, String),
    /// These are done to every element there.
    Map(Path, Vec<Op>),
    /// A program makes another document of it.
    Jq(Arc<Jq>),
}

/// How a value is made unreadable.
#[derive(Clone, Debug, PartialEq)]
pub enum Mask {
    /// `****`
    Stars,
    /// `****` and its last four characters, where it has eight or more.
    Last4,
    /// Its HMAC-SHA256 with this key, the first sixteen bytes in hexadecimal.
    Hash(Box<[u8]>),
}

/// A way to spell names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `user_name`
    Snake,
    /// `userName`
    Camel,
}

/// A stretch of a text that is filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Literal(String),
    /// What the caller gives under this number.
    Slot(usize),
}

/// A value with texts that are filled in.
#[derive(Clone, Debug, PartialEq)]
pub enum Skeleton {
    /// As it is.
    Fixed(Value),
    /// A text of these parts. One of nothing but slots without text is left out.
    Text(Vec<Part>),
    /// Elements.
    Array(Vec<Skeleton>),
    /// Members.
    Object(Vec<(String, Skeleton)>),
}

impl Skeleton {
    /// The value with its texts filled in; `None` where there is nothing to fill it.
    pub(crate) fn filled(&self, slots: &[Option<String>]) -> Option<Value> {
        match self {
            Skeleton::Fixed(value) => Some(value.clone()),
            Skeleton::Text(parts) => {
                let mut text = String::new();
                let mut any = false;
                for part in parts {
                    match part {
                        Part::Literal(literal) => {
                            any = true;
                            text.push_str(literal);
                        }
                        Part::Slot(slot) => {
                            if let Some(given) = slots.get(*slot).and_then(Option::as_deref) {
                                any = true;
                                text.push_str(given);
                            }
                        }
                    }
                }
                (any || parts.is_empty()).then(|| Value::text(&text))
            }
            Skeleton::Array(elements) => {
                Some(Value::Array(elements.iter().filter_map(|element| element.filled(slots)).collect()))
            }
            Skeleton::Object(members) => Some(Value::Object(
                members
                    .iter()
                    .filter_map(|(name, value)| Some((Value::name(name), value.filled(slots)?)))
                    .collect(),
            )),
        }
    }
}

/// What is done at one place of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Remove,
    /// The new name as it is written.
    Rename(Box<[u8]>),
    Mask(Mask),
}

/// One step of a compiled program.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Edit(Arc<Trie>, Arc<[Act]>),
    Keep(Arc<Trie>),
    Case(Case),
    Wrap(Arc<[Box<[u8]>]>),
    /// What has to be held whole, where it stands, and what is done to it.
    Whole(Arc<Trie>, Vec<Arc<Whole>>),
}

/// What is done to something held whole. Paths are from there on.
#[derive(Clone, Debug)]
pub(crate) enum Whole {
    Move(Vec<String>, Vec<String>),
    Set(Vec<String>, Skeleton, bool),
    Flatten(Vec<String>, String),
    Jq(Arc<Jq>),
    Op(Op),
}

impl Whole {
    fn time(&self) -> Option<Duration> {
        match self {
            Whole::Jq(program) => Some(program.time()),
            _ => None,
        }
    }
}

/// A compiled program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(crate) steps: Vec<Step>,
    paths: usize,
}

impl Program {
    /// Compiles operations, in their order. With `fold`, names at any depth are compared without regard to case.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn compile(ops: &[Op], fold: bool) -> Result<Program, String> {
        let mut program = Program::default();
        program.add_all(ops, &[], fold)?;
        if program.steps.len() > MOST || program.paths > MOST_PATHS {
            return Err(format!("there are more than {MOST} operations or {MOST_PATHS} paths"));
        }
        Ok(program)
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The time that programs of jq may take over a document; none where there is no such program. Then it is for those
    /// threads only that have a [`crate::jq::Room`].
    pub fn time(&self) -> Option<Duration> {
        self.steps
            .iter()
            .filter_map(|step| match step {
                Step::Whole(_, ops) => ops.iter().filter_map(|op| op.time()).reduce(Duration::saturating_add),
                _ => None,
            })
            .reduce(Duration::saturating_add)
    }

    /// Whether a document of any size passes in constant memory.
    pub fn streams(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Whole(at, _) => !at.is_at_top(),
            _ => true,
        })
    }

    fn add_all(&mut self, ops: &[Op], before: &[Segment], fold: bool) -> Result<(), String> {
        ops.iter().try_for_each(|op| self.add(op, before, fold))
    }

    fn add(&mut self, op: &Op, before: &[Segment], fold: bool) -> Result<(), String> {
        match op {
            Op::Remove(paths) => {
                let acts = paths.iter().map(|path| (path, Act::Remove));
                self.edit(acts, before, fold)
            }
            Op::Rename(pairs) => {
                let acts = pairs.iter().map(|(path, name)| (path, Act::Rename(written(name).into())));
                if let Some((path, _)) =
                    pairs.iter().find(|(path, _)| path.segments.last() == Some(&Segment::Any))
                {
                    return Err(format!("`{path}` ends in `*`, which has no one name to change"));
                }
                self.edit(acts, before, fold)
            }
            Op::Mask(paths, mask) => {
                let acts = paths.iter().map(|path| (path, Act::Mask(mask.clone())));
                self.edit(acts, before, fold)
            }
            Op::Jq(_) if !before.is_empty() => {
                Err("a program of `jq` takes the whole document: write it outside of `map`".into())
            }
            Op::Jq(program) => {
                self.whole(Vec::new(), Whole::Jq(program.clone()));
                Ok(())
            }
            Op::Keep(_) | Op::Case(_) | Op::Wrap(_) if !before.is_empty() => {
                self.whole(before.to_vec(), Whole::Op(op.clone()));
                Ok(())
            }
            Op::Keep(paths) => self.keep(paths),
            Op::Case(case) => {
                self.steps.push(Step::Case(*case));
                Ok(())
            }
            Op::Wrap(names) => {
                self.steps.push(Step::Wrap(names.iter().map(|name| written(name).into()).collect()));
                Ok(())
            }
            Op::Move(pairs) => pairs.iter().try_for_each(|(from, to)| self.add_move(from, to, before)),
            Op::Set(pairs) => {
                pairs.iter().try_for_each(|(path, value)| self.add_set(path, value, true, before))
            }
            Op::Default(pairs) => {
                pairs.iter().try_for_each(|(path, value)| self.add_set(path, value, false, before))
            }
            Op::Flatten(path, prefix) => {
                let (at, names) = own(path, "flatten")?;
                self.whole([before, &at].concat(), Whole::Flatten(names, prefix.clone()));
                Ok(())
            }
            Op::Map(path, ops) => {
                if path.deep {
                    return Err(format!("`map` follows a path from the top: `{path}` is none"));
                }
                let inner = [before, &path.segments, &[Segment::Any]].concat();
                self.add_all(ops, &inner, fold)
            }
        }
    }

    fn keep(&mut self, paths: &[Path]) -> Result<(), String> {
        if let Some(path) = paths.iter().find(|path| path.deep) {
            return Err(format!("`keep` follows paths from the top: `{path}` is none"));
        }
        self.paths = self.paths.saturating_add(paths.len());
        let mut trie = Trie::new(false);
        paths.iter().for_each(|path| trie.add(path, 0));
        self.steps.push(Step::Keep(Arc::new(trie)));
        Ok(())
    }

    fn edit<'o>(
        &mut self,
        acts: impl Iterator<Item = (&'o Path, Act)>,
        before: &[Segment],
        fold: bool,
    ) -> Result<(), String> {
        let (mut trie, mut done) = (Trie::new(fold), Vec::new());
        for (path, act) in acts {
            if path.deep && !before.is_empty() {
                return Err(format!("`{path}` cannot stand inside `map`: write it outside"));
            }
            let number = u32::try_from(done.len()).unwrap_or(u32::MAX);
            let path = match path.deep {
                true => path.clone(),
                false => Path { deep: false, segments: [before, &path.segments].concat() },
            };
            trie.add(&path, number);
            done.push(act);
            self.paths = self.paths.saturating_add(1);
        }
        self.steps.push(Step::Edit(Arc::new(trie), done.into()));
        Ok(())
    }

    fn add_move(&mut self, from: &Path, to: &Path, before: &[Segment]) -> Result<(), String> {
        let (at, from_names) = own(from, "move")?;
        let (other, to_names) = own(to, "move")?;
        if at != other {
            return Err(format!("`{from}` and `{to}` do not begin alike up to their last `*`"));
        }
        if to_names.starts_with(&from_names) {
            return Err(format!("`{from}` cannot be moved into itself"));
        }
        self.whole([before, &at].concat(), Whole::Move(from_names, to_names));
        Ok(())
    }

    fn add_set(
        &mut self,
        path: &Path,
        value: &Skeleton,
        over: bool,
        before: &[Segment],
    ) -> Result<(), String> {
        let (at, names) = own(path, if over { "set" } else { "default" })?;
        self.whole([before, &at].concat(), Whole::Set(names, value.clone(), over));
        Ok(())
    }

    /// Something has to be held whole at this place; what is done at the same place one after the other is done at once.
    fn whole(&mut self, at: Vec<Segment>, op: Whole) {
        self.paths = self.paths.saturating_add(1);
        let mut trie = Trie::new(false);
        trie.add(&Path { deep: false, segments: at }, 0);
        if let Some(Step::Whole(known, ops)) = self.steps.last_mut()
            && known.is_same(&trie)
        {
            return ops.push(Arc::new(op));
        }
        self.steps.push(Step::Whole(Arc::new(trie), vec![Arc::new(op)]));
    }
}

/// A path of an operation that changes a member of an object: where that stands, and the names from there.
fn own(path: &Path, op: &str) -> Result<(Vec<Segment>, Vec<String>), String> {
    if path.deep {
        return Err(format!("`{op}` follows paths from the top: `{path}` is none"));
    }
    let (at, names) = path.split();
    if names.is_empty() {
        return Err(format!("`{path}` ends in `*`: `{op}` needs the name of a member"));
    }
    Ok((at, names))
}
