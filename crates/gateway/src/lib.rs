//! Tidegate: an API gateway for microservices.
//!
//! The folders bear the names of the way of a request; read them in this order: `accept`, `http`, `route`,
//! `policies`, `balance`, `upstream`, and back through `policies` to `observe`. `serve` is that way on one screen.
//! A module may use only what stands above it in the list below.

pub mod values;

pub mod config;
pub mod exchange;
pub mod fault;
pub mod http;

pub mod aggregate;
pub mod balance;
pub mod identity;
pub mod observe;
pub mod policies;
pub mod route;
pub mod tls;
pub mod upstream;

pub mod snapshot;

pub mod serve;

pub mod accept;
pub mod admin;

pub mod cli;
pub mod demo;
