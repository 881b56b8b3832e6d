//! The bounds of both policies and their defaults.

use crate::config::{Diagnostics, Span, Spanned, codes};
use crate::values::Size;

pub(super) const fn body() -> Size {
    Size::from_kib(1024)
}

pub(super) fn depth() -> Spanned<usize> {
    Spanned::new(64, Span::NONE)
}

pub(super) fn errors() -> Spanned<usize> {
    Spanned::new(10, Span::NONE)
}

/// The number, if it is between 1 and 100.
pub(super) fn within(written: &Spanned<usize>, name: &str, faults: &mut Diagnostics) -> Option<usize> {
    let number = **written;
    if (1..=100).contains(&number) {
        return Some(number);
    }
    faults
        .error(codes::BAD_POLICY, written.span(), format!("`{name}: {number}` is not between 1 and 100"))
        .help("leave it out for the default");
    None
}
