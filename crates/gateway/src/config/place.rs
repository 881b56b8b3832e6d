//! Places in the files of a configuration.
//!
//! A `Span` is three numbers and stands in every node of the tree; `Files` keeps the texts and turns a span into a
//! `Place` that a person can read: file, line, column and the line itself.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref, sync::Arc};

/// A stretch of one file, in bytes; `Span::NONE` for what stands in no file, such as a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which file, by its number in [`Files`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The place of what was not written in any file.
    pub const NONE: Self = Self { file: u32::MAX, start: 0, end: 0 };

    /// Whether this stands in no file.
    pub const fn is_none(self) -> bool {
        self.file == u32::MAX
    }
}

/// A place in a file as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub length: usize,
    /// The line itself, without its end.
    #[serde(skip)]
    pub text: String,
}

/// One file of a configuration.
#[derive(Debug)]
struct SourceFile {
    name: Arc<str>,
    text: String,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
}

/// The texts of the files of one configuration; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Files {
    list: Vec<Arc<SourceFile>>,
}

impl Files {
    /// Adds a file and gives its number.
    pub(super) fn add(&mut self, name: &str, text: String) -> u32 {
        let breaks =
            text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(breaks).collect();
        self.list.push(Arc::new(SourceFile { name: name.into(), text, lines }));
        u32::try_from(self.list.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The text of a file; empty for a number that was never given.
    pub(super) fn text(&self, file: u32) -> &str {
        self.file(file).map_or("", |file| &file.text)
    }

    /// The names of all the files, in the order in which they were read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|file| &*file.name)
    }

    fn file(&self, file: u32) -> Option<&SourceFile> {
        self.list.get(usize::try_from(file).ok()?).map(|file| &**file)
    }

    /// Where a span stands; `None` for [`Span::NONE`].
    pub fn place(&self, span: Span) -> Option<Place> {
        let file = self.file(span.file)?;
        let start = (span.start as usize).min(file.text.len());
        let index = file.lines.partition_point(|line| *line <= start).saturating_sub(1);
        let line_start = file.lines.get(index).copied().unwrap_or(0);
        let rest = file.text.get(line_start..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
        let end = (span.end as usize).saturating_sub(line_start).min(line.len());
        let start = start.saturating_sub(line_start);
        let column = line.char_indices().take_while(|(at, _)| *at < start).count();
        let length = line.char_indices().filter(|(at, _)| (start..end).contains(at)).count();
        Some(Place {
            file: file.name.clone(),
            line: index.saturating_add(1),
            column: column.saturating_add(1),
            length: length.max(1),
            text: line.to_owned(),
        })
    }
}

/// A value that knows where it was written. Two are equal when their values are, wherever they stand.
#[derive(Clone, Copy, Default)]
pub struct Spanned<T> {
    value: T,
    span: Option<Span>,
}

/// The name by which our deserializer recognises that a span is wanted.
pub(super) const SPANNED: &str = "$tidegate::Spanned";

impl<T> Spanned<T> {
    /// A value with its place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span: Some(span) }
    }

    /// Where it was written; [`Span::NONE`] for what was not.
    pub fn span(&self) -> Span {
        self.span.unwrap_or(Span::NONE)
    }

    /// The value without its place.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: std::hash::Hash> std::hash::Hash for Spanned<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Placed<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Placed<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            /// What any other deserializer calls: the place stays unknown.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Spanned<T>, D::Error> {
                T::deserialize(deserializer).map(Spanned::from)
            }
            /// What ours calls: the three numbers of the span, then the value.
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let missing = || de::Error::custom("the place is incomplete");
                let file = parts.next_element()?.ok_or_else(missing)?;
                let start = parts.next_element()?.ok_or_else(missing)?;
                let end = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(Spanned::new(value, Span { file, start, end }))
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, Placed(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let mut files = Files::default();
        let file = files.add("a.yaml", "one: 1\r\nzwölf: x\n\n".into());
        for (start, end, line, column, length, text) in [
            (0, 3, 1, 1, 3, "one: 1"),
            (5, 6, 1, 6, 1, "one: 1"),
            (8, 14, 2, 1, 5, "zwölf: x"),
            (16, 17, 2, 8, 1, "zwölf: x"),
            (5, 17, 1, 6, 1, "one: 1"),
            (18, 18, 3, 1, 1, ""),
            (900, 901, 4, 1, 1, ""),
        ] {
            let place = files.place(Span { file, start, end }).unwrap();
            assert_eq!(
                (place.line, place.column, place.length, place.text.as_str()),
                (line, column, length, text),
                "{start}..{end}"
            );
        }
        assert!(files.place(Span::NONE).is_none());
    }

    #[test]
    fn a_foreign_deserializer_gives_no_place() {
        let read: Spanned<String> = serde_json::from_str("\"x\"").unwrap();
        assert!(read.span().is_none());
        assert_eq!(read, Spanned::new("x".to_owned(), Span { file: 0, start: 0, end: 1 }));
    }
}
