//! A small document from end to end: what is taken, what is refused and where, what is made up.

use serde_json::{Value, json};

use crate::{Api, Asked, Flaw, Found, Judged, Limits, Schema, Violation, Wanted};

const LIMITS: Limits = Limits { violations: 10, depth: 32, strict_query: true };

fn document(version: &str) -> Value {
    json!({
        "openapi": version,
        "info": { "title": "Shop", "version": "1" },
        "servers": [{ "url": "https://{host}.example/api/{v}/", "variables": { "host": { "default": "shop" }, "v": { "default": "v2" } } }],
        "paths": {
            "/orders/{id}": {
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "format": "int32" } }],
                "get": {
                    "operationId": "getOrder",
                    "parameters": [
                        { "name": "fields", "in": "query", "schema": { "type": "array", "items": { "enum": ["a", "b"] } } },
                        { "name": "ids", "in": "query", "explode": false, "schema": { "type": "array", "items": { "type": "integer" } } },
                        { "name": "deep", "in": "query", "style": "deepObject", "schema": { "type": "object", "properties": { "n": { "type": "number" } }, "additionalProperties": false } },
                        { "name": "flag", "in": "query", "schema": { "type": "boolean" } },
                        { "name": "X-Tenant", "in": "header", "required": true, "schema": { "type": "string", "pattern": "^[a-z]+$" } },
                        { "name": "sid", "in": "cookie", "schema": { "type": "string", "minLength": 2 } }
                    ],
                    "responses": {
                        "200": { "description": "", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } },
                        "4XX": { "description": "", "content": { "application/problem+json": { "examples": { "gone": { "value": { "title": "Gone" } }, "none": { "value": { "title": "None" } } } } } }
                    }
                }
            },
            "/orders": {
                "post": {
                    "requestBody": { "required": true, "content": {
                        "application/json": { "schema": { "$ref": "#/components/schemas/Order" } },
                        "application/x-www-form-urlencoded": { "schema": { "$ref": "#/components/schemas/Order" } },
                        "image/*": {}
                    } },
                    "responses": { "201": { "description": "", "headers": { "Location": { "required": true, "schema": { "type": "string", "example": "/orders/1" } } } } }
                }
            }
        },
        "components": { "schemas": {
            "Order": {
                "type": "object",
                "required": ["id", "price", "secret"],
                "properties": {
                    "id": { "type": "integer", "readOnly": true },
                    "price": { "type": "number", "minimum": 0 },
                    "secret": { "type": "string", "writeOnly": true },
                    "lines": { "type": "array", "items": { "$ref": "#/components/schemas/Line" } }
                },
                "additionalProperties": false
            },
            "Line": { "type": "object", "required": ["sku"], "properties": { "sku": { "type": "string" }, "of": { "$ref": "#/components/schemas/Order" } } }
        } }
    })
}

fn api() -> Api {
    Api::new(document("3.0.3"), Judged::ALL).unwrap_or_else(|flaws| panic!("{flaws:?}"))
}

fn told(violations: &[Violation]) -> Vec<String> {
    violations
        .iter()
        .map(|one| format!("{} {}{}: {}", one.place, one.name, one.pointer, one.detail))
        .collect()
}

