//! The threads that read what is kept, for those who must not wait for a disk.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{Answer, Read, Shared};

/// How many read at once.
const THREADS: usize = 2;
/// How many may wait to be read for.
const WAITING: usize = 256;

/// Somebody who wants to know what is kept under a key.
pub(crate) struct Question {
    pub(crate) key: Vec<u8>,
    pub(crate) then: Box<dyn FnOnce(Vec<Read>) + Send>,
}

/// Starts the threads. They end when nobody can ask any more.
pub(crate) fn start<A: Answer>(shared: &Arc<Shared<A>>) -> std::io::Result<SyncSender<Question>> {
    let (ask, asked) = sync_channel(WAITING);
    let asked = Arc::new(Mutex::new(asked));
    for _ in 0..THREADS {
        let (shared, asked) = (shared.clone(), asked.clone());
        std::thread::Builder::new().name("keep-read".into()).spawn(move || answer(&shared, &asked))?;
    }
    Ok(ask)
}

fn answer<A: Answer>(shared: &Shared<A>, asked: &Mutex<Receiver<Question>>) {
    loop {
        let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { key, then }) = next else { return };
        then(shared.read(&key));
    }
}
