//! The road: one exchange from its first byte to its log line.
