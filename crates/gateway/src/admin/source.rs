//! Where the configuration comes from: a file, a folder, or a text that lives in the process.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::state_folder;
use crate::config::{self, Diagnostics, Environment, Known, Loaded};
use crate::policies;
use crate::snapshot::Snapshot;
use crate::snapshot::compile::compile;

/// Where the configuration comes from.
#[derive(Clone)]
pub enum Source {
    /// A file, or a folder of files.
    Path(PathBuf),
    /// A text with variables of its own: `run --to`, the demo.
    Text {
        /// Stands for the file in messages.
        name: String,
        /// The configuration. Clones share it.
        text: Words,
        /// Variables, before those of the process.
        variables: BTreeMap<String, String>,
    },
}

/// A text that may be replaced; clones share it.
#[derive(Clone)]
pub struct Words(Arc<RwLock<Arc<str>>>);

impl From<&str> for Words {
    fn from(text: &str) -> Words {
        Words(Arc::new(RwLock::new(text.into())))
    }
}

impl Words {
    fn get(&self) -> Arc<str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, text: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
}

struct Variables<'a>(&'a BTreeMap<String, String>);

impl Environment for Variables<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned().or_else(|| config::System.variable(name))
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        config::System.file(path)
    }
}

impl Source {
    /// Reads and checks the configuration as written.
    ///
    /// # Errors
    /// All its faults.
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        let names: Vec<&str> = policies::LIST.iter().map(|kind| kind.name).collect();
        let known = Known { policies: &names };
        match self {
            Source::Path(path) => config::load(path, &config::System, &known),
            Source::Text { name, text, variables } => {
                config::load_text(name, &*text.get(), &Variables(variables), &known)
            }
        }
    }

    /// The same as if this text stood there.
    fn load_draft(&self, draft: &str) -> Result<Loaded, Diagnostics> {
        let names: Vec<&str> = policies::LIST.iter().map(|kind| kind.name).collect();
        let known = Known { policies: &names };
        match self {
            Source::Path(path) => config::load_draft(path, draft, &config::System, &known),
            Source::Text { name, variables, .. } => {
                config::load_text(name, draft, &Variables(variables), &known)
            }
        }
    }

    /// Reads, checks and compiles. The diagnostics are the warnings, or all the faults.
    ///
    /// # Errors
    /// All the faults.
    pub fn compile(
        &self,
        revision: u64,
        previous: Option<&Snapshot>,
        workers: usize,
    ) -> Result<(Loaded, Snapshot), Diagnostics> {
        compiled(self.load()?, revision, previous, workers)
    }

    /// The same as if this text stood there.
    ///
    /// # Errors
    /// All the faults.
    pub fn compile_draft(
        &self,
        draft: &str,
        revision: u64,
        previous: Option<&Snapshot>,
        workers: usize,
    ) -> Result<(Loaded, Snapshot), Diagnostics> {
        compiled(self.load_draft(draft)?, revision, previous, workers)
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Source::Path(path) => path.display().to_string(),
            Source::Text { name, .. } => name.clone(),
        }
    }

    /// The text that stands there.
    ///
    /// # Errors
    /// A sentence where there is not one text, or it cannot be read.
    pub fn text(&self) -> Result<String, String> {
        match self {
            Source::Path(path) if path.is_dir() => {
                Err("the configuration is a folder of files: change them on the disk".into())
            }
            Source::Path(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display())),
            Source::Text { text, .. } => Ok(text.get().to_string()),
        }
    }

    /// Puts a text there, in one step.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, text: &str) -> io::Result<()> {
        match self {
            Source::Path(path) => state_folder::replace(path, text.as_bytes(), 0o644),
            Source::Text { text: words, .. } => {
                words.set(text);
                Ok(())
            }
        }
    }

    /// Whether it seems that a text can be put there. The file system has the last word.
    pub fn is_writable(&self) -> bool {
        match self {
            Source::Path(path) if path.is_dir() => false,
            Source::Path(path) => {
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                let folder = real.parent().unwrap_or(Path::new("."));
                let may = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
                may(folder) && may(&real)
            }
            Source::Text { .. } => true,
        }
    }
}

fn compiled(
    mut loaded: Loaded,
    revision: u64,
    previous: Option<&Snapshot>,
    workers: usize,
) -> Result<(Loaded, Snapshot), Diagnostics> {
    match compile(&loaded.config, revision, previous, workers, &mut loaded.diagnostics) {
        Some(snapshot) => {
            loaded.paths.extend(snapshot.identities.iter().flat_map(|identity| identity.paths.all()));
            Ok((loaded, snapshot))
        }
        None => Err(loaded.diagnostics),
    }
}
