//! The documents of a configuration, each compiled once however many routes point at it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use contract::{Api, Judged};

use crate::config::{Diagnostics, Documents, Spanned, codes};

/// Compiled documents by file, and what is judged by them; none for one with flaws, which have been told.
type Known = HashMap<(PathBuf, Judged), Option<Arc<Api>>>;

/// The documents of a configuration.
#[derive(Default)]
pub struct Contracts {
    documents: Documents,
    /// Whether what is not there is missing: not so where a policy is looked at alone.
    is_whole: bool,
    known: RefCell<Known>,
}

impl Contracts {
    /// Those that were read with it.
    pub fn new(documents: Documents) -> Contracts {
        Contracts { documents, is_whole: true, known: RefCell::default() }
    }

    /// Whether there are documents at all.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The descriptor set of a name. None when it was not read.
    pub fn descriptors(&self, name: &Spanned<String>) -> Option<Arc<[u8]>> {
        self.documents.descriptors(name).cloned()
    }

    /// The document of a name. None when it cannot be used, which is reported once, or was not read.
    pub fn api(&self, name: &Spanned<String>, judged: Judged, faults: &mut Diagnostics) -> Option<Arc<Api>> {
        let Some(document) = self.documents.get(name) else {
            // One that could not be read has been reported, and nothing is compiled then.
            if self.is_whole {
                let fault = "a document needs a file: this configuration is a mere text";
                faults.error(codes::BAD_DOCUMENT, name.span(), fault);
            }
            return None;
        };
        let key = (document.path.clone(), judged);
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let read = Api::new(document.value.clone(), judged);
        let api = match read {
            Ok(api) => Some(Arc::new(api)),
            Err(flaws) => {
                for flaw in flaws {
                    faults
                        .error(codes::BAD_DOCUMENT, document.place(&flaw.pointer), flaw.what)
                        .note(name.span(), "the document is named here");
                }
                None
            }
        };
        self.known.borrow_mut().insert(key, api.clone());
        api
    }
}
