//! Paths of a document: templates such as `/users/{id}/photo.{format}`, and which one a path is of.
//!
//! Takes the path of a request, still percent-encoded; compares it segment by segment, decoded. A literal beats a segment
//! with a name in it, which beats a segment that is a name.

use std::collections::HashMap;

use crate::Flaw;
use crate::document::percent_decoded;

/// A path with names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// As written.
    pub text: String,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Texts and names in turn.
    Mixed(Vec<Part>),
    /// A name.
    Name(String),
}

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// This text.
    Text(String),
    /// A name.
    Name(String),
}

impl Template {
    /// Reads a path of the document.
    pub(crate) fn read(text: &str, pointer: &str) -> Result<Template, Flaw> {
        let flaw = |what: &str| Err(Flaw::new(pointer, format!("`{text}`: {what}")));
        let Some(rest) = text.strip_prefix('/') else { return flaw("a path begins with `/`") };
        // Some documents tell apart by query or fragment what is one path.
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            let Some(parts) = parts(segment) else { return flaw("a `{` or `}` stands alone") };
            segments.push(match parts.as_slice() {
                [] => Segment::Literal(String::new()),
                [Part::Text(text)] => Segment::Literal(text.clone()),
                [Part::Name(name)] => Segment::Name(name.clone()),
                _ => Segment::Mixed(parts),
            });
        }
        Ok(Template { text: text.to_owned(), segments })
    }

    /// The names in it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(_) => {}
                Segment::Name(name) => names.push(name.as_str()),
                Segment::Mixed(parts) => names.extend(parts.iter().filter_map(|part| match part {
                    Part::Name(name) => Some(name.as_str()),
                    Part::Text(_) => None,
                })),
            }
        }
        names
    }

    /// What the names stand for in a path of as many segments; none when it is another path.
    fn matches(&self, segments: &[Vec<u8>]) -> Option<Vec<(String, String)>> {
        let mut names = Vec::new();
        for (own, segment) in self.segments.iter().zip(segments) {
            match own {
                Segment::Literal(text) if text.as_bytes() == segment => {}
                Segment::Literal(_) => return None,
                Segment::Name(_) if segment.is_empty() => return None,
                Segment::Name(name) => names.push((name.clone(), lossy(segment))),
                Segment::Mixed(parts) => names.extend(mixed(parts, &lossy(segment))?),
            }
        }
        Some(names)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parts(segment: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        if before.contains('}') || name.is_empty() || name.contains('{') {
            return None;
        }
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Name(name.to_owned()));
        rest = behind;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Some(parts)
}

/// The names in a segment, each as short as the text behind it allows.
fn mixed(parts: &[Part], segment: &str) -> Option<Vec<(String, String)>> {
    let mut names = Vec::new();
    let (mut rest, mut open): (&str, Option<&str>) = (segment, None);
    for part in parts {
        match (part, open.take()) {
            (Part::Name(name), None) => open = Some(name),
            // Two names without a text between: the first has one character.
            (Part::Name(name), Some(before)) => {
                let mut chars = rest.chars();
                let first = chars.next()?;
                names.push((before.to_owned(), first.to_string()));
                rest = chars.as_str();
                open = Some(name);
            }
            (Part::Text(text), None) => rest = rest.strip_prefix(text.as_str())?,
            (Part::Text(text), Some(name)) => {
                let (value, behind) =
                    rest.split_once(text.as_str()).filter(|(value, _)| !value.is_empty())?;
                names.push((name.to_owned(), value.to_owned()));
                rest = behind;
            }
        }
    }
    match open {
        Some(_) if rest.is_empty() => None,
        Some(name) => {
            names.push((name.to_owned(), rest.to_owned()));
            Some(names)
        }
        None => rest.is_empty().then_some(names),
    }
}

/// All paths of a document.
#[derive(Default)]
pub(crate) struct Paths {
    /// By the number of segments, the most special first.
    by_length: HashMap<usize, Vec<(Template, usize)>>,
}

impl Paths {
    pub(crate) fn new(templates: impl Iterator<Item = (Template, usize)>) -> Paths {
        let mut by_length: HashMap<usize, Vec<(Template, usize)>> = HashMap::new();
        for (template, place) in templates {
            by_length.entry(template.segments.len()).or_default().push((template, place));
        }
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 0_u8,
            Segment::Mixed(_) => 1,
            Segment::Name(_) => 2,
        };
        for list in by_length.values_mut() {
            list.sort_by_key(|(template, _)| template.segments.iter().map(rank).collect::<Vec<_>>());
        }
        Paths { by_length }
    }

    /// The place of the path's template, and what its names stand for.
    pub(crate) fn find(&self, path: &[u8]) -> Option<(usize, Vec<(String, String)>)> {
        let rest = path.strip_prefix(b"/")?;
        let segments: Vec<Vec<u8>> = rest.split(|byte| *byte == b'/').map(percent_decoded).collect();
        let candidates = self.by_length.get(&segments.len())?;
        candidates.iter().find_map(|(template, place)| Some((*place, template.matches(&segments)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_path_wins() {
        let written = ["/a/{id}", "/a/me", "/a/{id}.json", "/{x}/{y}", "/", "/a/{from}-{to}", "/b/c d"];
        let read = |(place, text): (usize, &&str)| (Template::read(text, "").unwrap(), place);
        let paths = Paths::new(written.iter().enumerate().map(read));
        for (path, wanted) in [
            ("/a/1", Some((0, vec![("id", "1")]))),
            ("/a/me", Some((1, vec![]))),
            ("/a/1.json", Some((2, vec![("id", "1")]))),
            ("/a/.json", Some((0, vec![("id", ".json")]))),
            ("/a/1-2-3", Some((5, vec![("from", "1"), ("to", "2-3")]))),
            ("/z/%41%2Fb", Some((3, vec![("x", "z"), ("y", "A/b")]))),
            ("/", Some((4, vec![]))),
            ("/b/c%20d", Some((6, vec![]))),
            ("/a/", None),
            ("/a", None),
            ("/a/b/c", None),
            ("", None),
        ] {
            let found = paths.find(path.as_bytes());
            let found = found.as_ref().map(|(place, names)| {
                (
                    *place,
                    names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
                )
            });
            assert_eq!(found, wanted, "{path}");
        }
        for text in ["a", "/{", "/}", "/{}", "/{a", "/a}b{c"] {
            assert!(Template::read(text, "").is_err(), "{text}");
        }
    }
}
