//! The functions that programs may call: those of jq that look at nothing but the values they are given.
//!
//! There is no clock, no environment, no file, no further input and no log, and nothing that ends the process.

use bytes::Bytes;
use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, unary, v};
use jaq_core::{Error, Native, RunPtr, ValR};

use super::Ways;
use super::expressions;
use super::meter::{tick, tick_bytes};
use super::number::Num;
use super::value::V;
use super::walk::places;

/// Functions of the standard library that are left out: what they would look at or touch, or how long they would run, is none
/// of a body's business.
const LEFT_OUT: [&str; 12] = [
    "env",
    "now",
    "localtime",
    "strflocaltime",
    "halt",
    "debug_empty",
    "stderr_empty",
    // Their number of steps is a number that the program says.
    "jn",
    "yn",
    // Done here, within bounds.
    "matches",
    "split_matches",
    "split_",
];

/// Definitions that need what is left out.
const UNDEFINED: [&str; 5] = ["stderr", "debug", "halt", "halt_error", "isnan"];

/// Levels of what `fromjson` reads.
const LEVELS: usize = 64;

/// What is defined in the language itself.
pub(super) fn defs() -> impl Iterator<Item = Def<&'static str>> {
    let own = "
        def totype(p; e): if p then . else fromjson | if p then . else e end end;
        def tonumber: totype(isnumber; error(\"cannot parse as number\"));
        def toboolean: totype(isboolean; error(\"cannot parse as boolean\"));
        def transpose: [range([.[] | length] | max) as $i | [.[][$i]]];
        def in(xs): . as $x | xs | has($x);
        def inside(xs): . as $x | xs | contains($x);
        def index($i): indices($i)[0];
        def rindex($i): indices($i)[-1];
        def @json: tojson;";
    let own = jaq_core::load::parse(own, |parser| parser.defs()).unwrap_or_default();
    let known = jaq_core::defs().chain(jaq_std::defs()).filter(|def| !UNDEFINED.contains(&def.name));
    known.chain(own)
}

/// What is written in Rust.
pub(super) fn funs() -> impl Iterator<Item = Fun<Ways>> {
    let known = jaq_core::funs::<Ways>().chain(jaq_std::funs());
    let own = own().into_iter().chain(expressions::funs());
    let own = own.map(|(name, arguments, run)| (name, arguments, Native::<Ways>::new(run)));
    known.filter(|(name, _, _)| !LEFT_OUT.contains(name)).chain(own)
}

fn own() -> [Filter<RunPtr<Ways>>; 8] {
    [
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tojson", v(0), |cv| bome(Ok(V::text(cv.1.json())))),
        ("length", v(0), |cv| bome(length(cv.1))),
        ("isnan", v(0), |cv| bome(is_nan(cv.1))),
        ("contains", v(1), |cv| unary(cv, |own, part| Ok(V::Bool(contains(&own, &part))))),
        ("has", v(1), |cv| unary(cv, |own, index| own.at(&index).map(|found| V::Bool(found.is_some())))),
        ("indices", v(1), |cv| unary(cv, indices)),
        ("bsearch", v(1), |cv| unary(cv, search)),
    ]
}

fn from_json(text: &V) -> ValR<V> {
    let V::Text(text) = text else { return Err(Error::typ(text.clone(), "string")) };
    tick_bytes(text.len().saturating_mul(4));
    let limits = crate::Limits {
        depth: LEVELS,
        size: text.len().saturating_mul(8).max(64),
        ..crate::Limits::default()
    };
    let read = crate::parse_strict(text, limits).and_then(|document| V::of(&document));
    read.map_err(|misfit| Error::str(format_args!("no JSON: {misfit}")))
}

fn length(value: V) -> ValR<V> {
    Ok(match &value {
        V::Null => V::from(0_usize),
        V::Num(Num::Int(whole)) => {
            V::Num(whole.checked_abs().map_or_else(|| Num::Float((*whole as f64).abs()), Num::Int))
        }
        V::Num(number) => V::from(number.size()),
        V::Text(text) => {
            tick_bytes(text.len());
            V::from(String::from_utf8_lossy(text).chars().count())
        }
        V::Arr(arr) => V::from(arr.items().len()),
        V::Obj(obj) => V::from(obj.members().len()),
        V::Bool(_) => return Err(Error::str(format_args!("{value} has no length"))),
    })
}

fn is_nan(value: V) -> ValR<V> {
    match value {
        V::Num(number) => Ok(V::Bool(number.as_f64().is_nan())),
        other => Err(Error::typ(other, "number")),
    }
}

/// Whether a text has another in it, an array elements that contain all of another's, an object members that do.
fn contains(own: &V, part: &V) -> bool {
    tick(1);
    match (own, part) {
        (V::Text(own), V::Text(part)) => is_in(own, part),
        (V::Arr(own), V::Arr(part)) => {
            part.items().iter().all(|part| own.items().iter().any(|own| contains(own, part)))
        }
        (V::Obj(own), V::Obj(part)) => part
            .members()
            .iter()
            .all(|(name, part)| own.members().get(name).is_some_and(|own| contains(own, part))),
        (own, part) => own == part,
    }
}

fn is_in(own: &Bytes, part: &Bytes) -> bool {
    tick_bytes(own.len().saturating_add(part.len()));
    memchr::memmem::find(own, part).is_some()
}

/// Where something stands in a text, counted in characters, or in an array.
fn indices(own: V, part: V) -> ValR<V> {
    match (&own, &part) {
        (V::Null, _) => Ok(V::Null),
        (V::Text(_), V::Text(part)) if part.is_empty() => Ok(V::arr(Vec::new())),
        (V::Text(text), V::Text(part)) => {
            tick_bytes(text.len().saturating_mul(2));
            let (mut places, mut from, mut counted) = (Vec::new(), 0, 0);
            while let Some(at) = text.get(from..).and_then(|rest| memchr::memmem::find(rest, part)) {
                tick(1);
                let start = at.saturating_add(from);
                let passed = text.get(from..start).unwrap_or_default();
                // No continuation of a character begins one.
                let is_first = |byte: &&u8| **byte & 0xC0 != 0x80;
                let before: usize = passed.iter().filter(is_first).count();
                counted = before.saturating_add(counted);
                places.push(V::from(counted));
                let first = text.get(start..).unwrap_or_default();
                let width = String::from_utf8_lossy(first.get(..first.len().min(4)).unwrap_or_default())
                    .chars()
                    .next()
                    .map_or(1, char::len_utf8);
                from = start.saturating_add(width);
                counted = 1_usize.saturating_add(counted);
            }
            Ok(V::arr(places))
        }
        (V::Arr(items), V::Arr(part)) => Ok(places(items.items(), part.items())),
        (V::Arr(items), part) => Ok(places(items.items(), std::slice::from_ref(part))),
        _ => Err(Error::index(own, part)),
    }
}

/// Where an element stands in a sorted array, or where it would: -1 less its place.
fn search(own: V, wanted: V) -> ValR<V> {
    let V::Arr(arr) = &own else { return Err(Error::typ(own, "array")) };
    let place = |place: usize| isize::try_from(place).unwrap_or(isize::MAX);
    Ok(V::from(match arr.items().binary_search(&wanted) {
        Ok(found) => place(found),
        Err(missed) => (-1_isize).saturating_sub(place(missed)),
    }))
}
