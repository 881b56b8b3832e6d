//! Answers that are made by a template that is a text: pages, lists, and JSON that is checked to be it.

use std::sync::atomic::Ordering;

use super::{moody, with};

const ROUTES: &str = r#"
  /page/{lang}:
    aggregate:
      parts: { user: users /, orders: orders /, pay: { from: payments /, optional: true } }
      content_type: text/html; charset=utf-8
      template: |
        <h1 lang="{{ path.lang }}">{{ user.body.name }}</h1><!-- {{ user.body.name | e }} {{ user.body.name | safe }} -->
        {% for order in orders.body.items %}<p>{{ order.id }}: {{ order.total }}</p>
        {% endfor %}{% if pay %}<p>{{ pay.body.cents }}</p>{% else %}<p>no balance</p>{% endif %}
  /json:
    aggregate:
      parts: { user: users /, orders: orders / }
      template: '{"ids": {{ orders.body.items | map(attribute="id") | list }}, "by": {{ user.body.name | tojson }}, "all": {{ orders.body }}}'
  /text: { aggregate: { parts: { user: users / }, template: '{"name": {{ user.body.name }}}' } }
  /open: { aggregate: { parts: { user: users / }, template: '{"name": "{{ user.body.forged }}"}' } }
  /long: { aggregate: { parts: { orders: orders / }, content_type: text/plain, template: '{% for a in orders.body.many %}{% for b in orders.body.many %}{% endfor %}{% endfor %}' } }
"#;

#[test]
fn a_text_is_made_of_what_the_parts_have_said() {
    let (users, _) = moody(r#"{"name": "Ada <\"A\">", "forged": "x\", \"admin\": \"yes"}"#);
    let many = format!(
        r#"{{"items": [{{"id": 7, "total": 3.10}}, {{"id": 12345678901234567890, "total": 5}}], "many": [{}1]}}"#,
        "1,".repeat(1999)
    );
    let (orders, _) = moody(many.leak());
    let (payments, mood) = moody(r#"{"cents": 420}"#);
    let gateway = with(&users, &orders, &payments, ROUTES);
    let page = gateway.get("/page/sv");
    let wanted = "<h1 lang=\"sv\">Ada &lt;&quot;A&quot;&gt;</h1><!-- Ada &lt;&quot;A&quot;&gt; Ada <\"A\"> -->\n<p>7: 3.1</p>\n<p>12345678901234567890: 5</p>\n<p>420</p>";
    assert_eq!((page.status, page.text().as_str()), (200, wanted));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("server-timing").unwrap().contains("orders;dur="));
    // A part that is missing is asked after, and marked as in every other form.
    mood.store(500, Ordering::SeqCst);
    let page = gateway.get("/page/sv");
    assert!(page.text().ends_with("<p>no balance</p>"), "{}", page.text());
    assert_eq!(
        (page.header("tidegate-partial"), page.header("cache-control")),
        (Some("pay"), Some("no-store"))
    );
    let told = gateway.get("/json");
    assert_eq!(told.header("content-type"), Some("application/json"));
    assert_eq!(told.json()["ids"].to_string(), "[7,12345678901234567890]");
    assert_eq!(told.json()["by"], "Ada <\"A\">");
    assert!(told.text().contains(r#"{"id": 7, "total": 3.10}"#), "{}", told.text());
}

#[test]
fn what_is_not_what_it_must_be_never_goes_out() {
    let (users, _) = moody(r#"{"name": "Ada", "forged": "x\", \"admin\": \"yes"}"#);
    let many = format!(r#"{{"items": [], "many": [{}1]}}"#, "1,".repeat(1999));
    let (orders, _) = moody(many.leak());
    let gateway = with(&users, &orders, &orders, ROUTES);
    for (path, why) in [
        ("/text", "what the template makes is no JSON: not_json"),
        ("/open", "template, line 1: a text with quotes stands in JSON as it is: write `tojson` behind it"),
        // In so many steps, or on a machine that is slow in so much time.
        ("/long", "than it may"),
    ] {
        let answer = gateway.get(path);
        let told = answer.json();
        assert_eq!(
            (answer.status, told["type"].as_str()),
            (502, Some("urn:tidegate:problem:answer_unfit")),
            "{path}"
        );
        assert!(!answer.text().contains("Ada") && !answer.text().contains("admin"), "{}", answer.text());
        let line = gateway.wait_for_log(|line| line["path"] == path);
        assert_eq!(line["fault"], "answer_unfit");
        assert!(line["why"].as_str().unwrap().ends_with(why), "{line}");
    }
}
