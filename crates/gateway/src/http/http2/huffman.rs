//! The Huffman code of compressed fields (RFC 7541 section 5.2), read only.
//!
//! The code is canonical: within a length its codes follow the order of the symbols. So the lengths, which are those of
//! appendix B, are all there is to know; the tables are made of them while this is compiled.

/// Bits of the codes, by symbol.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// The longest code.
const MOST: usize = 30;
/// Codes up to this length are found at once: those of all that stands in most fields.
const SHORT: u32 = 8;

/// What is made of the lengths.
struct Tables {
    /// By the next eight bits: symbol and length of a short code; length 0 where it is a longer one.
    short: [(u8, u8); 256],
    /// By length: the first code, how many there are, and where their symbols stand.
    ranges: [(u32, u32, u32); MOST + 1],
    /// All symbols in the order of their codes.
    symbols: [u8; 256],
}

static TABLES: Tables = tables();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler, where an index out of bounds does not build"
)]
const fn tables() -> Tables {
    let mut made = Tables { short: [(0, 0); 256], ranges: [(0, 0, 0); MOST + 1], symbols: [0; 256] };
    let (mut length, mut code, mut place) = (1, 0_u32, 0_u32);
    while length <= MOST {
        code <<= 1;
        let (first, start) = (code, place);
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                made.symbols[place as usize] = symbol as u8;
                if length <= SHORT as usize {
                    let shift = SHORT - length as u32;
                    let mut at = code << shift;
                    while at < (code + 1) << shift {
                        made.short[at as usize] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        made.ranges[length] = (first, place - start, start);
        length += 1;
    }
    made
}

/// The text is no text of this code: it ends with more than seven bits of padding or others than ones, or has the end
/// of a string inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Gives each byte of a coded text to `each`.
///
/// # Errors
/// [`Malformed`].
pub(super) fn read(text: &[u8], mut each: impl FnMut(u8)) -> Result<(), Malformed> {
    // `count` bits wait at the lower end of `bits`.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut rest = text.iter();
    loop {
        while count <= 32 {
            let Some(&byte) = rest.next() else { break };
            bits = bits << 8 | u64::from(byte);
            count = count.saturating_add(8);
        }
        if count < 8 {
            break;
        }
        let next = usize::try_from(bits >> count.saturating_sub(SHORT) & 0xff).unwrap_or(0);
        let (symbol, length) = match TABLES.short.get(next) {
            Some(&(symbol, length)) if length > 0 => (symbol, u32::from(length)),
            _ => match long(bits, count) {
                Some(found) => found,
                None => break,
            },
        };
        each(symbol);
        count = count.saturating_sub(length);
    }
    // What is left is shorter than a byte, or no code: of up to seven bits a whole code may be the first part.
    while count > 0 {
        match long(bits, count) {
            Some((symbol, length)) => {
                each(symbol);
                count = count.saturating_sub(length);
            }
            None => break,
        }
    }
    let ones = (1_u64 << count.min(8)).wrapping_sub(1);
    if count < 8 && bits & ones == ones { Ok(()) } else { Err(Malformed) }
}

/// The code at the beginning of these bits, and its length.
fn long(bits: u64, count: u32) -> Option<(u8, u32)> {
    for (length, &(first, many, start)) in (0_u32..).zip(&TABLES.ranges).skip(1) {
        let shift = count.checked_sub(length)?;
        let code = u32::try_from(bits >> shift & (1_u64 << length).wrapping_sub(1)).ok()?;
        let place = code.wrapping_sub(first);
        if code >= first && place < many {
            let symbol = TABLES.symbols.get(usize::try_from(start.saturating_add(place)).ok()?)?;
            return Some((*symbol, length));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        read(coded, |byte| text.push(byte)).map(|()| text)
    }

    /// The same made by the code itself, symbol by symbol.
    fn coded(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let (first, _, start) = TABLES.ranges[length];
            let place = TABLES.symbols.iter().position(|symbol| symbol == byte).unwrap() as u32 - start;
            bits.extend((0..length).rev().map(|at| (first + place) >> at & 1));
        }
        while bits.len() % 8 > 0 {
            bits.push(1);
        }
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | *bit as u8)).collect()
    }

    /// The examples of RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (bytes, wanted) in [
            (
                &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (&[0x64, 0x02], "302"),
            (&[0xae, 0xc3, 0x77, 0x1a, 0x4b], "private"),
            (&[], ""),
        ] {
            assert_eq!(text(bytes), Ok(wanted.as_bytes().to_vec()));
        }
    }

    #[test]
    fn every_text_is_read_as_it_was_written() {
        for byte in 0..=255 {
            for length in [1, 2, 3, 9] {
                let written = vec![byte; length];
                assert_eq!(text(&coded(&written)), Ok(written));
            }
        }
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(text(&coded(&all)), Ok(all));
    }

    #[test]
    fn wrong_padding_and_the_end_of_a_string_are_refused() {
        for bytes in [&[0xff][..], &[0xff, 0xff, 0xff, 0xff], &[0x64, 0x02, 0xff], &[0x00], &[0xfe]] {
            assert_eq!(text(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