/// A query, the tenant that a header names, a cookie, and what is wrong with them.
type Case = (&'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("7", "fields=a&fields=b&ids=1,2&deep[n]=1.5&flag=true", Some("shop"), Some("xy"), &[]),
    ("7", "", Some("shop"), None, &[]),
    ("x", "", Some("shop"), None, &[r#"path id: value is not of type "integer""#]),
    ("3000000000", "", Some("shop"), None, &["path id: value is greater than the maximum of 2147483647"]),
    ("7", "", None, None, &["header X-Tenant: it is missing"]),
    ("7", "fields=c", Some("shop"), None, &[r#"query fields/0: value is not one of "a" or "b""#]),
    ("7", "ids=1,x", Some("shop"), None, &[r#"query ids/1: value is not of type "integer""#]),
    ("7", "deep[n]=x", Some("shop"), None, &[r#"query deep/n: value is not of type "number""#]),
    ("7", "flag=1", Some("shop"), None, &[r#"query flag: value is not of type "boolean""#]),
    ("7", "flag=true&flag=false", Some("shop"), None, &["query flag: it stands there more than once"]),
    ("7", "more=1", Some("shop"), None, &["query more: this parameter is not known"]),
    ("7", "", Some("SHOP"), None, &[r#"header X-Tenant: value does not match "^[a-z]+$""#]),
    ("7", "", Some("shop"), Some("x"), &["cookie sid: value is shorter than 2 characters"]),
];

#[test]
fn parameters_are_read_as_their_schemas_mean_them() {
    let api = api();
    for (id, query, tenant, cookie, wanted) in CASES {
        let path = format!("/api/v2/orders/{id}");
        let Found::Operation(_, operation, names) = api.find("GET", path.as_bytes(), None) else {
            panic!("{path}")
        };
        assert_eq!(operation.id, "getOrder");
        let header = |name: &str| (name == "X-Tenant").then(|| tenant.map(str::to_owned)).flatten();
        let cookie = |name: &str| (name == "sid").then(|| cookie.map(str::to_owned)).flatten();
        let asked = Asked { names: &names, query: query.as_bytes(), header: &header, cookie: &cookie };
        assert_eq!(told(&operation.check(&asked, LIMITS)), *wanted, "{path}?{query}");
    }
    assert!(matches!(api.find("HEAD", b"/api/v2/orders/7", None), Found::Operation(..)));
    assert!(matches!(api.find("GET", b"/orders/7", None), Found::Nothing));
    assert!(matches!(api.find("GET", b"/orders/7", Some("")), Found::Operation(..)));
    assert!(
        matches!(api.find("DELETE", b"/api/v2/orders/7", None), Found::OtherMethods(others) if others == ["GET"])
    );
}

#[test]
fn bodies_are_judged_in_their_direction() {
    let api = api();
    let Found::Operation(_, post, _) = api.find("POST", b"/api/v2/orders", None) else { panic!() };
    let json: &[u8] = b"application/json; charset=utf-8";
    let form: &[u8] = b"application/x-www-form-urlencoded";
    for (kind, body, wanted) in [
        (json, r#"{"price":1,"secret":"s","lines":[{"sku":"a"}]}"#, &[][..]),
        (
            json,
            r#"{"price":-1,"secret":"s","x":1}"#,
            &[
                "body /price: value is less than the minimum of 0",
                "body : Additional properties are not allowed ('x' was unexpected)",
            ],
        ),
        (
            json,
            r#"{"price":1,"secret":"s","lines":[{}]}"#,
            &[r#"body /lines/0: "sku" is a required property"#],
        ),
        (json, r#"{"price":1,"price":2,"secret":"s"}"#, &["body : an object has the same key twice"]),
        (json, "{", &["body : not JSON"]),
        (form, "price=1.5&secret=s", &[]),
        (form, "price=a&secret=s", &[r#"body /price: value is not of type "number""#]),
    ] {
        let media = post.media(Some(kind), true).unwrap().unwrap();
        assert!(media.reads(Some(kind)));
        let mut found = told(&media.check(Some(kind), body.as_bytes(), LIMITS));
        let mut wanted = wanted.to_vec();
        found.sort();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{body}");
    }
    assert!(!post.media(Some(b"image/png"), true).unwrap().unwrap().reads(Some(b"image/png")));
    let refused = post.media(Some(b"text/plain"), true).err().unwrap();
    assert!(refused.detail.starts_with("the body is to be one of application/json"), "{}", refused.detail);
    assert_eq!(post.media(None, false).err().unwrap().detail, "the body is missing");
    // An answer has what is only read, and not what is only written.
    let Found::Operation(_, get, _) = api.find("GET", b"/api/v2/orders/1", None) else { panic!() };
    let media = get.response(200).unwrap().media(Some(json)).unwrap().unwrap();
    assert_eq!(media.check(Some(json), br#"{"id":1,"price":1}"#, LIMITS), []);
    assert_eq!(
        told(&media.check(Some(json), br#"{"price":1}"#, LIMITS)),
        [r#"body : "id" is a required property"#]
    );
    assert!(get.response(404).is_some() && get.response(500).is_none());
    let created = post.response(201).unwrap();
    assert_eq!(told(&created.check(&|_| None, LIMITS)), ["header Location: it is missing"]);
}

#[test]
fn answers_are_made_from_examples_and_schemas() {
    let api = api();
    let Found::Operation(_, get, _) = api.find("GET", b"/api/v2/orders/1", None) else { panic!() };
    let mocked = api.mock(get, Wanted::default()).unwrap();
    assert_eq!((mocked.status, mocked.content_type.as_str()), (200, "application/json"));
    let media = get.response(200).unwrap().media(Some(b"application/json")).unwrap().unwrap();
    assert_eq!(media.check(None, &mocked.body, LIMITS), []);
    assert_eq!(api.mock(get, Wanted::default()), Some(mocked), "the same question, the same answer");
    let gone = api.mock(get, Wanted { status: Some(404), ..Wanted::default() }).unwrap();
    assert_eq!((gone.status, gone.body.as_slice()), (404, &br#"{"title":"Gone"}"#[..]));
    let none = Wanted { status: Some(404), example: Some("none"), ..Wanted::default() };
    assert_eq!(api.mock(get, none).unwrap().body, br#"{"title":"None"}"#);
    assert_eq!(api.mock(get, Wanted { status: Some(500), ..Wanted::default() }), None);
    let Found::Operation(_, post, _) = api.find("POST", b"/api/v2/orders", None) else { panic!() };
    let created = api.mock(post, Wanted::default()).unwrap();
    assert_eq!(
        (created.status, created.headers),
        (201, vec![("Location".to_owned(), "/orders/1".to_owned())])
    );
}

#[test]
fn flaws_name_their_places() {
    let flaw = |change: &dyn Fn(&mut Value)| -> Vec<Flaw> {
        let mut document = document("3.1.0");
        change(&mut document);
        Api::new(document, Judged::ALL).err().unwrap_or_default()
    };
    let order = "/components/schemas/Order";
    for (change, pointer, what) in [
        (
            &(|d: &mut Value| d["openapi"] = json!("2.0")) as &dyn Fn(&mut Value),
            "",
            "OpenAPI 2.0 is not known here: 3.0 and 3.1 are",
        ),
        (
            &|d: &mut Value| {
                d.as_object_mut().unwrap().remove("openapi");
                d["swagger"] = json!("2.0")
            },
            "",
            "the document is of Swagger 2.0: convert it to OpenAPI 3",
        ),
        (
            &|d: &mut Value| d["components"]["schemas"]["Order"] = json!({ "$ref": "other.yaml#/Order" }),
            order,
            "`other.yaml#/Order` leads out of the document: put it into one file",
        ),
        (
            &|d: &mut Value| {
                d["components"]["schemas"]["Order"] = json!({ "$ref": "#/components/schemas/Gone" })
            },
            order,
            "`#/components/schemas/Gone` leads nowhere",
        ),
        (
            &|d: &mut Value| d["paths"]["/a/{b"] = json!({}),
            "/paths/~1a~1{b",
            "`/a/{b`: a `{` or `}` stands alone",
        ),
        (
            &|d: &mut Value| {
                d["paths"]["/orders"]["post"]["parameters"] = json!([{ "in": "body", "name": "x" }])
            },
            "/paths/~1orders/post/parameters/0",
            "`in` of a parameter is one of `path`, `query`, `header`, `cookie`",
        ),
    ] {
        let flaws = flaw(change);
        assert_eq!(flaws.first(), Some(&Flaw::new(pointer, what)), "{flaws:?}");
    }
    let flaws = flaw(&|d| d["components"]["schemas"]["Order"] = json!({ "type": "objekt" }));
    assert_eq!(flaws[0].pointer, order);
    assert!(flaws[0].what.starts_with("the schema cannot be used: "), "{flaws:?}");
    let flaws = flaw(&|d| d["components"]["schemas"]["Order"] = json!({ "pattern": "(" }));
    assert_eq!(flaws[0].pointer, order);
}

#[test]
fn a_schema_of_its_own() {
    let schema = Schema::new(&json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/A" } }, "$defs": { "A": { "type": "integer" } } })).unwrap();
    assert_eq!(schema.check_json(br#"{"a":1}"#, LIMITS), []);
    assert_eq!(
        told(&schema.check_json(br#"{"a":"1"}"#, LIMITS)),
        [r#"body /a: value is not of type "integer""#]
    );
    assert!(
        Schema::new(&json!({ "$ref": "https://example.com/schema.json" })).is_err(),
        "nothing is fetched"
    );
    assert!(Schema::new(&json!({ "type": 7 })).is_err());
}

#[test]
fn nullable_and_recursion_of_older_documents() {
    let document = json!({
        "openapi": "3.0.0", "info": { "title": "T", "version": "1" },
        "paths": { "/n": { "post": { "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Node" } } } }, "responses": {} } } },
        "components": { "schemas": { "Node": {
            "type": "object", "nullable": true,
            "properties": {
                "next": { "nullable": true, "allOf": [{ "$ref": "#/components/schemas/Node" }] },
                "kind": { "type": "string", "nullable": true, "enum": ["a"] },
                "over": { "type": "number", "minimum": 1, "exclusiveMinimum": true }
            }
        } } }
    });
    let api = Api::new(document, Judged::ALL).unwrap_or_else(|flaws| panic!("{flaws:?}"));
    let Found::Operation(_, post, _) = api.find("POST", b"/n", None) else { panic!() };
    let media = post.media(Some(b"application/json"), true).unwrap().unwrap();
    for (body, good) in [
        ("null", true),
        (r#"{"next":{"next":null,"kind":null},"over":1.1}"#, true),
        (r#"{"over":1}"#, false),
        (r#"{"kind":"b"}"#, false),
        (r#"{"next":7}"#, false),
    ] {
        assert_eq!(media.check(None, body.as_bytes(), LIMITS).is_empty(), good, "{body}");
    }
}
