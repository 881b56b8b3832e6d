//! From text to tree: strict YAML 1.2, with every place kept.
//!
//! Takes one file's text; gives a `Node` or reports why not. Duplicate keys, tags, merge keys and several documents
//! are faults; depth and the growth through aliases are bounded. Means nothing by any key.

use super::codes;
use super::diagnostic::Diagnostics;
use super::node::{Entry, Form, Kind, Node, Scalar};
use super::place::{Span, Spanned};
use super::syntax;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as Marks, Tag};
use std::collections::{HashMap, hash_map};

/// How deep lists and maps may stand in each other.
const DEEPEST: usize = 64;
/// How many nodes aliases may add.
const ALIAS_BUDGET: usize = 100_000;
/// The largest file, in bytes.
const LARGEST_FILE: usize = 16 << 20;

/// Reads the text of a file that `diagnostics` knows by this number. An empty text is an empty map.
pub(super) fn parse(file: u32, diagnostics: &mut Diagnostics) -> Option<Node> {
    let files = diagnostics.files().clone();
    let text = files.text(file);
    if text.len() > LARGEST_FILE {
        let start = Span { file, start: 0, end: 0 };
        diagnostics.error(codes::TOO_LARGE, start, "the file is larger than 16 MiB");
        return None;
    }
    let mut builder = Builder::new(file, text, diagnostics);
    let mut parser = Parser::new_from_str(text);
    loop {
        // The parser is other people's code fed with other people's text: its panic would be one bad file, not the
        // end of a running gateway.
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| parser.next_event()));
        match step {
            Ok(Some(Ok((event, marks)))) => {
                builder.event(event, marks)?;
            }
            Ok(Some(Err(error))) => {
                builder.refuse_text(&error);
                return None;
            }
            Ok(None) => break,
            Err(_) => {
                let span = Span { file, start: 0, end: 0 };
                builder.diagnostics.error(
                    codes::SYNTAX,
                    span,
                    "not valid YAML: the parser cannot read this text",
                );
                return None;
            }
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::map(Span { file, start: 0, end: 0 }, Vec::new())))
}

/// A list or map that is not closed yet.
struct Open {
    anchor: usize,
    start: Span,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// `index` is empty until the map is large: most have a few keys, which are found faster by looking.
    Map {
        entries: Vec<Entry>,
        index: HashMap<String, Span>,
        key: Option<Spanned<String>>,
    },
}

struct Builder<'t, 'd> {
    file: u32,
    offsets: Offsets<'t>,
    diagnostics: &'d mut Diagnostics,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    documents: usize,
    root: Option<Node>,
}

impl<'t, 'd> Builder<'t, 'd> {
    fn new(file: u32, text: &'t str, diagnostics: &'d mut Diagnostics) -> Self {
        Self {
            file,
            offsets: Offsets { text, at_char: 0, at_byte: 0, ascii: text.is_ascii() },
            diagnostics,
            open: Vec::new(),
            anchors: HashMap::new(),
            aliased: 0,
            documents: 0,
            root: None,
        }
    }

    /// Reports where the text stops being YAML.
    fn refuse_text(&mut self, error: &ScanError) {
        let (span, said) = (self.span(Marks::empty(*error.marker())), error.info());
        let remedy = syntax::remedy(said, self.offsets.text, span.start as usize);
        let report = self.diagnostics.error(codes::SYNTAX, span, format!("not valid YAML: {said}"));
        let report = report.help_if(remedy.map(str::to_owned));
        // What is not closed may have been opened far above.
        if let (true, Some(open)) = (said.contains("flow"), self.open.last()) {
            report.note(Span { end: open.start.start.saturating_add(1), ..open.start }, "opened here");
        }
    }

