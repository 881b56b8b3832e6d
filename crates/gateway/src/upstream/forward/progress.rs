//! What the two directions of an exchange know of each other, and how they run in one task.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::super::health::attempt::Waiting;
use crate::fault::Fault;
use crate::http::incoming::Broken;
use crate::http::timer::Timer;

/// How far the upload is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    Running,
    Complete,
    /// The endpoint takes no more; what it answers still counts.
    Refused,
}

/// What the two directions of an exchange know of each other.
pub(super) struct Progress {
    pub(super) upload: Cell<Upload>,
    /// Whether the head of the answer is there.
    pub(super) answered: Cell<bool>,
    pub(super) waiting: Cell<Option<Waiting>>,
}

impl Progress {
    /// Nothing has gone either way.
    pub(super) fn begin(waiting: Option<Waiting>) -> Progress {
        Progress {
            upload: Cell::new(Upload::Running),
            answered: Cell::new(false),
            waiting: Cell::new(waiting),
        }
    }

    /// The head of the answer has come, with this status.
    pub(super) fn answered(&self, status: u16) {
        self.answered.set(true);
        if let Some(waiting) = self.waiting.take() {
            waiting.answered(status);
        }
    }
}

/// Runs both directions until the answer is out, the client is at fault, or the route's time is over before the
/// head of the answer is there. Once all is sent, the answer comes first: the upload then only watches the client.
pub(super) async fn race<T>(
    mut upload: Pin<&mut impl Future<Output = Fault>>,
    mut download: Pin<&mut impl Future<Output = Result<T, Fault>>>,
    progress: &Progress,
    total: &Timer,
) -> Result<T, Fault> {
    poll_fn(|cx| {
        let sent = progress.upload.get() == Upload::Complete;
        if sent && let Poll::Ready(ended) = download.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(fault) = upload.as_mut().poll(cx) {
            return Poll::Ready(Err(fault));
        }
        if !sent && let Poll::Ready(ended) = download.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        if !progress.answered.get() && total.expired(cx) {
            return Poll::Ready(Err(Fault::Timeout));
        }
        Poll::Pending
    })
    .await
}

pub(super) fn answer_fault(broken: Broken) -> Fault {
    match broken {
        Broken::Io(std::io::ErrorKind::TimedOut) => Fault::AnswerStalled,
        Broken::Io(_) | Broken::Rule(_) => Fault::AnswerCut,
    }
}
