//! What lies inside a node, as `serde` walks it: items, entries, variants, the parts of a place.
//!
//! Leaves out what was put aside in an earlier round, and reports keys that nobody knows.

use super::super::node::{Entry, Form, Kind as NodeKind, Node, Scalar};
use super::deserializer::{NodeReader, Step};
use super::fault::{Fault, Kind};
use serde::de::{self, Deserializer as _, IntoDeserializer, Visitor, value::StrDeserializer};

/// The items of a list that were not put aside.
pub(super) struct Items<'r> {
    pub(super) reader: NodeReader<'r>,
    pub(super) items: std::iter::Enumerate<std::slice::Iter<'r, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let run = self.reader.run;
        match self.items.find(|(_, item)| !run.is_aside(item)) {
            Some((index, item)) => run.child(Step::Index(index), item, item.span, seed).map(Some),
            None => Ok(None),
        }
    }
}

/// The entries of a map that are known and were not put aside.
pub(super) struct Entries<'r, 'k> {
    pub(super) reader: NodeReader<'r>,
    pub(super) entries: std::slice::Iter<'r, Entry>,
    pub(super) known: Option<&'k [&'k str]>,
    pub(super) value: Option<&'r Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let run = self.reader.run;
        for entry in self.entries.by_ref() {
            if run.is_aside(&entry.value) {
                continue;
            }
            if let Some(known) = self.known
                && !known.contains(&entry.key.as_str())
            {
                run.report_unknown(entry, known);
                continue;
            }
            self.value = Some(entry);
            let result = if self.known.is_some() {
                let name: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
                seed.deserialize(name)
            } else {
                let scalar = Scalar { text: entry.key.to_string(), form: Form::Quoted };
                let key = Node { span: entry.key.span(), kind: NodeKind::Scalar(scalar) };
                seed.deserialize(NodeReader { run, node: &key, owner: key.span })
            };
            // A key with a fault takes its value with it.
            return result.map(Some).map_err(|fault| run.put_aside(&entry.value, fault));
        }
        Ok(None)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        self.reader.run.child(Step::Key(entry.key.to_string()), &entry.value, entry.key.span(), seed)
    }
}

/// A place and the value at it.
pub(super) struct SpannedParts<'r> {
    pub(super) reader: NodeReader<'r>,
    pub(super) given: u8,
}

impl<'de> de::SeqAccess<'de> for SpannedParts<'_> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.given = self.given.saturating_add(1);
        let span = self.reader.node.span;
        match self.given {
            1 => seed.deserialize(span.file.into_deserializer()).map(Some),
            2 => seed.deserialize(span.start.into_deserializer()).map(Some),
            3 => seed.deserialize(span.end.into_deserializer()).map(Some),
            4 => seed.deserialize(self.reader).map(Some),
            _ => Ok(None),
        }
    }
}

/// A variant chosen by shape: its content is the node itself.
pub(super) struct Variant<'r> {
    pub(super) name: &'static str,
    pub(super) reader: NodeReader<'r>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.reader.deserialize_struct("", fields, visitor)
    }
}

/// A variant written as a map with one key.
pub(super) struct Choice<'r> {
    pub(super) reader: NodeReader<'r>,
    pub(super) entry: &'r Entry,
}

impl<'de> de::EnumAccess<'de> for Choice<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.entry.key.as_str().into_deserializer();
        let place = || self.reader.run.place(self.entry.key.span());
        let chosen =
            seed.deserialize(name).map_err(|fault: Fault| Fault { place: Some(place()), ..fault })?;
        Ok((chosen, self))
    }
}

impl Choice<'_> {
    fn nested<'de, S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        self.reader.run.step(&self.entry.key, || {
            let reader =
                NodeReader { run: self.reader.run, node: &self.entry.value, owner: self.entry.key.span() };
            seed.deserialize(reader).map_err(|fault| reader.locate(fault))
        })
    }
}

struct AsList<V>(V);
struct AsStruct<V>(V, &'static [&'static str]);

impl<'de, V: Visitor<'de>> de::DeserializeSeed<'de> for AsList<V> {
    type Value = V::Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_seq(self.0)
    }
}

impl<'de, V: Visitor<'de>> de::DeserializeSeed<'de> for AsStruct<V> {
    type Value = V::Value;
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("", self.1, self.0)
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        let key = self.entry.key.to_string();
        let message = format!("`{key}` takes no settings");
        Err(Fault { help: Some(format!("write `{key}` alone")), ..Fault::new(Kind::WrongType, message) })
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.nested(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.nested(AsList(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.nested(AsStruct(visitor, fields))
    }
}
