//! Frames that cost their sender nothing: each kind ends the connection at its figure, is counted, and harms nobody
//! else (H5 to H7, H10, H11).

use testkit::client::Raw;
use testkit::event::eventually;
use testkit::gateway::Gateway;
use testkit::origin::Origin;

use super::wire::{
    END_HEADERS, END_STREAM, Ended, GET, POST, block, code, connect, ended, farewell, frame, headers, kind,
    memory, reset, window,
};
use super::{ask, converse, in_front_of, open, request};

/// The metric that counts connections ended for a reason.
fn metric(reason: &str) -> String {
    format!("tidegate_http2_connections_ended_total{{listener=\"web\",reason=\"{reason}\"}}")
}

#[track_caller]
fn serves(gateway: &Gateway) {
    converse(async {
        let (client, _) = open(gateway.addr()).await;
        assert_eq!(ask(&client, request("GET", "/"), b"").await.unwrap().status, 200);
    });
}

/// H7, H10, H11: exactly so many are taken, and a request behind them is served; one more ends the connection.
#[test]
fn each_flood_ends_the_connection_at_its_figure() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let cases: [(&str, usize, Vec<u8>); 6] = [
        ("ping_flood", 100, frame(kind::PING, 0, 0, &[0; 8])),
        // The first SETTINGS are those that every client begins with.
        ("settings_flood", 49, frame(kind::SETTINGS, 0, 0, &[])),
        ("empty_data_flood", 100, frame(kind::DATA, 0, 1, &[])),
        ("priority_flood", 1000, frame(kind::PRIORITY, 0, 7, &[0, 0, 0, 3, 1])),
        ("priority_flood", 1000, frame(0xbe, 0, 0, &[])),
        ("window_update_flood", 1000, window(0, 1)),
    ];
    for (ended_so_far, (reason, most, one)) in cases.into_iter().enumerate() {
        let mut client = connect(&gateway);
        client.send(headers(&POST, 0, 1));
        client.send(one.repeat(most));
        client.send(headers(&GET, END_STREAM, 3));
        assert_eq!(ended(&mut client), Ended::Answer(200), "{reason}: {most} are taken");
        // The answer earned ten WINDOW_UPDATE frames for each of its own.
        let more = if reason == "window_update_flood" { 21 } else { 1 };
        client.send(one.repeat(more));
        let how = farewell(&mut client);
        assert!(how.says(code::ENHANCE_YOUR_CALM), "{reason}: {how:?}");
        let told = gateway.wait_metric(&metric(reason), |count| count >= 1.0);
        assert!(told <= ended_so_far as f64 + 1.0);
        serves(&gateway);
    }
    gateway.wait_for_line(|line| {
        line.contains("a connection of HTTP/2 was ended for what its client did")
            && line.contains("ping_flood")
    });
    gateway.wait_metric("tidegate_http2_connections_active", |open| open == 0.0);
}

/// H7: the largest head there may be fits into three frames.
#[test]
fn a_head_in_too_many_pieces_ends_the_connection() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let piece = |flags: u8| frame(kind::CONTINUATION, flags, 1, &block(&[("x", "y")]));
    let begin = frame(kind::HEADERS, END_STREAM, 1, &block(&GET));
    let mut client = connect(&gateway);
    client.send([&begin[..], &piece(0).repeat(4), &piece(END_HEADERS)].concat());
    assert_eq!(ended(&mut client), Ended::Answer(200));
    for (most, continuation) in [(6, piece(0)), (6, frame(kind::CONTINUATION, 0, 1, &[]))] {
        let mut client = connect(&gateway);
        client.send([&begin[..], &continuation.repeat(most)].concat());
        let how = ended(&mut client);
        assert!(how.says(code::ENHANCE_YOUR_CALM), "{how:?}");
    }
    assert_eq!(gateway.metric(&metric("continuation_flood")), 2.0);
    assert_eq!(origin.requests().len(), 1);
}

/// H5: a hundred resets are too many, also where every request came to run.
#[test]
fn streams_opened_and_reset_end_the_connection() {
    let origin = Origin::hanging();
    let gateway = in_front_of(&origin, "");
    let mut client = connect(&gateway);
    for nth in 0..101 {
        let stream = nth * 2 + 1;
        client.try_send([headers(&GET, END_STREAM, stream), reset(stream)].concat());
    }
    match farewell(&mut client) {
        Ended::GoAway(code::ENHANCE_YOUR_CALM, last) => assert!(last <= 201, "{last}"),
        how => panic!("{how:?}"),
    }
    let received = gateway.wait_metric("tidegate_http2_resets_total{by=\"client\"}", |count| count > 0.0);
    assert!(received <= 101.0, "{received}");
    let ways = ["rapid_reset", "given_up", "excessive"];
    let ended = ways.map(|reason| gateway.metric(&metric(reason))).iter().sum::<f64>();
    assert_eq!(ended, 1.0);
    eventually("nothing left at the service", || (origin.open_connections() == 0).then_some(()));
    // Ten thousand more, over as many connections as it takes: nothing stays.
    for _ in 0..100 {
        let mut client = connect(&gateway);
        let all: Vec<u8> = (0..100)
            .flat_map(|nth| [headers(&GET, END_STREAM, nth * 2 + 1), reset(nth * 2 + 1)].concat())
            .collect();
        client.try_send(all);
        drop(client);
    }
    eventually("nothing left at the service", || (origin.open_connections() == 0).then_some(()));
    gateway.wait_metric("tidegate_http2_connections_active", |open| open == 0.0);
    gateway.wait_metric("tidegate_inflight_requests", |open| open == 0.0);
}

