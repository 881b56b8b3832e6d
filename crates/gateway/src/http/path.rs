//! The path of a target in its one canonical spelling.
//!
//! Takes the path part of an origin-form or absolute-form target (no query), gives the bytes by which the request
//! is routed, judged, limited, cached and forwarded. Whoever needs a path takes these bytes and no others; a
//! rewritten path passes here again. Must never decode twice, never take `%2F` for a separator and never give
//! an empty segment inside a path or a dot segment.

use std::fmt;

/// What the owner of a listener may choose.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct PathOptions {
    /// Refuse a path that holds `%2F` instead of carrying it as data.
    pub reject_encoded_slash: bool,
}

/// What is worth knowing of a path that was accepted.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The canonical path still holds `%` escapes.
    pub escaped: bool,
    /// A `;` stands in the path, so some services will read a shorter path than we do: see [`without_params`].
    pub params: bool,
}

/// Why a path is refused; the client is told 400 for each of them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PathError {
    /// The path does not start with `/`.
    NotAbsolute,
    /// A control byte, a space, `?` or `#`, as it is.
    BadByte,
    /// A byte above 0x7F, as it is.
    NonAscii,
    /// A backslash, as it is or as `%5C`.
    Backslash,
    /// A `%` without two hex digits.
    BadEscape,
    /// `%00` to `%1F` or `%7F`.
    EncodedControl,
    /// Escapes that no correct UTF-8 holds: overlong forms, surrogates, values above U+10FFFF.
    BadUtf8,
    /// `%2F` where the listener refuses it.
    EncodedSlash,
    /// Dot segments lead above `/`.
    AboveRoot,
    /// A dot segment with a parameter: `/..;x/`.
    DotWithParams,
}

impl PathError {
    /// The stable name of the rule, for logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAbsolute => "path_not_absolute",
            Self::BadByte => "path_bad_byte",
            Self::NonAscii => "path_non_ascii",
            Self::Backslash => "path_backslash",
            Self::BadEscape => "path_bad_escape",
            Self::EncodedControl => "path_encoded_control",
            Self::BadUtf8 => "path_bad_utf8",
            Self::EncodedSlash => "path_encoded_slash",
            Self::AboveRoot => "path_above_root",
            Self::DotWithParams => "path_dot_with_params",
        }
    }

    /// One plain sentence for the client.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAbsolute => "the path does not start with `/`",
            Self::BadByte => "the path holds a control byte, a space, `?` or `#` that is not escaped",
            Self::NonAscii => "the path holds a byte outside ASCII that is not escaped",
            Self::Backslash => "the path holds a backslash",
            Self::BadEscape => "the path holds a `%` that two hex digits do not follow",
            Self::EncodedControl => "the path holds an escaped control byte",
            Self::BadUtf8 => "the path holds escapes that are not correct UTF-8",
            Self::EncodedSlash => "the path holds an escaped slash, which this listener refuses",
            Self::AboveRoot => "the dot segments of the path lead above its root",
            Self::DotWithParams => "the path holds a dot segment with a parameter",
        }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for PathError {}

/// A canonical path in a buffer that is used again and again.
#[derive(Clone, Default, Debug)]
pub struct CanonicalPath {
    bytes: Vec<u8>,
    outcome: Outcome,
}

impl CanonicalPath {
    /// Takes a path in; after an error the path is empty.
    ///
    /// # Errors
    /// The first rule of [`PathError`] that the path breaks.
    pub fn set(&mut self, target_path: &[u8], options: PathOptions) -> Result<(), PathError> {
        match canonicalise(target_path, &mut self.bytes, options) {
            Ok(outcome) => {
                self.outcome = outcome;
                Ok(())
            }
            Err(error) => {
                self.clear();
                Err(error)
            }
        }
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the way there showed.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Forgets the path and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.outcome = Outcome::default();
    }
}

