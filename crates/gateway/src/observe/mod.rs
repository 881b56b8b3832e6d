//! What is told about exchanges: access log, metrics, traces.

pub mod connections;
pub mod histogram;

pub use connections::Connections;

use crate::exchange::{Exchange, Trace};
use std::sync::Arc;

/// stub
#[derive(Default)]
pub struct Shared;
/// stub
pub struct Observer;
/// stub
pub struct RouteStats;
/// stub
pub struct Labels<'a> {
    /// a
    pub route: &'a str,
    /// a
    pub service: &'a str,
    /// a
    pub revision: u64,
    /// a
    pub listener: &'a str,
}
impl Observer {
    /// a
    pub fn new(_: usize, _: Arc<Shared>) -> Observer {
        Observer
    }
    /// a
    pub fn tick(&self) {}
    /// a
    pub fn sample(&self, _: &mut Trace) {}
    /// a
    pub fn finish(&self, _: &Exchange, _: &Labels<'_>, _: Option<&RouteStats>) {}
}