/// What makes the gateway reset a stream, or a connection, whose request runs.
type Primitive = (&'static str, fn(u32) -> Vec<u8>);

/// H6: each of the six primitives gives the request up at the service too, and no more than 500 are borne.
#[test]
fn streams_that_the_gateway_is_made_to_reset_are_given_up() {
    let origin = Origin::hanging();
    let gateway = in_front_of(&origin, "");
    let primitives: [Primitive; 6] = [
        ("a window update of nothing", |stream| window(stream, 0)),
        ("a window beyond its bound", |stream| {
            [window(stream, 0x7fff_ffff), window(stream, 0x7fff_ffff)].concat()
        }),
        ("a priority of four bytes", |stream| frame(kind::PRIORITY, 0, stream, &[0; 4])),
        ("a stream that depends on itself", |stream| {
            frame(kind::PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat())
        }),
        ("a head behind the end", |stream| headers(&GET, END_STREAM, stream)),
        ("data behind the end", |stream| frame(kind::DATA, 0, stream, b"x")),
    ];
    for (name, primitive) in primitives {
        let (mut most, mut how) = (0, None);
        let mut client = connect(&gateway);
        for nth in 0..600 {
            let stream = nth * 2 + 1;
            if !client.try_send([headers(&GET, END_STREAM, stream), primitive(stream)].concat()) {
                break;
            }
            most = most.max(origin.open_connections());
            // What came meanwhile, so that neither side waits for the other.
            client.wire().stream().set_nonblocking(true).unwrap();
            let arrived = client.wire().stream().peek(&mut [0]).is_ok();
            client.wire().stream().set_nonblocking(false).unwrap();
            if arrived && !matches!(*how.insert(ended(&mut client)), Ended::Reset(_)) {
                break;
            }
        }
        // A hundred streams run at a time; the service sees the end of one that was given up a moment later.
        assert!(most <= 400, "{name}: {most} at the service");
        if !matches!(how, Some(Ended::GoAway(..) | Ended::Closed)) {
            how = Some(last_word(&mut client));
        }
        match how {
            // A stream that depends on itself may be passed over: RFC 9113 gives priorities no meaning.
            Some(Ended::TimedOut) if name.contains("depends") => {}
            Some(Ended::GoAway(_, last)) => assert!(last <= 1003, "{name}: {last}"),
            how => panic!("{name}: {how:?}"),
        }
        drop(client);
        eventually("nothing left at the service", || (origin.open_connections() == 0).then_some(()));
    }
    gateway.wait_metric("tidegate_http2_connections_active", |open| open == 0.0);
    gateway.wait_metric("tidegate_inflight_requests", |open| open == 0.0);
}

/// The end of a connection, if it comes.
fn last_word(client: &mut Raw) -> Ended {
    client.wire().set_read_timeout(Some(std::time::Duration::from_secs(2)));
    loop {
        match ended(client) {
            Ended::Reset(_) | Ended::Answer(_) => {}
            end => return end,
        }
    }
}

/// H10: heads that hold nothing make the gateway reset a stream each.
#[test]
fn empty_heads_end_the_connection() {
    let origin = Origin::start();
    let gateway = in_front_of(&origin, "");
    let mut client = connect(&gateway);
    let empty = |nth: u32| frame(kind::HEADERS, END_HEADERS | END_STREAM, nth * 2 + 1, &[]);
    client.try_send((0..501).flat_map(empty).collect::<Vec<u8>>());
    match farewell(&mut client) {
        Ended::GoAway(code::ENHANCE_YOUR_CALM, last) => assert!(last <= 1001, "{last}"),
        how => panic!("{how:?}"),
    }
    gateway.wait_metric("tidegate_http2_streams_unserved_total", |count| count >= 400.0);
    assert_eq!(origin.received(), "");
    serves(&gateway);
}

/// H11: crumbs of data for a route that does not read them end the connection, and take no memory to speak of: that of ten
/// connections is measured, because the allocator takes it in steps of 2 MiB.
#[test]
fn crumbs_of_data_take_no_memory() {
    let origin = Origin::hanging();
    let gateway = in_front_of(&origin, "");
    let crumbs = frame(kind::DATA, 0, 1, b"x").repeat(60);
    let flood = || {
        let mut client = connect(&gateway);
        client.send(headers(&POST, 0, 1));
        // All that a window holds.
        _ = (0..1000).all(|_| client.try_send(crumbs.clone()));
        client
    };
    let mut clients = vec![flood()];
    let before = memory(&gateway);
    clients.extend((0..10).map(|_| flood()));
    let grown = memory(&gateway) - before;
    assert!(grown < 20.0, "{grown} MiB");
    drop(clients);
    eventually("nothing left at the service", || (origin.open_connections() == 0).then_some(()));
}
