//! The admin address: health, metrics, schema, explain.
