//! Workers, listeners, accepting, draining.
