//! A connection as `h2` wants it, with an eye on every frame that passes.
//!
//! Takes a socket and what was read of it already; gives `AsyncRead` and `AsyncWrite`. When a budget is overdrawn it
//! hands nothing on any more: whoever drives the connection ends it. A head that does not come to its end and a peer
//! that takes nothing end it too.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::budget::{Budget, Misuse};
use super::frames::{Frame, Frames, Passing, kind};
use super::hpack::{Blocks, Odd};
use super::huffman::Malformed;
use crate::http::buffer::{Buffer, SIZE};
use crate::http::socket::{Socket, WRITE_PROGRESS};
use crate::http::timer::{Timer, Timers};

/// Pieces that one write takes.
const PIECES: usize = 4;
/// Bytes handed on in one turn, so that the streams they open are looked at before there are more.
const TURN: usize = 16 * 1024;

/// What is known of the frames of one connection. Shared by its wire and whoever drives it.
pub struct Watch {
    budget: RefCell<Budget>,
    misuse: Cell<Option<Misuse>>,
    seen: Cell<Seen>,
    /// The stream opened last, and how many were opened.
    newest: Cell<u32>,
    streams: Cell<u64>,
    blocks: RefCell<Blocks>,
    /// The stream of the block that comes, and whether the block is of trailers.
    coming: Cell<(u32, bool)>,
    /// Streams whose paths had fragments and that were not asked for yet.
    fragments: RefCell<Vec<u32>>,
    timers: Rc<Timers>,
}

/// What passed on a connection.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Seen {
    /// RST_STREAM frames of the peer.
    pub resets_received: u32,
    /// RST_STREAM frames sent.
    pub resets_sent: u32,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(timers: &Rc<Timers>) -> Rc<Watch> {
        Rc::new(Watch {
            budget: RefCell::default(),
            misuse: Cell::default(),
            seen: Cell::default(),
            newest: Cell::default(),
            streams: Cell::default(),
            blocks: RefCell::default(),
            coming: Cell::default(),
            fragments: RefCell::default(),
            timers: timers.clone(),
        })
    }

    /// What is to end the connection, if anything.
    pub fn misuse(&self) -> Option<Misuse> {
        self.misuse.get()
    }

    /// A stream of the peer became a request.
    pub fn opened(&self) {
        self.budget.borrow_mut().opened();
    }

    /// Streams that the peer opened.
    pub fn streams(&self) -> u64 {
        self.streams.get()
    }

    /// The peer gave a request up before its answer.
    pub fn given_up(&self) {
        let misuse = self.budget.borrow_mut().given_up();
        self.note(misuse);
    }

    /// What has passed since this was asked last, if anything.
    pub fn take_seen(&self) -> Option<Seen> {
        let seen = self.seen.take();
        (seen != Seen::default()).then_some(seen)
    }

    fn received(&self, frame: Frame, now: u64) {
        match frame.kind {
            kind::HEADERS => {
                let is_new = frame.stream > self.newest.get();
                if is_new {
                    self.newest.set(frame.stream);
                    self.streams.set(self.streams.get().saturating_add(1));
                }
                self.coming.set((frame.stream, !is_new));
                self.begin_block(frame);
            }
            kind::CONTINUATION => self.begin_block(frame),
            kind::RST_STREAM => {
                let mut seen = self.seen.get();
                seen.resets_received = seen.resets_received.saturating_add(1);
                self.seen.set(seen);
            }
            _ => {}
        }
        let misuse = self.budget.borrow_mut().received(frame, now);
        self.note(misuse);
    }

    /// Whether the path of this stream had a fragment. To be asked once, in the order of the streams.
    pub fn had_fragment(&self, stream: u32) -> bool {
        let mut fragments = self.fragments.borrow_mut();
        let had = fragments.contains(&stream);
        if had {
            // Those before came to nothing.
            fragments.retain(|other| *other > stream);
        }
        had
    }

    fn begin_block(&self, frame: Frame) {
        // The engine ends a connection for a longer one.
        if frame.length <= super::FRAME {
            let odd = self.blocks.borrow_mut().begin(frame);
            self.note_block(odd);
        }
    }

    fn block(&self, part: &[u8]) {
        let odd = self.blocks.borrow_mut().payload(part);
        self.note_block(odd);
    }

    fn note_block(&self, odd: Option<Result<Odd, Malformed>>) {
        let (stream, is_trailer) = self.coming.get();
        match odd {
            Some(Ok(Odd { pseudo: true, .. })) if is_trailer => self.note(Some(Misuse::Protocol)),
            Some(Ok(Odd { fragment: true, .. })) => {
                let mut fragments = self.fragments.borrow_mut();
                fragments.push(stream);
                if fragments.len() > super::MOST_STREAMS as usize {
                    self.note(Some(Misuse::Excessive));
                }
            }
            Some(Err(Malformed)) => self.note(Some(Misuse::Compression)),
            _ => {}
        }
    }

    fn sent(&self, frame: Frame, now: u64) {
        if frame.kind == kind::RST_STREAM {
            let mut seen = self.seen.get();
            seen.resets_sent = seen.resets_sent.saturating_add(1);
            self.seen.set(seen);
        }
        let misuse = self.budget.borrow_mut().sent(frame, now);
        self.note(misuse);
    }

    fn note(&self, misuse: Option<Misuse>) {
        if self.misuse.get().is_none() {
            self.misuse.set(misuse);
        }
    }
}

