//! Bodies that come coded (RFC 9110 section 8.4.1): taken apart piece by piece, never into more than a body may be.
//!
//! What comes out at once is bounded by what went in: a body that unfolds to more than a hundred times its size, once it is
//! large, is a bomb.

use std::borrow::Cow;
use std::io::{self, Write};

use brotli::DecompressorWriter;
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use crate::{Limits, Misfit};

/// How many times its size a body may become,
const RATIO: u64 = 100;
/// once it is larger than this.
const FREE: u64 = 1024 * 1024;
/// Bytes that are taken at once.
const STEP: usize = 4 * 1024;
/// Codings, one over the other, that are taken off a whole body.
const MOST_CODINGS: usize = 2;
/// Bytes of the window of a body in Zstandard, as a power of two: those of the media type (RFC 8878 section 3.1.1.1.2).
const ZSTD_WINDOW: u32 = 23;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// The coding that a `Content-Encoding` names; none for `identity`.
    ///
    /// # Errors
    /// It is not known here, or there are several.
    pub fn of(words: &[u8]) -> Result<Option<Coding>, Misfit> {
        match words.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(None),
            b"gzip" | b"x-gzip" => Ok(Some(Coding::Gzip)),
            b"deflate" => Ok(Some(Coding::Deflate)),
            b"br" => Ok(Some(Coding::Brotli)),
            b"zstd" => Ok(Some(Coding::Zstd)),
            _ => Err(Misfit::Coding("the body is coded in a way that cannot be taken apart here")),
        }
    }
}

/// Takes the codings that a `Content-Encoding` lists off a whole body, which then has `most` bytes at most.
///
/// # Errors
/// A coding is not known here, or not what it says, or there are too many; or the body is larger.
pub fn decoded<'b>(body: &'b [u8], codings: &[u8], most: usize) -> Result<Cow<'b, [u8]>, Misfit> {
    let list = codings.split(|byte| *byte == b',').map(Coding::of);
    let list = list.filter_map(Result::transpose).collect::<Result<Vec<Coding>, Misfit>>()?;
    if list.len() > MOST_CODINGS {
        return Err(Misfit::Coding("the body is coded too often"));
    }
    let limits = Limits { decoded: most as u64, ..Limits::default() };
    let mut plain = Cow::Borrowed(body);
    // The last one was put on last (RFC 9110 section 8.4).
    for coding in list.into_iter().rev() {
        let mut out = Vec::new();
        let mut give = |part: &[u8]| {
            out.extend_from_slice(part);
            Ok(())
        };
        let mut decoder = Decoder::new(coding, &limits)?;
        decoder.push(&plain, &mut give)?;
        decoder.finish(&mut give)?;
        plain = Cow::Owned(out);
    }
    if plain.len() > most { Err(Misfit::Bomb) } else { Ok(plain) }
}

const BROKEN: Misfit = Misfit::Coding("the body is not coded as it says");

/// Takes a coded body apart.
pub(crate) struct Decoder {
    kind: Kind,
    taken: u64,
    most: u64,
    /// Bytes that came out before those that wait.
    given: u64,
}

