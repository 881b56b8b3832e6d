//! A part for each element of a list: in its order, some at a time, and never more than is allowed.

use testkit::client::Raw;
use testkit::event::Gate;
use testkit::origin::{Origin, Recorded, Reply};

use super::{json, moody, with};

#[test]
fn each_element_is_asked_for_and_stands_in_its_place() {
    let (orders, _) = moody(r#"{"items": [{"p": 3, "n": "a b"}, {"p": 1}, {"p": 404}, {"p": 2}]}"#);
    let products = Origin::answering(|request: &Recorded| match request.target.as_str() {
        "/p/404?n=" => Reply::status(404),
        target => json(format!("{{\"name\": \"{target}\", \"more\": 1}}")),
    });
    let gateway = with(
        &orders,
        &products,
        &products,
        "
  /lost: { aggregate: { order: users /, products: { from: 'orders /p/{item.p}?n={item.n}', for_each: order.items } } }
  /none: { aggregate: { order: users /, products: { from: 'orders /p/{item.p}?n={item.n}', for_each: order.body.items, select: name, optional: true } } }
  /some: { aggregate: { parts: { order: users /, products: { from: 'orders /p/{item.p}?n={item.n}', for_each: order.items, default: {} } }, template: { first: '{products.body.0.name}', count: '{order.body.items.3.p}' } } }
  /few: { aggregate: { order: users /, products: { from: 'orders /p/{item.p}', for_each: order.items, max_items: 3, optional: true } } }
  /null: { aggregate: { order: users /, products: { from: 'orders /p/{item.p}?n={item.n}', for_each: order.items, select: more, default: null }, gone: { from: orders /p/404?n=, default: null } } }
  /wrong: { aggregate: { order: users /, products: { from: 'orders /p/{item.p}', for_each: order.items.0 } } }
",
    );
    let answer = gateway.get("/lost");
    assert_eq!((answer.status, answer.json()["part"].as_str()), (404, Some("products")));
    let answer = gateway.get("/none");
    assert_eq!(answer.json()["products"].to_string(), r#"["/p/3?n=a%20b","/p/1?n=",null,"/p/2?n="]"#);
    assert_eq!(answer.header("tidegate-partial"), Some("products"));
    let line = gateway.wait_for_log(|line| line["parts"][1]["requests"] == 4 && line["status"] == 200);
    assert_eq!(
        (line["parts"][1]["outcome"].as_str(), line["parts"][1]["status"].as_u64()),
        (Some("status"), Some(200))
    );
    let answer = gateway.get("/some");
    assert_eq!(answer.text(), r#"{"first":"/p/3?n=a%20b","count":2}"#);
    let answer = gateway.get("/null");
    assert_eq!(answer.json()["products"].to_string(), "[1,1,null,1]");
    assert!(answer.text().ends_with(",\"gone\":null}"), "{}", answer.text());
    assert_eq!(answer.header("tidegate-partial"), Some("products, gone"));
    let asked = products.requests().len();
    let answer = gateway.get("/few");
    assert_eq!((answer.status, answer.header("tidegate-partial")), (200, Some("products")));
    gateway.wait_for_log(|line| line["parts"][1]["outcome"] == "too_many_items");
    assert_eq!(products.requests().len(), asked, "a list that is too long asks nobody");
    let answer = gateway.get("/wrong");
    assert_eq!((answer.status, answer.json()["parts"][1]["outcome"].as_str()), (502, Some("no_list")));
}

#[test]
fn no_more_are_asked_at_a_time_than_is_allowed() {
    let (orders, _) = moody("[1, 2, 3, 4, 5]");
    let gate = Gate::new();
    let own = gate.clone();
    let products = Origin::answering(move |_: &Recorded| json("true").slow(&own));
    let gateway = with(
        &orders,
        &products,
        &products,
        "  /d: { aggregate: { order: users /, products: { from: 'orders /{item}', for_each: order, at_once: 2 } } }",
    );
    let mut raw = Raw::connect(gateway.addr());
    raw.get("/d");
    products.wait_for_requests(2);
    // Whoever asks for more than it may would have done so by now: the other two wait for a place.
    assert_eq!(products.open_connections(), 2);
    gate.open();
    assert_eq!(raw.read_response().json()["products"].to_string(), "[true,true,true,true,true]");
    assert_eq!(products.open_connections(), 2, "five requests over two connections");
}
