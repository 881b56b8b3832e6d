//! The lines that say which way a message came and by what name it is found, put together once.
//!
//! `Via` (RFC 9110 section 7.6.3), `X-Forwarded-Proto`, and the beginning of `X-Request-Id`: whoever appends them adds the
//! identifier behind the last. Nothing here looks at an exchange.

use std::sync::LazyLock;

use http1::{Fields, Prepared, Version, names};

/// For requests: by the version that the client speaks, and by what is told of its scheme: nothing, `http`, `https`.
static REQUESTS: LazyLock<[[Prepared; 3]; 3]> = LazyLock::new(|| {
    ["1.0", "1.1", "2.0"]
        .map(|version| [None, Some("http"), Some("https")].map(|proto| lines(version, proto)))
});

/// For answers, by the version that the service speaks.
static ANSWERS: LazyLock<[Prepared; 2]> =
    LazyLock::new(|| ["1.1", "2.0"].map(|version| lines(version, None)));

/// What a service is told of a request that came in this version, and whether by TLS where that is to be told.
pub(super) fn of_request(version: Version, https: Option<bool>) -> &'static Prepared {
    let [http10, http11, http2] = &*REQUESTS;
    let [bare, http, tls] = match version {
        Version::Http10 => http10,
        Version::Http11 => http11,
        Version::Http2 => http2,
    };
    match https {
        None => bare,
        Some(false) => http,
        Some(true) => tls,
    }
}

/// What a client is told of an answer that came in this version.
pub(super) fn of_answer(version: Version) -> &'static Prepared {
    let [http1, http2] = &*ANSWERS;
    if version == Version::Http2 { http2 } else { http1 }
}

/// A version without a minor number has the minor number 0 (RFC 9110 section 2.5).
fn lines(version: &str, proto: Option<&str>) -> Prepared {
    let mut lines = Fields::new();
    lines.push_parts(names::VIA, &[version.as_bytes(), b" tidegate"]);
    if let Some(proto) = proto {
        lines.push(names::X_FORWARDED_PROTO, proto.as_bytes());
    }
    lines.push(names::X_REQUEST_ID, b"");
    Prepared::from(&lines)
}
