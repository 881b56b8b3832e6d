//! Requests become messages and messages answers, by a descriptor set with every shape of annotation.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod compiled;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use compiled::{compiled, library};
use proptest::prelude::*;
use transcode::{Catalog, Flaw, Missed, Options, Reply, status};

static LIBRARY: LazyLock<Catalog> = LazyLock::new(|| library(Options::default()));

/// What a request says as a message, told by the method that gives it back: `Echo` knows it as JSON again.
fn frame(catalog: &Catalog, method: &str, target: &str, body: &str) -> Result<(String, Vec<u8>), String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asked = catalog.ask(method, path.as_bytes(), query.as_bytes()).map_err(|missed| match missed {
        Missed::Wrong(wrong) => wrong.to_string(),
        other => format!("{other:?}"),
    })?;
    let path = asked.call().path().to_owned();
    asked.frame(body.as_bytes()).map(|frame| (path, frame)).map_err(|wrong| wrong.to_string())
}

/// The message of a request, field by field, as the protobuf wire has it.
fn message(method: &str, target: &str, body: &str) -> Result<Vec<u8>, String> {
    frame(&LIBRARY, method, target, body).map(|(_, frame)| frame[5..].to_vec())
}

/// A message that goes to `Echo` and comes back.
fn echoed(catalog: &Catalog, body: &str) -> Result<String, String> {
    let (_, frame) = frame(catalog, "POST", "/library.Library/Echo", body)?;
    let asked = catalog.ask("POST", b"/library.Library/Echo", b"").unwrap();
    let (mut reply, mut out) = (Reply::new(asked.call().clone()), Vec::new());
    for byte in frame {
        reply.take(&[byte], &mut out)?;
    }
    reply.end()?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn the_descriptor_sets_are_their_proto_files() {
    for (folder, file) in [("crates/transcode/tests/protos", "library"), ("examples/shop", "stock")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../{folder}/{file}.pb"));
        let set = compiled(&format!("{file}.proto"), &[folder, "examples/shop"]);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &set).unwrap();
        }
        assert!(fs::read(&path).unwrap() == set, "run UPDATE_EXPECT=1 cargo test -p transcode --test calls");
    }
    let set = compiled("stock.proto", &["examples/shop"]);
    let catalog = Catalog::new(&set, &["shop.Stock".into()], Options::default()).unwrap();
    let told: Vec<_> = catalog.told().collect();
    assert_eq!(told, [("GET /stock/{id}".to_owned(), "/shop.Stock/Count")]);
}

