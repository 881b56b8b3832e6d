//! Operations on something held whole. What the stream can do is done here to a tree as well, so that both can be compared.
//!
//! An operation whose place is not there changes nothing.

use crate::case::spelled;
use crate::op::{Mask, Op, Skeleton, Whole};
use crate::path::{Path, Segment};
use crate::stage::masked;
use crate::text::{plain, written};
use crate::value::{Members, is_name};
use crate::{Limits, Misfit, Value};

/// Does what is to be done to a value held whole.
///
/// # Errors
/// A program makes no document of it.
pub(crate) fn apply(
    whole: &Whole,
    value: &mut Value,
    slots: &[Option<String>],
    limits: &Limits,
) -> Result<(), Misfit> {
    match whole {
        Whole::Jq(program) => *value = program.run(value, limits)?,
        Whole::Move(from, to) => shift(value, from, to),
        Whole::Set(names, skeleton, over) => set(value, names, skeleton.filled(slots), *over),
        Whole::Flatten(names, prefix) => flatten(value, names, prefix),
        Whole::Op(op) => done(op, value, slots, false),
    }
    Ok(())
}

/// Does an operation to a tree.
pub(crate) fn done(op: &Op, value: &mut Value, slots: &[Option<String>], fold: bool) {
    match op {
        Op::Remove(paths) => edit(value, paths.iter().map(|path| (path, Edit::Remove)).collect(), fold),
        Op::Rename(pairs) => {
            edit(value, pairs.iter().map(|(path, name)| (path, Edit::Rename(name))).collect(), fold);
        }
        Op::Mask(paths, mask) => {
            edit(value, paths.iter().map(|path| (path, Edit::Mask(mask))).collect(), fold);
        }
        Op::Keep(paths) => {
            let ways: Vec<&[Segment]> = paths.iter().map(|path| path.segments.as_slice()).collect();
            if !keep(value, &ways) {
                *value = Value::null();
            }
        }
        Op::Case(case) => respell(value, &|name| spelled(name, *case).into()),
        Op::Wrap(names) => {
            for name in names.iter().rev() {
                let inner = std::mem::replace(value, Value::null());
                *value = Value::Object(vec![(Value::name(name), inner)]);
            }
        }
        Op::Move(pairs) => {
            for (from, to) in pairs {
                let ((at, from), (_, to)) = (from.split(), to.split());
                each(value, &at, &mut |found| shift(found, &from, &to));
            }
        }
        Op::Set(pairs) => pairs.iter().for_each(|pair| set_at(value, pair, slots, true)),
        Op::Default(pairs) => pairs.iter().for_each(|pair| set_at(value, pair, slots, false)),
        Op::Flatten(path, prefix) => {
            let (at, names) = path.split();
            each(value, &at, &mut |found| flatten(found, &names, prefix));
        }
        Op::Map(path, ops) => {
            let at = [path.segments.as_slice(), &[Segment::Any]].concat();
            each(value, &at, &mut |found| ops.iter().for_each(|op| done(op, found, slots, fold)));
        }
        // Of a whole document only, and there is one way to run it.
        Op::Jq(_) => {}
    }
}

fn set_at(value: &mut Value, (path, skeleton): &(Path, Skeleton), slots: &[Option<String>], over: bool) {
    let (at, names) = path.split();
    each(value, &at, &mut |found| set(found, &names, skeleton.filled(slots), over));
}

/// Does something at every place that a way leads to.
fn each(value: &mut Value, way: &[Segment], act: &mut dyn FnMut(&mut Value)) {
    let Some((first, rest)) = way.split_first() else { return act(value) };
    for (step, inner) in steps(value) {
        if step.is(first) {
            each(inner, rest, act);
        }
    }
}

/// A step from a value to one inside.
enum Step<'v> {
    Name(&'v [u8]),
    Index(usize),
}

impl Step<'_> {
    fn is(&self, segment: &Segment) -> bool {
        match (segment, self) {
            (Segment::Any, _) => true,
            (Segment::Name(name), Step::Name(own)) => is_name(own, name),
            (Segment::Name(name), Step::Index(index)) => index.to_string() == *name,
        }
    }
}

