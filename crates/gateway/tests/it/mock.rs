//! `mock` on the wire: examples, made up values, and what a client may ask for.

use testkit::client;
use testkit::gateway::Gateway;

const SHOP: &str = r##"
openapi: 3.0.3
info: { title: Shop, version: "1" }
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      responses:
        "200":
          description: ok
          headers: { X-Left: { schema: { type: integer, example: 7 } } }
          content:
            application/json:
              schema: { $ref: "#/components/schemas/Order" }
              examples: { small: { value: { id: 1 } }, large: { value: { id: 1000 } } }
        "404": { description: no, content: { application/problem+json: { example: { title: Gone } } } }
    delete: { operationId: dropOrder, responses: { "204": { description: gone } } }
  /orders:
    get:
      operationId: listOrders
      responses:
        "200": { description: ok, content: { application/json: { schema: { type: array, items: { $ref: "#/components/schemas/Order" } } } } }
components:
  schemas:
    Order: { type: object, required: [id], properties: { id: { type: integer, minimum: 3 }, at: { type: string, format: date-time }, next: { $ref: "#/components/schemas/Order" } } }
"##;

fn start(mock: &str) -> Gateway {
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nworkers: 1\nroutes:\n  /*:\n    mock: {mock}\n"
    );
    Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("shop.yaml", SHOP).start(&text)
}

#[test]
fn answers_come_from_the_document_and_are_always_the_same() {
    let gateway = start("shop.yaml");
    let answer = gateway.get("/orders/1");
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.header("x-left")),
        (200, r#"{"id":1}"#, Some("7"))
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let made = gateway.get("/orders");
    assert_eq!(made.json()[0]["id"], 3);
    assert_eq!(made.json()[0]["at"], "2024-01-01T00:00:00Z");
    assert_eq!(gateway.get("/orders").text(), made.text());
    let ask = |method: &str, path: &str, prefer: &str| {
        client::request(gateway.addr(), method, path, &[("Prefer", prefer)], b"")
    };
    assert_eq!(ask("GET", "/orders/1", "example=large").text(), r#"{"id":1000}"#);
    let gone = ask("GET", "/orders/1", "code=404");
    assert_eq!((gone.status, gone.json()["title"].as_str()), (404, Some("Gone")));
    assert_eq!(ask("GET", "/orders/1", "code=503").status, 501);
    assert_eq!((ask("DELETE", "/orders/1", "").status, ask("GET", "/nowhere", "").status), (204, 404));
    let other = ask("PUT", "/orders/1", "");
    assert_eq!((other.status, other.header("allow")), (405, Some("DELETE, GET")));
    let question = r#"{"method":"GET","url":"/orders/1"}"#;
    let told = gateway.admin_request("POST", "/api/v1/explain", &[], question);
    assert!(told.text().contains("answered 200 by what is made up"), "{}", told.text());
}

#[test]
fn written_answers_stand_before_those_of_the_document() {
    let gateway = start(
        "{ openapi: shop.yaml, base: /v1, status: 404, answers: { listOrders: { status: 202, json: [] }, \"DELETE /orders/{id}\": 409 } }",
    );
    assert_eq!((gateway.get("/v1/orders").status, gateway.get("/v1/orders").text().as_str()), (202, "[]"));
    assert_eq!(client::request(gateway.addr(), "DELETE", "/v1/orders/1", &[], b"").status, 409);
    assert_eq!((gateway.get("/v1/orders/1").status, gateway.get("/orders/1").status), (404, 404));
    let launch = Gateway::with_binary(env!("CARGO_BIN_EXE_tidegate")).file("shop.yaml", SHOP);
    let output = launch.output(
        "listen: 127.0.0.1:0\nroutes:\n  /*: { mock: { openapi: shop.yaml, answers: { listOrder: 200 } } }\n",
    );
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("the document has no operation `listOrder`")
            && told.contains("did you mean `listOrders`?"),
        "{told}"
    );
}