/// Writes the canonical form of `target_path` to `out`, whose old content goes.
///
/// In one pass: escapes of unreserved bytes are decoded (RFC 3986 section 6.2.2.2), the hex digits of others become
/// upper case (6.2.2.1), except those of `%2F`, which stays as it came; empty segments are merged; then dot segments,
/// decoded ones too, are resolved (5.2.4). Canonical paths pass unchanged. After an error `out` holds nothing of use.
///
/// # Errors
/// The first rule of [`PathError`] that the path breaks.
pub fn canonicalise(
    target_path: &[u8],
    out: &mut Vec<u8>,
    options: PathOptions,
) -> Result<Outcome, PathError> {
    out.clear();
    let Some(rest) = target_path.strip_prefix(b"/") else { return Err(PathError::NotAbsolute) };
    let seen = survey(target_path);
    if seen & CHANGE == 0 {
        out.extend_from_slice(target_path);
        return Ok(Outcome { escaped: false, params: seen & PARAM != 0 });
    }
    out.push(b'/');
    let mut outcome = Outcome { escaped: false, params: seen & PARAM != 0 };
    let mut segments = rest.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        outcome.escaped |= decode_segment(segment, out, options)?;
        close_segment(out, start)?;
        if out.len() > start && segments.peek().is_some() {
            out.push(b'/');
        }
    }
    // An escape may have gone with the segment that `..` took away.
    outcome.escaped = outcome.escaped && memchr::memchr(b'%', out).is_some();
    outcome.params = outcome.params && memchr::memchr(b';', out).is_some();
    Ok(outcome)
}

/// Writes `path`, a canonical one, without what each segment says after `;` to `out`: the path as a service reads it that
/// knows path parameters (`/admin;x=1` is `/admin` there). Both forms must lead to the same route.
pub fn without_params(path: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(b'/');
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let kept = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        out.extend_from_slice(kept);
        if !kept.is_empty() && segments.peek().is_some() {
            out.push(b'/');
        }
    }
}

/// The path cannot be copied as it is.
const CHANGE: u8 = 1;
/// The byte is `;`.
const PARAM: u8 = 2;
/// The byte is `/`.
const SLASH: u8 = 4;
/// The byte, right after `/`, makes the path worth a closer look: `/` or `.`.
const AFTER_SLASH: u8 = 8;

/// What each byte means to a path.
static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "runs while compiling, where a wrong index is a compile error")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte <= 0x20 || byte >= 0x7f {
            table[byte] = CHANGE;
        }
        byte += 1;
    }
    table[b'%' as usize] = CHANGE;
    table[b'\\' as usize] = CHANGE;
    table[b'?' as usize] = CHANGE;
    table[b'#' as usize] = CHANGE;
    table[b';' as usize] = PARAM;
    table[b'/' as usize] = SLASH | AFTER_SLASH;
    table[b'.' as usize] = AFTER_SLASH;
    table
}

/// All that stands in the path, in one pass without branches.
fn survey(path: &[u8]) -> u8 {
    let mut seen = 0;
    let mut before = 0;
    for &byte in path {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(CHANGE);
        // SLASH of the byte before and AFTER_SLASH of this one meet in the bit of CHANGE.
        seen |= class | (((before & SLASH) >> 2) & ((class & AFTER_SLASH) >> 3));
        before = class;
    }
    seen
}

/// Appends a segment with its escapes in order; says whether escapes are left.
fn decode_segment(segment: &[u8], out: &mut Vec<u8>, options: PathOptions) -> Result<bool, PathError> {
    let mut escaped = false;
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (value, digits, after) = escape(rest)?;
                refuse_bad_utf8(value, after)?;
                escaped |= push_escape(value, digits, out, options)?;
                rest = after;
            }
            b'\\' => return Err(PathError::Backslash),
            0..=0x20 | 0x7f | b'?' | b'#' => return Err(PathError::BadByte),
            0x80.. => return Err(PathError::NonAscii),
            _ => out.push(byte),
        }
    }
    Ok(escaped)
}

/// The byte that an escape stands for, its digits as they came, and what follows; `rest` starts after the `%`.
fn escape(rest: &[u8]) -> Result<(u8, [u8; 2], &[u8]), PathError> {
    let Some((&digits, after)) = rest.split_first_chunk::<2>() else { return Err(PathError::BadEscape) };
    let [high, low] = digits;
    match (hex(high), hex(low)) {
        (Some(high), Some(low)) => Ok((high << 4 | low, digits, after)),
        _ => Err(PathError::BadEscape),
    }
}

