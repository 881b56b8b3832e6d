//! `transcode`: requests of JSON become calls of gRPC, by a descriptor set.
//!
//! Takes a request as the other policies left it and finds the call that its path means; the road makes the body a message, and
//! the answer's messages JSON, before any other policy sees that. Must never let a request pass that is no call.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http1::{Framing, Name, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use transcode::{Catalog, Flaw, Missed, Options};

use super::{Context, Place, Policy, Settings};
use crate::config::{self, Diagnostics, OneOrMany, Span, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::http::grpc::Form;
use crate::values::Size;

/// Takes JSON over HTTP where the service speaks gRPC: the file of a descriptor set, or a map.
///
/// Paths, parameters and bodies are those of the annotations `google.api.http`; a method without one is called by `POST
/// /package.Service/Method` with its message as JSON. Messages are told by the JSON mapping of protobuf. An answer that is a
/// stream goes out as JSON on lines (`application/x-ndjson`), each message as it comes. An error of the service becomes a
/// problem with the status of HTTP that `google/rpc/code.proto` names; a request that is no message gets 400 with the path of the
/// field, one that calls nothing 404 or 405. Calls of gRPC itself pass on the same route as they are. The service must be one
/// that speaks HTTP/2; the `timeout` of the route is told to it. See [grpc.md](grpc.md#json).
///
/// ```yaml
/// transcode: { descriptor: shop.pb, services: shop.Stock }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "Transcode", untagged)]
pub enum Transcode {
    /// The file of the descriptor set.
    Text(Spanned<String>),
    /// All about it.
    Map(Box<TranscodeMap>),
}

/// The long form.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "TranscodeSettings")]
pub struct TranscodeMap {
    /// The file of the descriptor set, relative to the file that names it: what `protoc --include_imports
    /// --descriptor_set_out=FILE` writes. Or the set itself: `base64:` and its bytes.
    descriptor: Spanned<String>,
    /// The services that can be called, by their full names. Default: all of the set.
    #[serde(default, skip_serializing_if = "is_nothing")]
    services: OneOrMany<Spanned<String>>,
    /// What becomes of members and parameters that no field has: `refuse` (400) or `ignore`. Default: refuse.
    #[serde(default)]
    unknown: Unknown,
    /// How fields are named in answers: `json` (`bookId`) or `proto` (`book_id`). Requests may name them either way. Default: json.
    #[serde(default)]
    names: Naming,
    /// Whether fields are told that have their default value, such as 0. Default: false.
    #[serde(default)]
    defaults: bool,
    /// The largest message, and the largest body that becomes one; a larger one of a request gets 413, of an answer 502. Default:
    /// 4MiB.
    #[serde(default = "most")]
    max_size: Size,
}

/// What becomes of what no field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TranscodeUnknown")]
enum Unknown {
    /// The request is refused.
    #[default]
    Refuse,
    /// It is passed over.
    Ignore,
}

/// How fields are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TranscodeNames")]
enum Naming {
    /// In camel case, or as `json_name` says.
    #[default]
    Json,
    /// As in the file.
    Proto,
}

const fn most() -> Size {
    Size::from_kib(4096)
}

fn is_nothing<T>(list: &OneOrMany<T>) -> bool {
    list.is_empty()
}

impl Serialize for Transcode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Transcode::Text(file) => file.serialize(serializer),
            Transcode::Map(map) => map.serialize(serializer),
        }
    }
}

impl Transcode {
    fn settings(self) -> TranscodeMap {
        match self {
            Transcode::Map(map) => *map,
            Transcode::Text(descriptor) => TranscodeMap {
                descriptor,
                services: OneOrMany::default(),
                unknown: Unknown::default(),
                names: Naming::default(),
                defaults: false,
                max_size: most(),
            },
        }
    }
}

impl Settings for Transcode {
    const NAME: &'static str = "transcode";
    // What calls nothing cannot be sent on, so `mode: shadow` could not watch.
    const REFUSES: bool = false;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let written = self.settings();
        let options = Options {
            size: written.max_size.as_usize(),
            ignore_unknown: written.unknown == Unknown::Ignore,
            defaults: written.defaults,
            proto_names: written.names == Naming::Proto,
        };
        let set = match written.descriptor.strip_prefix(config::DESCRIPTOR_INLINE) {
            None => match context.documents.descriptors(&written.descriptor) {
                Some(set) => set,
                None if !context.is_whole => return Some(Box::new(Alone)),
                None => {
                    let fault = "a descriptor set needs a file: this configuration is a mere text";
                    let fault = faults.error(codes::BAD_DESCRIPTOR, written.descriptor.span(), fault);
                    fault.help("write the set itself: `base64:` and its bytes");
                    return None;
                }
            },
            Some(text) => match inline(text) {
                Some(set) => set.into(),
                None => {
                    let fault = "what stands behind `base64:` is no base64";
                    let fault = faults.error(codes::BAD_DESCRIPTOR, written.descriptor.span(), fault);
                    fault.help("write what `base64 FILE` gives");
                    return None;
                }
            },
        };
        let services: Vec<String> = written.services.iter().map(|name| (**name).clone()).collect();
        let mut hasher = DefaultHasher::new();
        (&*set, &services).hash(&mut hasher);
        let shape = format!("transcode {:x} {options:?}", hasher.finish());
        match Catalog::new(&set, &services, options) {
            Ok(catalog) => Some(Box::new(Compiled { catalog, shape, span: key.span() })),
            Err(flaws) => {
                flaws.into_iter().for_each(|flaw| tell(flaw, &written, faults));
                None
            }
        }
    }
}

