//! gRPC as far as a gateway takes part in it: whose call it is, its deadline, and a status where the gateway answers.
//!
//! By the protocol description `PROTOCOL-HTTP2.md` of the gRPC project. `web` is the form that browsers speak. Messages
//! are never looked into.

pub mod web;

use std::time::Duration;

use http1::{Fields, Name, names};

/// `grpc-status`.
pub const STATUS: &[u8] = b"grpc-status";
/// `grpc-message`.
pub const MESSAGE: &[u8] = b"grpc-message";
/// `grpc-timeout`.
pub const TIMEOUT: &[u8] = b"grpc-timeout";
/// The status of a call that somebody gave up.
pub const CANCELLED: u8 = 1;
/// The status of a call that took longer than its client wanted to wait.
pub const DEADLINE_EXCEEDED: u8 = 4;

/// The form of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// gRPC.
    Native,
    /// gRPC-Web, its frames as they are.
    Web,
    /// gRPC-Web in base64.
    WebText,
}

const KIND: &[u8] = b"application/grpc";
const WEB: &[u8] = b"-web";
const TEXT: &[u8] = b"-text";

impl Form {
    /// The form that a message of this type has, and what stands behind its name: `+proto`.
    pub fn of(content_type: &[u8]) -> Option<(Form, &[u8])> {
        let rest = without(content_type, KIND)?;
        let (form, rest) = match without(rest, WEB) {
            None => (Form::Native, rest),
            Some(rest) => match without(rest, TEXT) {
                None => (Form::Web, rest),
                Some(rest) => (Form::WebText, rest),
            },
        };
        matches!(rest.first(), None | Some(b'+' | b';' | b' ')).then_some((form, rest))
    }

    /// The form of a call with these fields.
    pub fn of_fields(fields: &Fields) -> Option<Form> {
        Form::of(fields.get(names::CONTENT_TYPE)?).map(|(form, _)| form)
    }

    /// The type of a message in this form; `rest` stands behind the name.
    pub fn content_type(self, rest: &[u8]) -> Vec<u8> {
        let more: &[&[u8]] = match self {
            Form::Native => &[],
            Form::Web => &[WEB],
            Form::WebText => &[WEB, TEXT],
        };
        [KIND, &more.concat(), rest].concat()
    }
}

/// The rest of a text that begins so, in any case.
fn without<'t>(text: &'t [u8], start: &[u8]) -> Option<&'t [u8]> {
    let (found, rest) = text.split_at_checked(start.len())?;
    found.eq_ignore_ascii_case(start).then_some(rest)
}

/// The status of a call that was answered with a status of HTTP, by `http-grpc-status-mapping.md` of the gRPC project.
pub fn status_of(http: u16) -> u8 {
    match http {
        // INTERNAL
        400 => 13,
        // UNAUTHENTICATED
        401 => 16,
        // PERMISSION_DENIED
        403 => 7,
        // UNIMPLEMENTED
        404 => 12,
        // UNAVAILABLE
        429 | 502 | 503 | 504 => 14,
        // UNKNOWN
        _ => 2,
    }
}

/// The status that stands among fields, if it is one.
pub fn status(fields: &Fields) -> Option<u16> {
    let value = fields.get(Name::new(STATUS).ok()?)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A sentence as `grpc-message` carries it: percent-encoded UTF-8.
pub fn message(text: &str) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut encoded = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte),
            _ => encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    encoded
}

/// The time of a `grpc-timeout`: at most eight digits and a unit.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count.checked_mul(3600)?),
        b'M' => Duration::from_secs(count.checked_mul(60)?),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// A time as `grpc-timeout` says it, as exactly as eight digits can and never longer.
pub fn timeout_text(time: Duration) -> String {
    let most = 99_999_999;
    for (count, unit) in [
        (time.as_nanos(), 'n'),
        (time.as_micros(), 'u'),
        (time.as_millis(), 'm'),
        (u128::from(time.as_secs()), 'S'),
        (u128::from(time.as_secs() / 60), 'M'),
    ] {
        if count <= most {
            return format!("{count}{unit}");
        }
    }
    format!("{}H", (time.as_secs() / 3600).min(99_999_999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_message_tells_its_form() {
        for (text, form) in [
            ("application/grpc", Some((Form::Native, ""))),
            ("application/grpc+proto", Some((Form::Native, "+proto"))),
            ("Application/GRPC;charset=utf-8", Some((Form::Native, ";charset=utf-8"))),
            ("application/grpc-web", Some((Form::Web, ""))),
            ("application/grpc-web+thrift", Some((Form::Web, "+thrift"))),
            ("application/grpc-web-text+proto", Some((Form::WebText, "+proto"))),
            ("application/grpcish", None),
            ("application/grpc-webby", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Form::of(text.as_bytes()), form.map(|(form, rest)| (form, rest.as_bytes())), "{text}");
            if let Some((form, rest)) = form {
                assert!(form.content_type(rest.as_bytes()).eq_ignore_ascii_case(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn deadlines_are_read_and_said() {
        for (text, time) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100u", Some(Duration::from_micros(100))),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("1s", None),
            ("-1S", None),
            ("1 S", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), time, "{text}");
        }
        for (time, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_millis(250), "250000u"),
            (Duration::from_secs(20), "20000000u"),
            (Duration::from_secs(200), "200000m"),
            (Duration::from_secs(99_999_999), "99999999S"),
            (Duration::from_secs(100_000_001), "1666666M"),
        ] {
            assert_eq!(timeout_text(time), text);
            assert!(timeout(text.as_bytes()).is_some_and(|read| read <= time));
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(message("plain, as it is"), b"plain, as it is");
        assert_eq!(message("100% ä\n"), b"100%25 %C3%A4%0A");
    }
}
