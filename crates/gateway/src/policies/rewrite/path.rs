//! Another path: a new one, or the old one without a prefix, with replacements, behind a prefix.
//!
//! Takes and gives canonical paths. Whatever comes out of templates and expressions is made canonical again, and refused
//! where a dot segment would have to be resolved for that: then it would lead beside the place that was written.

use regex::bytes::{Captures, Regex};

use super::{Changes, Refused, Replacement, fill};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::Exchange;
use crate::http::path::{PathError, PathOptions, canonicalise};
use crate::values::Template;

/// How the path changes.
pub(super) enum Change {
    /// Not at all.
    None,
    /// It becomes this one.
    New(Template),
    /// Step by step.
    Steps(Box<Steps>),
}

/// The steps, in their order.
pub(super) struct Steps {
    strip: Vec<String>,
    replace: Option<(Regex, Vec<Piece>)>,
    add: Option<Template>,
}

/// A stretch of what a match becomes.
enum Piece {
    Literal(String),
    Group(usize),
}

impl Change {
    pub(super) fn new(changes: Changes, faults: &mut Diagnostics) -> Change {
        let Changes { path, strip_prefix, regex, add_prefix, .. } = changes;
        let steps = !strip_prefix.is_empty() || regex.is_some() || add_prefix.is_some();
        if let Some(path) = path {
            if steps {
                let what = "`path` of `rewrite` is the whole path and leaves nothing to change";
                faults.error(codes::BAD_POLICY, path.span(), what).help("keep it or the others");
            }
            check_path(&path, &fill::sample(&path, "x"), faults);
            return Change::New(path.into_inner());
        }
        if !steps {
            return Change::None;
        }
        let strip = strip_prefix.iter().filter_map(|prefix| whole_segments(prefix, faults)).collect();
        if let Some(prefix) = &add_prefix {
            let sample = fill::sample(prefix, "x");
            check_path(
                prefix,
                sample.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&sample),
                faults,
            );
        }
        let replace = regex.and_then(|regex| replacement(&regex, faults));
        Change::Steps(Box::new(Steps { strip, replace, add: add_prefix.map(Spanned::into_inner) }))
    }

    /// The path for the service, where it is another one.
    pub(super) fn apply(&self, exchange: &Exchange) -> Result<Option<Vec<u8>>, Refused> {
        match self {
            Change::None => Ok(None),
            Change::New(template) => {
                let mut built = Vec::with_capacity(exchange.path.len());
                fill::path(exchange, template, &mut built)?;
                canonical(&built).map(Some)
            }
            Change::Steps(steps) => steps.apply(exchange).map(Some),
        }
    }
}

impl Steps {
    fn apply(&self, exchange: &Exchange) -> Result<Vec<u8>, Refused> {
        let path = self.stripped(&exchange.path);
        let replaced = self.replace.as_ref().map(|(regex, pieces)| {
            regex.replace_all(path, |groups: &Captures<'_>| {
                let mut text = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                        Piece::Group(number) => {
                            text.extend_from_slice(
                                groups.get(*number).map(|group| group.as_bytes()).unwrap_or_default(),
                            );
                        }
                    }
                }
                text
            })
        });
        let path = replaced.as_deref().unwrap_or(path);
        // Checked before something stands in front of it that could hide what it is.
        let path = canonical(path)?;
        let Some(prefix) = &self.add else { return Ok(path) };
        let mut built = Vec::with_capacity(path.len());
        fill::path(exchange, prefix, &mut built)?;
        built.extend_from_slice(&path);
        canonical(&built)
    }

    /// The path without the first prefix that is all of its first segments.
    fn stripped<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let behind = |prefix: &String| {
            let rest = path.strip_prefix(prefix.as_bytes())?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        };
        self.strip.iter().find_map(behind).unwrap_or(path)
    }
}

/// The canonical spelling of a path that was put together.
fn canonical(built: &[u8]) -> Result<Vec<u8>, Refused> {
    let built = if built.is_empty() { b"/" } else { built };
    let mut path = Vec::with_capacity(built.len());
    canonicalise(built, &mut path, PathOptions::default()).map_err(|error| Refused(error.reason()))?;
    // Merged slashes cost no segment, a dot segment does.
    let segments =
        |path: &[u8]| path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).count();
    if segments(&path) != segments(built) {
        return Err(Refused("the rewritten path holds a dot segment"));
    }
    Ok(path)
}