/// The bytes of a set that stands in the configuration; line breaks are nothing in it.
fn inline(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// Tells what is wrong with a set, or with what is wanted of it.
fn tell(flaw: Flaw, written: &TranscodeMap, faults: &mut Diagnostics) {
    const MAKE: &str = "make it with `protoc --include_imports --descriptor_set_out=FILE`, which also takes in what it imports";
    let set = written.descriptor.span();
    let place =
        |name: &str| written.services.iter().find(|written| ***written == name).map_or(set, Spanned::span);
    let (place, what, help): (Span, String, String) = match flaw {
        Flaw::Unreadable(why) => (set, format!("this is no whole descriptor set: {why}"), MAKE.into()),
        Flaw::NoService(name, known) if known.is_empty() => {
            (place(&name), format!("the descriptor set has no service, so no `{name}`"), MAKE.into())
        }
        Flaw::NoService(name, known) => (
            place(&name),
            format!("the descriptor set has no service `{name}`"),
            format!("it has {}", known.join(", ")),
        ),
        Flaw::Nothing => (
            set,
            "no method of these services can be called".into(),
            "methods whose client streams are left out; `transcode` needs at least one other".into(),
        ),
        Flaw::Annotation(method, why) => (
            set,
            format!("the annotation `google.api.http` of {method} cannot be used: {why}"),
            "mend it in the proto file and make the descriptor set anew".into(),
        ),
        Flaw::Twice(what, one, other) => (
            set,
            format!("`{what}` calls {one} and {other}"),
            "name the `services` that are wanted here, or change one of the annotations".into(),
        ),
        Flaw::TooMany(most) => (
            set,
            format!("there are more than {most} ways to call methods"),
            "name the `services` that are wanted here".into(),
        ),
    };
    faults.error(codes::BAD_DESCRIPTOR, place, what).help(help);
}

/// Stands for the policy where no file can be looked into.
struct Alone;

impl Policy for Alone {}

/// The policy, ready to run.
struct Compiled {
    catalog: Catalog,
    shape: String,
    span: Span,
}

/// What says how a body of JSON was sent, and what a call of gRPC says itself.
const OF_THE_CLIENT: [&[u8]; 4] = [b"Accept-Encoding", b"Range", b"grpc-encoding", b"grpc-accept-encoding"];

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        if !place.http2 {
            let what = "`transcode` needs a service that speaks HTTP/2, as gRPC does";
            let fault = place.faults.error(codes::BAD_POLICY, self.span, what);
            fault.help("write `protocol: http2` at the service of this route");
        }
    }

    fn shape(&self) -> Option<&str> {
        Some(&self.shape)
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if Form::of_fields(&exchange.request.fields).is_some() {
            return Verdict::Go;
        }
        let method = String::from_utf8_lossy(exchange.request.method_text()).into_owned();
        let query = exchange.upstream_query().unwrap_or_default();
        let asked = match self.catalog.ask(&method, exchange.upstream_path(), query) {
            Ok(asked) => asked,
            Err(missed) => return refuse(exchange, missed),
        };
        let has_body = !matches!(exchange.request.framing, Framing::None | Framing::Length(0));
        if has_body && !is_json(exchange.request.fields.get(names::CONTENT_TYPE)) {
            let what = "the body is to be JSON in UTF-8 (application/json)";
            return Verdict::answer(
                Answer::problem(415, "media_type_refused", what).with("Accept", "application/json"),
            );
        }
        let call = asked.call().clone();
        exchange.plan.path = Some(call.path().as_bytes().to_vec());
        exchange.plan.query = Some(Vec::new());
        exchange.plan.transcode = Some(call);
        exchange.shaping.get_or_insert_default().call = Some(Box::new(asked));
        let fields = &mut exchange.request.fields;
        fields.set(names::CONTENT_TYPE, b"application/grpc+proto");
        for name in OF_THE_CLIENT {
            if let Ok(name) = Name::new(name) {
                fields.remove(name);
            }
        }
        Verdict::Go
    }
}

