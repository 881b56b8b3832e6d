//! What `Cache-Control` and its relatives say (RFC 9111 section 5.2, RFC 5861, RFC 9213).
//!
//! Takes the fields of a head; gives directives as plain values. What cannot be read counts as the more careful of its
//! meanings: a lifetime that is no number is over, a qualified `private` or `no-cache` is meant for all of the answer.

use std::sync::LazyLock;

use http1::{Fields, NameBuf, names};

use crate::http::list::elements;

/// The largest number of seconds that is told apart (RFC 9111 section 1.2.2).
const MOST: u64 = 1 << 31;

/// Fields that speak to caches like this one alone, the first that is there holds (RFC 9213 section 2.2).
static TARGETED: LazyLock<Vec<NameBuf>> = LazyLock::new(|| {
    let names = ["Tidegate-Cache-Control", "CDN-Cache-Control"];
    names.into_iter().filter_map(|name| NameBuf::new(name).ok()).collect()
});

/// Directives, of either side. Times are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub must_understand: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub min_fresh: Option<u64>,
    /// Without a number: however stale.
    pub max_stale: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    /// Whether they come from a targeted field, beside which `Expires` means nothing.
    pub targeted: bool,
    /// Whether there is any at all.
    pub any: bool,
}

impl Directives {
    /// Those of a request. `Pragma: no-cache` counts where there is no `Cache-Control` (RFC 9111 section 5.4).
    pub(super) fn of_request(fields: &Fields) -> Directives {
        let mut directives = Directives::default();
        if fields.contains(names::CACHE_CONTROL) {
            fields.get_all(names::CACHE_CONTROL).for_each(|line| directives.read(line));
        } else if fields.get_all(names::PRAGMA).any(|line| words(line).any(|(name, _)| is(name, "no-cache")))
        {
            (directives.no_cache, directives.any) = (true, true);
        }
        directives
    }

    /// Those of an answer: of the first targeted field that is there and can be read, else of `Cache-Control`.
    pub(crate) fn of_answer(fields: &Fields) -> Directives {
        for name in TARGETED.iter().map(NameBuf::as_name) {
            if !fields.contains(name) {
                continue;
            }
            let lines: Vec<&[u8]> = fields.get_all(name).collect();
            if let Some(directives) = dictionary(&lines.join(&b","[..])) {
                return directives;
            }
        }
        let mut directives = Directives::default();
        fields.get_all(names::CACHE_CONTROL).for_each(|line| directives.read(line));
        directives
    }

    fn read(&mut self, line: &[u8]) {
        for (name, value) in words(line) {
            self.any = true;
            // Of a directive that stands there twice the first holds (RFC 9111 section 4.2.1).
            let set = |place: &mut Option<u64>| {
                if place.is_none() {
                    *place = Some(value.and_then(seconds).unwrap_or(0));
                }
            };
            match () {
                () if is(name, "no-store") => self.no_store = true,
                () if is(name, "no-cache") => self.no_cache = true,
                () if is(name, "private") => self.private = true,
                () if is(name, "public") => self.public = true,
                () if is(name, "must-revalidate") || is(name, "proxy-revalidate") => {
                    self.must_revalidate = true
                }
                () if is(name, "must-understand") => self.must_understand = true,
                () if is(name, "only-if-cached") => self.only_if_cached = true,
                () if is(name, "max-age") => set(&mut self.max_age),
                () if is(name, "s-maxage") => set(&mut self.s_maxage),
                () if is(name, "min-fresh") => set(&mut self.min_fresh),
                () if is(name, "max-stale") && value.is_none() => self.max_stale = Some(MOST),
                () if is(name, "max-stale") => set(&mut self.max_stale),
                () if is(name, "stale-while-revalidate") => set(&mut self.stale_while_revalidate),
                () if is(name, "stale-if-error") => set(&mut self.stale_if_error),
                () => {}
            }
        }
    }

    /// Whether the answer may be shared though its request had credentials (RFC 9111 section 3.5).
    pub(crate) fn shareable(&self) -> bool {
        self.public || self.s_maxage.is_some() || self.must_revalidate
    }
}

fn is(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// A number of seconds; too large ones are as large as they get (RFC 9111 section 1.2.2).
fn seconds(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().unwrap_or(MOST).min(MOST))
}