    /// Takes one event; `None` when reading on makes no sense.
    fn event(&mut self, event: Event<'_>, marks: Marks) -> Option<()> {
        let span = self.span(marks);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let form = self.form(style, tag.as_deref(), span)?;
                let node = Node { span, kind: Kind::Scalar(Scalar { text: text.into_owned(), form }) };
                self.take(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.enter(Content::List(Vec::new()), anchor, tag.as_deref(), span)
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), index: HashMap::new(), key: None };
                self.enter(content, anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    self.diagnostics
                        .error(codes::SYNTAX, span, "a second document begins here")
                        .help("put it into a file of its own and `include` it");
                    return None;
                }
                Some(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
        }
    }

    fn form(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Option<Form> {
        match tag {
            None if style == ScalarStyle::Plain => Some(Form::Plain),
            None => Some(Form::Quoted),
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Some(Form::Quoted),
            Some(tag) => self.refuse_tag(tag, span),
        }
    }

    fn refuse_tag<T>(&mut self, tag: &Tag, span: Span) -> Option<T> {
        let message = if tag.is_yaml_core_schema() {
            format!("the tag `!!{}` is not supported", tag.suffix)
        } else {
            format!("the tag `{}{}` is not supported", tag.handle, tag.suffix)
        };
        self.diagnostics
            .error(codes::SYNTAX, span, message)
            .help("remove it: kinds follow from what is needed");
        None
    }

    fn enter(&mut self, content: Content, anchor: usize, tag: Option<&Tag>, start: Span) -> Option<()> {
        if let Some(tag) = tag {
            return self.refuse_tag(tag, start);
        }
        if let Some(Open { content: Content::Map { key: None, .. }, .. }) = self.open.last() {
            self.diagnostics
                .error(codes::SYNTAX, start, "a key must be a text")
                .label("a list or a map as key");
            return None;
        }
        if self.open.len() >= DEEPEST {
            return self.too_deep(start);
        }
        self.open.push(Open { anchor, start, content });
        Some(())
    }

    fn too_deep(&mut self, span: Span) -> Option<()> {
        let message = format!("more than {DEEPEST} levels of lists and maps");
        self.diagnostics.error(codes::TOO_LARGE, span, message);
        None
    }

    fn leave(&mut self, end: Span) -> Option<()> {
        let Open { anchor, start, content } = self.open.pop()?;
        let kind = match content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        let span = Span { end: end.end.max(start.end), ..start };
        self.take(Node { span, kind }, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.diagnostics.error(codes::SYNTAX, span, "an alias stands inside what it refers to");
            return None;
        };
        let (count, height) = measure(node);
        let node = node.clone();
        self.aliased = self.aliased.saturating_add(count);
        if self.aliased > ALIAS_BUDGET {
            let message = format!("aliases blow the configuration up by more than {ALIAS_BUDGET} nodes");
            self.diagnostics.error(codes::TOO_LARGE, span, message);
            return None;
        }
        if self.open.len().saturating_add(height) > DEEPEST {
            return self.too_deep(span);
        }
        self.take(node, 0)
    }

    /// Puts a finished node where it belongs.
    fn take(&mut self, node: Node, anchor: usize) -> Option<()> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, index, key } => match key.take() {
                None => {
                    let Kind::Scalar(Scalar { text, .. }) = node.kind else { return None };
                    if text == "<<" {
                        self.diagnostics
                            .error(codes::SYNTAX, node.span, "merge keys (`<<`) are not part of YAML 1.2")
                            .help("define a bundle under `policies:` and name it in `use:`");
                        return None;
                    }
                    *key = Some(Spanned::new(text, node.span));
                }
                Some(key) => match first_place(entries, index, &key) {
                    None => entries.push(Entry { key, value: node }),
                    Some(first) => {
                        self.diagnostics
                            .error(
                                codes::DUPLICATE_KEY,
                                key.span(),
                                format!("the key `{}` stands here again", *key),
                            )
                            .note(first, "first written here");
                    }
                },
            },
        }
        Some(())
    }

    /// From the parser's characters to our bytes.
    fn span(&mut self, marks: Marks) -> Span {
        let start = self.offsets.byte(marks.start);
        let end = self.offsets.byte(marks.end).max(start);
        Span { file: self.file, start, end }
    }
}

/// Maps with more keys than this are searched through an index.
const LARGE_MAP: usize = 16;

/// Where a key was written before in the same map.
fn first_place(entries: &[Entry], index: &mut HashMap<String, Span>, key: &Spanned<String>) -> Option<Span> {
    if entries.len() < LARGE_MAP {
        return entries.iter().find(|entry| entry.key == *key).map(|entry| entry.key.span());
    }
    if index.is_empty() {
        index.extend(entries.iter().map(|entry| (entry.key.to_string(), entry.key.span())));
    }
    match index.entry(key.to_string()) {
        hash_map::Entry::Occupied(first) => Some(*first.get()),
        hash_map::Entry::Vacant(vacant) => {
            vacant.insert(key.span());
            None
        }
    }
}

/// How many nodes a tree has, and how many levels of lists and maps.
fn measure(node: &Node) -> (usize, usize) {
    let of_children = |children: &mut dyn Iterator<Item = &Node>| {
        children.map(measure).fold((1_usize, 1_usize), |(count, height), (more, deep)| {
            (count.saturating_add(more), height.max(deep.saturating_add(1)))
        })
    };
    match &node.kind {
        Kind::Scalar(_) => (1, 0),
        Kind::List(items) => of_children(&mut items.iter()),
        Kind::Map(entries) => of_children(&mut entries.iter().map(|entry| &entry.value)),
    }
}

/// Turns positions in characters into positions in bytes. Marks come almost in order, so it walks from the last one.
struct Offsets<'t> {
    text: &'t str,
    at_char: usize,
    at_byte: usize,
    ascii: bool,
}

impl Offsets<'_> {
    fn byte(&mut self, marker: Marker) -> u32 {
        let wanted = marker.index();
        let byte = if self.ascii {
            wanted.min(self.text.len())
        } else {
            if wanted < self.at_char.saturating_sub(wanted) {
                (self.at_char, self.at_byte) = (0, 0);
            }
            self.walk(wanted);
            self.at_byte
        };
        u32::try_from(byte).unwrap_or(u32::MAX)
    }

    fn walk(&mut self, wanted: usize) {
        while self.at_char < wanted {
            let Some(next) = self.text.get(self.at_byte..).and_then(|rest| rest.chars().next()) else {
                return;
            };
            self.at_byte = self.at_byte.saturating_add(next.len_utf8());
            self.at_char = self.at_char.saturating_add(1);
        }
        while self.at_char > wanted {
            let Some(before) = self.text.get(..self.at_byte).and_then(|text| text.chars().next_back()) else {
                return;
            };
            self.at_byte = self.at_byte.saturating_sub(before.len_utf8());
            self.at_char = self.at_char.saturating_sub(1);
        }
    }
}
