//! What each contender has to be told for a job: TLS, limits, caches, shapes.
//! Takes a kind; gives what stands in its configuration.
//! It must never give one contender more to do than the others.

use super::contender::Kind;

/// What stands at a listener in clear, and further settings.
pub(super) fn plain_words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Tidegate => ("", "listen: 127.0.0.1:0\n"),
        Kind::Nginx | Kind::Haproxy | Kind::Envoy | Kind::Varnish | Kind::Node => ("", ""),
    }
}

/// The same for one under TLS: one certificate, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1, tickets as each gives them.
pub(super) fn secure_words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Nginx => (
            "ssl http2",
            "ssl_certificate {{DIR}}/tls.crt;\n        ssl_certificate_key {{DIR}}/tls.key;\n        \
             ssl_protocols TLSv1.2 TLSv1.3;\n",
        ),
        Kind::Haproxy => ("ssl crt {{DIR}}/tls.pem ssl-min-ver TLSv1.2 alpn h2,http/1.1", ""),
        Kind::Envoy => (
            "",
            "      transport_socket:\n        name: envoy.transport_sockets.tls\n        typed_config:\n          \
             \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          \
             common_tls_context:\n            alpn_protocols: [h2, http/1.1]\n            tls_certificates:\n            \
             - certificate_chain: { filename: {{DIR}}/tls.crt }\n              \
             private_key: { filename: {{DIR}}/tls.key }\n",
        ),
        Kind::Varnish | Kind::Node => ("", ""),
        Kind::Tidegate => (
            "",
            "listeners:\n  main:\n    address: 127.0.0.1:0\n    \
             tls: { certificates: [{ cert: {{DIR}}/tls.crt, key: {{DIR}}/tls.key }] }\n",
        ),
    }
}

/// A guard that watches all requests and finds nothing: the load is one client, which is to be none too quick.
pub(super) const GUARD: &str = "defaults:\n  guard: { calm: 100000000/s }\n";

/// A limit by address that all requests are counted against and none meets: what stands outside of the server, then what
/// stands in it. Envoy has one bucket for all, since its local limit knows no addresses.
pub(super) fn limit_words(kind: Kind) -> (String, String) {
    let (outside, inside) = match kind {
        Kind::Nginx => (
            "limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;\n    ",
            "limit_req zone=clients burst=1000000 nodelay;\n        ",
        ),
        Kind::Haproxy => (
            "",
            "stick-table type ip size 100k expire 60s store http_req_rate(1s)\n    http-request track-sc0 src\n    \
             http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100000000 }\n",
        ),
        Kind::Envoy => (
            "",
            "          - name: envoy.filters.http.local_ratelimit\n            typed_config:\n              \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit\n              \
             stat_prefix: limit\n              token_bucket: { max_tokens: 100000000, tokens_per_fill: 100000000, \
             fill_interval: 1s }\n              filter_enabled: { default_value: { numerator: 100 } }\n              \
             filter_enforced: { default_value: { numerator: 100 } }\n",
        ),
        Kind::Varnish | Kind::Node => ("", ""),
        Kind::Tidegate => ("", "defaults:\n  rate_limit: 10000000/s\n"),
    };
    (outside.to_owned(), inside.to_owned())
}

/// A cache of 256 MiB for what says how long it may be kept: what stands outside of the server, then what stands in it.
/// Envoy has none that is meant for use; Varnish is one.
pub(super) fn cache_words(kind: Kind) -> (String, String) {
    let (outside, inside) = match kind {
        Kind::Nginx => (
            "proxy_cache_path {{DIR}}/{{NAME}}-kept levels=1:2 keys_zone=kept:10m max_size=256m inactive=1h \
             use_temp_path=off;\n    ",
            "proxy_cache kept;\n        ",
        ),
        Kind::Haproxy => (
            "cache kept\n    total-max-size 256\n    max-object-size 1048576\n    max-age 600\n",
            "http-request cache-use kept\n    http-response cache-store kept\n",
        ),
        Kind::Envoy | Kind::Varnish | Kind::Node => ("", ""),
        Kind::Tidegate => ("", "defaults:\n  cache: {}\n"),
    };
    (outside.to_owned(), inside.to_owned())
}

/// A member of each object of a list renamed, another removed: what stands outside of the server, then what stands in it. Envoy
/// does it by a script that replaces text, which is less than to read JSON: it has nothing of its own that does more. It holds
/// the whole body for that, and answers 500 where its usual bound of 1 MiB is passed.
pub(super) fn shape_words(kind: Kind) -> (String, String) {
    let (outside, inside) = match kind {
        Kind::Envoy => (
            "    per_connection_buffer_limit_bytes: 4194304\n",
            "          - name: envoy.filters.http.lua\n            typed_config:\n              \
             \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n              \
             default_source_code:\n                inline_string: |\n                  \
             function envoy_on_response(answer)\n                    local body = answer:body()\n                    \
             local text = body:getBytes(0, body:length())\n                    \
             text = text:gsub('\"user_name\":', '\"username\":'):gsub(',\"secret\":\"[^\"]*\"', '')\n                    \
             body:setBytes(text)\n                  end\n",
        ),
        Kind::Tidegate => (
            "",
            "defaults:\n  response: { body: [ { remove: items.*.secret }, { rename: { items.*.user_name: username } } ] }\n",
        ),
        Kind::Nginx | Kind::Haproxy | Kind::Varnish | Kind::Node => ("", ""),
    };
    (outside.to_owned(), inside.to_owned())
}

/// A list of objects in JSON of about this many bytes.
pub(super) fn list(size: usize) -> String {
    let mut text = String::from("{\"items\":[");
    for nth in 0.. {
        if nth > 0 {
            text.push(',');
        }
        text += &format!(
            "{{\"id\":{nth},\"user_name\":\"user {nth}\",\"secret\":\"4f1c9a{nth}\",\"total\":120.50,\"tags\":[\"new\",\"paid\"]}}"
        );
        if text.len() >= size {
            break;
        }
    }
    text + "]}"
}
