//! What a user writes under `version`, and what it stands for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Asked, Brown, By, Compiled, Lived};
use crate::config::{self, Diagnostics, Spanned, codes};
use crate::policies::{Context, Policy, Settings};
use crate::values::nearest;

/// The life of one version, where it is written on the route itself.
pub type Life = config::Version;

/// Which version of an interface the route is: a name out of `versions` (`shop/v1`), or what clients are told of the route's own end.
///
/// Answers say since when the version is deprecated (`Deprecation`, RFC 9745), when it ends (`Sunset`, RFC 8594) and what comes after
/// it (`Link`). Before the end, `brown_outs` refuse a share of the requests at stated hours with 410 and `Retry-After`; after it
/// every request gets 410. Who calls which version on which route, how often and when last, stands at `/api/v1/versions` and in
/// `tidegate_version_requests_total`.
///
/// Where `versions` says that clients choose by header, query or media type, the route takes those requests that ask for its version,
/// and that of the default version those that ask for none; two routes may then have the same path.
///
/// ```yaml
/// version: shop/v1
/// ```
///
/// ```yaml
/// version:
///   deprecated: 2026-01-01
///   sunset: 2026-12-31
///   successor: /v2/users/{path.*}
///   brown_outs: { when: "mon-fri 09:00/10:00 Europe/Berlin", from: 2026-12-01, share: 10% }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged, rename = "RouteVersion")]
pub enum Version {
    /// An interface of `versions` and one of its versions, with a slash between them.
    Text(Spanned<String>),
    /// What is told of the route's own end.
    Map(Box<Life>),
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Version::Text(name) => name.serialize(serializer),
            Version::Map(life) => life.serialize(serializer),
        }
    }
}

impl Settings for Version {
    const NAME: &'static str = "version";
    const REFUSES: bool = true;
    // Who is refused before has to know too.
    const EVERY_ANSWER: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (name, life, asked) = match &self {
            Version::Map(life) => {
                if let Some(alias) = life.aliases.iter().next() {
                    let what = "`aliases` are other names of a version that has one";
                    faults
                        .error(codes::BAD_POLICY, alias.span(), what)
                        .help("write it under `versions`, and its name here");
                    return None;
                }
                ("", lived(life, key, faults)?, None)
            }
            Version::Text(name) => match find(name, context, faults) {
                Some((versions, own)) => {
                    let life = lived(versions.list.get(own)?, key, faults)?;
                    (name.as_str(), life, asked(versions, own))
                }
                // Looked at alone, where nothing stands beside it.
                None if !context.is_whole => (name.as_str(), Lived::default(), None),
                None => return None,
            },
        };
        let (route, report, id) = ("".into(), None, NEXT.fetch_add(1, Ordering::Relaxed));
        Some(Box::new(Compiled { name: name.into(), route, life, asked, report, id }))
    }
}

/// The interface and the version that a name means.
fn find<'c, 'n>(
    name: &'n Spanned<String>,
    context: &'c Context,
    faults: &mut Diagnostics,
) -> Option<(&'c config::Versions, &'n str)> {
    let (api, version) = name.split_once('/').unwrap_or((name, ""));
    let versions = context.versions.get(api);
    let known = versions.and_then(|versions| versions.list.get(version));
    if known.is_none() && context.is_whole {
        let all = context.versions.iter();
        let all: Vec<String> = all
            .flat_map(|(api, versions)| versions.list.names().map(move |name| format!("{}/{name}", *api)))
            .collect();
        let meant = nearest(name, all.iter().map(String::as_str));
        let help = meant.map_or_else(
            || "write the name of an interface under `versions`, a slash, and one of its versions".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        faults.error(codes::UNKNOWN_NAME, name.span(), format!("unknown version `{}`", **name)).help(help);
    }
    known.and(versions).map(|versions| (versions, version))
}

fn asked(versions: &config::Versions, own: &str) -> Option<Asked> {
    let by = match &versions.by {
        config::VersionBy::Path => return None,
        config::VersionBy::Header(name) => By::Header(name.as_str().to_owned()),
        config::VersionBy::Query(name) => By::Query(name.clone()),
        config::VersionBy::MediaType(name) => By::MediaType(name.clone()),
    };
    let names = |name: &str| versions.names(name).map(str::to_owned).collect::<Vec<_>>();
    let others = versions.list.names().filter(|name| *name != own).flat_map(names).collect();
    Some(Asked { by, own: names(own), others, is_default: versions.is_default(own) })
}

fn lived(life: &Life, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Lived> {
    let before = faults.errors();
    if let (Some(deprecated), Some(sunset)) = (&life.deprecated, &life.sunset)
        && **sunset < **deprecated
    {
        // RFC 9745 section 4.
        faults
            .error(codes::BAD_POLICY, sunset.span(), "the version ends before it is deprecated")
            .note(deprecated.span(), "deprecated")
            .help("change one of the two");
    }
    let successor = life.successor.as_ref().map(|successor| {
        let text = successor.to_string();
        if !text.starts_with('/') && !text.starts_with("http://") && !text.starts_with("https://") {
            let what = format!("`successor` is neither a path nor a URL: `{text}`");
            faults.error(codes::BAD_POLICY, successor.span(), what).help("write `/v2/users/{path.*}`");
        }
        (**successor).clone()
    });
    let second = |moment: &crate::values::Moment| {
        moment.get().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    };
    let brown_outs = browns(life, faults);
    let says_something = life.deprecated.is_some()
        || life.sunset.is_some()
        || life.successor.is_some()
        || !brown_outs.is_empty();
    if !says_something && key.as_str() == "version" && life.docs.is_some() {
        let what = "`docs` is about the end of a version, which is not written";
        faults
            .error(codes::BAD_POLICY, key.span(), what)
            .help("add `deprecated: 2026-01-01` or `sunset: 2026-12-31`");
    }
    (faults.errors() == before).then(|| Lived {
        // RFC 9745 section 2.1: a Date of RFC 9651.
        deprecated: life.deprecated.as_ref().map(|at| (at.get(), format!("@{}", second(at)).into_bytes())),
        sunset: life.sunset.as_ref().map(|at| (at.get(), httpdate::fmt_http_date(at.get()).into_bytes())),
        successor,
        docs: life.docs.as_ref().map(ToString::to_string),
        brown_outs,
    })
}

fn browns(life: &Life, faults: &mut Diagnostics) -> Vec<Brown> {
    let mut brown_outs = Vec::with_capacity(life.brown_outs.len());
    for brown in life.brown_outs.iter() {
        if brown.share.parts_per_million() == 0 {
            faults
                .error(codes::BAD_POLICY, brown.span(), "a brown-out of 0% refuses nobody")
                .help("leave it out");
        }
        if let (Some(from), Some(until)) = (brown.from, brown.until)
            && until <= from
        {
            faults
                .error(codes::BAD_POLICY, brown.span(), "the brown-out ends before it begins")
                .help("change `from` or `until`");
        }
        brown_outs.push(Brown {
            when: brown.when.clone(),
            share: brown.share.parts_per_million(),
            from: brown.from.map(|from| from.get()),
            until: brown.until.map(|until| until.get()),
        });
    }
    brown_outs
}
