//! HTTP between the wire and the exchange: targets, paths, hosts, connections of clients.

pub mod buffer;
pub mod client;
pub mod grpc;
pub mod host;
pub mod http2;
pub mod incoming;
pub mod kept;
pub mod list;
pub mod path;
pub mod preflight;
pub mod proxy_protocol;
pub mod reshaped;
pub mod responder;
pub mod socket;
pub mod target;
pub mod timer;
pub mod trust;
