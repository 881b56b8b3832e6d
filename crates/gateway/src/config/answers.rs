//! What the gateway answers by itself, as written: `respond` and `redirect`.
//!
//! A status, headers and a body, or a place to go to; what contradicts itself is refused here.

use super::pairs::Pairs;
use super::place::Spanned;
use crate::values::{HeaderName, HeaderValue, Invalid, Template, text_value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// An answer that the gateway gives by itself.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "WrittenRespond")]
pub struct Respond {
    /// The status, 200 to 599. Default 200, or 204 when there is no body.
    pub status: Status,
    /// The headers, besides Content-Type and Content-Length.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    pub headers: Pairs<HeaderName, HeaderValue>,
    /// What the body is: `application/json` for `json`, else `text/plain; charset=utf-8` unless written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<HeaderValue>,
    /// The body; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// An answer as written: a status, a text, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenRespond {
    Number(Status),
    Text(String),
    Map(RespondSettings),
}

/// An answer that the gateway gives by itself.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RespondSettings {
    /// The status, 200 to 599. Default 200, or 204 when there is no body.
    status: Option<Status>,
    /// The body as JSON, written as YAML.
    json: Option<serde_json::Value>,
    /// The body as text. From a file: `${file:page.html}`.
    body: Option<String>,
    /// What the body is. Default `application/json` for `json`, `text/plain; charset=utf-8` for `body`.
    content_type: Option<HeaderValue>,
    /// Further headers.
    headers: Pairs<HeaderName, HeaderValue>,
}

impl TryFrom<WrittenRespond> for Respond {
    type Error = String;

    fn try_from(written: WrittenRespond) -> Result<Self, String> {
        let settings = match written {
            WrittenRespond::Number(status) => RespondSettings { status: Some(status), ..Default::default() },
            WrittenRespond::Text(body) => RespondSettings { body: Some(body), ..Default::default() },
            WrittenRespond::Map(settings) => settings,
        };
        let RespondSettings { status, json, body, content_type, headers } = settings;
        let (body, usual) = match (json, body) {
            (Some(_), Some(_)) => return Err("`json` and `body` are both written\nkeep one of them".into()),
            (Some(json), None) => (json.to_string(), "application/json"),
            (None, Some(body)) => (body, "text/plain; charset=utf-8"),
            (None, None) => (String::new(), ""),
        };
        if let Some((name, _)) = headers.iter().find(|(name, _)| is_framing(name.as_str())) {
            return Err(format!(
                "the header `{name}` is set by the gateway\nleave it out; use `content_type`"
            ));
        }
        let status = status.unwrap_or(if body.is_empty() { Status(204) } else { Status(200) });
        if !body.is_empty() && matches!(status.0, 204 | 205 | 304) {
            return Err(format!(
                "an answer with status {status} has no body\nremove the body or change the status"
            ));
        }
        let content_type = match content_type {
            None if !usual.is_empty() => usual.parse().ok(),
            written => written,
        };
        Ok(Self { status, headers, content_type, body })
    }
}

fn is_framing(name: &str) -> bool {
    ["content-type", "content-length", "transfer-encoding", "connection"]
        .iter()
        .any(|framing| framing.eq_ignore_ascii_case(name))
}

/// The status of a final answer, 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(u16);

impl Status {
    /// As a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(status @ 200..=599) => Ok(Self(status)),
            _ => Err(Invalid::new(
                format!("`{text}` is not the status of an answer"),
                "write a number from 200 to 599",
            )),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

text_value!(@read Status, "Status", "a status from 200 to 599", {
    "type": "integer",
    "minimum": 200,
    "maximum": 599
});

/// A redirection.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "WrittenRedirect")]
pub struct Redirect {
    /// Where to, as a URL or a path, with places such as `{path.*}` filled in.
    pub to: Spanned<Template>,
    /// 301, 302, 303, 307 or 308. Default 308: for good, and the method stays.
    pub status: Status,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(untagged)]
enum WrittenRedirect {
    Text(Spanned<Template>),
    Map(RedirectSettings),
}

/// A redirection.
#[derive(Deserialize, JsonSchema)]
struct RedirectSettings {
    /// Where to, as a URL or a path, with places such as `{path.*}` filled in.
    to: Spanned<Template>,
    /// 301, 302, 303, 307 or 308. Default 308: for good, and the method stays.
    #[serde(default = "for_good")]
    status: Status,
}

const fn for_good() -> Status {
    Status(308)
}

impl TryFrom<WrittenRedirect> for Redirect {
    type Error = String;

    fn try_from(written: WrittenRedirect) -> Result<Self, String> {
        let (to, status) = match written {
            WrittenRedirect::Text(to) => (to, for_good()),
            WrittenRedirect::Map(RedirectSettings { to, status }) => (to, status),
        };
        if to.parts().is_empty() {
            return Err("the redirection leads nowhere\nwrite a URL or a path".into());
        }
        if !matches!(status.0, 301 | 302 | 303 | 307 | 308) {
            return Err(format!("status {status} is not a redirection\nwrite 301, 302, 303, 307 or 308"));
        }
        Ok(Self { to, status })
    }
}
