//! A shop of small real services behind the gateway, to try things on.
