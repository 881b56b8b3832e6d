//! Names that a user gives to things, and the nearest known name to a mistyped one.

use super::{Invalid, text_value};
use std::{fmt, str::FromStr};

/// The name of a listener, service, bundle of policies or consumer: 1 to 64 letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // A leading `-` is how `use:` takes a bundle away.
        if (1..=64).contains(&text.len()) && text.chars().all(good) && !text.starts_with('-') {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            format!("`{text}` is not a name"),
            "use 1 to 64 letters, digits, `-`, `_`, `.`, and no `-` at the beginning",
        ))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(Name, "Name", "a name", {
    "type": "string",
    "pattern": "^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,63}$",
    "description": "A name: 1 to 64 letters, digits, `-`, `_`, `.`."
});

/// The candidate that was most likely meant, if one is near enough.
///
/// Near is at most one edit (a letter wrong, missing, too many, or two swapped) for each three letters, letter case
/// and the difference between `-` and `_` left aside. Of two equally near ones the first wins.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance costs the product of both lengths: nobody mistypes a name of this length.
    const LONGEST: usize = 128;
    let folded = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    if written.is_empty() || written.len() > LONGEST {
        return None;
    }
    let allowed = (written.chars().count() / 3).max(1);
    let wanted = folded(written);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST && *candidate != written)
        .map(|candidate| (strsim::osa_distance(&wanted, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "users-v1", "a.b_c", "7", "_x"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "-fair", "a b", "a/b", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nearest_name() {
        let known = ["rate_limit", "cors", "ip", "timeout", "headers"];
        for (written, meant) in [
            ("rate_limt", Some("rate_limit")),
            ("rate-limit", Some("rate_limit")),
            ("Timeout", Some("timeout")),
            ("timeuot", Some("timeout")),
            ("crs", Some("cors")),
            ("header", Some("headers")),
            ("pi", Some("ip")),
            ("x", None),
            ("authentication", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }
}
