//! The description of the admin API (OpenAPI 3.1.1), made from the list of its endpoints.

use axum::response::Response;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoints::{ENDPOINTS, Endpoint, Verb};
use super::pages::json_response;

pub(super) async fn page() -> Response {
    json_response(http::StatusCode::OK, &description())
}

/// The whole description.
pub(super) fn description() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in &ENDPOINTS {
        let body = endpoint.body.map(|body| body(&mut generator).to_value());
        let place = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(place) = place.as_object_mut() {
            place.insert(endpoint.method.word().to_owned(), operation(endpoint, body));
        }
    }
    let mut schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Tidegate admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Look at a running gateway and change its configuration.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "tidegate_session" },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, body: Option<Value>) -> Value {
    let in_query = endpoint.query.iter().map(|(name, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": "string" } })
    });
    let in_path =
        endpoint.path.split(['{', '}']).skip(1).step_by(2).map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
    let mut parameters: Vec<Value> = in_path.chain(in_query).collect();
    if endpoint.method == Verb::Put {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
        }));
    }
    let role = endpoint.role.map(crate::config::Role::word);
    let mut told = json!({
        "summary": endpoint.summary,
        "operationId": name(endpoint),
        "parameters": parameters,
        "responses": {
            "200": { "description": "The answer.", "content": { "application/json": {} } },
            "default": {
                "description": "Why not, as problem details (RFC 9457).",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
        "x-tidegate-role": role.unwrap_or("everybody"),
        "x-tidegate-changes": endpoint.changes,
    });
    if let Some(told) = told.as_object_mut() {
        if role.is_none() {
            told.insert("security".into(), json!([]));
        }
        if let Some(schema) = body {
            let content = json!({ "content": { "application/json": { "schema": schema } } });
            told.insert("requestBody".into(), content);
        }
    }
    told
}

/// `get_config_history_number` of `GET /api/v1/config/history/{number}`.
fn name(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches("/api/v1/").replace(['/', '.'], "_").replace(['{', '}'], "");
    format!("{}_{path}", endpoint.method.word())
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
        },
    })
}
