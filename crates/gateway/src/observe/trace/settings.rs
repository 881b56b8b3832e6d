//! What the `OTEL_*` variables say, as <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
//! and `.../specs/otel/protocol/exporter/` define them.
//!
//! Takes a way to read variables; gives settings, nothing, or one sentence on what is wrong.

use std::time::Duration;

use crate::exchange::Trace;

/// How spans are made and sent.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceSettings {
    pub(crate) endpoint: Endpoint,
    pub(crate) encoding: Encoding,
    /// Field lines for the collector; may hold credentials.
    pub(crate) headers: Vec<(String, Hidden)>,
    pub(crate) timeout: Duration,
    pub(crate) sampler: Sampler,
    /// What is said of this process.
    pub(crate) resource: Vec<(String, String)>,
}

/// A value that is not printed.
#[derive(Clone, PartialEq)]
pub(crate) struct Hidden(pub(crate) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Where the collector is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
}

/// How spans are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// Which traces are told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Sampler {
    /// Those of this share, by their number, whatever the caller says.
    Ratio(f64),
    /// As the caller says; traces that start here by share.
    ParentOrRatio(f64),
}

impl Sampler {
    /// Whether a trace is told.
    pub(crate) fn decide(self, trace: &Trace) -> bool {
        match self {
            Sampler::ParentOrRatio(_) if trace.parent_id != 0 => trace.sampled,
            Sampler::ParentOrRatio(share) | Sampler::Ratio(share) => {
                // As the other implementations do: the last 63 bits of the number against the share of their range.
                let number = (trace.trace_id as u64) >> 1;
                share >= 1.0 || (number as f64) < share * (1_u64 << 63) as f64
            }
        }
    }
}