/// A connection for `h2`.
pub struct Wire {
    socket: Rc<Socket>,
    watch: Rc<Watch>,
    input: Buffer,
    inbound: Frames,
    outbound: Frames,
    /// Whether heads were handed on in this turn.
    turn_over: bool,
    head_time: Duration,
    head_begun: bool,
    stall: Duration,
    stalled: Timer,
    is_stalled: bool,
    taken: usize,
}

impl Wire {
    /// The connection of a client, of which `input` was read already; it sends a preface first.
    pub fn new(
        socket: Rc<Socket>,
        watch: Rc<Watch>,
        input: Buffer,
        head_time: Duration,
        stall: Duration,
    ) -> Wire {
        socket.read_timer.arm(head_time);
        let stalled = watch.timers.timer();
        Wire {
            socket,
            watch,
            input,
            inbound: Frames::after(super::PREFACE.len()),
            outbound: Frames::default(),
            turn_over: false,
            head_time,
            head_begun: false,
            stall,
            stalled,
            is_stalled: false,
            taken: 0,
        }
    }

    /// Looks at received bytes. False when they are not to be handed on.
    fn saw(&mut self, bytes: &[u8]) -> bool {
        let Wire { inbound, watch, turn_over, .. } = self;
        let now = watch.timers.now();
        let mut anew = false;
        inbound.feed(bytes, |passing| match passing {
            Passing::Frame(frame) => {
                *turn_over |= frame.kind == kind::HEADERS;
                anew |= frame.kind != kind::CONTINUATION;
                watch.received(frame, now);
            }
            Passing::Block(part) => watch.block(part),
        });
        if !self.inbound.is_midway() {
            self.head_begun = false;
            self.socket.read_timer.disarm();
        } else if !self.head_begun || anew {
            self.head_begun = true;
            self.socket.read_timer.arm(self.head_time);
        }
        self.watch.misuse().is_none()
    }

    fn wrote(&mut self, slices: &[&[u8]], mut count: usize) {
        let Wire { outbound, watch, .. } = self;
        let now = watch.timers.now();
        for slice in slices {
            let part = count.min(slice.len());
            count = count.saturating_sub(part);
            outbound.feed(slice.get(..part).unwrap_or_default(), |passing| {
                if let Passing::Frame(frame) = passing {
                    watch.sent(frame, now);
                }
            });
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[&[u8]]) -> Poll<io::Result<usize>> {
        match self.socket.poll_write(cx, slices) {
            Poll::Ready(Ok(count)) => {
                self.wrote(slices, count);
                self.taken = self.taken.saturating_add(count);
                if self.is_stalled && self.taken >= WRITE_PROGRESS {
                    self.is_stalled = false;
                }
                if !self.is_stalled {
                    self.stalled.disarm();
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.stand_still(cx),
        }
    }

    /// The peer takes nothing now.
    fn stand_still<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !self.is_stalled {
            (self.is_stalled, self.taken) = (true, 0);
            self.stalled.arm(self.stall);
        }
        if self.stalled.expired(cx) {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.misuse().is_some() {
            return Poll::Pending;
        }
        if std::mem::take(&mut this.turn_over) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.input.is_empty() {
            let filled = this.socket.poll_fill(cx, &mut this.input, SIZE);
            if !matches!(filled, Poll::Ready(Ok(count)) if count > 0) {
                // A connection that rests holds no buffer.
                this.input.release();
                if matches!(&filled, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
                    // Whoever drives the connection says so to the peer.
                    this.watch.note(Some(Misuse::Slow));
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return filled.map_ok(|_| ());
            }
        }
        let count = this.input.len().min(buffer.remaining()).min(TURN);
        let mut input = std::mem::take(&mut this.input);
        let bytes = input.filled().get(..count).unwrap_or_default();
        let is_good = this.saw(bytes);
        if is_good {
            buffer.put_slice(bytes);
        }
        input.consume(count);
        this.input = input;
        if is_good { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[bytes])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pieces: [&[u8]; PIECES] = [&[]; PIECES];
        pieces.iter_mut().zip(slices).for_each(|(piece, slice)| *piece = slice);
        self.get_mut().poll_send(cx, &pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.socket.poll_flush(cx) {
            Poll::Ready(flushed) => flushed?,
            Poll::Pending => return this.stand_still(cx),
        }
        // Everything is written: nobody is waited for.
        this.is_stalled = false;
        this.stalled.disarm();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.finish();
        Poll::Ready(Ok(()))
    }
}
