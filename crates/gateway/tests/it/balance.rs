//! The choice of a target: by load, by hash, and the next one when a connection does not come about.

use testkit::client::{self, Raw};
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

/// Three origins that answer with their number, and hang on `/hang`.
fn three() -> Vec<Origin> {
    let numbered = |number: usize| {
        Origin::conversing(move |_, conversation| {
            let Some(request) = conversation.read_request() else { return testkit::origin::After::Close };
            let hangs = request.target == "/hang";
            let reply = if hangs { Reply::hang() } else { Reply::ok(number.to_string()) };
            conversation.answer(&request, reply)
        })
    };
    (0..3).map(numbered).collect()
}

fn balanced(origins: &[Origin], balance: &str) -> Gateway {
    let targets: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
# With more, one worker may choose while another has not yet counted down an answer that the client has.
workers: 1
admin: {{ listen: 127.0.0.1:0 }}
services:
  app: {{ targets: [{targets}], balance: {balance} }}
routes:
  /*: {{ to: app }}
  /users/{{id}}: {{ to: app }}
"#,
        targets = targets.join(", ")
    )
}

#[test]
fn a_busy_target_is_left_alone() {
    let origins = three();
    let gateway = balanced(&origins[..2], "least_request");
    let mut stuck = Raw::connect(gateway.addr());
    stuck.get("/hang");
    testkit::event::eventually("the request that hangs", || {
        origins[..2].iter().any(|origin| !origin.requests().is_empty()).then_some(())
    });
    let busy = origins.iter().position(|origin| !origin.requests().is_empty()).unwrap();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), (1 - busy).to_string());
    }
}

#[test]
fn the_same_header_leads_to_the_same_target() {
    let origins = three();
    let gateway = balanced(&origins, "{ hash: header.x-tenant }");
    let asked =
        |tenant: &str| client::request(gateway.addr(), "GET", "/", &[("X-Tenant", tenant)], b"").text();
    let tenants: Vec<String> = (0..30).map(|number| format!("tenant-{number}")).collect();
    let first: Vec<String> = tenants.iter().map(|tenant| asked(tenant)).collect();
    let again: Vec<String> = tenants.iter().map(|tenant| asked(tenant)).collect();
    assert_eq!(first, again);
    assert!(origins.iter().all(|origin| !origin.requests().is_empty()), "{first:?}");
}

#[test]
fn the_same_part_of_the_path_leads_to_the_same_target() {
    let origins = three();
    let gateway = balanced(&origins, "{ hash: path.id }");
    for id in 0..20 {
        let targets: Vec<String> =
            (0..3).map(|nth| gateway.get(&format!("/users/{id}?{nth}")).text()).collect();
        assert!(targets.iter().all(|target| *target == targets[0]), "{id}: {targets:?}");
    }
    assert!(origins.iter().all(|origin| !origin.requests().is_empty()));
}

/// Who hashed to a target that is gone goes to another; who did not stays.
#[test]
fn a_hash_whose_target_is_gone_finds_another() {
    let mut origins = three();
    let gateway = balanced(&origins, "{ hash: path.id }");
    let asked = |id: usize| gateway.get(&format!("/users/{id}")).text();
    let before: Vec<String> = (0..30).map(asked).collect();
    drop(origins.remove(0));
    for (id, before) in before.iter().enumerate() {
        let now = asked(id);
        assert!(now == *before || before == "0", "{id}: {before} became {now}");
        assert_ne!(now, "0");
    }
}

#[test]
fn a_name_of_this_machine_leads_to_it() {
    let origin = Origin::start();
    let named = origin.url().replace("127.0.0.1", "localhost");
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\nroutes:\n  /*: {{ to: \"{named}\" }}\n"
    );
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_name_that_nobody_has_is_a_503_at_once() {
    let gateway = testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n\
         routes:\n  /*: {{ to: \"http://nobody.invalid:80\" }}\n"
    );
    let answer = gateway.get("/");
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (503, Some("urn:tidegate:problem:no_endpoint"))
    );
    assert!(answer.header("proxy-status").unwrap().contains("destination_unavailable"));
}
