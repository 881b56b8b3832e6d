//! Where policies keep answers that outlive the process, and what is told of them on the metrics page.

use keep::{Numbers, Settings};

use super::Context;
use crate::config::Spanned;
use crate::observe::Figure;
use crate::observe::redact::Redaction;
use crate::values::Size;

/// Where and how something is kept; none where the configuration does not want it.
pub(super) fn settings(
    context: &Context,
    (name, form): (&str, String),
    bytes: Option<&Spanned<Size>>,
    strict: bool,
) -> Option<Settings> {
    let (folder, bytes) = (context.state.as_ref()?.join(name), bytes?.bytes());
    let secret = context.disk.secret.as_ref().map(|secret| secret.expose().to_owned());
    Some(Settings { folder, form, bytes, secret, strict })
}

/// Whether a field of requests may hold what proves a caller: it is on no disk where nothing is sealed.
pub(super) fn is_secret(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"cookie") || Redaction::default().is_secret(name)
}

/// Tells the numbers of one kind, under these names.
pub(super) fn figures(names: &[&'static str; 7], numbers: Numbers, tell: &mut dyn FnMut(Figure)) {
    let Numbers { objects, bytes, written, read, dropped, unreadable, failing } = numbers;
    let told = [
        ("Answers on the disk.", false, objects),
        ("Bytes of the files of answers on the disk.", false, bytes),
        ("Answers that were written to the disk.", true, written),
        ("Answers that were read from the disk.", true, read),
        ("Answers that were not written, because the disk was too slow or failed.", true, dropped),
        (
            "Records and files on the disk that were not what was written there, and are passed over.",
            true,
            unreadable,
        ),
        ("1 while nothing can be kept on the disk.", false, u64::from(failing)),
    ];
    for (name, (help, counts, value)) in names.iter().copied().zip(told) {
        tell(Figure { name, help, counts, value });
    }
}