fn steps(value: &mut Value) -> Vec<(Step<'_>, &mut Value)> {
    match value {
        Value::Object(members) => members.iter_mut().map(|(name, inner)| (Step::Name(name), inner)).collect(),
        Value::Array(elements) => {
            elements.iter_mut().enumerate().map(|(nth, inner)| (Step::Index(nth), inner)).collect()
        }
        Value::Scalar(_) | Value::Text(_) => Vec::new(),
    }
}

#[derive(Clone, Copy)]
enum Edit<'o> {
    Remove,
    Rename(&'o str),
    Mask(&'o Mask),
}

/// An edit, what is left of the way to its place, and its number among the others.
#[derive(Clone, Copy)]
struct Way<'o> {
    number: usize,
    left: &'o [Segment],
    edit: Edit<'o>,
}

/// Edits what the paths lead to; what was said first of a place holds.
fn edit(value: &mut Value, edits: Vec<(&Path, Edit<'_>)>, fold: bool) {
    let ways = edits.iter().enumerate();
    let ways =
        ways.map(|(number, (path, edit))| (path.deep, Way { number, left: &path.segments, edit: *edit }));
    let (deep, ways): (Vec<_>, Vec<_>) = ways.partition(|(deep, _)| *deep);
    let deep: Vec<Way<'_>> = deep.into_iter().map(|(_, way)| way).collect();
    let ways: Vec<Way<'_>> = ways.into_iter().map(|(_, way)| way).collect();
    edit_inside(value, &ways, &deep, fold);
}

/// The edit of a step, and the ways that lead further.
fn at_step<'o>(
    step: &Step<'_>,
    ways: &[Way<'o>],
    deep: &[Way<'o>],
    fold: bool,
) -> (Option<Edit<'o>>, Vec<Way<'o>>) {
    let further: Vec<Way<'o>> = ways
        .iter()
        .filter_map(|way| {
            let (first, rest) = way.left.split_first()?;
            step.is(first).then_some(Way { left: rest, ..*way })
        })
        .collect();
    let same = |way: &&Way<'o>| match (way.left.first(), step) {
        (Some(Segment::Name(own)), Step::Name(name)) => {
            let name = plain(name);
            if fold { own.as_bytes().eq_ignore_ascii_case(&name) } else { *own.as_bytes() == *name }
        }
        _ => false,
    };
    let here = further.iter().filter(|way| way.left.is_empty()).chain(deep.iter().filter(same));
    (here.min_by_key(|way| way.number).map(|way| way.edit), further)
}

fn edit_inside(value: &mut Value, ways: &[Way<'_>], deep: &[Way<'_>], fold: bool) {
    match value {
        Value::Object(members) => {
            for (name, mut inner) in std::mem::take(members) {
                let (own, further) = at_step(&Step::Name(&name), ways, deep, fold);
                let name = match own {
                    Some(Edit::Remove) => continue,
                    Some(Edit::Rename(new)) => written(new).into(),
                    Some(Edit::Mask(_)) | None => name,
                };
                match own {
                    Some(Edit::Mask(mask)) => hide(&mut inner, mask),
                    _ => edit_inside(&mut inner, &further, deep, fold),
                }
                members.push((name, inner));
            }
        }
        Value::Array(elements) => {
            for (nth, mut inner) in std::mem::take(elements).into_iter().enumerate() {
                let (own, further) = at_step(&Step::Index(nth), ways, deep, fold);
                match own {
                    Some(Edit::Remove) => continue,
                    Some(Edit::Mask(mask)) => hide(&mut inner, mask),
                    Some(Edit::Rename(_)) | None => edit_inside(&mut inner, &further, deep, fold),
                }
                elements.push(inner);
            }
        }
        Value::Scalar(_) | Value::Text(_) => {}
    }
}

fn hide(value: &mut Value, mask: &Mask) {
    let hidden = match &*value {
        Value::Scalar(word) if **word == *b"null" => return,
        Value::Scalar(word) => masked(mask, word),
        Value::Text(text) => masked(mask, &plain(text)),
        Value::Array(_) | Value::Object(_) => masked(&Mask::Stars, b""),
    };
    *value = Value::Text(hidden.into());
}

/// Keeps what the ways lead to. False when nothing of the value stays, nor it itself.
fn keep(value: &mut Value, ways: &[&[Segment]]) -> bool {
    if ways.iter().any(|way| way.is_empty()) {
        return true;
    }
    let inside = |step: &Step<'_>| -> Vec<&[Segment]> {
        let left = ways.iter().filter_map(|way| way.split_first());
        left.filter(|(first, _)| step.is(first)).map(|(_, rest)| rest).collect()
    };
    match value {
        Value::Object(members) => members.retain_mut(|(name, inner)| {
            let ways = inside(&Step::Name(name));
            !ways.is_empty() && keep(inner, &ways)
        }),
        Value::Array(elements) => {
            let mut nth = 0_usize;
            elements.retain_mut(|inner| {
                let ways = inside(&Step::Index(nth));
                nth = nth.saturating_add(1);
                !ways.is_empty() && keep(inner, &ways)
            });
        }
        Value::Scalar(_) | Value::Text(_) => return false,
    }
    true
}

