//! `mock`: answers made up from an OpenAPI document, as written.

use super::answers::{Respond, Status};
use super::pairs::Pairs;
use super::place::Spanned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Answers made up from an OpenAPI document: its file, or a map.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "Mock", untagged)]
pub enum Mock {
    /// The file of the document.
    Text(Spanned<String>),
    /// All about it.
    Map(Box<MockMap>),
}

/// Answers made up from an OpenAPI document.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "MockSettings")]
pub struct MockMap {
    /// The file of the document (OpenAPI 3.0 or 3.1), relative to the file that names it.
    pub openapi: Spanned<String>,
    /// What stands before the paths of the document. Default: the paths of its `servers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The status of all answers, where the document has one of it. Default: the first good one. A client may ask for
    /// another with `Prefer: code=404`, and for an example with `Prefer: example=NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Answers that are written here, by `operationId` or by method and path as the document has them: `GET /users/{id}`.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub answers: Pairs<Spanned<String>, Respond>,
}

impl Mock {
    /// The long form.
    pub fn settings(&self) -> MockMap {
        match self {
            Self::Text(openapi) => {
                MockMap { openapi: openapi.clone(), base: None, status: None, answers: Pairs::default() }
            }
            Self::Map(map) => (**map).clone(),
        }
    }
}

impl Serialize for Mock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(openapi) => openapi.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}
