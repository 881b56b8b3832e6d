//! Values as programs see them: made of documents, measured as they grow, and written again.
//!
//! Each knows what it would weigh written out, however often its parts are shared: so nothing can be built that cannot be
//! walked. Every touch is counted by [`super::meter`].

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use foldhash::quality::RandomState;
use indexmap::IndexMap;

use super::meter::{tick, tick_bytes, weigh};
use super::number::Num;
use crate::{Limits, Misfit, Value};

/// Members by their names.
type Members = IndexMap<Bytes, V, RandomState>;

/// A value.
#[derive(Clone, Debug, Default)]
pub(super) enum V {
    #[default]
    Null,
    Bool(bool),
    Num(Num),
    /// Always UTF-8.
    Text(Bytes),
    Arr(Rc<Arr>),
    Obj(Rc<Obj>),
}

/// What a value weighs written out, and how many levels it has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    weight: u64,
    depth: u32,
}

/// Elements.
#[derive(Clone, Debug, Default)]
pub(super) struct Arr {
    items: Vec<V>,
    size: Size,
}

/// Members.
#[derive(Clone, Debug, Default)]
pub(super) struct Obj {
    members: Members,
    size: Size,
}

impl Size {
    fn add(&mut self, name: usize, inner: Size) {
        let weight = inner.weight.saturating_add(name as u64).saturating_add(2);
        self.weight = self.weight.saturating_add(weight);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
        weigh(self.weight, self.depth);
    }

    fn take(&mut self, name: usize, inner: Size) {
        self.weight = self.weight.saturating_sub(inner.weight.saturating_add(name as u64).saturating_add(2));
    }
}

impl Arr {
    pub(super) fn items(&self) -> &[V] {
        &self.items
    }

    pub(super) fn push(&mut self, value: V) {
        tick(1);
        self.size.add(0, value.size());
        self.items.push(value);
    }

    /// The element there, which is null until it is put back.
    pub(super) fn lift(&mut self, place: usize) -> V {
        let lifted = self.items.get_mut(place).map(std::mem::take).unwrap_or_default();
        self.size.take(0, lifted.size());
        lifted
    }

    /// Puts back what was lifted; nothing takes the element out.
    pub(super) fn put(&mut self, place: usize, value: Option<V>) {
        match value {
            Some(value) => {
                self.size.add(0, value.size());
                if let Some(own) = self.items.get_mut(place) {
                    *own = value;
                }
            }
            None if place < self.items.len() => {
                tick(self.items.len().saturating_sub(place) / 8);
                self.items.remove(place);
            }
            None => {}
        }
    }
}

impl Obj {
    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    /// Puts a member in place of the one that bears the name, which it gives.
    pub(super) fn insert(&mut self, name: Bytes, value: V) -> Option<V> {
        tick(1);
        let length = name.len();
        self.size.add(length, value.size());
        let before = self.members.insert(name, value);
        if let Some(before) = &before {
            self.size.take(length, before.size());
        }
        before
    }

    /// As [`Arr::lift`].
    pub(super) fn lift(&mut self, name: &Bytes) -> V {
        let Some(own) = self.members.get_mut(name) else { return V::Null };
        let lifted = std::mem::take(own);
        self.size.take(0, lifted.size());
        lifted
    }

    /// As [`Arr::put`].
    pub(super) fn put(&mut self, name: &Bytes, value: Option<V>) {
        match (self.members.get_mut(name), value) {
            (Some(own), Some(value)) => {
                self.size.add(0, value.size());
                *own = value;
            }
            (Some(_), None) => {
                tick(self.members.len() / 8);
                self.members.shift_remove(name);
            }
            (None, Some(value)) => drop(self.insert(name.clone(), value)),
            (None, None) => {}
        }
    }
}

/// What is held for one alone, or a copy of it.
pub(super) fn own_items(arr: Rc<Arr>) -> Vec<V> {
    Rc::try_unwrap(arr).map_or_else(
        |shared| {
            tick(shared.items.len() / 4);
            shared.items.clone()
        },
        |own| own.items,
    )
}

/// As [`own_items`].
pub(super) fn own_members(obj: Rc<Obj>) -> Members {
    Rc::try_unwrap(obj).map_or_else(
        |shared| {
            tick(shared.members.len());
            shared.members.clone()
        },
        |own| own.members,
    )
}

/// To be changed; a copy where others hold it too.
pub(super) fn change_items(arr: &mut Rc<Arr>) -> &mut Arr {
    if Rc::strong_count(arr) > 1 {
        tick(arr.items.len() / 4);
    }
    Rc::make_mut(arr)
}

/// As [`change_items`].
pub(super) fn change_members(obj: &mut Rc<Obj>) -> &mut Obj {
    if Rc::strong_count(obj) > 1 {
        tick(obj.members.len());
    }
    Rc::make_mut(obj)
}

impl V {
    pub(super) fn size(&self) -> Size {
        match self {
            V::Null | V::Bool(_) => Size { weight: 5, depth: 0 },
            V::Num(Num::Written(text, _)) => Size { weight: text.len() as u64, depth: 0 },
            V::Num(_) => Size { weight: 20, depth: 0 },
            V::Text(text) => Size { weight: (text.len() as u64).saturating_add(2), depth: 0 },
            V::Arr(arr) => arr.size,
            V::Obj(obj) => obj.size,
        }
    }

    /// A text that a program made; counted by its length.
    pub(super) fn text(text: impl Into<Bytes>) -> V {
        let text = text.into();
        tick_bytes(text.len());
        weigh(text.len() as u64, 0);
        match std::str::from_utf8(&text) {
            Ok(_) => V::Text(text),
            Err(_) => V::Text(Bytes::from(String::from_utf8_lossy(&text).into_owned())),
        }
    }