enum Kind {
    Gzip(Box<MultiGzDecoder<Bounded>>),
    /// With whether it has ended.
    Deflate(Decompress, bool, Bounded),
    Brotli(Box<DecompressorWriter<Bounded>>),
    /// With whether a frame has ended, and nothing stands behind it.
    Zstd(ZstdDecoder<'static>, bool, Bounded),
    Over,
}

/// What came out and was not taken yet.
#[derive(Default)]
struct Bounded {
    out: Vec<u8>,
    room: u64,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len().saturating_add(bytes.len()) as u64 > self.room {
            self.is_full = true;
            return Err(io::Error::other("full"));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    pub(crate) fn new(coding: Coding, limits: &Limits) -> Result<Decoder, Misfit> {
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(Box::new(MultiGzDecoder::new(Bounded::default()))),
            Coding::Deflate => Kind::Deflate(Decompress::new(true), false, Bounded::default()),
            Coding::Brotli => Kind::Brotli(Box::new(DecompressorWriter::new(Bounded::default(), STEP))),
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new().map_err(|_| BROKEN)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).map_err(|_| BROKEN)?;
                Kind::Zstd(decoder, true, Bounded::default())
            }
        };
        Ok(Decoder { kind, taken: 0, most: limits.decoded, given: 0 })
    }

    /// Takes a piece and gives what it unfolds to, part by part.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        give: &mut dyn FnMut(&[u8]) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        for part in piece.chunks(STEP) {
            self.taken = self.taken.saturating_add(part.len() as u64);
            self.set_room();
            let written = match &mut self.kind {
                Kind::Gzip(decoder) => decoder.write_all(part),
                Kind::Deflate(decoder, ended, out) => inflate(decoder, ended, part, out),
                Kind::Brotli(decoder) => decoder.write_all(part),
                Kind::Zstd(decoder, ended, out) => unfold(decoder, ended, part, out),
                Kind::Over => Err(io::Error::other("over")),
            };
            self.give(written, give)?;
        }
        Ok(())
    }

    /// The coded body is whole.
    pub(crate) fn finish(&mut self, give: &mut dyn FnMut(&[u8]) -> Result<(), Misfit>) -> Result<(), Misfit> {
        self.set_room();
        let ended = match &mut self.kind {
            Kind::Gzip(decoder) => decoder.try_finish(),
            Kind::Brotli(decoder) => decoder.close(),
            Kind::Zstd(_, true, _) | Kind::Deflate(_, true, _) => Ok(()),
            Kind::Zstd(..) | Kind::Deflate(..) | Kind::Over => Err(io::Error::other("not whole")),
        };
        let given = self.give(ended, give);
        self.kind = Kind::Over;
        given
    }

    fn out(&mut self) -> Option<&mut Bounded> {
        match &mut self.kind {
            Kind::Gzip(decoder) => Some(decoder.get_mut()),
            Kind::Brotli(decoder) => Some(decoder.get_mut()),
            Kind::Zstd(_, _, out) | Kind::Deflate(_, _, out) => Some(out),
            Kind::Over => None,
        }
    }

    fn set_room(&mut self) {
        let most = self.taken.saturating_mul(RATIO).max(FREE).min(self.most);
        let room = most.saturating_sub(self.given);
        if let Some(out) = self.out() {
            out.room = room;
        }
    }

    fn give(
        &mut self,
        written: io::Result<()>,
        give: &mut dyn FnMut(&[u8]) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        let Some(out) = self.out() else { return written.map_err(|_| BROKEN) };
        let unfolded = std::mem::take(&mut out.out);
        let is_full = out.is_full;
        if is_full {
            return Err(Misfit::Bomb);
        }
        written.map_err(|_| BROKEN)?;
        self.given = self.given.saturating_add(unfolded.len() as u64);
        if !unfolded.is_empty() {
            give(&unfolded)?;
        }
        Ok(())
    }
}

fn inflate(decoder: &mut Decompress, ended: &mut bool, part: &[u8], out: &mut Bounded) -> io::Result<()> {
    let mut rest = part;
    let mut buffer = vec![0; STEP.saturating_mul(8)];
    loop {
        if *ended {
            return if rest.is_empty() { Ok(()) } else { Err(io::Error::other("more")) };
        }
        let (taken, given) = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(rest, &mut buffer, FlushDecompress::None)?;
        let since = |before: u64, now: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
        let written = since(given, decoder.total_out());
        if !rest.is_empty() && written == 0 && decoder.total_in() == taken && status != Status::StreamEnd {
            return Err(io::Error::other("stuck"));
        }
        out.write_all(buffer.get(..written).unwrap_or_default())?;
        rest = rest.get(since(taken, decoder.total_in())..).unwrap_or_default();
        *ended = status == Status::StreamEnd;
        if !*ended && rest.is_empty() && written < buffer.len() {
            return Ok(());
        }
    }
}

