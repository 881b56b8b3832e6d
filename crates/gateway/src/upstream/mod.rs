//! Connections to endpoints: connecting, pooling, speaking HTTP/1.1.