/// Checks what is known of a path before there is a request.
fn check_path(written: &Spanned<impl std::fmt::Display>, sample: &str, faults: &mut Diagnostics) {
    let mut path = Vec::new();
    let (what, help) = match canonicalise(sample.as_bytes(), &mut path, PathOptions::default()) {
        Ok(_) if path == sample.as_bytes() => return,
        Ok(_) => {
            let help = match sample == written.to_string() {
                true => format!("write `{}`", String::from_utf8_lossy(&path)),
                false => "leave out `//`, dot segments and escapes of letters, digits and `-._~`".to_owned(),
            };
            ("is not in its canonical spelling".to_owned(), help)
        }
        Err(error) => {
            let help = match error {
                PathError::NotAbsolute => "begin it with `/`",
                PathError::BadByte if sample.contains('?') => {
                    "parameters are written under `query: { set: { .. } }`"
                }
                _ => "write other bytes than letters, digits and `-._~!$&'()*+,;=:@` as %20 and the like",
            };
            (format!("is no path: {}", error.reason()), help.to_owned())
        }
    };
    faults
        .error(codes::BAD_POLICY, written.span(), format!("`{}` of `rewrite` {what}", **written))
        .help(help);
}

/// A prefix without a slash at its end.
fn whole_segments(prefix: &Spanned<String>, faults: &mut Diagnostics) -> Option<String> {
    let bare = prefix.strip_suffix('/').unwrap_or(prefix);
    if bare.is_empty() {
        let fault = faults.error(
            codes::BAD_POLICY,
            prefix.span(),
            format!("`{}` of `rewrite` is no prefix", **prefix),
        );
        fault.help("write whole segments: /api");
        return None;
    }
    check_path(prefix, bare, faults);
    Some(bare.to_owned())
}