#[test]
fn paths_queries_and_bodies_become_messages() {
    for (method, target, body, path, wire) in [
        ("GET", "/v1/shelves/1/books/2", "", "GetBook", &b"\x0a\x11shelves/1/books/2"[..]),
        ("HEAD", "/v1/shelves/1/books/2", "", "GetBook", b"\x0a\x11shelves/1/books/2"),
        ("GET", "/v1/books/caf%C3%A9%2Fx", "", "GetBook", b"\x0a\x07caf\xc3\xa9/x"),
        ("GET", "/v1/books/x?fields=title,author.givenName", "", "GetBook", b"\x0a\x01x\x12\x1a\x0a\x05title\x0a\x11author.given_name"),
        ("GET", "/v1/shelves/1/books?page_size=5&tags=a&tags=b+c", "", "ListBooks", b"\x0a\x09shelves/1\x10\x05\x1a\x01a\x1a\x03b c"),
        ("GET", "/v1/shelves/1/books?pageSize=-1&filter.author.born=1815&filter.in_print=true", "", "ListBooks",
            b"\x0a\x09shelves/1\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x22\x07\x0a\x03\x10\x97\x0e\x10\x01"),
        ("GET", "/v1/shelves/1/books?genres=POEMS&genres=1&lent=true&cursor=_-8", "", "ListBooks",
            b"\x0a\x09shelves/1\x2a\x02\x02\x01\x3a\x02\x08\x01\x4a\x02\xff\xef"),
        ("GET", "/v1/shelves/1/books?since=1970-01-01T00:00:07Z&weight=1.5", "", "ListBooks",
            b"\x0a\x09shelves/1\x32\x02\x08\x07\x51\0\0\0\0\0\0\xf8\x3f"),
        ("POST", "/v1/shelves/1/books?request_id=r", r#"{"title":"T","author":{"givenName":"A"}}"#, "CreateBook",
            b"\x0a\x09shelves/1\x12\x08\x12\x01T\x2a\x03\x0a\x01A\x1a\x01r"),
        ("POST", "/v1/shelves/1/books", "", "CreateBook", b"\x0a\x09shelves/1"),
        // What the path says holds, whatever the body does.
        ("PATCH", "/v1/shelves/1/books/2", r#"{"name":"other","pages":"7"}"#, "UpdateBook", b"\x0a\x11shelves/1/books/2\x18\x07"),
        ("DELETE", "/v1/shelves/1/books/2", "", "DeleteBook", b"\x0a\x11shelves/1/books/2"),
        ("POST", "/v1/shelves/1/books/2:lend", r#"{"reader":"ada"}"#, "Lend", b"\x0a\x11shelves/1/books/2\x12\x03ada"),
        ("LEND", "/v1/books/2", r#"{"reader":"ada"}"#, "Lend", b"\x0a\x012\x12\x03ada"),
        ("POST", "/library.Library/Watch", " {\"count\": 3} ", "Watch", b"\x08\x03"),
        ("POST", "/library.Library/Watch", "", "Watch", b""),
    ] {
        let (called, frame) = frame(&LIBRARY, method, target, body).unwrap_or_else(|why| panic!("{target}: {why}"));
        assert_eq!(called, format!("/library.Library/{path}"), "{target}");
        assert_eq!(&frame[5..], wire, "{target}: {:?}", String::from_utf8_lossy(&frame));
        assert_eq!(frame[..5], [&[0][..], &u32::try_from(wire.len()).unwrap().to_be_bytes()].concat(), "{target}");
    }
}

#[test]
fn what_does_not_fit_in_a_path_or_query_is_told_with_its_field() {
    for (method, target, body, told) in [
        ("GET", "/v2", "", "Path"),
        ("PUT", "/v1/books/1", "", "Method([\"GET\", \"LEND\"])"),
        ("POST", "/library.Library/Upload", "", "Path"),
        ("GET", "/v1/books/%ff", "", "name: it is not in UTF-8"),
        ("GET", "/v1/books/1?nme=2", "", "nme: there is no such field"),
        ("GET", "/v1/books/1?name.x=2", "", "name.x: there is no such field"),
        ("GET", "/v1/shelves/1/books?page_size=1&pageSize=2", "", "pageSize: it is said twice"),
        (
            "GET",
            "/v1/shelves/1/books?page_size=many",
            "",
            "page_size: a whole number of 32 bits was expected",
        ),
        (
            "GET",
            "/v1/shelves/1/books?page_size=2147483648",
            "",
            "page_size: a whole number of 32 bits was expected",
        ),
        ("GET", "/v1/shelves/1/books?filter.in_print=yes", "", "filter.in_print: true or false was expected"),
        ("GET", "/v1/shelves/1/books?genres=DRAMA", "", "genres: a value of library.Genre was expected"),
        ("GET", "/v1/shelves/1/books?since=today", "", "since: a Timestamp was expected"),
        ("GET", "/v1/shelves/1/books?cursor=*", "", "cursor: base64 was expected"),
        ("GET", "/v1/shelves/1/books?weight=inf", "", "weight: a number was expected"),
        ("GET", "/v1/shelves/1/books?filter=x", "", "filter: a query cannot say this field; say those in it"),
        ("GET", "/v1/shelves/1/books?labels=x", "", "labels: a query cannot say this field; say those in it"),
        ("GET", "/v1/books/1", "{}", "this call takes no body"),
        ("POST", "/v1/shelves/1/books?book.title=x", "{}", "book.title: this field stands in the body"),
    ] {
        assert_eq!(frame(&LIBRARY, method, target, body).unwrap_err(), told, "{method} {target} {body}");
    }
}

#[test]
fn what_does_not_fit_in_a_body_is_told_with_its_field() {
    let everything = "/library.Library/Echo";
    for (method, target, body, told) in [
        ("POST", everything, "{}?", "something stands behind the JSON text, at byte 2"),
        (
            "POST",
            "/library.Library/Echo?a_int32=1",
            "{}",
            "a_int32: the fields stand in the body, not in the query",
        ),
        ("POST", everything, r#"{"aInt32":"x"}"#, "aInt32: invalid digit found in string"),
        (
            "POST",
            everything,
            r#"{"inner":{"list":[{},{"aBool":"secret"}]}}"#,
            "inner.list[1].aBool: a boolean was expected",
        ),
        ("POST", everything, r#"{"inner":{"nobody":1}}"#, "inner.nobody: there is no such field"),
        (
            "POST",
            everything,
            r#"{"authors":{"x":{"born":-1}}}"#,
            "authors.x.born: out of range integral type conversion attempted",
        ),
        ("POST", everything, r#"{"left":"a","right":1}"#, "multiple fields provided for oneof 'choice'"),
        (
            "POST",
            everything,
            r#"{"aInt32":1,"aInt32":2}"#,
            "aInt32: an object of the body has two members of one name",
        ),
        ("POST", "/v1/shelves/1/books", r#"{"pages":"many"}"#, "book.pages: invalid digit found in string"),
        ("POST", "/v1/shelves/1/books", "[]", "book: a map was expected"),
        (
            "POST",
            "/v1/shelves/1/books",
            "{},\"parent\":\"x\"",
            "something stands behind the JSON text, at byte 2",
        ),
    ] {
        assert_eq!(frame(&LIBRARY, method, target, body).unwrap_err(), told, "{method} {target} {body}");
    }
}

#[test]
fn what_is_too_deep_too_large_or_unknown_is_refused() {
    let everything = "/library.Library/Echo";
    let deep = format!("{}{}{}", "{\"inner\":".repeat(70), "{}", "}".repeat(70));
    let told = message("POST", everything, &deep).unwrap_err();
    assert!(told.starts_with("inner.inner.inner") && told.contains("nested deeper than 64"), "{told}");
    // What the wire nests deeper than JSON does is told or refused, at any depth.
    for depth in 1..63 {
        for open in ["{\"a\":", "["] {
            let close = if open == "[" { "]" } else { "}" };
            let body = format!("{{\"value\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            match message("POST", everything, &body) {
                Ok(_) => assert!(echoed(&LIBRARY, &body).is_ok(), "{depth}"),
                Err(told) => {
                    let deep = ["nested deeper than services read", "recursion limit reached"];
                    assert!(depth > 20 && deep.iter().any(|deep| told.contains(deep)), "{depth}: {told}");
                }
            }
        }
    }
    let broken =
        LIBRARY.ask("POST", everything.as_bytes(), b"").unwrap().frame(b"{\"inner\":{\"aString\":\"\xff\"}}");
    assert_eq!(broken.unwrap_err().field, "inner.aString");
    let small = library(Options { size: 8, ..Options::default() });
    let large = frame(&small, "POST", everything, r#"{"aString":"123456789"}"#);
    assert_eq!(large.unwrap_err(), "the message is larger than 8 bytes");
    let lenient = library(Options { ignore_unknown: true, ..Options::default() });
    let (_, passed) = frame(&lenient, "GET", "/v1/books/1?utm=x", "").unwrap();
    assert_eq!(&passed[5..], b"\x0a\x011");
    assert_eq!(echoed(&lenient, r#"{"nobody":[1],"aBool":true}"#).unwrap(), r#"{"aBool":true}"#);
}

#[test]
fn messages_are_told_by_the_mapping_of_protobuf() {
    for json in [
        r#"{"aInt32":-5,"aInt64":"-9007199254740993","aUint64":"18446744073709551615","aBool":true}"#,
        r#"{"aDouble":"NaN","aFloat":"-Infinity","aString":"ä\n","aBytes":"/+8="}"#,
        r#"{"genre":"POEMS","numbers":[1,2,3],"authors":{"x":{"givenName":"Ada"}}}"#,
        r#"{"inner":{"inner":{}},"time":"2026-01-02T03:04:05.600Z","took":"-1.500s"}"#,
        r#"{"data":{"a":[1.0,null,{"b":"c"}]},"word":"","number":"0","mask":"aInt32,inner.aBool"}"#,
        r#"{"any":{"@type":"type.googleapis.com/library.Author","givenName":"Ada","born":1815}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"right":0}"#,
        "{}",
    ] {
        assert_eq!(echoed(&LIBRARY, json).as_deref(), Ok(json));
    }
    let told = library(Options { proto_names: true, ..Options::default() });
    assert_eq!(echoed(&told, r#"{"aInt32":1}"#).unwrap(), r#"{"a_int32":1}"#);
    assert_eq!(
        echoed(&LIBRARY, r#"{"a_int32":1.0,"genre":2,"aInt64":5,"word":null}"#).unwrap(),
        r#"{"aInt32":1,"aInt64":"5","genre":"POEMS"}"#
    );
    let full = library(Options { defaults: true, ..Options::default() });
    let all: serde_json::Value = serde_json::from_str(&echoed(&full, "{}").unwrap()).unwrap();
    assert_eq!(
        (&all["aInt64"], &all["genre"], &all["numbers"]),
        (&"0".into(), &"GENRE_UNKNOWN".into(), &serde_json::json!([]))
    );
    let unknown = r#"{"any":{"@type":"type.googleapis.com/other.Unknown"}}"#;
    assert!(echoed(&LIBRARY, unknown).unwrap_err().starts_with("any: message 'other.Unknown' not found"));
}

/// What an answer of these messages becomes.
fn answered(method: &str, path: &str, frames: &[u8]) -> Result<String, String> {
    let asked = LIBRARY.ask(method, path.as_bytes(), b"").unwrap();
    let (mut reply, mut out) = (Reply::new(asked.call().clone()), Vec::new());
    reply.take(frames, &mut out)?;
    reply.end()?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn answers_are_told_whole_in_part_or_line_by_line() {
    let books = b"\0\0\0\0\x0e\x0a\x03\x0a\x01a\x0a\x05\x0a\x01b\x18\x07\x10\x02";
    assert_eq!(
        answered("GET", "/v1/shelves/1/books", books).unwrap(),
        r#"[{"name":"a"},{"name":"b","pages":"7"}]"#
    );
    assert_eq!(answered("GET", "/v1/shelves/1/books", b"\0\0\0\0\0").unwrap(), "[]");
    assert_eq!(answered("GET", "/v1/shelves/1/count", books).unwrap(), "2");
    assert_eq!(answered("GET", "/v1/shelves/1/count", b"\0\0\0\0\0").unwrap(), "0");
    assert_eq!(answered("DELETE", "/v1/shelves/1/books/2", b"\0\0\0\0\0").unwrap(), "{}");
    let watch = "/library.Library/Watch";
    let stream = b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\x03\x0a\x01b";
    assert_eq!(answered("POST", watch, stream).unwrap(), "{\"name\":\"a\"}\n{\"name\":\"b\"}\n");
    assert_eq!(answered("POST", watch, b"").unwrap(), "");
    for (path, frames, told) in [
        ("/v1/books/1", &b""[..], "the service answers without a message"),
        ("/v1/books/1", b"\0\0\0\0\0\0\0\0\0\0", "the service answers with more than one message"),
        ("/v1/books/1", b"\0\0\0\0\x05\x0a", "the service's last message is not whole"),
        ("/v1/books/1", b"\x01\0\0\0\0", "the service's message is compressed, though nobody asked for that"),
        (
            "/v1/books/1",
            b"\0\xff\xff\xff\xff",
            "the service's message has 4294967295 bytes, more than the 4194304 of `max_size`",
        ),
    ] {
        assert_eq!(answered("GET", path, frames).unwrap_err(), told);
    }
    let wrong = answered("GET", "/v1/books/1", b"\0\0\0\0\x02\x0a\x09").unwrap_err();
    assert!(wrong.starts_with("the service's message is no library.Book: "), "{wrong}");
}

#[test]
fn messages_of_any_type_go_only_so_deep() {
    /// A message of any type around these bytes, which are an `Everything` whose `any` (field 16) it is.
    fn around(inner: &[u8]) -> Vec<u8> {
        let field = |key: &[u8], bytes: &[u8]| {
            let mut length = bytes.len();
            let mut out = key.to_vec();
            while length > 127 {
                out.push(u8::try_from(length & 127).unwrap() | 128);
                length >>= 7;
            }
            out.push(u8::try_from(length).unwrap());
            [&out, bytes].concat()
        };
        let any = [field(b"\x0a", b"type.googleapis.com/library.Everything"), field(b"\x12", inner)].concat();
        field(b"\x82\x01", &any)
    }
    let frame = |depth: usize| {
        let message = (0..depth).fold(Vec::new(), |inner, _| around(&inner));
        [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
    };
    let echo = "/library.Library/Echo";
    assert!(answered("POST", echo, &frame(10)).is_ok());
    assert_eq!(answered("POST", echo, &frame(5000)).unwrap_err(), "the service's message is nested too deep");
}

#[test]
fn details_of_errors_are_told() {
    let asked = LIBRARY.ask("POST", b"/library.Library/Echo", b"").unwrap();
    let details = |field: &str| serde_json::Value::from(status::details(asked.call(), field.as_bytes()));
    // A number, a sentence, an Author, one of an unknown type.
    let status = "CAUSAm5vGisKInR5cGUuZ29vZ2xlYXBpcy5jb20vbGlicmFyeS5BdXRob3ISBQoDQWRhGgwKBmEvYi5DRBICCAE";
    assert_eq!(
        details(status),
        serde_json::json!([
            { "@type": "type.googleapis.com/library.Author", "givenName": "Ada" },
            { "@type": "a/b.CD", "value": "CAE=" },
        ])
    );
    for nothing in ["", "?", "/w", "CAU"] {
        assert_eq!(details(nothing), serde_json::json!([]));
    }
}

#[test]
fn flaws_are_told() {
    let set = compiled("library.proto", &["crates/transcode/tests/protos", "examples/shop"]);
    let flaws = |set: &[u8], names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Catalog::new(set, &names, Options::default()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(&flaws(b"\xff", &[])[..], [Flaw::Unreadable(_)]));
    assert!(matches!(&flaws(&set[..set.len() / 2], &[])[..], [Flaw::Unreadable(_)]));
    assert_eq!(flaws(b"", &[]), [Flaw::Nothing]);
    assert_eq!(
        flaws(&set, &["library.Libary", "library.Library"]),
        [Flaw::NoService("library.Libary".into(), vec!["library.Library".into()])]
    );
    // Not whole: without what it imports.
    let folder = tempfile::tempdir().unwrap();
    let head = "syntax = \"proto3\"; package p; import \"google/api/annotations.proto\"; message M { string a = 1; M m = 2; repeated string r = 3; }";
    let written = |service: &str, imports: bool| {
        fs::write(folder.path().join("p.proto"), format!("{head} service S {{ {service} }}")).unwrap();
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop");
        let mut compiler = protox::Compiler::new([folder.path().to_owned(), shop]).unwrap();
        compiler.include_imports(imports).open_file("p.proto").unwrap();
        compiler.encode_file_descriptor_set()
    };
    let method = |name: &str, rule: &str| {
        format!("rpc {name}(M) returns (M) {{ option (google.api.http) = {{ {rule} }}; }}")
    };
    let unwhole = flaws(&written(&method("A", "get: \"/a\""), false), &[]);
    assert!(
        matches!(&unwhole[..], [Flaw::Unreadable(why)] if why.contains("google/api/annotations.proto")),
        "{unwhole:?}"
    );
    for (rule, told) in [
        ("get: \"a\"", "`a`: a path begins with `/`"),
        ("get: \"/{b}\"", "`b`: there is no such field"),
        ("get: \"/{m}\"", "`m`: a path cannot say this field"),
        ("get: \"/{r}\"", "`r`: a path cannot say this field"),
        ("post: \"/a\" body: \"b\"", "`body: b`: there is no such field"),
        ("get: \"/a\" response_body: \"b\"", "`response_body: b`: there is no such field"),
        ("body: \"*\"", "HttpRule says no path"),
        ("custom { kind: \"a b\" path: \"/a\" }", "`a b` is no method of HTTP"),
    ] {
        let told = Flaw::Annotation("p.S.A".into(), told.into());
        assert_eq!(flaws(&written(&method("A", rule), true), &[]), [told]);
    }
    let twice = method("A", "get: \"/a/{a}\"") + &method("B", "get: \"/a/{m.a=*}\"");
    assert_eq!(
        flaws(&written(&twice, true), &[]),
        [Flaw::Twice("GET /a/{a}".into(), "/p.S/A".into(), "/p.S/B".into())]
    );
}

/// JSON of any shape, with the names of fields among its names.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-zA-Z0-9.:+/=-]{0,12}".prop_map(Into::into),
        prop_oneof![
            Just("NaN"),
            Just("POEMS"),
            Just("1.5s"),
            Just("2026-01-02T03:04:05Z"),
            Just("type.googleapis.com/library.Everything")
        ]
        .prop_map(Into::into),
    ];
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "aInt32", "a_int64", "aUint64", "aBool", "aDouble", "aFloat", "aString", "aBytes", "genre", "numbers", "authors", "inner",
            "time", "took", "data", "any", "word", "number", "value", "mask", "left", "right", "list", "@type", "givenName", "born",
        ]).prop_map(str::to_owned),
        1 => "[a-z]{0,4}",
    ];
    word.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a client sends as a body becomes a message or is refused with a bounded sentence; a message that was made is
    /// told and becomes the same message again.
    #[test]
    fn any_json_is_a_message_or_refused(body in json()) {
        let body = body.to_string();
        match message("POST", "/library.Library/Echo", &body) {
            Err(told) => prop_assert!(told.len() < 500, "{told}"),
            Ok(first) => {
                let told = echoed(&LIBRARY, &body).unwrap();
                let again = message("POST", "/library.Library/Echo", &told).unwrap();
                let twice = echoed(&LIBRARY, &told).unwrap();
                let (one, other): (serde_json::Value, serde_json::Value) =
                    (serde_json::from_str(&told).unwrap(), serde_json::from_str(&twice).unwrap());
                prop_assert_eq!(one, other);
                prop_assert_eq!(first.len(), again.len());
            }
        }
    }

    /// Bytes that are no JSON are refused or are JSON: never a panic.
    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200), path in "[/a-z0-9%:*{}.-]{0,40}", query in "[a-z_.=&%+0-9]{0,60}") {
        let asked = LIBRARY.ask("POST", b"/library.Library/Echo", b"").unwrap();
        let call = asked.call().clone();
        let _ = asked.frame(&bytes);
        for method in ["GET", "POST", "LEND"] {
            if let Ok(asked) = LIBRARY.ask(method, path.as_bytes(), query.as_bytes()) {
                let _ = asked.frame(&bytes);
            }
        }
        let (mut reply, mut out) = (Reply::new(call.clone()), Vec::new());
        let _ = bytes.chunks(7).try_for_each(|piece| reply.take(piece, &mut out));
        let _ = status::details(&call, &bytes);
    }
}