/// The elements of a list field with `name` or `name=value`; commas within quotes do not part them.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    elements(line).map(|element| match memchr::memchr(b'=', element) {
        None => (element, None),
        Some(at) => {
            let (name, value) = element.split_at_checked(at).unwrap_or_default();
            (name.trim_ascii(), Some(unquoted(value.get(1..).unwrap_or_default().trim_ascii())))
        }
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// A structured dictionary (RFC 8941 section 3.2) of directives; `None` when it is none, and then is as if it were not
/// there (RFC 9213 section 2.1). Of a key that stands there twice the last holds.
fn dictionary(text: &[u8]) -> Option<Directives> {
    let mut directives = Directives { targeted: true, any: true, ..Directives::default() };
    let mut found = false;
    for element in elements(text) {
        let end = element.iter().position(|byte| matches!(byte, b'=' | b';' | b' ')).unwrap_or(element.len());
        let (key, rest) = element.split_at_checked(end)?;
        let first = key.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'*');
        let tail = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(byte);
        if !first || !key.iter().all(tail) {
            return None;
        }
        let (flag, number) = item(rest)?;
        found = true;
        match key {
            b"no-store" => directives.no_store = flag,
            b"no-cache" => directives.no_cache = flag,
            b"private" => directives.private = flag,
            b"public" => directives.public = flag,
            b"must-revalidate" | b"proxy-revalidate" => directives.must_revalidate |= flag,
            b"must-understand" => directives.must_understand = flag,
            b"max-age" => directives.max_age = Some(number.unwrap_or(0)),
            b"s-maxage" => directives.s_maxage = Some(number.unwrap_or(0)),
            b"stale-while-revalidate" => directives.stale_while_revalidate = Some(number.unwrap_or(0)),
            b"stale-if-error" => directives.stale_if_error = Some(number.unwrap_or(0)),
            _ => {}
        }
    }
    found.then_some(directives)
}

/// What stands behind a key: whether it is true, and its number. Anything else than a number or a truth value is true
/// (as `private="x"`) and no number.
fn item(rest: &[u8]) -> Option<(bool, Option<u64>)> {
    let Some(value) = rest.strip_prefix(b"=") else {
        return rest.first().is_none_or(|byte| *byte == b';').then_some((true, None));
    };
    if value.first() == Some(&b'"') {
        let closed = value.len() > 1 && value.get(1..)?.contains(&b'"');
        return closed.then_some((true, None));
    }
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let value = value.get(..end)?.trim_ascii_end();
    match value {
        b"?0" => Some((false, None)),
        b"?1" => Some((true, None)),
        [b'-', digits @ ..] => seconds(digits).map(|_| (true, None)),
        [digit, ..] if digit.is_ascii_digit() => match seconds(value) {
            Some(number) if value.len() <= 15 => Some((true, Some(number))),
            Some(_) => None,
            // A decimal is a number, but of no seconds.
            None => value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.').then_some((true, None)),
        },
        [first, rest @ ..] if first.is_ascii_alphabetic() || *first == b'*' => {
            rest.iter().all(u8::is_ascii_graphic).then_some((true, None))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http1::Name;

    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(Name::new(name.as_bytes()).unwrap(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn directives_are_read_as_section_5_2_says() {
        let read = |text: &str| Directives::of_answer(&fields(&[("cache-control", text)]));
        assert_eq!(read("max-age=60").max_age, Some(60));
        assert_eq!(read("MAX-AGE=\"60\" , Public").max_age, Some(60));
        assert_eq!(read("max-age=60, max-age=5").max_age, Some(60), "the first of two holds");
        assert_eq!(read("max-age=-1").max_age, Some(0), "no number is no lifetime");
        assert_eq!(read("max-age=1.5").max_age, Some(0));
        assert_eq!(read("max-age=99999999999999999999").max_age, Some(MOST));
        assert!(!read("x=\"a, no-store\", max-age=7").no_store, "commas in quotes part nothing");
        assert!(read("private=\"Set-Cookie\"").private && read("no-cache=\"x\"").no_cache);
        assert!(read("proxy-revalidate").must_revalidate);
        assert!(!read("").any && !read(", ,").any);
    }

    #[test]
    fn requests_may_say_pragma() {
        assert!(Directives::of_request(&fields(&[("pragma", "no-cache")])).no_cache);
        let both = fields(&[("pragma", "no-cache"), ("cache-control", "max-stale")]);
        let both = Directives::of_request(&both);
        assert_eq!((both.no_cache, both.max_stale), (false, Some(MOST)));
    }

    #[test]
    fn a_targeted_field_holds_alone() {
        for (targeted, max_age, is_targeted) in [
            ("max-age=30", Some(30), true),
            ("max-age=30;x=1, private", Some(30), true),
            ("max-age=\"30\"", Some(0), true),
            ("max-age=1, max-age=2", Some(2), true),
            ("Max-Age=30", Some(600), false),
            ("max-age=30 x", Some(600), false),
            ("", Some(600), false),
        ] {
            let all = fields(&[("cdn-cache-control", targeted), ("cache-control", "max-age=600")]);
            let read = Directives::of_answer(&all);
            assert_eq!((read.max_age, read.targeted), (max_age, is_targeted), "{targeted}");
        }
        let own = fields(&[("CDN-Cache-Control", "max-age=1"), ("Tidegate-Cache-Control", "no-store")]);
        assert!(Directives::of_answer(&own).no_store);
    }
}
