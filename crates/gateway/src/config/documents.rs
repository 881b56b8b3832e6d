//! Documents that a configuration points at: `openapi: shop.yaml` on a route, in a bundle or in `defaults`, `mock: shop.yaml`;
//! and descriptor sets, `transcode: shop.pb`.
//!
//! Read with the file that names them, relative to its folder, and watched as included files are. What stands in them is
//! judged when the configuration is compiled; here it only has to be YAML or JSON.

use super::codes;
use super::decode::decode;
use super::diagnostic::Diagnostics;
use super::load::Environment;
use super::node::{Kind, Node};
use super::place::{Span, Spanned};
use super::tree;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest document, in bytes.
const LARGEST: usize = 8 << 20;
/// Documents of one configuration.
const MOST: usize = 200;

/// What a descriptor set begins with that stands in the configuration itself.
pub const DESCRIPTOR_INLINE: &str = "base64:";

/// The file that names something, and the name there.
type Named = (u32, String);

/// All documents and descriptor sets, by the file that names them and the name there.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    documents: HashMap<Named, Arc<Document>>,
    descriptors: HashMap<Named, Arc<[u8]>>,
}

/// One document.
#[derive(Debug)]
pub struct Document {
    /// Where it was read.
    pub path: PathBuf,
    /// What it says.
    pub value: Value,
    node: Node,
}

impl PartialEq for Documents {
    /// Equal when the same files say the same, whoever names them.
    fn eq(&self, other: &Self) -> bool {
        let has = |documents: &Documents, one: &Document| {
            documents.documents.values().any(|known| known.path == one.path && known.node == one.node)
        };
        self.documents.len() == other.documents.len()
            && self.documents.values().all(|one| has(other, one))
            && self.descriptors == other.descriptors
    }
}

impl Documents {
    /// The document of a name, as it is written in a file.
    pub fn get(&self, name: &Spanned<String>) -> Option<&Arc<Document>> {
        self.documents.get(&(name.span().file, name.to_string()))
    }

    /// The descriptor set of a name, as it is written in a file.
    pub fn descriptors(&self, name: &Spanned<String>) -> Option<&Arc<[u8]>> {
        self.descriptors.get(&(name.span().file, name.to_string()))
    }
}

impl Document {
    /// A document that stands in no configuration, such as one that is imported.
    pub fn read(path: &Path, text: String, diagnostics: &mut Diagnostics) -> Option<Document> {
        let file = diagnostics.files_mut().add(&path.display().to_string(), text);
        let node = tree::parse(file, diagnostics)?;
        let value = decode::<Value>(&node, diagnostics)?;
        Some(Document { path: path.to_owned(), value, node })
    }

    /// Where the value at a JSON pointer stands, or what is nearest around it.
    pub fn place(&self, pointer: &str) -> Span {
        let (mut node, mut span) = (&self.node, self.node.span);
        for part in pointer.split('/').skip(1) {
            let key = part.replace("~1", "/").replace("~0", "~");
            let index = key.parse::<usize>().ok();
            let entry = node.entries().iter().find(|entry| *entry.key == key);
            let next = match (entry, index.and_then(|index| node.items().get(index))) {
                (Some(entry), _) => (&entry.value, entry.key.span()),
                (None, Some(item)) => (item, item.span),
                (None, None) => break,
            };
            (node, span) = next;
        }
        span
    }
}

/// Reads what a file points at.
pub(super) fn collect(
    tree: &Node,
    folder: Option<&Path>,
    environment: &dyn Environment,
    diagnostics: &mut Diagnostics,
    (documents, paths): (&mut Documents, &mut Vec<PathBuf>),
) {
    // A mere text has no folder in which they could be.
    let Some(folder) = folder else { return };
    let of = |key: &str| tree.get(key).map_or(&[][..], Node::entries).iter().map(|entry| &entry.value);
    let holders = of("routes").chain(of("policies")).chain(tree.get("defaults"));
    descriptors(holders.clone(), folder, environment, diagnostics, (documents, paths));
    for named in holders.flat_map(|holder| [holder.get("openapi"), holder.get("mock")]).flatten() {
        let Some(node) = name(named) else { continue };
        let Some(text) = node.text() else { continue };
        let key = (node.span.file, text.to_owned());
        if documents.documents.contains_key(&key) {
            continue;
        }
        if documents.documents.len() >= MOST {
            diagnostics.error(codes::TOO_LARGE, node.span, format!("more than {MOST} documents"));
            return;
        }
        let path = folder.join(text);
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        let read = match environment.file(&path) {
            Ok(text) if text.len() <= LARGEST => Some(text),
            Ok(_) => {
                let message = format!("the document `{}` is larger than 8 MiB", path.display());
                diagnostics.error(codes::TOO_LARGE, node.span, message);
                None
            }
            Err(error) => {
                diagnostics
                    .error(
                        codes::UNREADABLE,
                        node.span,
                        format!("cannot read the document `{}`: {error}", path.display()),
                    )
                    .help("relative paths start at the folder of the file that names them");
                None
            }
        };
        if let Some(document) = read.and_then(|text| Document::read(&path, text, diagnostics)) {
            documents.documents.insert(key, Arc::new(document));
        }
    }
}

/// Reads the descriptor sets that routes name: `transcode: shop.pb`, `transcode: { descriptor: shop.pb }`.
fn descriptors<'n>(
    holders: impl Iterator<Item = &'n Node>,
    folder: &Path,
    environment: &dyn Environment,
    diagnostics: &mut Diagnostics,
    (documents, paths): (&mut Documents, &mut Vec<PathBuf>),
) {
    for named in holders.filter_map(|holder| holder.get("transcode")) {
        let node = if let Kind::Map(_) = named.kind { named.get("descriptor") } else { Some(named) };
        let Some((node, text)) = node.and_then(|node| Some((node, node.text()?))) else { continue };
        let key = (node.span.file, text.to_owned());
        if text.starts_with(DESCRIPTOR_INLINE) || documents.descriptors.contains_key(&key) {
            continue;
        }
        if documents.descriptors.len() >= MOST {
            diagnostics.error(codes::TOO_LARGE, node.span, format!("more than {MOST} descriptor sets"));
            return;
        }
        let path = folder.join(text);
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        match environment.bytes(&path) {
            Ok(bytes) if bytes.len() <= LARGEST => {
                documents.descriptors.insert(key, bytes.into());
            }
            Ok(_) => {
                let message = format!("the descriptor set `{}` is larger than 8 MiB", path.display());
                diagnostics.error(codes::TOO_LARGE, node.span, message);
            }
            Err(error) => {
                let message = format!("cannot read the descriptor set `{}`: {error}", path.display());
                diagnostics
                    .error(codes::UNREADABLE, node.span, message)
                    .help("relative paths start at the folder of the file that names them");
            }
        }
    }
}

/// Where the name of the document stands: the value itself, or a key of it.
fn name(named: &Node) -> Option<&Node> {
    match named.kind {
        Kind::Map(_) => named.get("file").or_else(|| named.get("openapi")),
        Kind::List(_) => None,
        Kind::Scalar(_) => Some(named),
    }
}