    pub(super) fn arr(items: Vec<V>) -> V {
        items.into_iter().collect()
    }

    /// The value of a document.
    ///
    /// # Errors
    /// An object has two members of one name.
    pub(super) fn of(value: &Value) -> Result<V, Misfit> {
        tick(1);
        Ok(match value {
            Value::Scalar(word) => match &**word {
                b"null" => V::Null,
                b"true" => V::Bool(true),
                b"false" => V::Bool(false),
                number => V::Num(Num::read(&String::from_utf8_lossy(number))),
            },
            Value::Text(text) => V::Text(Bytes::from(crate::text::said(text))),
            Value::Array(elements) => {
                let mut arr = Arr::default();
                for element in elements {
                    arr.push(V::of(element)?);
                }
                V::Arr(Rc::new(arr))
            }
            Value::Object(members) => {
                let mut obj = Obj::default();
                for (name, value) in members {
                    if obj.insert(Bytes::from(crate::text::said(name)), V::of(value)?).is_some() {
                        return Err(Misfit::Duplicate);
                    }
                }
                V::Obj(Rc::new(obj))
            }
        })
    }

    /// The document that it is.
    ///
    /// # Errors
    /// It is larger or deeper than the limits let it be.
    pub(super) fn into_document(self, limits: &Limits) -> Result<Value, Misfit> {
        let size = self.size();
        if size.depth as usize > limits.depth {
            return Err(Misfit::Deep(limits.depth));
        }
        let document = self.document();
        // What it weighs is an estimate; what it is written is the truth.
        let written = document.write(limits)?;
        if written.len() > limits.size { Err(Misfit::Large(limits.size as u64)) } else { Ok(document) }
    }

    fn document(&self) -> Value {
        tick(1);
        match self {
            V::Null => Value::null(),
            V::Bool(is) => Value::scalar(if *is { "true" } else { "false" }),
            V::Num(number) => Value::scalar(&number.text()),
            V::Text(text) => Value::text(&String::from_utf8_lossy(text)),
            V::Arr(arr) => Value::Array(arr.items.iter().map(V::document).collect()),
            V::Obj(obj) => Value::Object(
                obj.members
                    .iter()
                    .map(|(name, value)| (Value::name(&String::from_utf8_lossy(name)), value.document()))
                    .collect(),
            ),
        }
    }

    /// JSON, without any space.
    pub(super) fn json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn write(&self, out: &mut Vec<u8>) {
        tick(1);
        let quoted = |text: &Bytes, out: &mut Vec<u8>| {
            tick_bytes(text.len());
            out.push(b'"');
            out.extend_from_slice(&crate::text::written(&String::from_utf8_lossy(text)));
            out.push(b'"');
        };
        match self {
            V::Null => out.extend_from_slice(b"null"),
            V::Bool(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
            V::Num(number) => out.extend_from_slice(number.text().as_bytes()),
            V::Text(text) => quoted(text, out),
            V::Arr(arr) => {
                out.push(b'[');
                for (nth, item) in arr.items.iter().enumerate() {
                    if nth > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            V::Obj(obj) => {
                out.push(b'{');
                for (nth, (name, value)) in obj.members.iter().enumerate() {
                    if nth > 0 {
                        out.push(b',');
                    }
                    quoted(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Where its kind stands in the order of all values.
    fn rank(&self) -> u8 {
        match self {
            V::Null => 0,
            V::Bool(false) => 1,
            V::Bool(true) => 2,
            V::Num(_) => 3,
            V::Text(_) => 4,
            V::Arr(_) => 5,
            V::Obj(_) => 6,
        }
    }
}

impl FromIterator<V> for V {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> V {
        let mut arr = Arr::default();
        items.into_iter().for_each(|item| arr.push(item));
        V::Arr(Rc::new(arr))
    }
}

impl fmt::Display for V {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json())
    }
}

impl PartialEq for V {
    fn eq(&self, other: &V) -> bool {
        tick(1);
        match (self, other) {
            (V::Text(left), V::Text(right)) => {
                tick_bytes(left.len().min(right.len()));
                left == right
            }
            (V::Num(left), V::Num(right)) => left.order(right) == Ordering::Equal,
            (V::Arr(left), V::Arr(right)) => left.items == right.items,
            (V::Obj(left), V::Obj(right)) => {
                left.members.len() == right.members.len()
                    && left.members.iter().all(|(name, value)| right.members.get(name) == Some(value))
            }
            (left, right) => left.rank() == right.rank(),
        }
    }
}

impl Eq for V {}

impl PartialOrd for V {
    fn partial_cmp(&self, other: &V) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for V {
    fn cmp(&self, other: &V) -> Ordering {
        tick(1);
        match (self, other) {
            (V::Num(left), V::Num(right)) => left.order(right),
            (V::Text(left), V::Text(right)) => {
                tick_bytes(left.len().min(right.len()));
                left.cmp(right)
            }
            (V::Arr(left), V::Arr(right)) => left.items.cmp(&right.items),
            (V::Obj(left), V::Obj(right)) => by_names(&left.members, &right.members),
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }
}

/// First all names in their order, then the values in the order of their names.
fn by_names(left: &Members, right: &Members) -> Ordering {
    tick(left.len().saturating_add(right.len()).saturating_mul(2));
    let sorted = |members: &Members| {
        let mut names: Vec<Bytes> = members.keys().cloned().collect();
        names.sort_unstable();
        names
    };
    let (own, others) = (sorted(left), sorted(right));
    own.cmp(&others).then_with(|| {
        let pairs = own.iter().map(|name| (left.get(name), right.get(name)));
        pairs.map(|(left, right)| left.cmp(&right)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    })
}
