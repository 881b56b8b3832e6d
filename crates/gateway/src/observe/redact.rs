//! Which parts of a request must not stand in a log or a span.
//!
//! Takes a query or a `Referer`, gives it without the values that are secrets by the name of their parameter. Names
//! are compared as a service would read them: percent-decoded, without regard to case and to what is no letter or
//! digit, so that `api_key`, `API-Key` and `%61pikey` are one. Must never let a value through because it is long.

/// What a name must equal.
const NAMES: [&str; 12] =
    ["key", "code", "sig", "sid", "pwd", "passwd", "pass", "pin", "otp", "jwt", "auth", "authorization"];
/// What a name must end with: `id_token`, `client_secret`, `X-Amz-Signature` and their like.
const ENDINGS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "signature",
    "apikey",
    "accesskey",
    "credential",
    "credentials",
    "session",
    "sessionid",
];
/// Stands in place of a secret.
const MASK: &[u8] = b"***";
/// Letters and digits of a name that are looked at; a longer name is none that anybody configured.
const LONGEST: usize = 64;

/// The names that are secrets.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    further: Vec<Vec<u8>>,
}

impl Redaction {
    /// The built-in names and these.
    pub fn new<'a>(further: impl IntoIterator<Item = &'a str>) -> Redaction {
        let folded = further.into_iter().map(|name| fold(name.as_bytes()).as_bytes().to_vec());
        Redaction { further: folded.filter(|name| !name.is_empty()).collect() }
    }

    /// Writes a query, without its question mark, with `***` for the values of secret parameters.
    pub fn query(&self, out: &mut Vec<u8>, query: &[u8]) {
        let mut rest = query;
        loop {
            let end = memchr::memchr2(b'&', b';', rest).unwrap_or(rest.len());
            let (pair, after) = rest.split_at_checked(end).unwrap_or((rest, b""));
            match memchr::memchr(b'=', pair).and_then(|equals| pair.split_at_checked(equals)) {
                Some((name, _)) if self.is_secret(name) => {
                    out.extend_from_slice(name);
                    out.push(b'=');
                    out.extend_from_slice(MASK);
                }
                _ => out.extend_from_slice(pair),
            }
            let Some((&separator, behind)) = after.split_first() else { return };
            out.push(separator);
            rest = behind;
        }
    }

    /// Whether a parameter or field of this name is a secret.
    pub fn is_secret(&self, name: &[u8]) -> bool {
        let folded = fold(name);
        let name = folded.as_bytes();
        NAMES.iter().any(|own| own.as_bytes() == name)
            || ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
            || self.further.iter().any(|own| own == name)
    }
}

/// A `Referer` without its query, its fragment and whoever logs in.
pub(crate) fn referer(value: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr2(b'?', b'#', value).unwrap_or(value.len());
    let value = value.get(..end).unwrap_or_default();
    let Some((scheme, rest)) =
        memchr::memmem::find(value, b"://").and_then(|at| value.split_at_checked(at.saturating_add(3)))
    else {
        return (value, b"");
    };
    let authority = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let login = memchr::memrchr(b'@', rest.get(..authority).unwrap_or_default());
    (scheme, rest.get(login.map_or(0, |at| at.saturating_add(1))..).unwrap_or_default())
}

/// A name as it is compared, without memory of its own.
struct Folded {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Folded {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

fn fold(name: &[u8]) -> Folded {
    let mut folded = Folded { bytes: [0; LONGEST], length: 0 };
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => (byte, after),
            },
            _ => (byte, after),
        };
        rest = after;
        if !byte.is_ascii_alphanumeric() {
            continue;
        }
        if folded.length == LONGEST {
            // The end decides about most names.
            folded.bytes.rotate_left(1);
            folded.length -= 1;
        }
        if let Some(place) = folded.bytes.get_mut(folded.length) {
            *place = byte.to_ascii_lowercase();
            folded.length += 1;
        }
    }
    folded
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_by_the_name_of_their_parameter() {
        let redaction = Redaction::new(["customer-no"]);
        for (query, told) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("token=S", "token=***"),
            ("a=1&access_token=S&b", "a=1&access_token=***&b"),
            ("API-Key=S&apikey=S&x.api_key=S", "API-Key=***&apikey=***&x.api_key=***"),
            ("%74oken=S", "%74oken=***"),
            ("user[password]=S", "user[password]=***"),
            ("X-Amz-Signature=S&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Date=1"),
            ("code=S&codec=h264&keys=2", "code=***&codec=h264&keys=2"),
            ("a=1;secret=S;b=&", "a=1;secret=***;b=&"),
            ("customer_no=S", "customer_no=***"),
            ("token=S=S", "token=***"),
            ("=S&token", "=S&token"),
        ] {
            let mut out = Vec::new();
            redaction.query(&mut out, query.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), told, "{query}");
        }
        let long = format!("{}-token=S", "x".repeat(500));
        let mut out = Vec::new();
        redaction.query(&mut out, long.as_bytes());
        assert!(out.ends_with(b"token=***"));
    }

    #[test]
    fn a_referer_tells_no_query_and_no_login() {
        for (value, told) in [
            ("https://shop.example/a?token=S#x", "https://shop.example/a"),
            ("https://user:S@shop.example/a@b", "https://shop.example/a@b"),
            ("https://shop.example#S", "https://shop.example"),
            ("/a?S", "/a"),
            ("", ""),
        ] {
            let (start, rest) = referer(value.as_bytes());
            assert_eq!([start, rest].concat(), told.as_bytes(), "{value}");
        }
    }
}
