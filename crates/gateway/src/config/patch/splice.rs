//! Where in the text an edit happens, and what stands there afterwards.

use std::ops::Range;

use serde_json::{Map, Value};

use super::render::{self, Quotes};
use super::{Unpatchable, nothing_at};
use crate::config::node::{Entry, Form, Kind, Node, Scalar};

/// A stretch of the text and what takes its place.
pub(super) struct Splice {
    range: Range<usize>,
    with: String,
}

impl Splice {
    pub(super) fn new(range: Range<usize>, with: impl Into<String>) -> Self {
        Self { range, with: with.into() }
    }

    /// The text with it; `None` when the place is not in the text.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        let (before, after) = (text.get(..self.range.start)?, text.get(self.range.end..)?);
        Some([before, &self.with, after].concat())
    }
}

/// A text and what is asked of it again and again.
pub(super) struct Page<'t> {
    text: &'t str,
    newline: &'static str,
}

/// Lets a value stand at a path.
pub(super) fn set(text: &str, tree: &Node, path: &[String], value: &Value) -> Result<Splice, Unpatchable> {
    let page = Page::new(text);
    let (mut node, mut entry): (&Node, Option<&Entry>) = (tree, None);
    let mut in_flow = page.is_flow(tree);
    for (depth, key) in path.iter().enumerate() {
        let rest = path.get(depth..).unwrap_or_default();
        match &node.kind {
            Kind::Map(entries) => match entries.iter().find(|entry| *entry.key == *key) {
                Some(found) => (node, entry) = (&found.value, Some(found)),
                None => {
                    let value = nested(rest.get(1..).unwrap_or_default(), value);
                    return page.insert(node, entries, key, &value);
                }
            },
            Kind::List(items) => match key.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(found) => (node, entry) = (found, None),
                None => return page.append(node, items, &nested(rest.get(1..).unwrap_or_default(), value)),
            },
            Kind::Scalar(_) if node.is_null() => {
                return page.replace(node, entry, &nested(rest, value), in_flow);
            }
            Kind::Scalar(_) => return Err(nothing_at(key)),
        }
        in_flow = in_flow || page.is_flow(node);
    }
    // A flow that is replaced stands itself in a block, unless what is around it is a flow.
    page.replace(node, entry, value, page.around_is_flow(tree, path))
}

/// Takes away what stands at a path.
pub(super) fn remove(text: &str, tree: &Node, path: &[String]) -> Result<Splice, Unpatchable> {
    let page = Page::new(text);
    let (last, way) = path.split_last().ok_or_else(|| nothing_at(""))?;
    let (mut node, mut entry): (&Node, Option<&Entry>) = (tree, None);
    for key in way {
        match &node.kind {
            Kind::Map(entries) => {
                let found = entries.iter().find(|entry| *entry.key == *key).ok_or_else(|| nothing_at(key))?;
                (node, entry) = (&found.value, Some(found));
            }
            Kind::List(items) => {
                let index = key.parse::<usize>().map_err(|_| nothing_at(key))?;
                (node, entry) = (items.get(index).ok_or_else(|| nothing_at(key))?, None);
            }
            Kind::Scalar(_) => return Err(nothing_at(key)),
        }
    }
    match &node.kind {
        Kind::Map(entries) => {
            let at = entries.iter().position(|entry| *entry.key == *last).ok_or_else(|| nothing_at(last))?;
            page.remove_entry(node, entry, entries, at, page.around_is_flow(tree, way))
        }
        Kind::List(items) => {
            let at = last.parse::<usize>().map_err(|_| nothing_at(last))?;
            page.remove_item(node, entry, items, at, page.around_is_flow(tree, way))
        }
        Kind::Scalar(_) => Err(nothing_at(last)),
    }
}

/// The value inside maps of these keys.
fn nested(keys: &[String], value: &Value) -> Value {
    keys.iter().rev().fold(value.clone(), |inner, key| {
        let mut map = Map::new();
        map.insert(key.clone(), inner);
        Value::Object(map)
    })
}