fn respell(value: &mut Value, spell: &dyn Fn(&[u8]) -> Box<[u8]>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                *name = spell(name);
                respell(inner, spell);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|inner| respell(inner, spell)),
        Value::Scalar(_) | Value::Text(_) => {}
    }
}

/// The object in which the last of the names stands, or would stand.
fn parent<'v>(value: &'v mut Value, names: &[String], make: bool) -> Option<&'v mut Members> {
    let (_, way) = names.split_last()?;
    let mut at = value;
    for name in way {
        at = match at {
            Value::Object(members) => {
                let place = members.iter().position(|(own, _)| is_name(own, name));
                let place = match place {
                    Some(place) => place,
                    None if make => {
                        members.push((Value::name(name), Value::Object(Vec::new())));
                        members.len().saturating_sub(1)
                    }
                    None => return None,
                };
                &mut members.get_mut(place)?.1
            }
            Value::Array(elements) => elements.get_mut(name.parse::<usize>().ok()?)?,
            Value::Scalar(_) | Value::Text(_) => return None,
        };
    }
    match at {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Whether the way to a member leads through objects as far as it is there.
fn is_open(value: &Value, names: &[String]) -> bool {
    let Some((name, rest)) = names.split_first() else { return true };
    match value {
        Value::Object(members) => {
            let found = members.iter().find(|(own, _)| is_name(own, name));
            rest.is_empty() || found.is_none_or(|(_, inner)| is_open(inner, rest))
        }
        Value::Array(elements) => {
            let found = name.parse::<usize>().ok().and_then(|nth| elements.get(nth));
            !rest.is_empty() && found.is_some_and(|inner| is_open(inner, rest))
        }
        Value::Scalar(_) | Value::Text(_) => false,
    }
}

fn set(value: &mut Value, names: &[String], new: Option<Value>, over: bool) {
    let Some(last) = names.last().filter(|_| is_open(value, names)) else { return };
    let Some(members) = parent(value, names, new.is_some()) else { return };
    let place = members.iter().position(|(own, _)| is_name(own, last));
    match (place, new) {
        (Some(place), Some(new)) if over => {
            if let Some((_, own)) = members.get_mut(place) {
                *own = new;
            }
        }
        // What stood there is not what was to stand there.
        (Some(place), None) if over => drop(members.remove(place)),
        (None, Some(new)) => members.push((Value::name(last), new)),
        _ => {}
    }
}

fn shift(value: &mut Value, from: &[String], to: &[String]) {
    // Looked at first, so that nothing is lost on the way.
    if !is_open(value, to) {
        return;
    }
    let Some(last) = from.last() else { return };
    let Some(members) = parent(value, from, false) else { return };
    let Some(place) = members.iter().position(|(own, _)| is_name(own, last)) else { return };
    let (_, moved) = members.remove(place);
    set(value, to, Some(moved), true);
}

fn flatten(value: &mut Value, names: &[String], prefix: &str) {
    let Some(last) = names.last() else { return };
    let Some(members) = parent(value, names, false) else { return };
    let Some(place) =
        members.iter().position(|(own, inner)| is_name(own, last) && matches!(inner, Value::Object(_)))
    else {
        return;
    };
    let (_, lifted) = members.remove(place);
    let Value::Object(lifted) = lifted else { return };
    let prefix = written(prefix);
    let named = lifted.into_iter().map(|(name, inner)| ([prefix.as_slice(), &name].concat().into(), inner));
    members.splice(place..place, named);
}

/// Does operations to a whole document, one after the other: what the stream does, said a second time and in another way.
pub fn on_tree(ops: &[Op], value: &mut Value, slots: &[Option<String>], fold: bool) {
    ops.iter().for_each(|op| done(op, value, slots, fold));
}
