//! The codings themselves: bytes in, coded bytes out, and room for so many at a time.

use std::io::{self, Write};
use std::sync::atomic::Ordering;

use brotli::CompressorWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::{ANSWERS, GIVEN, MOST, NOW, TAKEN};
use crate::exchange::Coat;

/// Bytes of a window, as powers of two: enough for pages, little enough for many at once.
const BROTLI_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 19;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CompressCoding")]
pub(super) enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// RFC 1952.
    Gzip,
}

/// How much time is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CompressEffort")]
pub(super) enum Effort {
    /// Little.
    Low,
    /// As much as pays for an answer that goes out once.
    #[default]
    Normal,
    /// As much as pays for one that goes out often.
    High,
}

impl Coding {
    /// Its name in HTTP.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Br => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// One body being coded. It takes a place among those that may be.
pub(super) struct Coder {
    kind: Kind,
    /// Whether something was taken since the last flush.
    waiting: bool,
    _place: Place,
}

enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    /// The end has been given.
    Over,
}

struct Place;

impl Place {
    fn take() -> Option<Place> {
        let taken = NOW.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            (now < MOST).then(|| now.saturating_add(1))
        });
        taken.is_ok().then_some(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        NOW.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Coder {
    /// One for this coding; `None` when there are too many.
    pub(super) fn new(coding: Coding, effort: Effort) -> Option<Coder> {
        let place = Place::take()?;
        let (gzip, brotli, zstd) = match effort {
            Effort::Low => (1, 1, 1),
            Effort::Normal => (5, 4, 3),
            Effort::High => (7, 6, 9),
        };
        let kind = match coding {
            Coding::Gzip => Kind::Gzip(GzEncoder::new(Vec::new(), Compression::new(gzip))),
            Coding::Br => {
                Kind::Brotli(Box::new(CompressorWriter::new(Vec::new(), 4096, brotli, BROTLI_WINDOW)))
            }
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), zstd).ok()?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW)).ok()?;
                Kind::Zstd(encoder)
            }
        };
        ANSWERS.fetch_add(1, Ordering::Relaxed);
        Some(Coder { kind, waiting: false, _place: place })
    }

    fn writer(&mut self) -> Option<&mut dyn Write> {
        match &mut self.kind {
            Kind::Gzip(encoder) => Some(encoder),
            Kind::Brotli(encoder) => Some(encoder),
            Kind::Zstd(encoder) => Some(encoder),
            Kind::Over => None,
        }
    }

    fn made(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.kind {
            Kind::Gzip(encoder) => Some(encoder.get_mut()),
            Kind::Brotli(encoder) => Some(encoder.get_mut()),
            Kind::Zstd(encoder) => Some(encoder.get_mut()),
            Kind::Over => None,
        }
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        if let Some(made) = self.made() {
            GIVEN.fetch_add(made.len() as u64, Ordering::Relaxed);
            out.append(made);
        }
    }
}

impl Coat for Coder {
    fn data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        TAKEN.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.waiting |= !piece.is_empty();
        if let Some(writer) = self.writer() {
            writer.write_all(piece)?;
        }
        self.give(out);
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if std::mem::take(&mut self.waiting)
            && let Some(writer) = self.writer()
        {
            writer.flush()?;
        }
        self.give(out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let rest = match std::mem::replace(&mut self.kind, Kind::Over) {
            Kind::Gzip(encoder) => encoder.finish()?,
            Kind::Brotli(encoder) => encoder.into_inner(),
            Kind::Zstd(encoder) => encoder.finish()?,
            Kind::Over => Vec::new(),
        };
        GIVEN.fetch_add(rest.len() as u64, Ordering::Relaxed);
        out.extend_from_slice(&rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        // What is not whole yet ends in an error; what was given before counts.
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text),
            Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut text),
        };
        text
    }

    #[test]
    fn what_was_flushed_can_be_read_and_the_whole_is_what_went_in() {
        for coding in [Coding::Zstd, Coding::Br, Coding::Gzip] {
            for effort in [Effort::Low, Effort::Normal, Effort::High] {
                let mut coder = Coder::new(coding, effort).unwrap();
                let (mut out, mut all) = (Vec::new(), Vec::new());
                for nth in 0..50_u32 {
                    let piece = format!("{{\"id\":{nth},\"name\":\"product {nth}\"}}\n").repeat(20);
                    coder.data(piece.as_bytes(), &mut out).unwrap();
                    all.extend_from_slice(piece.as_bytes());
                    if nth == 25 {
                        coder.flush(&mut out).unwrap();
                        assert_eq!(decoded(coding, &out), all, "{coding:?} {effort:?}");
                        let before = out.len();
                        coder.flush(&mut out).unwrap();
                        assert_eq!(out.len(), before, "nothing new, nothing more");
                    }
                }
                coder.end(&mut out).unwrap();
                assert_eq!(decoded(coding, &out), all, "{coding:?} {effort:?}");
                assert!(out.len() < all.len() / 5, "{coding:?} {effort:?}: {} of {}", out.len(), all.len());
            }
        }
    }
}