/// The value of a hex digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Refuses what the first two bytes of a UTF-8 sequence may not be (RFC 3629 section 4). A lone byte of another
/// encoding, such as `%E9`, passes: it has one reading only.
fn refuse_bad_utf8(value: u8, after: &[u8]) -> Result<(), PathError> {
    let second = || match after.strip_prefix(b"%").map(escape) {
        Some(Ok((second, ..))) => second,
        _ => 0,
    };
    let bad = match value {
        0xc0 | 0xc1 | 0xf5.. => true,
        0xe0 => matches!(second(), 0x80..=0x9f),
        0xed => matches!(second(), 0xa0..=0xbf),
        0xf0 => matches!(second(), 0x80..=0x8f),
        0xf4 => matches!(second(), 0x90..=0xbf),
        _ => false,
    };
    if bad { Err(PathError::BadUtf8) } else { Ok(()) }
}

/// Appends what stands for an escaped byte; says whether that is an escape.
fn push_escape(
    value: u8,
    digits: [u8; 2],
    out: &mut Vec<u8>,
    options: PathOptions,
) -> Result<bool, PathError> {
    match value {
        0..=0x1f | 0x7f => Err(PathError::EncodedControl),
        b'\\' => Err(PathError::Backslash),
        b'/' if options.reject_encoded_slash => Err(PathError::EncodedSlash),
        b'/' => {
            out.push(b'%');
            out.extend_from_slice(&digits);
            Ok(true)
        }
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            out.push(value);
            Ok(false)
        }
        _ => {
            out.push(b'%');
            out.extend(digits.iter().map(u8::to_ascii_uppercase));
            Ok(true)
        }
    }
}

/// Resolves the segment that starts at `start` when it is a dot segment.
fn close_segment(out: &mut Vec<u8>, start: usize) -> Result<(), PathError> {
    let segment = out.get(start..).unwrap_or_default();
    match segment {
        b"." => out.truncate(start),
        b".." => {
            // `out` ends with the `/` before this segment: the parent starts after the `/` before that one.
            let parents = out.get(..start.saturating_sub(1)).unwrap_or_default();
            let Some(slash) = memchr::memrchr(b'/', parents) else { return Err(PathError::AboveRoot) };
            out.truncate(slash + 1);
        }
        // `..;x` is `..` to a service that knows path parameters. Some decode before they cut.
        [b'.', rest @ ..] if starts_params(rest) => return Err(PathError::DotWithParams),
        [b'.', b'.', rest @ ..] if starts_params(rest) => return Err(PathError::DotWithParams),
        _ => {}
    }
    Ok(())
}