impl TraceSettings {
    /// Reads the settings; `None` when no spans are wanted.
    ///
    /// # Errors
    /// One sentence that names the variable.
    pub fn from_environment(
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<TraceSettings>, String> {
        // The specification takes an empty variable for none.
        let get = |name: &str| environment(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let own = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let shared = get("OTEL_EXPORTER_OTLP_ENDPOINT");
        match get("OTEL_TRACES_EXPORTER").as_deref() {
            Some("otlp") => {}
            // `otlp` would be the default; but whoever says nothing at all wants nothing.
            None if own.is_some() || shared.is_some() => {}
            None | Some("none") => return Ok(None),
            Some(other) => return Err(format!("OTEL_TRACES_EXPORTER is `{other}`, use `otlp` or `none`")),
        }
        let endpoint = match (own, shared) {
            (Some(own), _) => endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &own, "")?,
            (None, Some(shared)) => endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", &shared, "/v1/traces")?,
            (None, None) => Endpoint { host: "localhost".into(), port: 4318, path: "/v1/traces".into() },
        };
        let either = |name: &str| {
            let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
            names.into_iter().find_map(|name| get(&name).map(|value| (name, value)))
        };
        Ok(Some(TraceSettings {
            endpoint,
            encoding: either("PROTOCOL").map_or(Ok(Encoding::Protobuf), encoding)?,
            headers: either("HEADERS").map_or(Ok(Vec::new()), headers)?,
            timeout: either("TIMEOUT").map_or(Ok(Duration::from_secs(10)), timeout)?,
            sampler: sampler(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"))?,
            resource: resource(get("OTEL_RESOURCE_ATTRIBUTES"), get("OTEL_SERVICE_NAME"))?,
        }))
    }
}

fn endpoint(name: &str, url: &str, behind: &str) -> Result<Endpoint, String> {
    let wrong = |what: &str| Err(format!("{name} is `{url}`: {what}"));
    let Some(rest) = url.strip_prefix("http://") else {
        return wrong(
            "only http:// is spoken here; for TLS send to a collector on this machine or in this pod",
        );
    };
    let (authority, path) = match rest.find('/').and_then(|at| rest.split_at_checked(at)) {
        Some((authority, path)) => (authority, path.trim_end_matches('/')),
        None => (rest, ""),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, Some(80)),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let path = format!("{path}{behind}");
    let clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    match port {
        _ if host.is_empty() || host.contains('@') || !clean(host) || !clean(&path) => {
            wrong("this is no address")
        }
        None | Some(0) => wrong("this is no port"),
        Some(4317) if !behind.is_empty() => {
            wrong("port 4317 is for gRPC; the collector takes OTLP over HTTP on port 4318")
        }
        Some(port) => {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            Ok(Endpoint { host: host.to_owned(), port, path })
        }
    }
}

fn encoding((name, value): (String, String)) -> Result<Encoding, String> {
    match value.as_str() {
        "http/json" => Ok(Encoding::Json),
        "http/protobuf" => Ok(Encoding::Protobuf),
        other => Err(format!("{name} is `{other}`, use `http/protobuf` or `http/json`")),
    }
}

fn timeout((name, value): (String, String)) -> Result<Duration, String> {
    match value.parse() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(format!("{name} is `{value}`, use a number of milliseconds")),
    }
}

fn headers((name, value): (String, String)) -> Result<Vec<(String, Hidden)>, String> {
    // The value is not repeated: it may be a credential.
    let pairs = pairs(&value).ok_or_else(|| format!("{name} is no list of name=value"))?;
    for (field, value) in &pairs {
        let clean = value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        if http1::Name::new(field.as_bytes()).is_err() || !clean {
            return Err(format!("{name}: `{field}` or its value cannot stand in a header"));
        }
    }
    Ok(pairs.into_iter().map(|(field, value)| (field, Hidden(value))).collect())
}

fn sampler(kind: Option<String>, share: Option<String>) -> Result<Sampler, String> {
    let ratio = || match share.as_deref().map_or(Ok(1.0), str::parse::<f64>) {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!(
            "OTEL_TRACES_SAMPLER_ARG is `{}`, use a number from 0 to 1",
            share.as_deref().unwrap_or_default()
        )),
    };
    match kind.as_deref() {
        Some("always_on") => Ok(Sampler::Ratio(1.0)),
        Some("always_off") => Ok(Sampler::Ratio(0.0)),
        Some("traceidratio") => Ok(Sampler::Ratio(ratio()?)),
        None | Some("parentbased_always_on") => Ok(Sampler::ParentOrRatio(1.0)),
        Some("parentbased_always_off") => Ok(Sampler::ParentOrRatio(0.0)),
        Some("parentbased_traceidratio") => Ok(Sampler::ParentOrRatio(ratio()?)),
        Some(other) => Err(format!(
            "OTEL_TRACES_SAMPLER is `{other}`, use always_on, always_off, traceidratio or one of them behind \
             parentbased_"
        )),
    }
}

