//! What a route does besides forwarding: one file for each policy, one line for each in the list.
