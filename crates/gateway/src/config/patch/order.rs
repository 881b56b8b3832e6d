//! Entries of a map that get another place, or another name; what they say stays as it is written.

use std::ops::Range;

use super::render::{self, Quotes};
use super::splice::{Page, Splice};
use super::{Unpatchable, nothing_at};
use crate::config::node::{Entry, Node};

/// Puts the entry at a path before another of its map, or behind the last.
pub(super) fn place(
    text: &str,
    tree: &Node,
    path: &[String],
    before: Option<&str>,
) -> Result<Splice, Unpatchable> {
    let (map, entries, at) = entry(tree, path)?;
    let page = Page::new(text);
    let to = match before {
        Some(name) => position(entries, name)?,
        None => entries.len(),
    };
    // What it changes places with: all that stands between it and its new place.
    let (first, rest) = if to <= at { (to..at, at..at + 1) } else { (at..at + 1, at + 1..to) };
    if first.is_empty() || rest.is_empty() {
        return Ok(Splice::new(0..0, ""));
    }
    let first = stretch(&page, map, entries, first)?;
    let rest = stretch(&page, map, entries, rest)?;
    let words = [page.slice(rest.clone()), page.slice(first.end..rest.start), page.slice(first.clone())];
    Ok(Splice::new(first.start..rest.end, words.concat()))
}

/// Gives the entry at a path another name.
pub(super) fn rename(text: &str, tree: &Node, path: &[String], to: &str) -> Result<Splice, Unpatchable> {
    let (_, entries, at) = entry(tree, path)?;
    let found = entries.get(at).ok_or_else(|| nothing_at(to))?;
    let (start, end) = (found.key.span().start as usize, found.key.span().end as usize);
    let quotes = match Page::new(text).slice(start..end).chars().next() {
        Some('"') => Quotes::Double,
        Some('\'') => Quotes::Single,
        _ => Quotes::Needed,
    };
    Ok(Splice::new(start..end, render::key(to, quotes)))
}

/// The map around the entry at a path, and which of its entries that is.
fn entry<'n>(tree: &'n Node, path: &[String]) -> Result<(&'n Node, &'n [Entry], usize), Unpatchable> {
    let (last, way) = path.split_last().ok_or_else(|| nothing_at(""))?;
    let map = super::find(tree, way).ok_or_else(|| nothing_at(last))?;
    Ok((map, map.entries(), position(map.entries(), last)?))
}

fn position(entries: &[Entry], name: &str) -> Result<usize, Unpatchable> {
    entries.iter().position(|entry| *entry.key == *name).ok_or_else(|| nothing_at(name))
}

/// Where entries that follow each other stand in the text: in a block whole lines, with the comments right above them.
fn stretch(
    page: &Page<'_>,
    map: &Node,
    entries: &[Entry],
    which: Range<usize>,
) -> Result<Range<usize>, Unpatchable> {
    let (Some(first), Some(last)) = (entries.get(which.start), entries.get(which.end.saturating_sub(1)))
    else {
        return Err(nothing_at(""));
    };
    let (start, end) = (first.key.span().start as usize, page.entry_end(last));
    if page.is_flow(map) {
        return Ok(start..end);
    }
    let mut line = page.line_start(start);
    if !page.slice(line..start).trim().is_empty() {
        return Err(Unpatchable::new("this map begins within a line and cannot be ordered in place"));
    }
    while line > 0 {
        let above = page.line_start(line.saturating_sub(1));
        if !page.slice(above..line).trim_start().starts_with('#') {
            break;
        }
        line = above;
    }
    Ok(line..page.line_end(end))
}