fn starts_params(rest: &[u8]) -> bool {
    rest.starts_with(b";") || rest.starts_with(b"%3B")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, PathError> {
        let mut out = b"old".to_vec();
        canonicalise(path.as_bytes(), &mut out, PathOptions::default())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn one_path_has_one_spelling() {
        for (given, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/ADMIN", "/ADMIN"),
            ("//", "/"),
            ("//admin", "/admin"),
            ("/a//b///c//", "/a/b/c/"),
            ("/.", "/"),
            ("/./admin", "/admin"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/a//../b", "/b"),
            ("/a/./../b/./c", "/b/c"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2e/admin", "/admin"),
            ("/public/.%2e/admin", "/admin"),
            ("/public/%2E./admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/%41%7a%30%2D%2e%5f%7E", "/Az0-._~"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/..a/.b", "/..a/.b"),
            ("/admin;x=1", "/admin;x=1"),
            ("/a%2fb", "/a%2fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/public%2f..%2fadmin", "/public%2f..%2fadmin"),
            ("/a%3ab%c3%a9", "/a%3Ab%C3%A9"),
            ("/%252e%252e/admin", "/%252e%252e/admin"),
            ("/admin%20", "/admin%20"),
            ("/admin%3f", "/admin%3F"),
            ("/caf%e9", "/caf%E9"),
            ("/%e0%a0%80%ed%9f%bf%ee%80%80", "/%E0%A0%80%ED%9F%BF%EE%80%80"),
            ("/%f0%90%80%80%f4%8f%bf%bf", "/%F0%90%80%80%F4%8F%BF%BF"),
            ("/a%20/../b", "/b"),
            ("/a!$&'()*+,=:@\"<>^`{|}b", "/a!$&'()*+,=:@\"<>^`{|}b"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (given, expected) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("admin", PathError::NotAbsolute),
            ("../admin", PathError::NotAbsolute),
            ("/..", PathError::AboveRoot),
            ("/../admin", PathError::AboveRoot),
            ("/a/../../admin", PathError::AboveRoot),
            ("//../admin", PathError::AboveRoot),
            ("/%2e%2e/admin", PathError::AboveRoot),
            ("/public/..;/admin", PathError::DotWithParams),
            ("/public/..;x=1/admin", PathError::DotWithParams),
            ("/public/%2e%2e;/admin", PathError::DotWithParams),
            ("/public/..%3b/admin", PathError::DotWithParams),
            ("/public/.;/admin", PathError::DotWithParams),
            ("/public/..;", PathError::DotWithParams),
            ("/public\\..\\admin", PathError::Backslash),
            ("/public%5c..%5cadmin", PathError::Backslash),
            ("/public%5C", PathError::Backslash),
            ("/admin%00", PathError::EncodedControl),
            ("/admin%09", PathError::EncodedControl),
            ("/admin%0d%0a", PathError::EncodedControl),
            ("/admin%7f", PathError::EncodedControl),
            ("/a b", PathError::BadByte),
            ("/a\tb", PathError::BadByte),
            ("/a\u{7f}", PathError::BadByte),
            ("/public/#/../../admin", PathError::BadByte),
            ("/admin?/../public", PathError::BadByte),
            ("/caf\u{e9}", PathError::NonAscii),
            ("/%", PathError::BadEscape),
            ("/%2", PathError::BadEscape),
            ("/%2/", PathError::BadEscape),
            ("/%zz", PathError::BadEscape),
            ("/%u002e", PathError::BadEscape),
            ("/%%32e", PathError::BadEscape),
            ("/public/%c0%ae%c0%ae/admin", PathError::BadUtf8),
            ("/%C1%81", PathError::BadUtf8),
            ("/%e0%80%af", PathError::BadUtf8),
            ("/%e0%9f%bf", PathError::BadUtf8),
            ("/%f0%80%80%af", PathError::BadUtf8),
            ("/%f0%8f%bf%bf", PathError::BadUtf8),
            ("/%ed%a0%80", PathError::BadUtf8),
            ("/%ed%bf%bf", PathError::BadUtf8),
            ("/%f4%90%80%80", PathError::BadUtf8),
            ("/%f5", PathError::BadUtf8),
            ("/%ff", PathError::BadUtf8),
        ] {
            assert_eq!(canonical(given), Err(expected), "{given}");
        }
    }

    #[test]
    fn an_encoded_slash_is_refused_where_the_listener_says_so() {
        let mut path = CanonicalPath::default();
        let strict = PathOptions { reject_encoded_slash: true };
        assert_eq!(path.set(b"/a%2Fb", strict), Err(PathError::EncodedSlash));
        assert_eq!(path.set(b"/a%2fb", strict), Err(PathError::EncodedSlash));
        assert_eq!(path.as_bytes(), b"");
        assert_eq!(path.set(b"/a%252Fb", strict), Ok(()));
        assert_eq!(path.as_bytes(), b"/a%252Fb");
    }

    #[test]
    fn the_outcome_tells_of_escapes_and_params_that_are_left() {
        for (given, escaped, params) in [
            ("/a", false, false),
            ("/%61", false, false),
            ("/%20", true, false),
            ("/a;b", false, true),
            ("/a;b/%2f", true, true),
            ("/a;b%20/../c", false, false),
        ] {
            let outcome = canonicalise(given.as_bytes(), &mut Vec::new(), PathOptions::default());
            assert_eq!(outcome, Ok(Outcome { escaped, params }), "{given}");
        }
    }

    #[test]
    fn params_are_cut_from_each_segment() {
        for (given, expected) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/admin;x=1", "/admin"),
            ("/a;x/b;y=/c", "/a/b/c"),
            ("/;x/admin", "/admin"),
            ("/a/;x", "/a/"),
            ("/a;x/", "/a/"),
        ] {
            let mut out = b"old".to_vec();
            without_params(given.as_bytes(), &mut out);
            assert_eq!(out, expected.as_bytes(), "{given}");
        }
    }
}
