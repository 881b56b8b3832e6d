//! HTTP/2 on the metrics page.

use std::sync::atomic::Ordering;

use crate::http::http2::budget::Misuse;
use crate::observe::connections::Connections;
use crate::observe::openmetrics::{Exposition, Kind};

/// Listeners to which nobody came with HTTP/2 are left out.
pub(super) fn tell(page: &mut Exposition, listeners: &[(&str, &Connections)]) {
    let begun =
        |(_, connections): &&(&str, &Connections)| connections.http2.begun.load(Ordering::Relaxed) > 0;
    let spoken: Vec<_> = listeners.iter().filter(begun).map(|(name, all)| (*name, &all.http2)).collect();
    if spoken.is_empty() {
        return;
    }
    page.family("tidegate_http2_connections", Kind::Counter, "", "Connections that spoke HTTP/2.");
    for (listener, counts) in &spoken {
        page.counter(&[("listener", listener)], counts.begun.load(Ordering::Relaxed));
    }
    page.family("tidegate_http2_connections_active", Kind::Gauge, "", "Connections of HTTP/2 open now.");
    for (listener, counts) in &spoken {
        page.gauge(&[("listener", listener)], counts.active.load(Ordering::Relaxed));
    }
    let help = "Connections of HTTP/2 that were ended for what their clients did.";
    page.family("tidegate_http2_connections_ended", Kind::Counter, "", help);
    for (listener, counts) in &spoken {
        for misuse in Misuse::ALL {
            page.counter(&[("listener", *listener), ("reason", misuse.code())], counts.ended(misuse));
        }
    }
    page.family("tidegate_http2_resets", Kind::Counter, "", "Streams that were reset, and by whom.");
    for (listener, counts) in &spoken {
        for (by, count) in [("client", &counts.resets_received), ("gateway", &counts.resets_sent)] {
            page.counter(&[("listener", *listener), ("by", by)], count.load(Ordering::Relaxed));
        }
    }
    let help = "Streams that clients opened and that came to no request.";
    page.family("tidegate_http2_streams_unserved", Kind::Counter, "", help);
    for (listener, counts) in &spoken {
        page.counter(&[("listener", listener)], counts.unserved.load(Ordering::Relaxed));
    }
}
