//! One tree from many files: `include:` in a file, or a folder instead of a file.
//!
//! Takes a path; gives the merged tree. `listeners`, `consumers`, `services`, `policies`, `routes` and `tests` come
//! together from all files; every other key stands in one of them only. Reads each file once.

use super::codes;
use super::decode::decode_key;
use super::diagnostic::Diagnostics;
use super::documents::{self, Documents};
use super::load::Environment;
use super::node::{Entry, Kind, Node};
use super::pairs::OneOrMany;
use super::place::{Span, Spanned};
use super::{tree, variables};
use std::collections::{HashMap, HashSet, hash_map};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Parts of a configuration that may be spread over files.
const SPREAD: [&str; 6] = ["listeners", "consumers", "services", "policies", "routes", "tests"];
/// How many files a configuration may have.
const MOST_FILES: usize = 1_000;

/// Collects the files of a configuration.
pub(super) struct Gathering<'a> {
    environment: &'a dyn Environment,
    diagnostics: &'a mut Diagnostics,
    seen: HashSet<PathBuf>,
    /// All that was read and should be watched.
    pub(super) paths: Vec<PathBuf>,
    entries: Vec<Entry>,
    documents: Documents,
    /// Where each key was first written: those of the file under the empty name, those of a part under its name.
    places: HashMap<String, HashMap<String, Span>>,
    start: Option<Span>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(environment: &'a dyn Environment, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            environment,
            diagnostics,
            seen: HashSet::new(),
            paths: Vec::new(),
            entries: Vec::new(),
            documents: Documents::default(),
            places: HashMap::new(),
            start: None,
        }
    }

    /// Adds a file, or all files of a folder, and what they include. `asked` is where that was written.
    pub(super) fn path(&mut self, path: &Path, asked: Span) {
        if !path.is_dir() {
            return self.file(path, asked);
        }
        match yaml_files(path) {
            Ok(files) if files.is_empty() => {
                self.diagnostics
                    .error(
                        codes::UNREADABLE,
                        asked,
                        format!("the folder `{}` holds no YAML file", path.display()),
                    )
                    .help("files must end in .yaml, .yml or .json");
            }
            Ok(files) => files.iter().for_each(|file| self.file(file, asked)),
            Err(error) => {
                let message = format!("cannot read the folder `{}`: {error}", path.display());
                self.diagnostics.error(codes::UNREADABLE, asked, message);
            }
        }
    }

    /// Adds a file with this text instead of its own.
    pub(super) fn draft(&mut self, path: &Path, text: &str) {
        self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        self.paths.push(path.to_owned());
        self.text(&path.display().to_string(), text.to_owned(), path.parent());
    }

    fn file(&mut self, path: &Path, asked: Span) {
        if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
            return;
        }
        if self.seen.len() > MOST_FILES {
            self.diagnostics.error(codes::TOO_LARGE, asked, format!("more than {MOST_FILES} files"));
            return;
        }
        self.paths.push(path.to_owned());
        let name = path.display().to_string();
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => self.text(&name, text, path.parent()),
            Ok(Err(error)) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let file = self.diagnostics.files_mut().add(&name, text);
                let at = u32::try_from(valid).unwrap_or(0);
                let span = Span { file, start: at, end: at };
                self.diagnostics.error(codes::SYNTAX, span, "not UTF-8").help("save the file as UTF-8");
            }
            Err(error) => {
                let help = (error.kind() == ErrorKind::NotFound && asked.is_none())
                    .then(|| "name another file, or let `tidegate init` write one".to_owned());
                let message = format!("cannot read `{name}`: {error}");
                self.diagnostics.error(codes::UNREADABLE, asked, message).help_if(help);
            }
        }
    }

    /// Adds a text. Without a folder it includes nothing.
    pub(super) fn text(&mut self, name: &str, text: String, folder: Option<&Path>) {
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let file = self.diagnostics.files_mut().add(name, text);
        let Some(mut tree) = tree::parse(file, self.diagnostics) else { return };
        let read = variables::replace(
            &mut tree,
            folder.unwrap_or(Path::new("")),
            self.environment,
            self.diagnostics,
        );
        self.paths.extend(read);
        let found = (&mut self.documents, &mut self.paths);
        documents::collect(&tree, folder, self.environment, self.diagnostics, found);
        let is_map = matches!(tree.kind, Kind::Map(_));
        if is_map || tree.is_null() {
            self.start.get_or_insert(Span { end: tree.span.start, ..tree.span });
        }
        if !is_map && !tree.is_null() {
            let found = tree.describe();
            self.diagnostics
                .error(codes::WRONG_TYPE, tree.span, format!("a configuration is a map, found {found}"))
                .help("begin with `listen: 0.0.0.0:8080`");
            return;
        }
        let include = tree.entries().iter().find(|entry| *entry.key == "include").cloned();
        if let Kind::Map(entries) = tree.kind {
            entries.into_iter().filter(|entry| *entry.key != "include").for_each(|entry| self.merge(entry));
        }
        if let Some(include) = include {
            self.include(&include, folder);
        }
    }

    fn include(&mut self, include: &Entry, folder: Option<&Path>) {
        let Some(patterns) =
            decode_key::<OneOrMany<Spanned<String>>>(&include.key, &include.value, self.diagnostics)
        else {
            return;
        };
        let Some(folder) = folder else {
            let message = "`include` needs a file: this configuration is a mere text";
            self.diagnostics.error(codes::UNREADABLE, include.key.span(), message);
            return;
        };
        for pattern in &*patterns {
            if !pattern.contains('*') {
                self.path(&folder.join(pattern.as_str()), pattern.span());
                continue;
            }
            match matching(folder, pattern) {
                Ok(files) if files.is_empty() => {
                    let message = format!("no file matches `{}`", pattern.as_str());
                    self.diagnostics.warning(codes::UNUSED, pattern.span(), message);
                }
                Ok(files) => files.iter().for_each(|file| self.file(file, pattern.span())),
                Err(error) => {
                    let message = format!("cannot include `{}`: {error}", pattern.as_str());
                    self.diagnostics.error(codes::UNREADABLE, pattern.span(), message);
                }
            }
        }
    }

    fn merge(&mut self, entry: Entry) {
        let spread = SPREAD.contains(&entry.key.as_str());
        if !spread || !matches!(entry.value.kind, Kind::Map(_)) {
            if self.is_new(&entry.key, None) {
                self.entries.push(entry);
            }
            return;
        }
        let Entry { key, value } = entry;
        let Kind::Map(inner) = value.kind else { return };
        let inner: Vec<Entry> = inner.into_iter().filter(|one| self.is_new(&one.key, Some(&key))).collect();
        match self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value.kind) {
            Some(Kind::Map(known)) => known.extend(inner),
            // Something that is no map stands there: that is reported when it is read.
            Some(_) => {}
            None => self.entries.push(Entry { key, value: Node::map(value.span, inner) }),
        }
    }

    /// Whether a key was not written before; if it was, that is a fault naming both places.
    fn is_new(&mut self, key: &Spanned<String>, part: Option<&str>) -> bool {
        let part = part.unwrap_or("");
        if !self.places.contains_key(part) {
            self.places.insert(part.to_owned(), HashMap::new());
        }
        let Some(known) = self.places.get_mut(part) else { return true };
        match known.entry(key.to_string()) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(key.span());
                true
            }
            hash_map::Entry::Occupied(first) => {
                let inside = if part.is_empty() { String::new() } else { format!(" in `{part}`") };
                self.diagnostics
                    .error(
                        codes::DUPLICATE_KEY,
                        key.span(),
                        format!("the key `{}` stands here again{inside}", **key),
                    )
                    .note(*first.get(), "first written here");
                false
            }
        }
    }

    /// The tree of all files together, the documents that they point at, and what to watch.
    pub(super) fn finish(self) -> (Node, Documents, Vec<PathBuf>) {
        (Node::map(self.start.unwrap_or(Span::NONE), self.entries), self.documents, self.paths)
    }
}

/// The files of a folder that may be parts of a configuration, in order of their names.
fn yaml_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
        if matches!(extension, Some("yaml" | "yml" | "json")) && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The files that match a pattern with `*` in its last part, in order of their names.
fn matching(folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let (folder, last) = match pattern.rsplit_once('/') {
        Some((before, last)) => (folder.join(before), last),
        None => (folder.to_owned(), pattern),
    };
    if folder.to_string_lossy().contains('*') {
        return Err(std::io::Error::other("a `*` stands only in the last part of the path"));
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let matches =
            entry.file_name().to_str().is_some_and(|name| glob(last, name) && !name.starts_with('.'));
        if matches && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, matches) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("*", "anything", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*b", "ab", true),
            ("ab*b", "ab", false),
            ("plain", "plain", true),
            ("plain", "plainer", false),
        ] {
            assert_eq!(glob(pattern, name), matches, "{pattern} {name}");
        }
    }
}
