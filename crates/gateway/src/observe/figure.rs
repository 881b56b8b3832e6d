//! A number of the metrics page that is told by whoever has it, such as a policy.

/// A number told on the metrics page.
pub struct Figure {
    /// The name of the family, without `_total`.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Whether it only grows.
    pub counts: bool,
    /// The number now.
    pub value: u64,
}
