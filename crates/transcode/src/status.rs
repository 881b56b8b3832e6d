//! Statuses of gRPC and what they are in HTTP (`google/rpc/code.proto`), and what a service tells besides.

use prost_reflect::{DynamicMessage, ReflectMessage, SerializeOptions};
use serde_json::{Value, json};

use crate::catalog::Call;
use crate::depth;
use crate::field::base64;
use crate::percent::decoded;

/// A status of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name: `NOT_FOUND`.
    pub name: &'static str,
    /// The status of HTTP.
    pub http: u16,
    /// The type of the problem.
    pub kind: &'static str,
}

/// Every status but 0, in the order of the numbers, from 1.
const ALL: [Status; 16] = [
    of("CANCELLED", 499, "urn:tidegate:problem:grpc_cancelled"),
    of("UNKNOWN", 500, "urn:tidegate:problem:grpc_unknown"),
    of("INVALID_ARGUMENT", 400, "urn:tidegate:problem:grpc_invalid_argument"),
    of("DEADLINE_EXCEEDED", 504, "urn:tidegate:problem:grpc_deadline_exceeded"),
    of("NOT_FOUND", 404, "urn:tidegate:problem:grpc_not_found"),
    of("ALREADY_EXISTS", 409, "urn:tidegate:problem:grpc_already_exists"),
    of("PERMISSION_DENIED", 403, "urn:tidegate:problem:grpc_permission_denied"),
    of("RESOURCE_EXHAUSTED", 429, "urn:tidegate:problem:grpc_resource_exhausted"),
    of("FAILED_PRECONDITION", 400, "urn:tidegate:problem:grpc_failed_precondition"),
    of("ABORTED", 409, "urn:tidegate:problem:grpc_aborted"),
    of("OUT_OF_RANGE", 400, "urn:tidegate:problem:grpc_out_of_range"),
    of("UNIMPLEMENTED", 501, "urn:tidegate:problem:grpc_unimplemented"),
    of("INTERNAL", 500, "urn:tidegate:problem:grpc_internal"),
    of("UNAVAILABLE", 503, "urn:tidegate:problem:grpc_unavailable"),
    of("DATA_LOSS", 500, "urn:tidegate:problem:grpc_data_loss"),
    of("UNAUTHENTICATED", 401, "urn:tidegate:problem:grpc_unauthenticated"),
];

const fn of(name: &'static str, http: u16, kind: &'static str) -> Status {
    Status { name, http, kind }
}

/// The status of a number other than 0; one that nobody knows is `UNKNOWN`.
pub fn status(number: u16) -> Status {
    const UNKNOWN: Status = of("UNKNOWN", 500, "urn:tidegate:problem:grpc_unknown");
    let place = usize::from(number).checked_sub(1);
    place.and_then(|place| ALL.get(place)).copied().unwrap_or(UNKNOWN)
}

/// All statuses with their numbers, for the manual.
pub fn all() -> impl Iterator<Item = (usize, Status)> {
    ALL.into_iter().enumerate().map(|(place, status)| (place.saturating_add(1), status))
}

/// What `grpc-message` says.
pub fn message(field: &[u8]) -> String {
    String::from_utf8_lossy(&decoded(field, false)).into_owned()
}

/// The details of an error, as JSON, from what `grpc-status-details-bin` says. What cannot be read is left out; what is of an
/// unknown type is told as it is, in base64.
pub fn details(call: &Call, field: &[u8]) -> Vec<Value> {
    let Some(bytes) = std::str::from_utf8(field).ok().and_then(base64) else { return Vec::new() };
    let mut told = Vec::new();
    let mut rest = bytes.as_slice();
    // google.rpc.Status: a number, a sentence, and any number of details in field 3.
    while let Some((number, value, after)) = next(rest) {
        if number == 3
            && let Some(value) = value
        {
            told.push(detail(call, value));
        }
        rest = after;
    }
    told
}

/// A field: its number, its bytes where it has a length, and what stands behind it.
type Field<'b> = (u64, Option<&'b [u8]>, &'b [u8]);

/// The next field.
fn next(bytes: &[u8]) -> Option<Field<'_>> {
    let (key, rest) = varint(bytes)?;
    match key & 7 {
        0 => varint(rest).map(|(_, rest)| (key >> 3, None, rest)),
        1 => rest.get(8..).map(|rest| (key >> 3, None, rest)),
        2 => {
            let (length, rest) = varint(rest)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            Some((key >> 3, Some(value), rest))
        }
        5 => rest.get(4..).map(|rest| (key >> 3, None, rest)),
        _ => None,
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut rest) = (0_u64, bytes);
    for place in 0..10_u32 {
        let (byte, after) = rest.split_first()?;
        value |= u64::from(byte & 127).checked_shl(place.checked_mul(7)?)?;
        rest = after;
        if byte & 128 == 0 {
            return Some((value, rest));
        }
    }
    None
}

/// One detail, a message of any type.
fn detail(call: &Call, any: &[u8]) -> Value {
    let (mut url, mut value, mut rest) = (String::new(), &b""[..], any);
    while let Some((number, bytes, after)) = next(rest) {
        match (number, bytes) {
            (1, Some(bytes)) => url = String::from_utf8_lossy(bytes).into_owned(),
            (2, Some(bytes)) => value = bytes,
            _ => {}
        }
        rest = after;
    }
    let name = url.rsplit('/').next().unwrap_or_default();
    let kind = call.pool().get_message_by_name(name);
    let message = kind.and_then(|kind| DynamicMessage::decode(kind, value).ok()).filter(depth::is_told);
    let told = message.and_then(|message| {
        let is_own = message.descriptor().package_name() == "google.protobuf";
        let options = SerializeOptions::new().use_proto_field_name(call.options.proto_names);
        let told = message.serialize_with_options(serde_json::value::Serializer, &options).ok()?;
        Some((told, is_own))
    });
    match told {
        Some((Value::Object(members), false)) => {
            let mut typed = serde_json::Map::new();
            typed.insert("@type".into(), url.into());
            typed.extend(members);
            Value::Object(typed)
        }
        Some((told, _)) => json!({ "@type": url, "value": told }),
        None => {
            use base64::Engine;
            json!({ "@type": url, "value": base64::engine::general_purpose::STANDARD.encode(value) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_statuses() {
        for (number, name, http) in [
            (1, "CANCELLED", 499),
            (5, "NOT_FOUND", 404),
            (14, "UNAVAILABLE", 503),
            (16, "UNAUTHENTICATED", 401),
            (99, "UNKNOWN", 500),
            (0, "UNKNOWN", 500),
        ] {
            assert_eq!((status(number).name, status(number).http), (name, http));
        }
        for (_, status) in all() {
            assert_eq!(status.kind, format!("urn:tidegate:problem:grpc_{}", status.name.to_lowercase()));
        }
    }

    #[test]
    fn what_is_cut_is_no_field() {
        assert_eq!(next(b"\x08\x96\x01z"), Some((1, None, &b"z"[..])));
        assert_eq!(next(b"\x12\x02hiz"), Some((2, Some(&b"hi"[..]), &b"z"[..])));
        for cut in
            [&b""[..], b"\x08", b"\x12\x05hi", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0b"]
        {
            assert_eq!(next(cut), None);
        }
        assert_eq!(message(b"100%25 %C3%A4%0A"), "100% ä\n");
    }
}
