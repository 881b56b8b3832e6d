//! Tests of the gateway from outside: the real binary, the text of a configuration, bytes on both sides.
//!
//! The folders mirror those of the source, stage by stage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a failure here is a failure of the test"
)]

mod browser;
mod issuer;
mod provider;
mod setup;
mod sharing;

mod accept {
    mod aborts;
    mod connection;
    mod proxy_protocol;
}
mod admin {
    mod access;
    mod address;
    mod agreement;
    mod cache;
    mod changes;
    mod commands;
    mod console;
    mod explain;
    mod live;
    mod notices;
    mod policies;
    mod samples;
    mod socket;
    mod telemetry;
}
mod cli {
    mod ban;
    mod check;
    mod completions;
    mod config_show;
    mod explain;
    mod fmt;
    mod import;
    mod init;
    mod key;
    mod run;
    mod schema;
    mod test;
    mod token;
    mod version;
}
mod http {
    mod framing;
    pub(crate) mod http2;
    mod limits;
    mod paths;
    mod trust;
    mod upgrade;
}
mod identity {
    mod fetch;
    mod gate;
    mod sending;
    mod word;
}
mod observe {
    mod access_log;
    mod metrics;
    mod redact;
    mod trace;
}
mod policies {
    mod allow;
    mod any_of;
    pub(crate) mod api_key;
    mod basic;
    mod body_limit;
    mod cache;
    mod compress;
    mod concurrency;
    mod cors;
    mod csrf;
    mod ext_auth;
    mod fallback;
    mod filter;
    mod grpc_web;
    mod guard;
    mod headers;
    mod hedge;
    mod hmac;
    mod identity_keys;
    mod introspection;
    mod ip;
    mod jwt;
    mod lists;
    mod mirror;
    mod mtls;
    mod oidc;
    mod quota;
    mod rate_limit;
    mod request;
    mod response;
    mod retry;
    mod rewrite;
    mod timeout;
    mod transcode;
    mod validate;
    mod version;
}
mod tls {
    mod acme;
    mod acme_authority;
    mod attacks;
    mod certificates;
    mod clients;
    mod exchanges;
    mod redirects;
    mod setup;
    mod targets;
}
mod upstream {
    mod answers;
    mod breaker;
    mod breaker_of_targets;
    mod byte_faults;
    mod door;
    mod health;
    pub(crate) mod http2;
    mod pool;
    mod proxy_protocol;
    mod tunnel;
}

mod aggregate;
mod balance;
mod demo;
mod drain;
mod examples;
mod grpc;
mod handover;
mod mock;
mod redirect;
mod reload;
mod split;
mod streaming;
mod systemd;
