//! What a peer may send that costs it nothing and us something: so much in half a minute, then the connection ends.
//!
//! Takes the frames both sides send; says the first misuse there is. The figures leave room for every client known to
//! be honest and none for an attack (rapid reset CVE-2023-44487, MadeYouReset CVE-2025-8671, the floods of
//! CVE-2019-9512 to 9518, CONTINUATION CVE-2024-27316).

use std::io::ErrorKind;

use h2::Reason;

use super::frames::{END_HEADERS, FIRST_FLAG, Frame, kind};

/// Time after which the counts begin anew, in milliseconds.
const WINDOW: u64 = 30_000;

/// Most frames of a kind within the window.
mod most {
    pub(super) const RESETS: u32 = 100;
    pub(super) const EMITTED_RESETS: u32 = 500;
    pub(super) const PINGS: u32 = 100;
    pub(super) const SETTINGS: u32 = 50;
    /// In one head: three frames of 16 KiB hold the largest there may be.
    pub(super) const CONTINUATIONS: u32 = 5;
    pub(super) const EMPTY_DATA: u32 = 100;
    pub(super) const PRIORITIES: u32 = 1000;
    /// Besides ten for each frame of data we sent: a reader may tell of every piece it has taken.
    pub(super) const WINDOW_UPDATES: u32 = 1000;
    pub(super) const FOR_EACH_DATA: u32 = 10;
}

/// Requests that a client may give up before their answer in the life of a connection, if they are also more than
/// half of all.
const MOST_GIVEN_UP: u32 = 50;

/// Why a connection is ended before its client wishes so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Streams opened and reset.
    Resets,
    /// Faults that made us reset streams.
    EmittedResets,
    /// Requests given up before their answer.
    GivenUp,
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// A head in too many pieces.
    Continuations,
    /// DATA without data.
    EmptyData,
    /// PRIORITY, and frames of kinds that are not known.
    Priorities,
    /// WINDOW_UPDATE.
    WindowUpdates,
    /// The preface, a head or another frame that did not come to its end in time.
    Slow,
    /// It takes nothing of what is written.
    Stalled,
    /// A flood that the engine of HTTP/2 saw itself: crumbs of data, heads far beyond their bound.
    Excessive,
    /// Fields that cannot be decompressed (RFC 7541).
    Compression,
    /// More than the windows allow, or windows beyond their bound.
    FlowControl,
    /// A frame of a length that it cannot have.
    FrameSize,
    /// Anything else that breaks RFC 9113.
    Protocol,
}

impl Misuse {
    /// All of them.
    pub const ALL: [Misuse; 16] = [
        Misuse::Resets,
        Misuse::EmittedResets,
        Misuse::GivenUp,
        Misuse::Pings,
        Misuse::Settings,
        Misuse::Continuations,
        Misuse::EmptyData,
        Misuse::Priorities,
        Misuse::WindowUpdates,
        Misuse::Slow,
        Misuse::Stalled,
        Misuse::Excessive,
        Misuse::Compression,
        Misuse::FlowControl,
        Misuse::FrameSize,
        Misuse::Protocol,
    ];

    /// The word for metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Misuse::Resets => "rapid_reset",
            Misuse::EmittedResets => "emitted_resets",
            Misuse::GivenUp => "given_up",
            Misuse::Pings => "ping_flood",
            Misuse::Settings => "settings_flood",
            Misuse::Continuations => "continuation_flood",
            Misuse::EmptyData => "empty_data_flood",
            Misuse::Priorities => "priority_flood",
            Misuse::WindowUpdates => "window_update_flood",
            Misuse::Slow => "too_slow",
            Misuse::Stalled => "stalled",
            Misuse::Excessive => "excessive",
            Misuse::Compression => "compression_error",
            Misuse::FlowControl => "flow_control_error",
            Misuse::FrameSize => "frame_size_error",
            Misuse::Protocol => "protocol_error",
        }
    }

    /// What the client is told.
    pub fn reason(self) -> Reason {
        match self {
            Misuse::Protocol => Reason::PROTOCOL_ERROR,
            Misuse::Compression => Reason::COMPRESSION_ERROR,
            Misuse::FlowControl => Reason::FLOW_CONTROL_ERROR,
            Misuse::FrameSize => Reason::FRAME_SIZE_ERROR,
            _ => Reason::ENHANCE_YOUR_CALM,
        }
    }

    /// What ended a connection whose engine says this; `None` where the client just went away.
    pub fn of(error: &h2::Error) -> Option<Misuse> {
        if let Some(error) = error.get_io() {
            return (error.kind() == ErrorKind::TimedOut).then_some(Misuse::Stalled);
        }
        let reason = error.reason().filter(|_| error.is_library() && error.is_go_away())?;
        Some(match reason {
            Reason::NO_ERROR => return None,
            Reason::ENHANCE_YOUR_CALM => Misuse::Excessive,
            Reason::COMPRESSION_ERROR => Misuse::Compression,
            Reason::FLOW_CONTROL_ERROR => Misuse::FlowControl,
            Reason::FRAME_SIZE_ERROR => Misuse::FrameSize,
            _ => Misuse::Protocol,
        })
    }
}

/// The counts of one connection.
#[derive(Default)]
pub struct Budget {
    since: u64,
    resets: u32,
    emitted: u32,
    pings: u32,
    settings: u32,
    continuations: u32,
    empty_data: u32,
    priorities: u32,
    window_updates: u32,
    data_sent: u32,
    opened: u32,
    given_up: u32,
}

