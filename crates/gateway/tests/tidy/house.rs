//! The walk over the repository: which files the rules see.
//! Takes the root (two folders above this crate); gives Rust sources, documents and examples.
//! It must never look into build output, fetched packages or hidden folders other than `.ci`.

use std::fs;
use std::path::{Path, PathBuf};

use super::documents::Example;
use super::source::{Offence, Source};

/// The files of the repository.
pub(crate) struct House {
    root: PathBuf,
    pub(crate) sources: Vec<Source>,
    /// Markdown files: path and text.
    pub(crate) documents: Vec<(String, String)>,
    pub(crate) examples: Vec<Example>,
}

impl House {
    pub(crate) fn read() -> House {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let mut house =
            House { root: root.clone(), sources: Vec::new(), documents: Vec::new(), examples: Vec::new() };
        house.walk(&root);
        house.read_examples();
        house
    }

    /// The offences of a rule that looks at one file at a time.
    pub(crate) fn each_source(&self, rule: impl Fn(&Source) -> Vec<Offence>) -> Vec<Offence> {
        self.sources.iter().flat_map(rule).collect()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// A file as it is, by its path from the root.
    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    fn walk(&mut self, folder: &Path) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = ["target", "node_modules", "corpus", "artifacts", "dist"].contains(&&*name);
                if !skipped && (!name.starts_with('.') || name == ".ci") {
                    self.walk(&path);
                }
            } else if name.ends_with(".rs") {
                let source = Source::new(&self.relative(&path), &fs::read_to_string(&path).unwrap());
                self.sources.push(source);
            } else if name.ends_with(".md") {
                self.documents.push((self.relative(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }

    fn read_examples(&mut self) {
        let Ok(entries) = fs::read_dir(self.root.join("examples")) else { return };
        for path in entries.map(|e| e.unwrap().path()).filter(|path| path.is_dir()) {
            self.examples.push(Example {
                path: self.relative(&path),
                has_configuration: path.join("gateway.yaml").is_file(),
                has_readme: path.join("README.md").is_file(),
            });
        }
        self.examples.sort_by(|a, b| a.path.cmp(&b.path));
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap().to_string_lossy().replace('\\', "/")
    }
}
