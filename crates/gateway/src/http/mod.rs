//! HTTP between the wire and the exchange: targets, paths, hosts, connections of clients.

pub mod host;
pub mod path;
