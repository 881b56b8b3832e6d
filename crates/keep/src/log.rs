//! A folder of segments: one process has it at a time, records are appended to the last file, and files go oldest first.
//!
//! Because nothing goes but from the front, a word that something is gone outlives whatever it is about. Where a file is
//! missing, foreign or damaged, what stands before that place is not believed: the word that it is gone may have stood there.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::segment::{Ending, Form, HEAD, Place, Segment};

/// How the names of segments end.
const ENDING: &str = ".keep";
/// The file whose lock says who has the folder.
const LOCK: &str = "lock";
/// The file that says that all segments are to go.
const VOID: &str = "void";

/// The files, for those who read.
pub(crate) struct Files {
    form: Form,
    open: RwLock<BTreeMap<u64, Arc<Segment>>>,
}

impl Files {
    pub(crate) fn new(form: Form) -> Files {
        Files { form, open: RwLock::default() }
    }

    fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// What a record says; none when it is not there as it was written.
    pub(crate) fn read(&self, place: Place) -> Option<Vec<u8>> {
        self.segment(place.segment)?.read(place.offset, &self.form)
    }

    fn change<R>(&self, change: impl FnOnce(&mut BTreeMap<u64, Arc<Segment>>) -> R) -> R {
        change(&mut self.open.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a walk through all files comes to.
pub(crate) enum Step {
    /// A record.
    Record(Place, Vec<u8>),
    /// The last record of a file is not whole.
    Torn,
    /// What came before is not to be believed.
    Gap,
}

/// The folder, for whoever has it.
pub(crate) struct Log {
    folder: PathBuf,
    files: Arc<Files>,
    /// The bytes of each segment.
    sizes: BTreeMap<u64, u64>,
    /// The segment that is appended to.
    active: Option<u64>,
    /// A segment that is so long is followed by another.
    most: u64,
    /// While it is open, nobody else has the folder.
    _lock: File,
}

/// Makes a folder for its owner alone.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Says that all that is kept in a folder is to go, to whoever opens it next.
pub(crate) fn void(folder: &Path) -> io::Result<()> {
    make(folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(folder.join(VOID))?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// What walks through one file.
pub(crate) struct Walker {
    segment: Arc<Segment>,
    files: Arc<Files>,
}

impl Walker {
    /// Gives each record and its place; says how the file ends.
    pub(crate) fn walk(&self, each: &mut dyn FnMut(Place, Vec<u8>)) -> Ending {
        self.segment.walk(&self.files.form, each)
    }
}

impl Log {
    /// Opens a folder, which is made where it is not there. None while another process has it.
    pub(crate) fn open(folder: &Path, files: Arc<Files>, most: u64) -> io::Result<Option<Log>> {
        make(folder)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(folder.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let mut log =
            Log { folder: folder.to_owned(), files, sizes: BTreeMap::new(), active: None, most, _lock: lock };
        log.find()?;
        if folder.join(VOID).exists() {
            log.wipe()?;
        }
        Ok(Some(log))
    }

    /// Looks which segments are there.
    fn find(&mut self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            if let Some(number) = number.and_then(|number| u64::from_str_radix(number, 16).ok()) {
                self.sizes.insert(number, entry.metadata()?.len());
            }
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016x}{ENDING}"))
    }

    /// Walks through everything, oldest first. Files that are not ours go.
    pub(crate) fn replay(&mut self, each: &mut dyn FnMut(Step)) {
        let numbers: Vec<u64> = self.sizes.keys().copied().collect();
        let mut before: Option<u64> = None;
        for number in numbers {
            if before.is_some_and(|before| before.checked_add(1) != Some(number)) {
                each(Step::Gap);
            }
            before = Some(number);
            let Ok(Some(segment)) = Segment::open(&self.path(number), number, &self.files.form) else {
                each(Step::Gap);
                let _ = self.remove(number);
                continue;
            };
            let ending =
                segment.walk(&self.files.form, &mut |place, content| each(Step::Record(place, content)));
            match ending {
                Ending::Whole => {}
                Ending::Torn => each(Step::Torn),
                Ending::Damaged => each(Step::Gap),
            }
            self.files.change(|open| open.insert(number, Arc::new(segment)));
        }
    }

    /// Appends a record: an answer, or a word about others.
    pub(crate) fn append(&mut self, content: Vec<u8>, word: bool) -> io::Result<Place> {
        let (number, segment) = self.active()?;
        let offset = self.sizes.get(&number).copied().unwrap_or(HEAD);
        let framed = segment.framed(offset, content, word, &self.files.form);
        let framed = framed.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a record is too long"))?;
        if let Err(error) = segment.file.write_all_at(&framed, offset) {
            // What was written of it must not stand before another record.
            if segment.file.set_len(offset).is_err() {
                self.active = None;
            }
            return Err(error);
        }
        let end = offset.saturating_add(framed.len() as u64);
        self.sizes.insert(number, end);
        let length = u32::try_from(framed.len()).unwrap_or(u32::MAX);
        if end >= self.most {
            // What stands in it is on the disk before anything stands in the next.
            self.active = None;
            segment.file.sync_data()?;
        }
        Ok(Place { segment: number, offset, length })
    }

    fn active(&mut self) -> io::Result<(u64, Arc<Segment>)> {
        if let Some(number) = self.active
            && let Some(segment) = self.files.segment(number)
        {
            return Ok((number, segment));
        }
        let last = self.sizes.keys().next_back().copied();
        let number = last.map_or(1, |last| last.saturating_add(1));
        let segment = Arc::new(Segment::create(&self.path(number), number, &self.files.form)?);
        self.files.change(|open| open.insert(number, segment.clone()));
        self.sizes.insert(number, HEAD);
        self.active = Some(number);
        File::open(&self.folder)?.sync_all()?;
        Ok((number, segment))
    }

    /// Brings what was appended to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let segment = self.active.and_then(|number| self.files.segment(number));
        segment.map_or(Ok(()), |segment| segment.file.sync_data())
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.values().fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.sizes.len()
    }

    /// The oldest file, which is appended to no more.
    pub(crate) fn oldest(&mut self) -> Option<u64> {
        let oldest = self.sizes.keys().next().copied()?;
        if self.active == Some(oldest) {
            self.active = None;
        }
        Some(oldest)
    }

    /// Walks through one file, while records may be appended.
    pub(crate) fn walker(&self, number: u64) -> Option<Walker> {
        Some(Walker { segment: self.files.segment(number)?, files: self.files.clone() })
    }

    /// Lets a file go.
    pub(crate) fn remove(&mut self, number: u64) -> io::Result<()> {
        match std::fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.sizes.remove(&number);
        self.files.change(|open| open.remove(&number));
        Ok(())
    }

    /// Lets all go, also if that is interrupted: the next who opens the folder goes on with it.
    pub(crate) fn wipe(&mut self) -> io::Result<()> {
        // Where nothing more can be written, what can be removed is removed all the same.
        let marked = void(&self.folder);
        self.active = None;
        let numbers: Vec<u64> = self.sizes.keys().copied().collect();
        for number in numbers {
            self.remove(number)?;
        }
        if marked.is_ok() {
            std::fs::remove_file(self.folder.join(VOID))?;
        }
        File::open(&self.folder)?.sync_all()
    }
}