/// The answer to a request that calls nothing.
fn refuse<'v>(exchange: &mut Exchange, missed: Missed) -> Verdict<'v> {
    Verdict::answer(match missed {
        Missed::Path => Answer::problem(404, "no_call", "no method of the service is called by this path"),
        Missed::Method(mut allowed) => {
            if allowed.iter().any(|verb| verb == "GET") {
                allowed.push("HEAD".into());
            }
            let what =
                "the path calls a method of the service, but not with this method; see the Allow header";
            Answer::problem(405, "no_call", what).with("Allow", allowed.join(", "))
        }
        Missed::Wrong(wrong) => {
            exchange.record.why = wrong.to_string().into();
            Answer::problem(400, "call_invalid", wrong.to_string())
        }
    })
}

/// Whether a body of this type is JSON in UTF-8. One that says nothing is taken for it.
fn is_json(kind: Option<&[u8]>) -> bool {
    let Some(kind) = kind else { return true };
    let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
    let mut words = kind.split(';').map(str::trim);
    let name = words.next().unwrap_or_default();
    let charset = words.find_map(|word| word.strip_prefix("charset="));
    let is_utf8 = charset.is_none_or(|name| matches!(name.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    (name == "application/json" || name.ends_with("+json")) && is_utf8
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};
    use super::*;

    /// `examples/shop/stock.proto`, compiled.
    const STOCK: &[u8] = include_bytes!("../../../../examples/shop/stock.pb");

    fn lines(more: &str) -> String {
        format!("transcode: {{ descriptor: \"base64:{}\"{more} }}", STANDARD.encode(STOCK))
    }

    #[test]
    fn a_request_becomes_a_call() {
        let mut exchange = asked("GET", "/stock/7?x=1", &[("Accept-Encoding", "gzip")]);
        assert!(run(&lines(", unknown: ignore"), &mut exchange).is_none());
        assert_eq!(exchange.upstream_path(), b"/shop.Stock/Count");
        assert_eq!(exchange.upstream_query(), None);
        let fields = &exchange.request.fields;
        assert_eq!(fields.get(names::CONTENT_TYPE), Some(&b"application/grpc+proto"[..]));
        assert_eq!(fields.get(names::ACCEPT_ENCODING), None);
        let call = exchange.shaping.unwrap().call.unwrap();
        assert_eq!(call.frame(b"").unwrap(), b"\0\0\0\0\x02\x08\x07");
    }

    #[test]
    fn what_calls_nothing_is_refused() {
        for (method, target, kind, status, reason, told) in [
            ("GET", "/none", None, 404, "no_call", "no method"),
            ("PUT", "/stock/7", None, 405, "no_call", "Allow"),
            (
                "GET",
                "/stock/mug",
                None,
                400,
                "call_invalid",
                "id: a whole number of 32 bits, not below 0 was expected",
            ),
            ("GET", "/stock/7?x=1", None, 400, "call_invalid", "x: there is no such field"),
            ("GET", "/stock/7", Some("text/plain"), 415, "media_type_refused", "JSON"),
            ("GET", "/stock/7", Some("application/json; charset=latin1"), 415, "media_type_refused", "JSON"),
        ] {
            let fields: Vec<_> = kind.map(|kind| ("Content-Type", kind)).into_iter().collect();
            let mut exchange = asked(method, target, &fields);
            exchange.request.framing = Framing::Length(u64::from(kind.is_some()));
            let answer = run(&lines(""), &mut exchange).unwrap();
            let crate::exchange::Body::Problem(detail) = &answer.body else { panic!("{target}") };
            assert_eq!((answer.status, answer.reason), (status, reason), "{target}");
            assert!(detail.contains(told), "{target}: {detail}");
        }
    }

    #[test]
    fn calls_of_grpc_pass_as_they_are() {
        let mut exchange = asked("POST", "/any.Other/Call", &[("Content-Type", "application/grpc")]);
        assert!(run(&lines(""), &mut exchange).is_none());
        assert!(exchange.plan.transcode.is_none() && exchange.plan.path.is_none());
    }

    #[test]
    fn what_cannot_be() {
        for (lines, told) in [
            (
                lines(", services: shop.Stok"),
                "the descriptor set has no service `shop.Stok`: it has shop.Stock",
            ),
            (
                "transcode: { descriptor: \"base64:?\" }".to_owned(),
                "what stands behind `base64:` is no base64: write what `base64 FILE` gives",
            ),
            (
                "transcode: \"base64:\"".to_owned(),
                "no method of these services can be called: methods whose client streams are left out; `transcode` needs at \
                 least one other",
            ),
        ] {
            assert_eq!(fault(&lines), told);
        }
        assert!(fault("transcode: \"base64:/w==\"").starts_with("this is no whole descriptor set: "));
    }
}
