//! The `serde` deserializer over a node.
//!
//! Says what was found in the words of the language (`text`, `a list`), not of Rust; gives every fault the place
//! of the innermost node that it passes.

use super::super::node::{Entry, Kind as NodeKind, Node, Scalar, Value};
use super::super::place::{SPANNED, Span};
use super::access::{Choice, Entries, Items, SpannedParts, Variant};
use super::fault::{Fault, FaultPlace, Kind, list_of};
use crate::values::nearest;
use serde::de::{self, IntoDeserializer, Visitor, value::StrDeserializer};
use std::cell::RefCell;
use std::collections::HashSet;

/// What one reading of a value collects over its rounds.
pub(super) struct Run {
    subject: Option<String>,
    path: RefCell<Vec<Step>>,
    /// Nodes to be left out, by address: the tree does not move while it is read.
    aside: RefCell<HashSet<usize>>,
    unknown: RefCell<Vec<Fault>>,
    unknown_seen: RefCell<HashSet<usize>>,
}

pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Run {
    pub(super) fn new(key: Option<&str>, subject: Option<&str>) -> Self {
        Self {
            subject: subject.map(str::to_owned),
            path: RefCell::new(key.map(|key| Step::Key(key.to_owned())).into_iter().collect()),
            aside: RefCell::default(),
            unknown: RefCell::default(),
            unknown_seen: RefCell::default(),
        }
    }

    pub(super) fn into_unknown_keys(self) -> Vec<Fault> {
        self.unknown.into_inner()
    }

    pub(super) fn is_aside(&self, node: &Node) -> bool {
        self.aside.borrow().contains(&address(node))
    }

    pub(super) fn place(&self, span: Span) -> Box<FaultPlace> {
        let mut path = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.push_str(&format!(".{key}")),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        Box::new(FaultPlace { span, path, subject: self.subject.clone() })
    }

    /// Reads one child; what fails is put aside for the next round.
    pub(super) fn child<'de, S: de::DeserializeSeed<'de>>(
        &self,
        step: Step,
        node: &Node,
        owner: Span,
        seed: S,
    ) -> Result<S::Value, Fault> {
        self.path.borrow_mut().push(step);
        let reader = NodeReader { run: self, node, owner };
        let result = seed.deserialize(reader).map_err(|fault| self.put_aside(node, reader.locate(fault)));
        self.path.borrow_mut().pop();
        result
    }

    /// Leaves the node out of the next round, unless something inside it is left out already.
    pub(super) fn put_aside(&self, node: &Node, mut fault: Fault) -> Fault {
        if !fault.put_aside {
            fault.put_aside = true;
            self.aside.borrow_mut().insert(address(node));
        }
        fault
    }

    /// Runs `read` one key further down.
    pub(super) fn step<T>(&self, key: &str, read: impl FnOnce() -> T) -> T {
        self.path.borrow_mut().push(Step::Key(key.to_owned()));
        let result = read();
        self.path.borrow_mut().pop();
        result
    }

    pub(super) fn report_unknown(&self, entry: &Entry, known: &[&str]) {
        if !self.unknown_seen.borrow_mut().insert(address(&entry.value)) {
            return;
        }
        let help = match nearest(&entry.key, known.iter().copied()) {
            Some(meant) => Some(format!("did you mean `{meant}`?")),
            None if known.is_empty() => None,
            None => Some(format!("known here: {}", list_of(known))),
        };
        self.unknown.borrow_mut().push(Fault {
            help,
            label: Some("not known here".into()),
            place: Some(self.place(entry.key.span())),
            ..Fault::new(Kind::UnknownKey, format!("unknown key `{}`", *entry.key))
        });
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// Reads one node.
#[derive(Clone, Copy)]
pub(super) struct NodeReader<'r> {
    pub(super) run: &'r Run,
    pub(super) node: &'r Node,
    /// Where to point when something is missing in the node: its key.
    pub(super) owner: Span,
}

impl<'r> NodeReader<'r> {
    pub(super) fn new(run: &'r Run, node: &'r Node, owner: Span) -> Self {
        Self { run, node, owner }
    }

    /// Gives a fault its place, unless it has one.
    pub(super) fn locate(&self, mut fault: Fault) -> Fault {
        if fault.place.is_none() {
            let span = if fault.missing.is_some() { self.owner } else { self.node.span };
            fault.place = Some(self.run.place(span));
        }
        fault
    }

    fn wrong_type(&self, wanted: &str) -> Fault {
        self.locate(Fault::wrong_type(wanted, &self.node.describe()))
    }

    fn scalar(&self) -> Option<&'r Scalar> {
        if let NodeKind::Scalar(scalar) = &self.node.kind { Some(scalar) } else { None }
    }

    fn integer<'de, V, T, F>(self, visitor: V, least: i128, most: i128, visit: F) -> Result<V::Value, Fault>
    where
        V: Visitor<'de>,
        T: TryFrom<i128>,
        F: FnOnce(V, T) -> Result<V::Value, Fault>,
    {
        let number = match self.scalar().map(Scalar::value) {
            Some(Value::Unsigned(number)) => i128::from(number),
            Some(Value::Signed(number)) => i128::from(number),
            _ => return Err(self.wrong_type("a whole number")),
        };
        match T::try_from(number) {
            Ok(number) => visit(visitor, number).map_err(|fault| self.locate(fault)),
            Err(_) => {
                let message = format!("`{number}` is not between {least} and {most}");
                Err(self.locate(Fault::new(Kind::BadValue, message)))
            }
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let NodeKind::List(items) = &self.node.kind else { return Err(self.wrong_type("a list")) };
        visitor
            .visit_seq(Items { reader: self, items: items.iter().enumerate() })
            .map_err(|fault| self.locate(fault))
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V, known: Option<&[&str]>) -> Result<V::Value, Fault> {
        let NodeKind::Map(entries) = &self.node.kind else { return Err(self.wrong_type("a map")) };
        let access = Entries { reader: self, entries: entries.iter(), known, value: None };
        visitor.visit_map(access).map_err(|mut fault| {
            if let (None, Some(missing)) = (&fault.place, fault.missing) {
                // A key whose value was put aside is not missing: its fault is known.
                fault.silent = self.node.get(missing).is_some_and(|value| self.run.is_aside(value));
            }
            self.locate(fault)
        })
    }

    /// An enum chosen by what was written.
    fn shape<'de, V: Visitor<'de>>(
        self,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let found = match &self.node.kind {
            NodeKind::List(_) => "list",
            NodeKind::Map(_) => "map",
            NodeKind::Scalar(scalar) => match scalar.value() {
                Value::Null => "nothing",
                Value::Bool(_) => "bool",
                Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => "number",
                Value::Text(_) => "text",
            },
        };
        let scalar = matches!(found, "bool" | "number");
        let chosen = variants
            .iter()
            .find(|variant| **variant == found)
            .or_else(|| variants.iter().find(|variant| scalar && **variant == "text"))
            .or_else(|| variants.iter().find(|variant| **variant == "other"));
        let Some(chosen) = chosen else {
            let wanted: Vec<_> = variants
                .iter()
                .map(|variant| match *variant {
                    "text" => "a text",
                    "number" => "a number",
                    "bool" => "true or false",
                    "list" => "a list",
                    _ => "a map",
                })
                .collect();
            return Err(self.wrong_type(&wanted.join(" or ")));
        };
        visitor.visit_enum(Variant { name: chosen, reader: self }).map_err(|fault| self.locate(fault))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let (least, most) = (i128::from(<$type>::MIN), i128::from(<$type>::MAX));
            self.integer(visitor, least, most, |visitor, number: $type| visitor.$visit(number))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for NodeReader<'_> {
    type Error = Fault;

    integers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.node.kind {
            NodeKind::List(_) => return self.list(visitor),
            NodeKind::Map(_) => return self.map(visitor, None),
            NodeKind::Scalar(scalar) => match scalar.value() {
                Value::Null => visitor.visit_unit(),
                Value::Bool(value) => visitor.visit_bool(value),
                Value::Unsigned(value) => visitor.visit_u64(value),
                Value::Signed(value) => visitor.visit_i64(value),
                Value::Float(value) => visitor.visit_f64(value),
                Value::Text(text) => visitor.visit_str(text),
            },
        };
        result.map_err(|fault| self.locate(fault))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar().map(Scalar::value) {
            Some(Value::Bool(value)) => visitor.visit_bool(value).map_err(|fault| self.locate(fault)),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match self.scalar().map(Scalar::value) {
            Some(Value::Float(number)) => number,
            Some(Value::Unsigned(number)) => number as f64,
            Some(Value::Signed(number)) => number as f64,
            _ => return Err(self.wrong_type("a number")),
        };
        visitor.visit_f64(number).map_err(|fault| self.locate(fault))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.text() {
            Some(text) => visitor.visit_str(text).map_err(|fault| self.locate(fault)),
            None => {
                let expected = (&visitor as &dyn de::Expected).to_string();
                let wanted = if expected == "a string" { "a text" } else { &expected };
                Err(self.wrong_type(wanted))
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(self.wrong_type("nothing")) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != SPANNED {
            return visitor.visit_newtype_struct(self);
        }
        visitor.visit_seq(SpannedParts { reader: self, given: 0 })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.map(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.map(visitor, Some(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == "$shape" {
            return self.shape(variants, visitor);
        }
        match &self.node.kind {
            NodeKind::Map(entries) => match entries.as_slice() {
                [only] => {
                    let choice = Choice { reader: self, entry: only };
                    visitor.visit_enum(choice).map_err(|fault| self.locate(fault))
                }
                _ => Err(self.wrong_type(&format!("a map with exactly one of {}", list_of(variants)))),
            },
            NodeKind::List(_) => Err(self.wrong_type(&format!("one of {}", list_of(variants)))),
            NodeKind::Scalar(_) => {
                let Some(text) = self.node.text() else {
                    return Err(self.wrong_type(&format!("one of {}", list_of(variants))));
                };
                let word: StrDeserializer<'_, Fault> = text.into_deserializer();
                visitor.visit_enum(word).map_err(|fault| self.locate(fault))
            }
        }
    }

    serde::forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit_struct ignored_any }
}