impl Budget {
    /// The peer sent a frame, at this time in milliseconds.
    pub fn received(&mut self, frame: Frame, now: u64) -> Option<Misuse> {
        self.turn(now);
        let Frame { kind, flags, length, .. } = frame;
        let first_flag = flags & FIRST_FLAG != 0;
        match kind {
            kind::DATA if length == 0 && !first_flag => {
                over(&mut self.empty_data, most::EMPTY_DATA, Misuse::EmptyData)
            }
            kind::DATA => None,
            kind::HEADERS => {
                self.continuations = 0;
                None
            }
            kind::CONTINUATION => {
                let flood = over(&mut self.continuations, most::CONTINUATIONS, Misuse::Continuations);
                if flags & END_HEADERS != 0 {
                    self.continuations = 0;
                }
                flood
            }
            kind::RST_STREAM => over(&mut self.resets, most::RESETS, Misuse::Resets),
            kind::SETTINGS if !first_flag => over(&mut self.settings, most::SETTINGS, Misuse::Settings),
            kind::PING if !first_flag => over(&mut self.pings, most::PINGS, Misuse::Pings),
            kind::WINDOW_UPDATE => {
                let earned = self.data_sent.saturating_mul(most::FOR_EACH_DATA);
                let most = most::WINDOW_UPDATES.saturating_add(earned);
                over(&mut self.window_updates, most, Misuse::WindowUpdates)
            }
            kind::PRIORITY | 10.. => over(&mut self.priorities, most::PRIORITIES, Misuse::Priorities),
            _ => None,
        }
    }

    /// We sent a frame.
    pub fn sent(&mut self, frame: Frame, now: u64) -> Option<Misuse> {
        self.turn(now);
        match frame.kind {
            kind::DATA => {
                self.data_sent = self.data_sent.saturating_add(1);
                None
            }
            kind::RST_STREAM => over(&mut self.emitted, most::EMITTED_RESETS, Misuse::EmittedResets),
            _ => None,
        }
    }

    /// The peer opened a stream.
    pub fn opened(&mut self) {
        self.opened = self.opened.saturating_add(1);
    }

    /// The peer gave a request up before its answer.
    pub fn given_up(&mut self) -> Option<Misuse> {
        self.given_up = self.given_up.saturating_add(1);
        let flood = self.given_up > MOST_GIVEN_UP && self.given_up > self.opened / 2;
        flood.then_some(Misuse::GivenUp)
    }

    fn turn(&mut self, now: u64) {
        if now.saturating_sub(self.since) >= WINDOW {
            let Budget { opened, given_up, continuations, .. } = *self;
            *self = Budget { since: now, opened, given_up, continuations, ..Budget::default() };
        }
    }
}

fn over(count: &mut u32, most: u32, flood: Misuse) -> Option<Misuse> {
    *count = count.saturating_add(1);
    (*count > most).then_some(flood)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Frame {
        Frame { kind, flags, length, stream: 1 }
    }

    /// How many of a frame are taken before the flood is called.
    fn taken(frame: Frame) -> (usize, Option<Misuse>) {
        let mut budget = Budget::default();
        let mut flood = None;
        let taken = (0..5000)
            .take_while(|_| {
                flood = budget.received(frame, 0);
                flood.is_none()
            })
            .count();
        (taken, flood)
    }

    #[test]
    fn every_misuse_has_its_place() {
        for (place, misuse) in Misuse::ALL.into_iter().enumerate() {
            assert_eq!(misuse as usize, place);
        }
    }

    #[test]
    fn each_flood_has_its_figure() {
        for (frame, most, flood) in [
            (frame(kind::RST_STREAM, 0, 4), 100, Misuse::Resets),
            (frame(kind::PING, 0, 8), 100, Misuse::Pings),
            (frame(kind::SETTINGS, 0, 0), 50, Misuse::Settings),
            (frame(kind::CONTINUATION, 0, 1), 5, Misuse::Continuations),
            (frame(kind::DATA, 0, 0), 100, Misuse::EmptyData),
            (frame(kind::PRIORITY, 0, 5), 1000, Misuse::Priorities),
            (frame(0xbe, 0, 0), 1000, Misuse::Priorities),
            (frame(kind::WINDOW_UPDATE, 0, 4), 1000, Misuse::WindowUpdates),
        ] {
            assert_eq!(taken(frame), (most, Some(flood)), "{frame:?}");
        }
        for frame in [
            frame(kind::DATA, 1, 0),
            frame(kind::PING, 1, 8),
            frame(kind::SETTINGS, 1, 0),
            frame(kind::HEADERS, 4, 9),
        ] {
            assert_eq!(taken(frame), (5000, None), "{frame:?}");
        }
    }

    #[test]
    fn the_counts_begin_anew_after_half_a_minute() {
        let mut budget = Budget::default();
        for now in (0..100).map(|nth| nth * 1_000) {
            for _ in 0..3 {
                assert_eq!(budget.received(frame(kind::PING, 0, 8), now), None);
            }
        }
    }

    #[test]
    fn a_client_may_give_up_half_of_its_requests() {
        let mut budget = Budget::default();
        for _ in 0..1000 {
            budget.opened();
            budget.opened();
            assert_eq!(budget.given_up(), None);
        }
        let mut budget = Budget::default();
        let flooded = (0..51).map(|_| {
            budget.opened();
            budget.given_up()
        });
        assert_eq!(flooded.last(), Some(Some(Misuse::GivenUp)));
    }
}
