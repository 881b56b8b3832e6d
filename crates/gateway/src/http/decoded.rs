//! A body without its content coding, within bounds.
//!
//! Takes the bytes and what `Content-Encoding` says; gives the bytes that are meant. What grows beyond the bound, or is not
//! what it says, is refused: it must never be taken for less than it is (decompression bombs).

use std::borrow::Cow;
use std::io::Read;

/// Codings, one over the other, that are taken off.
const MOST_CODINGS: usize = 2;

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// A coding that is not known here, or too many of them.
    Unknown,
    /// More bytes than may be.
    TooLarge,
    /// Not what the coding makes.
    Broken,
}

/// Takes the codings off a body that then has `most` bytes at most.
///
/// # Errors
/// See [`Undecodable`].
pub fn decoded<'b>(body: &'b [u8], codings: &[u8], most: usize) -> Result<Cow<'b, [u8]>, Undecodable> {
    let list = codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let list: Vec<&[u8]> =
        list.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")).collect();
    if list.len() > MOST_CODINGS {
        return Err(Undecodable::Unknown);
    }
    let mut plain = Cow::Borrowed(body);
    // The last one was put on last (RFC 9110 section 8.4).
    for coding in list.into_iter().rev() {
        let decoded = without(coding, &plain, most)?;
        plain = Cow::Owned(decoded);
    }
    if plain.len() > most { Err(Undecodable::TooLarge) } else { Ok(plain) }
}

fn without(coding: &[u8], body: &[u8], most: usize) -> Result<Vec<u8>, Undecodable> {
    match coding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => read(flate2::read::MultiGzDecoder::new(body), most),
        b"deflate" => read(flate2::read::ZlibDecoder::new(body), most),
        b"br" => read(brotli::Decompressor::new(body, 4096), most),
        b"zstd" => match zstd::stream::read::Decoder::new(body) {
            Ok(mut decoder) => {
                // 8 MiB, as browsers have it (RFC 9659).
                decoder.window_log_max(23).map_err(|_| Undecodable::Broken)?;
                read(decoder, most)
            }
            Err(_) => Err(Undecodable::Broken),
        },
        _ => Err(Undecodable::Unknown),
    }
}

fn read(decoder: impl Read, most: usize) -> Result<Vec<u8>, Undecodable> {
    let mut out = Vec::new();
    // One more than may be, which says that there is more.
    let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(bound).read_to_end(&mut out).map_err(|_| Undecodable::Broken)?;
    if out.len() > most { Err(Undecodable::TooLarge) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn codings_come_off_in_their_order_and_bombs_do_not_go_off() {
        let data = b"{\"a\":1}";
        assert_eq!(&*decoded(data, b"", 10).unwrap(), data);
        assert_eq!(&*decoded(data, b"identity", 10).unwrap(), data);
        assert_eq!(&*decoded(&gzip(data), b"GZIP", 10).unwrap(), data);
        assert_eq!(&*decoded(&gzip(&gzip(data)), b"gzip, gzip", 1000).unwrap(), data);
        let zstd = zstd::bulk::compress(data, 3).unwrap();
        assert_eq!(&*decoded(&zstd, b"zstd", 10).unwrap(), data);
        let mut brotli = Vec::new();
        brotli::CompressorWriter::new(&mut brotli, 4096, 5, 20).write_all(data).unwrap();
        assert_eq!(&*decoded(&brotli, b"br", 10).unwrap(), data);
        let bomb = gzip(&vec![0; 50 << 20]);
        assert_eq!(decoded(&bomb, b"gzip", 1 << 20), Err(Undecodable::TooLarge));
        assert_eq!(decoded(data, b"gzip", 10), Err(Undecodable::Broken));
        let cut = gzip(data);
        assert_eq!(decoded(&cut[..cut.len() - 9], b"gzip", 10), Err(Undecodable::Broken));
        assert_eq!(decoded(data, b"rot13", 10), Err(Undecodable::Unknown));
        assert_eq!(decoded(data, b"gzip, gzip, gzip", 10), Err(Undecodable::Unknown));
        assert_eq!(decoded(data, b"", 6), Err(Undecodable::TooLarge));
    }
}
