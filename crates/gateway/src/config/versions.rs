//! The versions of an interface as written: how a request says which it wants, and until when there is which.

use super::codes;
use super::diagnostic::Diagnostics;
use super::pairs::{Named, OneOrMany};
use super::place::{Span, Spanned};
use crate::values::{HeaderName, Moment, Percent, Template, WebUrl, When, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashMap;

/// The versions of one interface. A route takes part in one with `version: shop/v1`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Versions")]
pub struct Versions {
    /// How a request says which version it wants: `path` (the default: the paths of the routes say it), `{ header: X-Version }`,
    /// `{ query: version }`, or `{ media_type: vnd.shop }` for `Accept: application/vnd.shop.v2+json`.
    #[serde(default)]
    pub by: By,
    /// The version for who says nothing. Needed unless `by` is `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Spanned<String>>,
    /// The versions by name.
    pub list: Named<Version>,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Version")]
pub struct Version {
    /// Other names that mean the same: `["1", "2024-05-01"]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub aliases: OneOrMany<Spanned<String>>,
    /// Since when nobody should use it any more: told in `Deprecation` (RFC 9745).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Spanned<Moment>>,
    /// When it ends: told in `Sunset` (RFC 8594); from then on answered with 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Spanned<Moment>>,
    /// What comes after it, as a path or URL with places: `/v2/users/{path.*}`; told in `Link` as `successor-version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Spanned<Template>>,
    /// A page for people about its end; told in `Link` as `deprecation` and `sunset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs: Option<WebUrl>,
    /// Times before the end at which a share of the requests is refused, so that who has not heard of it does.
    #[serde(skip_serializing_if = "is_empty")]
    pub brown_outs: OneOrMany<Spanned<BrownOut>>,
}

/// A time at which a share of the requests is refused.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BrownOut {
    /// The hours: `daily 09:00/10:00 UTC`, `2026-11-27 00:00/24:00 Europe/Berlin`.
    pub when: When,
    /// The share of the requests. Default: 100%.
    #[serde(default = "all")]
    pub share: Percent,
    /// Not before this moment. Default: as soon as `when` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Not from this moment on. Default: until the end of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}

const fn all() -> Percent {
    Percent::whole(100)
}

/// How a request says which version it wants.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenBy")]
pub enum By {
    /// By its path.
    #[default]
    Path,
    /// By a header.
    Header(HeaderName),
    /// By a parameter of the query.
    Query(String),
    /// By a media type in `Accept`, of which this is the beginning behind `application/`.
    MediaType(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "VersionBy")]
enum WrittenBy {
    Text(String),
    Map(ByMap),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "VersionByMap")]
enum ByMap {
    Header(HeaderName),
    Query(String),
    MediaType(String),
}

impl TryFrom<WrittenBy> for By {
    type Error = String;

    fn try_from(written: WrittenBy) -> Result<Self, String> {
        let token = |text: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !text.is_empty() && text.bytes().all(good)
        };
        match written {
            WrittenBy::Text(text) if text == "path" => Ok(By::Path),
            WrittenBy::Text(text) => Err(format!(
                "`{text}` is no way to say a version\nwrite `path`, `{{ header: X-Version }}`, `{{ query: version }}` or `{{ media_type: vnd.shop }}`"
            )),
            WrittenBy::Map(ByMap::Header(name)) => Ok(By::Header(name)),
            WrittenBy::Map(ByMap::Query(name)) if !name.is_empty() => Ok(By::Query(name)),
            WrittenBy::Map(ByMap::MediaType(name)) if token(&name) => Ok(By::MediaType(name)),
            WrittenBy::Map(_) => {
                Err("the name is none\nwrite letters, digits, `.`, `-` and `_`, as in `vnd.shop`".to_owned())
            }
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, name) = match self {
            By::Path => return serializer.serialize_str("path"),
            By::Header(name) => ("header", name.as_str()),
            By::Query(name) => ("query", name.as_str()),
            By::MediaType(name) => ("media_type", name.as_str()),
        };
        serializer.collect_map([(key, name)])
    }
}

impl Versions {
    /// All names of a version.
    pub fn names<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v str> {
        let aliases = self.list.get(name).into_iter().flat_map(|version| version.aliases.iter());
        std::iter::once(name).chain(aliases.map(|alias| alias.as_str()))
    }

    /// Whether a version is that of who says nothing.
    pub fn is_default(&self, name: &str) -> bool {
        self.default.as_ref().is_some_and(|default| **default == name)
    }
}

/// Reports names that stand twice, and a default that is none.
pub(super) fn check(api: &Spanned<String>, versions: &Versions, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for (name, version) in &versions.list {
        for name in std::iter::once(name).chain(version.aliases.iter()) {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            if name.is_empty() || !name.bytes().all(good) {
                let what = format!("`{}` is not the name of a version", name.escape_debug());
                diagnostics
                    .error(codes::BAD_VALUE, name.span(), what)
                    .help("use letters, digits, `.`, `-` and `_`");
            }
            if let Some(first) = seen.insert(name, name.span()) {
                let what = format!("`{}` names two versions of `{}`", **name, **api);
                diagnostics
                    .error(codes::CONFLICT, name.span(), what)
                    .note(first, "the first")
                    .help("keep one of them");
            }
        }
    }
    match &versions.default {
        Some(default) if versions.list.get(default).is_none() => {
            let meant = nearest(default, versions.list.names());
            diagnostics
                .error(
                    codes::UNKNOWN_NAME,
                    default.span(),
                    format!("`{}` has no version `{}`", **api, **default),
                )
                .help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
        }
        Some(default) if versions.by == By::Path => {
            let what = "a path always says its version";
            diagnostics.error(codes::CONFLICT, default.span(), what).help("leave out `default`");
        }
        None if versions.by != By::Path => {
            let what = format!("`{}` does not say which version is for who asks for none", **api);
            diagnostics.error(codes::MISSING_KEY, api.span(), what).help("add `default: v2`");
        }
        _ => {}
    }
}

fn is_empty<T>(values: &OneOrMany<T>) -> bool {
    values.is_empty()
}
