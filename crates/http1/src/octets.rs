//! The classes of bytes of RFC 9110 section 5 and the small scans over them.
//!
//! Takes slices, gives answers; knows no message. A scan here must never take a byte for allowed that the
//! grammar does not allow: the encoders rely on it to put nothing on the wire that ends a line early.

/// The bytes of a token (RFC 9110 section 5.6.2).
static TCHAR: [bool; 256] =
    table(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// The bytes of a registered name this codec takes: those of DNS names, `_` and `~`. The sub-delims and
/// percent-encoding of RFC 3986 are left out on purpose: a comma or `%2e` in a host is only ever an attack.
static REG_NAME: [bool; 256] = table(b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

#[expect(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where an index out of bounds does not build"
)]
const fn table(members: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < members.len() {
        table[members[at] as usize] = true;
        at += 1;
    }
    table
}

fn all_in(class: &[bool; 256], text: &[u8]) -> bool {
    text.iter().all(|&byte| class.get(usize::from(byte)).copied().unwrap_or(false))
}

pub(crate) fn is_tchar(byte: u8) -> bool {
    TCHAR.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Whether the text is a token: not empty, only token bytes.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all_in(&TCHAR, text)
}

/// Whether all bytes may stand in a request target; an empty text passes.
pub(crate) fn is_target(text: &[u8]) -> bool {
    !any(text, |byte| !is_target_byte(byte))
}

/// Whether the byte may stand in a request target: visible ASCII without `#`, which starts a fragment that is
/// never sent, and without `\`, which some origins read as `/`.
#[inline]
pub(crate) fn is_target_byte(byte: u8) -> bool {
    (byte > 0x20) & (byte < 0x7f) & (byte != b'#') & (byte != b'\\')
}

/// How many bytes at the start may stand in a registered name.
pub(crate) fn reg_name(text: &[u8]) -> usize {
    let member = |byte: u8| REG_NAME.get(usize::from(byte)).copied().unwrap_or(false);
    text.iter().position(|&byte| !member(byte)).unwrap_or(text.len())
}

/// Whether the byte may stand in a field value (RFC 9110 section 5.5): HTAB, SP, visible ASCII, obs-text.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    (byte >= 0x20 && byte != 0x7f) || byte == b'\t'
}

/// Whether all bytes may stand in a field value.
pub(crate) fn is_value(text: &[u8]) -> bool {
    // HTAB is a control byte that is allowed.
    !any(text, |byte| (byte < 0x20) | (byte == 0x7f)) || text.iter().all(|&byte| is_value_byte(byte))
}

/// Whether one of the bytes is such. As two chunks that overlap, so that no byte is left over for a slower way, and in a
/// form the compiler makes a handful of vector instructions of: targets and values are most of a head.
#[inline]
fn any(text: &[u8], such: impl Fn(u8) -> bool + Copy) -> bool {
    match text.len() {
        0..4 => text.iter().any(|&byte| such(byte)),
        4..8 => at_ends::<4>(text, such),
        8..16 => at_ends::<8>(text, such),
        16..32 => at_ends::<16>(text, such),
        32..64 => at_ends::<32>(text, such),
        _ => text.as_chunks::<32>().0.iter().any(|chunk| among(chunk, such)) || at_ends::<32>(text, such),
    }
}

/// Whether one of the first or of the last bytes is such, or there are fewer.
#[inline]
fn at_ends<const N: usize>(text: &[u8], such: impl Fn(u8) -> bool + Copy) -> bool {
    let ends = text.first_chunk::<N>().zip(text.last_chunk::<N>());
    ends.is_none_or(|(first, last)| among(first, such) | among(last, such))
}

/// Whether one of them is such; looks at all of them, which is what makes it fast.
#[inline]
fn among<const N: usize>(bytes: &[u8; N], such: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |found, &byte| found | such(byte))
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// Where the first colon stands; eight bytes at a time, because names are short and memchr starts slowly.
pub(crate) fn colon(line: &[u8]) -> Option<usize> {
    let (words, rest) = line.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let off = u64::from_le_bytes(*word) ^ (u64::from(b':') * ONES);
        // The lowest bit found is exact; only bytes above the first colon may be taken for one.
        let found = off.wrapping_sub(ONES) & !off & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    rest.iter().position(|&byte| byte == b':').map(|found| at + found)
}

pub(crate) fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Without the optional white space (SP, HTAB) at the start.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_ows(*first)
    {
        text = rest;
    }
    text
}

/// Without the optional white space (SP, HTAB) at the end.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_ows(*last)
    {
        text = rest;
    }
    text
}

/// Without optional white space at either end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// A decimal number in its only spelling: digits, no sign, no leading zero. `None` also if it exceeds 64 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    match text {
        [] | [b'0', _, ..] => return None,
        _ => {}
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte & 0x0f))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A name byte as lenient origins see it: CGI and its heirs take every mark for the same one.
pub(crate) fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Whether the name folds to `folded`, which must be written in its folded form.
pub(crate) fn folds_to(name: &[u8], folded: &[u8]) -> bool {
    name.len() == folded.len() && name.iter().zip(folded).all(|(&byte, &want)| fold(byte) == want)
}
