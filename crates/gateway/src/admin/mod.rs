//! The admin address: health, metrics, schema, explain.

pub mod explain;