fn unfold(
    decoder: &mut ZstdDecoder<'static>,
    ended: &mut bool,
    part: &[u8],
    out: &mut Bounded,
) -> io::Result<()> {
    let mut rest = part;
    let mut buffer = vec![0; STEP.saturating_mul(8)];
    loop {
        if *ended && rest.is_empty() {
            return Ok(());
        }
        let status = decoder.run_on_buffers(rest, &mut buffer)?;
        out.write_all(buffer.get(..status.bytes_written).unwrap_or_default())?;
        rest = rest.get(status.bytes_read..).unwrap_or_default();
        *ended = status.remaining == 0;
        if *ended {
            decoder.reinit()?;
        } else if rest.is_empty() && status.bytes_written < buffer.len() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
                encoder.write_all(bytes).unwrap();
                encoder.into_inner()
            }
            Coding::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        }
    }

    fn in_pieces(coding: Coding, bytes: &[u8], size: usize, most: u64) -> Result<Vec<u8>, Misfit> {
        let limits = Limits { decoded: most, ..Limits::default() };
        let mut decoder = Decoder::new(coding, &limits)?;
        let mut out = Vec::new();
        let mut give = |part: &[u8]| {
            out.extend_from_slice(part);
            Ok(())
        };
        bytes.chunks(size).try_for_each(|piece| decoder.push(piece, &mut give))?;
        decoder.finish(&mut give)?;
        Ok(out)
    }

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn a_body_is_taken_apart_in_any_pieces() {
        let text: String = (0..9000).map(|nth| format!("{{\"id\":{nth}}}")).collect();
        for coding in ALL {
            let bytes = coded(coding, text.as_bytes());
            for size in [1, 100, 1 << 20] {
                assert_eq!(in_pieces(coding, &bytes, size, u64::MAX).unwrap(), text.as_bytes(), "{coding:?}");
            }
            assert_eq!(in_pieces(coding, &bytes, 100, 1000), Err(Misfit::Bomb), "{coding:?}");
        }
    }

    #[test]
    fn what_is_cut_or_wrong_is_refused() {
        for coding in ALL {
            let bytes = coded(coding, b"{\"a\":[1,2,3,4,5,6,7,8,9,10]}");
            for end in 0..bytes.len() {
                let refused = in_pieces(coding, &bytes[..end], 7, u64::MAX);
                assert!(
                    refused.is_err() || (end == 0 && coding == Coding::Zstd),
                    "{coding:?} {end}: {refused:?}"
                );
            }
            assert!(in_pieces(coding, b"{\"a\":1}", 7, u64::MAX).is_err(), "{coding:?}");
            let trailed = [bytes.as_slice(), b"{\"b\":1}"].concat();
            assert!(in_pieces(coding, &trailed, 700, u64::MAX).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn a_bomb_does_not_unfold() {
        for coding in ALL {
            let bytes = coded(coding, &vec![b' '; 8 << 20]);
            assert_eq!(in_pieces(coding, &bytes, 1 << 16, u64::MAX), Err(Misfit::Bomb), "{coding:?}");
        }
    }

    #[test]
    fn codings_of_a_whole_body_come_off_in_their_order() {
        let data = b"{\"a\":1}";
        let gzip = |bytes: &[u8]| coded(Coding::Gzip, bytes);
        for (coding, words) in ALL.into_iter().zip(["GZIP", "deflate", "br", " zstd "]) {
            assert_eq!(&*decoded(&coded(coding, data), words.as_bytes(), 10).unwrap(), data, "{words}");
            assert_eq!(decoded(&coded(coding, data), words.as_bytes(), 6), Err(Misfit::Bomb), "{words}");
        }
        assert_eq!(&*decoded(data, b"", 7).unwrap(), data);
        assert_eq!(&*decoded(data, b"identity,", 7).unwrap(), data);
        assert_eq!(&*decoded(&gzip(&gzip(data)), b"gzip, x-gzip", 1000).unwrap(), data);
        let over = [coded(Coding::Zstd, &gzip(data)), gzip(&coded(Coding::Zstd, data))];
        assert_eq!(&*decoded(&over[0], b"gzip, zstd", 1000).unwrap(), data);
        assert_eq!(decoded(&over[1], b"gzip, zstd", 1000), Err(BROKEN));
        assert_eq!(decoded(&gzip(&vec![0; 8 << 20]), b"gzip", 1 << 20), Err(Misfit::Bomb));
        assert_eq!(decoded(data, b"", 6), Err(Misfit::Bomb));
        assert_eq!(decoded(data, b"gzip", 10), Err(BROKEN));
        for codings in [&b"rot13"[..], b"gzip, gzip, gzip"] {
            assert!(matches!(decoded(data, codings, 10), Err(Misfit::Coding(_))));
        }
    }
}