fn resource(attributes: Option<String>, service: Option<String>) -> Result<Vec<(String, String)>, String> {
    let attributes = attributes.unwrap_or_default();
    let mut resource =
        pairs(&attributes).ok_or_else(|| "OTEL_RESOURCE_ATTRIBUTES is no list of name=value".to_owned())?;
    if service.is_some() {
        resource.retain(|(name, _)| name != "service.name");
    }
    if !resource.iter().any(|(name, _)| name == "service.name") {
        resource.push(("service.name".to_owned(), service.unwrap_or_else(|| "tidegate".to_owned())));
    }
    let own = [("service.version", env!("CARGO_PKG_VERSION")), ("telemetry.sdk.language", "rust")];
    for (name, value) in own {
        if !resource.iter().any(|(known, _)| known == name) {
            resource.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(resource)
}

/// `a=1,b=2` with percent-escapes in the values, as W3C Baggage has it.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let (name, value) = item.split_once('=')?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), decoded(value.trim())))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.split_at_checked(2).and_then(|(digits, behind)| {
            let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some((value, behind))
        });
        match (byte, digits) {
            (b'%', Some((value, behind))) => {
                out.push(value);
                rest = behind;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, String> {
        TraceSettings::from_environment(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn spans_are_off_unless_they_are_asked_for() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        for (variables, on) in [
            (&[][..], false),
            (&[("OTEL_SERVICE_NAME", "gateway")], false),
            (&[("OTEL_TRACES_EXPORTER", "none"), ENDPOINT], false),
            (&[("OTEL_SDK_DISABLED", "TRUE"), ENDPOINT], false),
            (&[("OTEL_SDK_DISABLED", "false"), ENDPOINT], true),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false),
            (&[ENDPOINT], true),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
        ] {
            assert_eq!(read(variables).unwrap().is_some(), on, "{variables:?}");
        }
    }

    #[test]
    fn endpoints_are_read_as_the_specification_says() {
        for (name, url, host, port, path) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "c", 4318, "/v1/traces"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/base/", "c", 80, "/base/v1/traces"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:9/x", "c", 9, "/x"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:9", "c", 9, "/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1]:9/x", "::1", 9, "/x"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1]/x", "::1", 80, "/x"),
        ] {
            let endpoint = read(&[(name, url)]).unwrap().unwrap().endpoint;
            let wish = Endpoint { host: host.into(), port, path: path.into() };
            assert_eq!(endpoint, wish, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_credential_is_repeated() {
        for (name, value, part) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318", "only http://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", "4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:x", "no port"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http:///x", "no address"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "SECRET", "name=value"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=SECRET%0Ab", "header"),
            ("OTEL_TRACES_SAMPLER", "often", "always_on"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a", "name=value"),
        ] {
            let mut variables = vec![(name, value)];
            if name != "OTEL_TRACES_EXPORTER" {
                variables.push(("OTEL_TRACES_EXPORTER", "otlp"));
            }
            let message = read(&variables).unwrap_err();
            assert!(message.contains(name) && message.contains(part), "{message}");
            assert!(!message.contains("SECRET"), "{message}");
        }
        for share in ["2", "x", "-1"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
            let exporter = ("OTEL_TRACES_EXPORTER", "otlp");
            assert!(read(&[sampler, exporter, ("OTEL_TRACES_SAMPLER_ARG", share)]).is_err(), "{share}");
        }
    }

    #[test]
    fn headers_and_resource_are_decoded() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, b=2"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,region=eu%2Cwest"),
            ("OTEL_SERVICE_NAME", "edge"),
        ]);
        let settings = settings.unwrap().unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), Hidden(value.to_owned()));
        assert_eq!(settings.headers, [header("authorization", "Bearer x"), header("b", "2")]);
        assert!(!format!("{settings:?}").contains("Bearer"), "credentials are not printed");
        let resource: Vec<_> = settings.resource.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(resource[..2], [("region", "eu,west"), ("service.name", "edge")]);
    }

    #[test]
    fn samplers_follow_the_caller_or_the_number() {
        let trace = |trace_id, parent_id, sampled| Trace { trace_id, parent_id, span_id: 1, sampled };
        let (low, high) = (trace(1, 0, false), trace(u128::from(u64::MAX), 0, false));
        let (asked, unasked) = (trace(u128::from(u64::MAX), 7, true), trace(1, 7, false));
        for (kind, share, wish) in [
            ("always_on", "0", [true, true, true, true]),
            ("always_off", "1", [false, false, false, false]),
            ("traceidratio", "0.5", [true, false, false, true]),
            ("parentbased_always_on", "", [true, true, true, false]),
            ("parentbased_always_off", "", [false, false, true, false]),
            ("parentbased_traceidratio", "0.5", [true, false, true, false]),
        ] {
            let sampler = sampler(Some(kind.into()), Some(share.into()).filter(|s: &String| !s.is_empty()));
            let sampler = sampler.unwrap();
            assert_eq!([low, high, asked, unasked].map(|trace| sampler.decide(&trace)), wish, "{kind}");
        }
    }
}