fn replacement(written: &Replacement, faults: &mut Diagnostics) -> Option<(Regex, Vec<Piece>)> {
    let text = written.r#match.as_str();
    let regex = match Regex::new(text) {
        Ok(regex) => regex,
        Err(error) => {
            let what = format!("`match` of `rewrite` cannot be used on bytes: {error}");
            faults.error(codes::BAD_POLICY, written.replace.span(), what);
            return None;
        }
    };
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = written.replace.as_str();
    while let Some((before, behind)) = rest.split_once('$') {
        literal.push_str(before);
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
        let (name, after) = behind.split_at_checked(end).unwrap_or((behind, ""));
        // `$1x` is the first group and an `x`, as everybody means it.
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        let (number, letters) = name.split_at_checked(digits).unwrap_or((name, ""));
        let group = match number.parse() {
            Ok(number) => Some(number).filter(|number| *number < regex.captures_len()),
            Err(_) => regex.capture_names().position(|known| known == Some(name)),
        };
        let Some(group) = group else {
            let what = format!("`${name}` of `rewrite` is no group of `{text}`");
            let last = regex.captures_len().saturating_sub(1);
            let fault = faults.error(codes::BAD_POLICY, written.replace.span(), what);
            fault.help(format!("write $0 to ${last}, or %24 for a dollar"));
            return None;
        };
        pieces.extend([Piece::Literal(std::mem::take(&mut literal)), Piece::Group(group)]);
        if !number.is_empty() {
            literal.push_str(letters);
        }
        rest = after;
    }
    literal.push_str(rest);
    pieces.push(Piece::Literal(literal));
    Some((regex, pieces))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::asked;
    use super::super::tests::rewritten;

    #[test]
    fn paths_become_others() {
        for (settings, target, sent) in [
            ("/new/{path.*}", "/a/b%2Fc?q=1", "/new/a/b%2Fc?q=1"),
            ("/new/{path.*}", "/", "/new/"),
            ("/v1{path}", "/a", "/v1/a"),
            ("\"{path}/x\"", "/a", "/a/x"),
            ("/by/{query.q}", "/?q=a%20b", "/by/a%20b?q=a%20b"),
            ("/by/{query.q}/x", "/?q=a/b%3fc%23d%25", "/by/a%2Fb%3Fc%23d%25/x?q=a/b%3fc%23d%25"),
            ("/{method}/{host}/{ip}", "/", "/GET/h.example/0.0.0.0"),
            ("{ strip_prefix: /api }", "/api/x", "/x"),
            ("{ strip_prefix: /api/ }", "/api", "/"),
            ("{ strip_prefix: /api }", "/api/", "/"),
            ("{ strip_prefix: /api }", "/apis/x", "/apis/x"),
            ("{ strip_prefix: /api }", "/x/api", "/x/api"),
            ("{ strip_prefix: [/v1, /v2] }", "/v2/x", "/x"),
            ("{ strip_prefix: /api }", "/api/%2fadmin", "/%2fadmin"),
            ("{ strip_prefix: /api }", "/api../admin", "/api../admin"),
            ("{ strip_prefix: /api }", "/api%2e%2e/admin", "/api../admin"),
            ("{ add_prefix: /v2 }", "/x", "/v2/x"),
            ("{ add_prefix: /v2/ }", "/x", "/v2/x"),
            ("{ add_prefix: \"/t/{query.t}\" }", "/x?t=..a", "/t/..a/x?t=..a"),
            ("{ strip_prefix: /api, add_prefix: /v2 }", "/api", "/v2/"),
            ("{ regex: { match: \"^/u/([0-9]+)$\", replace: /users/$1 } }", "/u/17", "/users/17"),
            ("{ regex: { match: \"^/u/([0-9]+)$\", replace: /users/$1 } }", "/u/x", "/u/x"),
            ("{ regex: { match: \"(?<c>[a-z])-(?<d>[a-z])\", replace: $d-$c } }", "/a-b", "/b-a"),
            ("{ regex: { match: \"([a-z])-\", replace: $1x } }", "/a-b-c", "/axbxc"),
            ("{ strip_prefix: /api, regex: { match: a, replace: b }, add_prefix: /a }", "/api/a", "/a/b"),
        ] {
            assert_eq!(rewritten(settings, asked("GET", target, &[])), sent, "{settings} {target}");
        }
    }

    #[test]
    fn nothing_leads_beside_the_place_that_was_written() {
        for (settings, target) in [
            ("/users/{query.id}/profile", "/?id=.."),
            ("/users/{query.id}/profile", "/?id=../admin"),
            ("/users/{query.id}/profile", "/?id=a/../../admin"),
            ("/users/{query.id}/profile", "/?id=..%5cadmin"),
            ("/users/{query.id}/profile", "/?id=a%00"),
            ("/users/{query.id}/profile", "/?id=%ff"),
            ("/users/{query.id}/profile", "/?id="),
            ("/users/{query.id}/profile", "/"),
            ("/users/.{query.id}/profile", "/?id=."),
            ("/users/{header.x-none}", "/"),
            ("/users/{path.none}", "/"),
            ("{ add_prefix: \"/t/{query.t}\" }", "/x?t=.."),
            ("{ regex: { match: \"^/api\", replace: \"\" } }", "/api../admin"),
            ("{ regex: { match: \"^/api\", replace: / } }", "/api../admin"),
            ("{ regex: { match: \"^/api\", replace: /v1/ } }", "/api../admin"),
            ("{ regex: { match: \"^/api\", replace: /v1/ } }", "/api%2e%2e/admin"),
            ("{ regex: { match: \"^/api\", replace: /v1/ } }", "/api./admin"),
            ("{ regex: { match: \"x\", replace: \"\" } }", "/a/.x./admin"),
            ("{ regex: { match: \"^/x\", replace: \"\" } }", "/xa"),
            ("{ regex: { match: \"x\", replace: \"%5C\" } }", "/axb"),
            ("{ regex: { match: \"25\", replace: \"\" } }", "/a%252e%252e/%252e%252e/admin"),
        ] {
            assert_eq!(
                rewritten(settings, asked("GET", target, &[])),
                "rewrite_refused",
                "{settings} {target}"
            );
        }
    }
}
