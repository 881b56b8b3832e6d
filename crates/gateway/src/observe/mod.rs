//! What is told about exchanges: access log, metrics, traces.

pub mod histogram;
