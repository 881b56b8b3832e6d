//! Sees the frames in a stream of bytes: type, flags and length of each, and the blocks of fields.
//!
//! Takes bytes in any pieces, gives each frame once, as soon as its header is there. Holds nine bytes.

/// Length of the header of a frame (RFC 9113 section 4.1).
const HEADER: usize = 9;

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Length of what follows.
    pub length: u32,
    /// The stream it is about; 0 for the connection.
    pub stream: u32,
}

/// Types of frames (RFC 9113 section 6).
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// PRIORITY
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// END_STREAM on DATA and HEADERS; ACK on SETTINGS and PING.
pub const FIRST_FLAG: u8 = 0x1;
/// END_HEADERS on HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing<'b> {
    /// A frame, as soon as its header is there.
    Frame(Frame),
    /// Bytes of a block of fields: of the payload of the HEADERS or CONTINUATION that came last.
    Block(&'b [u8]),
}

/// Where in the stream of frames the bytes stand.
#[derive(Default)]
pub struct Frames {
    /// Bytes to pass over: of the preface, or of a frame's payload.
    skip: usize,
    header: [u8; HEADER],
    have: usize,
    in_block: bool,
    in_data: bool,
    /// Whether the payload that is passed over is a part of a block.
    is_block: bool,
}

impl Frames {
    /// Frames that begin after so many bytes.
    pub fn after(skip: usize) -> Frames {
        Frames { skip, ..Frames::default() }
    }

    /// Looks at bytes; `each` gets every frame whose header is complete, and the blocks of fields.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Passing<'_>)) {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip = self.skip.saturating_sub(passed);
            let (payload, after) = bytes.split_at_checked(passed).unwrap_or((bytes, &[]));
            if self.is_block && !payload.is_empty() {
                each(Passing::Block(payload));
            }
            bytes = after;
            let taken = HEADER.saturating_sub(self.have).min(bytes.len());
            let (head, rest) = bytes.split_at_checked(taken).unwrap_or((bytes, &[]));
            let places = self.header.iter_mut().skip(self.have);
            places.zip(head).for_each(|(place, byte)| *place = *byte);
            self.have = self.have.saturating_add(taken);
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                let [a, b, c, kind, flags, d, e, f, g] = self.header;
                let length = u32::from_be_bytes([0, a, b, c]);
                // The first bit of the number means nothing (RFC 9113 section 4.1).
                let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
                self.skip = length as usize;
                self.note(kind, flags);
                each(Passing::Frame(Frame { kind, flags, length, stream }));
            }
        }
    }

    fn note(&mut self, kind: u8, flags: u8) {
        self.in_data = kind == kind::DATA;
        self.is_block = matches!(kind, kind::HEADERS | kind::CONTINUATION);
        if self.is_block {
            self.in_block = flags & END_HEADERS == 0;
        }
    }

    /// Whether something has begun that all others wait for: a head, or a frame other than DATA.
    pub fn is_midway(&self) -> bool {
        self.in_block || self.have > 0 || (self.skip > 0 && !self.in_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_seen_however_the_bytes_are_cut() {
        let mut bytes = b"PREFACE".to_vec();
        bytes.extend([0, 0, 3, kind::HEADERS, 1, 0, 0, 0, 1, b'a', b'b', b'c']);
        bytes.extend([0, 0, 0, kind::CONTINUATION, END_HEADERS, 0, 0, 0, 1]);
        bytes.extend([0, 1, 0, kind::DATA, 0, 0, 0, 0, 1]);
        bytes.extend([7; 256]);
        bytes.extend([0, 0, 8, kind::PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        for size in [1, 2, 7, 9, 10, bytes.len()] {
            let (mut frames, mut seen, mut block) = (Frames::after(7), Vec::new(), Vec::new());
            bytes.chunks(size).for_each(|piece| {
                frames.feed(piece, |passing| match passing {
                    Passing::Frame(frame) => seen.push((frame.kind, frame.length)),
                    Passing::Block(part) => block.extend_from_slice(part),
                });
            });
            assert_eq!(block, b"abc");
            assert_eq!(
                seen,
                [(kind::HEADERS, 3), (kind::CONTINUATION, 0), (kind::DATA, 256), (kind::PING, 8)],
                "{size}"
            );
            assert!(!frames.is_midway());
        }
        let mut frames = Frames::default();
        frames.feed(&[0, 0, 0, kind::HEADERS, 0, 0, 0, 0, 1], |_| {});
        assert!(frames.is_midway(), "the head has not ended");
    }
}
