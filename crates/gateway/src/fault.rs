//! Every way an exchange fails, and the only place where a fault becomes a response.
