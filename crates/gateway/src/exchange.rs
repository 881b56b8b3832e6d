//! What one exchange (one request and its response) knows on its way.
