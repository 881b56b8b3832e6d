//! `lists` on the wire: who is on one gets 403, lists of others are checked before they hold, and a database tells countries.

use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use testkit::client::request;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::{Origin, Reply};

fn gateway(state: &std::path::Path, lists: &str) -> Gateway {
    testkit::gateway!(
        "listen: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\ntrusted_proxies: [127.0.0.0/8]\nstate: {}\n\
         defaults: {{ lists: {lists} }}\nroutes: {{ /*: {{ respond: hello }} }}\n",
        state.display()
    )
}

fn status(gateway: &Gateway, address: &str) -> u16 {
    request(gateway.addr(), "GET", "/", &[("X-Forwarded-For", address)], b"").status
}

fn sum(text: &str) -> String {
    let sum = digest::digest(&digest::SHA256, text.as_bytes());
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_list_of_others_holds_when_its_checksum_does_and_the_last_good_one_stays() {
    let state = tempfile::tempdir().unwrap();
    let texts = Arc::new(Mutex::new(("203.0.113.0/24 # scanners\n".to_owned(), None::<String>)));
    let served = texts.clone();
    let keeper = Origin::answering(move |request| {
        let (list, told) = served.lock().unwrap().clone();
        match request.target.as_str() {
            "/list" => Reply::ok(list),
            _ => Reply::ok(format!("{}  list.txt\n", told.unwrap_or_else(|| sum(&list)))),
        }
    });
    let lists = format!(
        "{{ allow: [203.0.113.9], shared: {{ url: \"{0}/list\", checksum: \"{0}/sum\", every: 1s }} }}",
        keeper.url()
    );
    let first = gateway(state.path(), &lists);
    eventually("the list", || (status(&first, "203.0.113.7") == 403).then_some(()));
    assert_eq!([status(&first, "203.0.113.9"), status(&first, "203.0.114.7")], [200, 200]);
    let line = first.wait_for_log(|line| line["status"] == 403);
    assert_eq!((&line["reason"], &line["refused_by"]), (&"listed_shared".into(), &"lists".into()));
    assert!(line["why"].as_str().unwrap().ends_with("/list"), "{line}");

    // Another list with the sum of the first, then no list at all: nothing changes.
    for (text, told) in [("203.0.114.0/24\n", Some(sum("something"))), ("<html>moved</html>\n", None)] {
        let failed = first.metric("tidegate_lists_failures_total");
        *texts.lock().unwrap() = (text.to_owned(), told);
        first.wait_metric("tidegate_lists_failures_total", |now| now > failed);
        assert_eq!([status(&first, "203.0.113.7"), status(&first, "203.0.114.7")], [403, 200], "{text}");
    }
    assert!(first.stop().success());

    // After a restart the last good one holds, though there is still none to be had.
    let second = gateway(state.path(), &lists);
    assert_eq!([status(&second, "203.0.113.7"), status(&second, "203.0.114.7")], [403, 200]);
    *texts.lock().unwrap() = ("203.0.114.0/24\n".to_owned(), None);
    eventually("the next list", || (status(&second, "203.0.114.7") == 403).then_some(()));
    assert_eq!(status(&second, "203.0.113.7"), 200);
}

/// A database in the format of MaxMind in which 203.0.113.0/24 is in one country and 198.51.100.0/24 in another: a tree of
/// 24 bit records, the data behind it, and the facts about both at the end.
fn database(first: &str, second: &str) -> Vec<u8> {
    let text = |text: &str| [vec![0x40 | text.len() as u8], text.as_bytes().to_vec()].concat();
    let country =
        |code: &str| [vec![0xe1], text("country"), vec![0xe1], text("iso_code"), text(code)].concat();
    let data = [country(first), country(second)];
    let networks = [([203u8, 0, 113], 0), ([198, 51, 100], data[0].len())];
    // Nodes as pairs of what follows: another node, nothing, or data.
    #[derive(Clone, Copy)]
    enum Next {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Next::Nothing; 2]];
    for (network, offset) in networks {
        let bits: Vec<usize> = network
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |nth| usize::from(byte >> nth & 1)))
            .collect();
        let mut at = 0;
        for (nth, bit) in bits.iter().enumerate() {
            if nth + 1 == bits.len() {
                nodes[at][*bit] = Next::Data(offset);
            } else if let Next::Node(next) = nodes[at][*bit] {
                at = next;
            } else {
                nodes.push([Next::Nothing; 2]);
                nodes[at][*bit] = Next::Node(nodes.len() - 1);
                at = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let record = |next: Next| match next {
        Next::Nothing => count,
        Next::Node(nth) => nth,
        Next::Data(offset) => count + 16 + offset,
    };
    let tree = nodes.iter().flatten().flat_map(|next| (record(*next) as u32).to_be_bytes()[1..].to_vec());
    let mut bytes: Vec<u8> = tree.collect();
    bytes.extend([0; 16]);
    bytes.extend(data.concat());
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let number = |number: u32| [vec![0xc4], number.to_be_bytes().to_vec()].concat();
    let short = |number: u16| [vec![0xa2], number.to_be_bytes().to_vec()].concat();
    let facts = [
        vec![0xe9],
        [text("binary_format_major_version"), short(2)].concat(),
        [text("binary_format_minor_version"), short(0)].concat(),
        [text("build_epoch"), vec![0x04, 0x02, 0, 0, 0, 1]].concat(),
        [text("database_type"), text("Test-Country")].concat(),
        [text("description"), vec![0xe1], text("en"), text("test")].concat(),
        [text("ip_version"), short(4)].concat(),
        [text("languages"), vec![0x01, 0x04], text("en")].concat(),
        [text("node_count"), number(count as u32)].concat(),
        [text("record_size"), short(24)].concat(),
    ];
    bytes.extend(facts.concat());
    bytes
}

#[test]
fn a_database_tells_countries_and_is_read_again_when_it_changes() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("country.mmdb");
    std::fs::write(&file, database("SE", "XX")).unwrap();
    let denied =
        gateway(state.path(), &format!("{{ countries: {{ file: {}, deny: [XX] }} }}", file.display()));
    let seen = |gateway: &Gateway| {
        ["203.0.113.7", "198.51.100.7", "192.0.2.1"].map(|address| status(gateway, address))
    };
    assert_eq!(seen(&denied), [200, 403, 200]);
    let line = denied.wait_for_log(|line| line["status"] == 403);
    assert_eq!((&line["reason"], &line["why"]), (&"listed_country".into(), &"country XX".into()));
    std::fs::write(state.path().join("next"), database("XX", "SEE")).unwrap();
    std::fs::rename(state.path().join("next"), &file).unwrap();
    eventually("the other database", || (seen(&denied) == [403, 200, 200]).then_some(()));
    std::fs::write(&file, "no database").unwrap();
    denied.wait_for_line(|line| line.contains("countries are not known"));
    assert_eq!(seen(&denied), [403, 200, 200], "the one before stays");

    std::fs::write(&file, database("SE", "XX")).unwrap();
    let allowed = format!("{{ countries: {{ file: {}, allow: [SE], unknown: false }} }}", file.display());
    assert_eq!(seen(&gateway(state.path(), &allowed)), [200, 403, 403]);
    let allowed = allowed.replace("false", "true");
    assert_eq!(seen(&gateway(state.path(), &allowed)), [200, 403, 200]);
}
