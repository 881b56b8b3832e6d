//! What a peer may send that costs it nothing and us something: so much in half a minute, then the connection ends.
//!
//! Takes the frames both sides send; says the first flood there is. The figures leave room for every client known to
//! be honest and none for an attack (rapid reset CVE-2023-44487, MadeYouReset CVE-2025-8671, the floods of
//! CVE-2019-9512 to 9518, CONTINUATION CVE-2024-27316).

use super::frames::{END_HEADERS, FIRST_FLAG, Frame, kind};

/// Time after which the counts begin anew, in milliseconds.
const WINDOW: u64 = 30_000;

/// Most frames of a kind within the window.
mod most {
    pub(super) const RESETS: u32 = 100;
    pub(super) const EMITTED_RESETS: u32 = 500;
    pub(super) const PINGS: u32 = 100;
    pub(super) const SETTINGS: u32 = 50;
    /// In one head.
    pub(super) const CONTINUATIONS: u32 = 20;
    pub(super) const EMPTY_DATA: u32 = 100;
    pub(super) const PRIORITIES: u32 = 1000;
    /// Besides ten for each frame of data we sent: a reader may tell of every piece it has taken.
    pub(super) const WINDOW_UPDATES: u32 = 1000;
    pub(super) const FOR_EACH_DATA: u32 = 10;
}

/// Requests that a client may give up before their answer in the life of a connection, if they are also more than
/// half of all.
const MOST_GIVEN_UP: u32 = 50;

/// Why a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
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
}

impl Flood {
    /// The word for metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Flood::Resets => "rapid_reset",
            Flood::EmittedResets => "emitted_resets",
            Flood::GivenUp => "given_up",
            Flood::Pings => "ping_flood",
            Flood::Settings => "settings_flood",
            Flood::Continuations => "continuation_flood",
            Flood::EmptyData => "empty_data_flood",
            Flood::Priorities => "priority_flood",
            Flood::WindowUpdates => "window_update_flood",
        }
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
    pub fn received(&mut self, frame: Frame, now: u64) -> Option<Flood> {
        self.turn(now);
        let Frame { kind, flags, length } = frame;
        let first_flag = flags & FIRST_FLAG != 0;
        match kind {
            kind::DATA if length == 0 && !first_flag => {
                over(&mut self.empty_data, most::EMPTY_DATA, Flood::EmptyData)
            }
            kind::DATA => None,
            kind::HEADERS => {
                self.continuations = 0;
                None
            }
            kind::CONTINUATION => {
                let flood = over(&mut self.continuations, most::CONTINUATIONS, Flood::Continuations);
                if flags & END_HEADERS != 0 {
                    self.continuations = 0;
                }
                flood
            }
            kind::RST_STREAM => over(&mut self.resets, most::RESETS, Flood::Resets),
            kind::SETTINGS if !first_flag => over(&mut self.settings, most::SETTINGS, Flood::Settings),
            kind::PING if !first_flag => over(&mut self.pings, most::PINGS, Flood::Pings),
            kind::WINDOW_UPDATE => {
                let earned = self.data_sent.saturating_mul(most::FOR_EACH_DATA);
                let most = most::WINDOW_UPDATES.saturating_add(earned);
                over(&mut self.window_updates, most, Flood::WindowUpdates)
            }
            kind::PRIORITY | 10.. => over(&mut self.priorities, most::PRIORITIES, Flood::Priorities),
            _ => None,
        }
    }

    /// We sent a frame.
    pub fn sent(&mut self, frame: Frame, now: u64) -> Option<Flood> {
        self.turn(now);
        match frame.kind {
            kind::DATA => {
                self.data_sent = self.data_sent.saturating_add(1);
                None
            }
            kind::RST_STREAM => over(&mut self.emitted, most::EMITTED_RESETS, Flood::EmittedResets),
            _ => None,
        }
    }

    /// The peer opened a stream.
    pub fn opened(&mut self) {
        self.opened = self.opened.saturating_add(1);
    }

    /// The peer gave a request up before its answer.
    pub fn given_up(&mut self) -> Option<Flood> {
        self.given_up = self.given_up.saturating_add(1);
        let flood = self.given_up > MOST_GIVEN_UP && self.given_up > self.opened / 2;
        flood.then_some(Flood::GivenUp)
    }

    fn turn(&mut self, now: u64) {
        if now.saturating_sub(self.since) >= WINDOW {
            let Budget { opened, given_up, continuations, .. } = *self;
            *self = Budget { since: now, opened, given_up, continuations, ..Budget::default() };
        }
    }
}

fn over(count: &mut u32, most: u32, flood: Flood) -> Option<Flood> {
    *count = count.saturating_add(1);
    (*count > most).then_some(flood)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u32) -> Frame {
        Frame { kind, flags, length }
    }

    /// How many of a frame are taken before the flood is called.
    fn taken(frame: Frame) -> (usize, Option<Flood>) {
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
    fn each_flood_has_its_figure() {
        for (frame, most, flood) in [
            (frame(kind::RST_STREAM, 0, 4), 100, Flood::Resets),
            (frame(kind::PING, 0, 8), 100, Flood::Pings),
            (frame(kind::SETTINGS, 0, 0), 50, Flood::Settings),
            (frame(kind::CONTINUATION, 0, 1), 20, Flood::Continuations),
            (frame(kind::DATA, 0, 0), 100, Flood::EmptyData),
            (frame(kind::PRIORITY, 0, 5), 1000, Flood::Priorities),
            (frame(0xbe, 0, 0), 1000, Flood::Priorities),
            (frame(kind::WINDOW_UPDATE, 0, 4), 1000, Flood::WindowUpdates),
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
        assert_eq!(flooded.last(), Some(Some(Flood::GivenUp)));
    }
}
