//! Which endpoint of a service takes the request.
