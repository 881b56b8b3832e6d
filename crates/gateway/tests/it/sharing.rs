//! Gateways that count in one Redis, for the tests of limits and of quotas. The server is a real one.

use testkit::client::Raw;
use testkit::gateway::Gateway;
use testkit::origin::Origin;
use testkit::redis::Redis;

/// A gateway that counts in this Redis, with this policy on its only route; `more` stands at the top of the file.
pub(crate) fn sharing(origin: &Origin, redis: &str, more: &str, policy: &str) -> Gateway {
    testkit::gateway!(
        r#"
listen: 127.0.0.1:0
admin: {{ listen: 127.0.0.1:0 }}
workers: 1
redis: {redis}
{more}
services: {{ app: "{}" }}
routes:
  /*: {{ to: app, {policy} }}
"#,
        origin.url()
    )
}

/// A Redis that may take its time: for tests of what is counted, not of how long it takes.
pub(crate) fn patient(redis: &Redis) -> String {
    format!("{{ url: \"{}\", timeout: 5s }}", redis.url())
}

/// So many requests, each to the next of the gateways; how many passed.
pub(crate) fn hopping(gateways: &[Gateway], count: usize) -> usize {
    let mut clients: Vec<Raw> = gateways.iter().map(|gateway| Raw::connect(gateway.addr())).collect();
    let places = clients.len();
    let passed = (0..count).filter(|nth| clients[nth % places].get("/").read_response().status == 200);
    passed.count()
}
