//! Which route a request takes.
//!
//! [`pattern`] says what a route asks, [`table`] finds the most specific one that takes a request, [`trace`] tells why it
//! was that one. All routes are known before the first request; nothing here changes afterwards.

pub mod compiled;
pub mod condition;
pub mod full_regex;
mod growing;
mod hash;
mod key;
pub mod method;
pub mod mock;
mod node;
pub mod params;
pub mod pattern;
mod place;
pub mod split;
pub mod table;
pub mod trace;
