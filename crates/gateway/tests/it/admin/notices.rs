//! Notices on the wire: who is told what, signed, tried again, and a storm in two messages.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use testkit::PATIENCE;
use testkit::client::request;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::mail::MailServer;
use testkit::origin::{Origin, Reply};

fn gateway(app: &str, receivers: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\ntrusted_proxies: [127.0.0.0/8]\nworkers: 1\n\
         notify: {{ group: 5s, receivers: {{ {receivers} }} }}\n\
         services: {{ app: {{ targets: \"{app}\", circuit_breaker: {{ min_requests: 2, window: 1m }} }} }}\n\
         defaults: {{ guard: {{ calm: 1/s, learns: 0s }} }}\nroutes: {{ /*: {{ to: app }} }}\n"
    )
}

/// Lets a client behave abnormally.
fn flood(gateway: &Gateway, address: &str) {
    for _ in 0..100 {
        request(gateway.addr(), "GET", "/a", &[("X-Forwarded-For", address)], b"");
    }
}

fn notices(messages: &[serde_json::Value]) -> impl Iterator<Item = &serde_json::Value> {
    messages.iter().filter_map(|message| message["notices"].as_array()).flatten()
}

#[test]
fn a_webhook_is_signed_and_tried_again_and_a_storm_is_one_message_and_a_summary() {
    let failing = AtomicUsize::new(2);
    let hook = Origin::answering(move |_| {
        let fails =
            failing.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        Reply::status(if fails { 503 } else { 204 })
    });
    let origin = Origin::start();
    let secret = "a secret between the two";
    let gateway =
        gateway(&origin.url(), &format!("ops: {{ webhook: \"{}/told\", secret: \"{secret}\" }}", hook.url()));
    let clients: Vec<String> = (0..8).map(|nth| format!("203.0.113.{nth}")).collect();
    // Two tries that fail, then the message; what came meanwhile is gathered. A slow machine floods slowly: whoever was
    // not noticed goes on.
    let all = eventually("all eight clients to be told", || {
        let bodies = hook.requests().into_iter().skip(2).map(|request| request.body);
        let all: Vec<serde_json::Value> =
            bodies.filter_map(|body| serde_json::from_slice(&body).ok()).collect();
        let told: Vec<&str> = notices(&all).filter_map(|notice| notice["facts"]["client"].as_str()).collect();
        let missing: Vec<&String> =
            clients.iter().filter(|client| !told.contains(&client.as_str())).collect();
        missing.iter().for_each(|client| flood(&gateway, client));
        missing.is_empty().then_some(all)
    });
    assert!(all.len() < notices(&all).count(), "gathered: {all:?}");
    assert_eq!((&all[0]["source"], &all[0]["notices"][0]["event"]), (&"tidegate".into(), &"guard".into()));
    assert!(all[0]["notices"][0]["facts"]["why"].as_str().unwrap().contains("rate "), "{}", all[0]);
    for request in hook.requests() {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/told"));
        let signature = request.header("Tidegate-Signature").unwrap();
        let (time, seal) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{time}.{}", String::from_utf8_lossy(&request.body)).as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seal, hex);
    }
    gateway.wait_metric("tidegate_notices_sent_total", |sent| sent >= 1.0);
    assert_eq!(gateway.metric("tidegate_notices_dropped_total"), 0.0);
}

#[test]
fn syslog_slack_and_mail_are_told_in_their_own_words_and_only_what_they_want() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let slack = Origin::start();
    let mail = MailServer::start(1);
    let broken = Origin::answering(|_| Reply::status(500));
    let receivers = format!(
        "log: {{ syslog: \"udp://{}\" }}, collector: {{ syslog: \"tcp://{}\", events: breaker }}, \
         chat: {{ slack: \"{}/services/of-nobody\", events: breaker }}, \
         mail: {{ events: breaker, smtp: {{ host: 127.0.0.1, port: {}, tls: \"off\", from: \"Tidegate <tg@shop.example>\", \
         to: [ops@shop.example, \"On call <call@shop.example>\"] }} }}",
        udp.local_addr().unwrap(),
        tcp.local_addr().unwrap(),
        slack.url(),
        mail.addr().port()
    );
    let gateway = gateway(&broken.url(), &receivers);
    eventually("the circuit to open", || (gateway.get("/a").status == 503).then_some(()));
    let mut datagram = [0; 4_096];
    let length = udp.recv(&mut datagram).unwrap();
    let line = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(line.starts_with("<28>1 20") && line.contains(" tidegate "), "{line}");
    assert!(line.contains(" breaker - breaker: the circuit of the service app has opened"), "{line}");

    let (mut stream, _) = tcp.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut framed = String::new();
    stream.read_to_string(&mut framed).unwrap();
    let (length, rest) = framed.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), rest.len(), "{framed}");

    let told = slack.wait_for_requests(1);
    let told: serde_json::Value = serde_json::from_slice(&told[0].body).unwrap();
    assert!(
        told["text"].as_str().unwrap().starts_with("*the circuit of the service app has opened* on "),
        "{told}"
    );

    // The first try was refused for the moment.
    let mails = mail.wait_for(1);
    assert_eq!(mails[0].to, ["ops@shop.example", "call@shop.example"]);
    assert!(
        mails[0].text.contains("Subject: [tidegate] the circuit of the service app has opened"),
        "{mails:?}"
    );
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["config", "show"])
        .arg(gateway.folder().join("gateway.yaml"))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("receivers") && !shown.contains("of-nobody"), "{shown}");
}

#[test]
fn receivers_are_changed_by_a_reload() {
    let (first, second, origin) = (Origin::start(), Origin::start(), Origin::start());
    let to = |hook: &Origin| format!("ops: {{ webhook: \"{}/\" }}", hook.url());
    let gateway = gateway(&origin.url(), &to(&first));
    // A slow machine floods slowly.
    eventually("the first receiver to be told", || {
        flood(&gateway, "203.0.113.1");
        (!first.requests().is_empty()).then_some(())
    });
    let text = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    gateway.rewrite_config(&text.replace(&first.url(), &second.url()));
    gateway.reload();
    let before = first.requests().len();
    eventually("the second receiver to be told", || {
        let address = format!("203.0.113.{}", 10 + second.requests().len() + gateway.logs().len() % 200);
        request(gateway.addr(), "GET", "/", &[("X-Forwarded-For", &address)], b"");
        flood(&gateway, &address);
        (!second.requests().is_empty()).then_some(())
    });
    assert!(first.requests().len() <= before + 1, "the first is told what it had to be told, and no more");
}