impl<'t> Page<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Page { text, newline: if text.contains("\r\n") { "\r\n" } else { "\n" } }
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or_default()
    }

    fn starts_with(&self, at: usize, marks: &[char]) -> bool {
        self.text.get(at..).is_some_and(|rest| rest.starts_with(marks))
    }

    pub(super) fn is_flow(&self, node: &Node) -> bool {
        !matches!(node.kind, Kind::Scalar(_)) && self.starts_with(node.span.start as usize, &['{', '['])
    }

    /// Whether something above the node of this path is a flow.
    fn around_is_flow(&self, tree: &Node, path: &[String]) -> bool {
        (0..path.len()).any(|depth| {
            super::find(tree, path.get(..depth).unwrap_or_default()).is_some_and(|node| self.is_flow(node))
        })
    }

    /// Where a node ends: of a block, where the last thing in it ends.
    fn end(&self, node: &Node) -> usize {
        let (start, end) = (node.span.start as usize, node.span.end as usize);
        match &node.kind {
            Kind::Map(entries) if !self.is_flow(node) => {
                entries.last().map_or(end, |entry| self.entry_end(entry))
            }
            Kind::List(items) if !self.is_flow(node) => items.last().map_or(end, |item| self.end(item)),
            _ => start.saturating_add(self.slice(start..end).trim_end().len()),
        }
    }

    pub(super) fn entry_end(&self, entry: &Entry) -> usize {
        if entry.value.is_null() && entry.value.span.start == entry.value.span.end {
            return self.behind_colon(entry);
        }
        self.end(&entry.value).max(self.behind_colon(entry))
    }

    /// The place behind the colon of a key.
    fn behind_colon(&self, entry: &Entry) -> usize {
        let end = entry.key.span().end as usize;
        let rest = self.text.get(end..).unwrap_or_default();
        match rest.find(':') {
            Some(colon) => end.saturating_add(colon).saturating_add(1),
            None => end,
        }
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.slice(0..at).rfind('\n').map_or(0, |newline| newline.saturating_add(1))
    }

    /// Where the line ends, before its line end.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        at.saturating_add(line.strip_suffix('\r').unwrap_or(line).len())
    }

    fn column(&self, at: usize) -> usize {
        self.slice(self.line_start(at)..at).chars().count()
    }

    /// The quotes that a flow is written with: a JSON file stays JSON.
    fn quotes(&self, node: &Node) -> Quotes {
        let first = match &node.kind {
            Kind::Map(entries) => entries.first().map(|entry| entry.key.span().start as usize),
            _ => None,
        };
        let json = first.is_some_and(|start| self.starts_with(start, &['"']));
        if json && self.is_flow(node) { Quotes::Double } else { Quotes::Needed }
    }

    fn replace(
        &self,
        node: &Node,
        entry: Option<&Entry>,
        value: &Value,
        in_flow: bool,
    ) -> Result<Splice, Unpatchable> {
        let (start, end) = (node.span.start as usize, self.end(node));
        let old = self.slice(start..end);
        let scalar = !matches!(value, Value::Object(_) | Value::Array(_));
        // A block of text is replaced with its head, which stands before it.
        let quoted = matches!(&node.kind, Kind::Scalar(Scalar { form: Form::Quoted, .. }));
        let block = quoted && !old.starts_with(['"', '\'']);
        if matches!(node.kind, Kind::Scalar(_)) && scalar && !old.is_empty() && !block {
            let quotes = match old.chars().next() {
                Some('"') => Quotes::Double,
                Some('\'') => Quotes::Single,
                _ => Quotes::Needed,
            };
            return Ok(Splice::new(start..end, render::flow(value, quotes)));
        }
        match entry {
            Some(entry) if !in_flow => {
                let from = self.behind_colon(entry);
                let indent = self.column(entry.key.span().start as usize);
                let end = if node.is_null() && old.is_empty() { from } else { end.max(from) };
                Ok(Splice::new(from..end, render::behind_key(value, indent, self.newline)))
            }
            Some(entry) if node.is_null() && old.is_empty() => {
                let from = self.behind_colon(entry);
                Ok(Splice::new(from..from, format!(" {}", render::flow(value, Quotes::Needed))))
            }
            _ => {
                let quotes = if old.starts_with('"') { Quotes::Double } else { self.quotes(node) };
                Ok(Splice::new(start..end, render::flow(value, quotes)))
            }
        }
    }

    fn insert(&self, map: &Node, entries: &[Entry], key: &str, value: &Value) -> Result<Splice, Unpatchable> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            // `{}`, or a file with nothing in it but comments.
            let (start, end) = (map.span.start as usize, map.span.end as usize);
            if start < end && self.is_flow(map) {
                let mut inner = Map::new();
                inner.insert(key.to_owned(), value.clone());
                return Ok(Splice::new(start..end, render::flow(&Value::Object(inner), Quotes::Needed)));
            }
            let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { self.newline };
            let line = format!(
                "{gap}{}:{}{}",
                render::key(key, Quotes::Needed),
                render::behind_key(value, 0, self.newline),
                self.newline
            );
            return Ok(Splice::new(self.text.len()..self.text.len(), line));
        };
        let end = self.entry_end(last);
        if self.is_flow(map) {
            let quotes = self.quotes(map);
            let entry = format!(", {}: {}", render::key(key, quotes), render::flow(value, quotes));
            return Ok(Splice::new(end..end, entry));
        }
        let indent = self.column(first.key.span().start as usize);
        let at = self.line_end(end);
        let line = format!(
            "{}{}{}:{}",
            self.newline,
            " ".repeat(indent),
            render::key(key, Quotes::Needed),
            render::behind_key(value, indent, self.newline)
        );
        Ok(Splice::new(at..at, line))
    }

    fn append(&self, list: &Node, items: &[Node], value: &Value) -> Result<Splice, Unpatchable> {
        let start = list.span.start as usize;
        let Some(last) = items.last() else {
            let text = format!("[{}]", render::flow(value, Quotes::Needed));
            return Ok(Splice::new(start..list.span.end as usize, text));
        };
        let end = self.end(last);
        if self.is_flow(list) {
            let json = self.starts_with(last.span.start as usize, &['"']);
            let quotes = if json { Quotes::Double } else { Quotes::Needed };
            return Ok(Splice::new(end..end, format!(", {}", render::flow(value, quotes))));
        }
        let first = items.first().map_or(start, |item| item.span.start as usize);
        let indent = self.column(self.dash(first)?);
        let at = self.line_end(end);
        let item = format!("{}{}- {}", self.newline, " ".repeat(indent), render::flow(value, Quotes::Needed));
        Ok(Splice::new(at..at, item))
    }

    /// The dash before an item of a block.
    fn dash(&self, item: usize) -> Result<usize, Unpatchable> {
        let before = self.slice(0..item);
        let dash = before.trim_end_matches([' ', '\t']).len().saturating_sub(1);
        let line = self.slice(self.line_start(dash)..dash);
        if before.get(dash..).is_some_and(|rest| rest.starts_with('-')) && line.trim().is_empty() {
            return Ok(dash);
        }
        Err(Unpatchable::new("this list is written in a way that cannot be changed in place"))
    }

    fn remove_entry(
        &self,
        map: &Node,
        above: Option<&Entry>,
        entries: &[Entry],
        at: usize,
        in_flow: bool,
    ) -> Result<Splice, Unpatchable> {
        let Some(entry) = entries.get(at) else { return Err(nothing_at("")) };
        let (start, end) = (entry.key.span().start as usize, self.entry_end(entry));
        let next = entries.get(at.saturating_add(1)).map(|next| next.key.span().start as usize);
        if entries.len() == 1 {
            return self.replace(map, above, &Value::Object(Map::new()), in_flow);
        }
        if self.is_flow(map) {
            let before = at.checked_sub(1).and_then(|before| entries.get(before));
            return Ok(Splice::new(
                match (next, before) {
                    (Some(next), _) => start..next,
                    (None, Some(before)) => self.entry_end(before)..end,
                    (None, None) => start..end,
                },
                "",
            ));
        }
        Ok(self.without_lines(start, end, next))
    }

    fn remove_item(
        &self,
        list: &Node,
        above: Option<&Entry>,
        items: &[Node],
        at: usize,
        in_flow: bool,
    ) -> Result<Splice, Unpatchable> {
        let Some(item) = items.get(at) else { return Err(nothing_at(&at.to_string())) };
        let (start, end) = (item.span.start as usize, self.end(item));
        if items.len() == 1 {
            return self.replace(list, above, &Value::Array(Vec::new()), in_flow);
        }
        let next = items.get(at.saturating_add(1)).map(|next| next.span.start as usize);
        if self.is_flow(list) {
            let before = at.checked_sub(1).and_then(|before| items.get(before));
            return Ok(Splice::new(
                match (next, before) {
                    (Some(next), _) => start..next,
                    (None, Some(before)) => self.end(before)..end,
                    (None, None) => start..end,
                },
                "",
            ));
        }
        Ok(self.without_lines(self.dash(start)?, end, None))
    }

    /// Without the lines from here to there; where something else begins the first of them, up to what comes `next`.
    fn without_lines(&self, start: usize, end: usize, next: Option<usize>) -> Splice {
        let line = self.line_start(start);
        if !self.slice(line..start).trim().is_empty()
            && let Some(next) = next
        {
            return Splice::new(start..next, "");
        }
        let until = self.line_end(end);
        let rest = self.text.get(until..).unwrap_or_default();
        let newline = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
        if newline > 0 {
            return Splice::new(line..until.saturating_add(newline), "");
        }
        // The last line of a file that ends without a line end: the end of the line before goes with it.
        let before = self.slice(0..line);
        let before = before.strip_suffix('\n').map_or(before, |rest| rest.strip_suffix('\r').unwrap_or(rest));
        Splice::new(before.len()..until, "")
    }
}
