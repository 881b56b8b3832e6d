//! Programs at work: what they make, what they are refused, and that none of them runs on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;

/// As large as the threads that run programs.
const LARGE: usize = 512 * 1024 * 1024;

fn compiled(text: &str) -> Jq {
    Jq::compile(text, MOST_STEPS, Duration::from_secs(60)).unwrap_or_else(|flaw| panic!("{text}: {flaw}"))
}

fn made_with(program: Jq, document: &str, limits: Limits, stop: bool) -> Result<String, Misfit> {
    let document = document.to_owned();
    let work = move || {
        let document = crate::parse(document.as_bytes(), limits).unwrap();
        let room = Room::new(LARGE, Arc::new(AtomicBool::new(stop)));
        let made = room.with(|| program.run(&document, &limits))?;
        Ok(String::from_utf8(made.write(&limits).unwrap()).unwrap())
    };
    std::thread::Builder::new().stack_size(LARGE).spawn(work).unwrap().join().unwrap()
}

fn made(text: &str, document: &str) -> Result<String, Misfit> {
    made_with(compiled(text), document, Limits::default(), false)
}

/// Programs, documents, and what becomes of them.
const MADE: &[(&str, &str, &str)] = &[
    (".", r#"{"b":[1.50,1e400,-0,"\u0041\n"],"a":null}"#, r#"{"b":[1.50,1e400,-0,"A\n"],"a":null}"#),
    ("{id, n: (.name | ascii_upcase)}", r#"{"id":7,"name":"ada","x":1}"#, r#"{"id":7,"n":"ADA"}"#),
    ("[.[] | select(.a > 1) | .a += 1]", r#"[{"a":1},{"a":2}]"#, r#"[{"a":3}]"#),
    ("map(.price * .count) | add", r#"[{"price":1.5,"count":2},{"price":2,"count":3}]"#, "9"),
    (
        "group_by(.k) | map({key: .[0].k, n: length})",
        r#"[{"k":"b"},{"k":"a"},{"k":"b"}]"#,
        r#"[{"key":"a","n":1},{"key":"b","n":2}]"#,
    ),
    ("to_entries | map(\"\\(.key)=\\(.value)\") | join(\"&\")", r#"{"a":1,"b":"x"}"#, r#""a=1&b=x""#),
    ("with_entries(.key |= \"p_\" + .)", r#"{"a":1,"b":2}"#, r#"{"p_a":1,"p_b":2}"#),
    ("del(.a[1:], .b?)", r#"{"a":[1,2,3],"b":1}"#, r#"{"a":[1]}"#),
    ("(.. | numbers) |= . + 1", r#"{"a":[1,{"b":2}]}"#, r#"{"a":[2,{"b":3}]}"#),
    ("walk(if type == \"string\" then ltrimstr(\"x\") else . end)", r#"["xa",["b"]]"#, r#"["a",["b"]]"#),
    ("reduce range(5) as $i (0; . + $i)", "null", "10"),
    ("def fac: if . < 2 then 1 else . * (. - 1 | fac) end; fac", "20", "2432902008176640000"),
    ("[limit(3; repeat(1))]", "null", "[1,1,1]"),
    (". as [$a, {b: $c}] | {a: $a, $c}", r#"[1,{"b":2}]"#, r#"{"a":1,"c":2}"#),
    ("try error(\"x\") catch .", "1", r#""x""#),
    ("[.[] | (1 / .)?]", "[1,2,\"a\"]", "[1,0.5]"),
    (".a // \"none\"", r#"{"a":null}"#, r#""none""#),
    ("[paths]", r#"{"a":[1]}"#, r#"[["a"],["a",0]]"#),
    (
        "[test(\"^A\"; \"i\"), sub(\"(?<x>b+)\"; \"<\\(.x)>\"), [scan(\"[a-z]\")]]",
        "\"abbc\"",
        r#"[true,"a<bb>c",["a","b","b","c"]]"#,
    ),
    (
        "gsub(\"é\"; \"e\") | [match(\"b\").offset, split(\"b\"), indices(\"e\")]",
        "\"éabé\"",
        r#"[2,["ea","e"],[0,3]]"#,
    ),
    (
        "[contains({a:[1]}), has(\"a\"), (.a | index(2)), inside({a:[1,2],b:1})]",
        r#"{"a":[1,2]}"#,
        "[true,true,1,true]",
    ),
    ("[.[1:], .[-1], .[:1]]", "[1,2,3]", "[[2,3],3,[1]]"),
    ("[.[1:2], length, utf8bytelength, (explode | implode)]", "\"aéb\"", r#"["é",3,4,"aéb"]"#),
    (
        "[tojson, (tojson | fromjson), tostring]",
        r#"{"a":"\""}"#,
        r#"["{\"a\":\"\\\"\"}",{"a":"\""},"{\"a\":\"\\\"\"}"]"#,
    ),
    (
        "[@base64, @uri, @html, (@base64 | @base64d)]",
        "\"<a&b>\"",
        r#"["PGEmYj4=","%3Ca%26b%3E","&lt;a&amp;b&gt;","<a&b>"]"#,
    ),
    ("[todate, (todate | fromdate)]", "1425599621", r#"["2015-03-05T23:53:41Z",1425599621]"#),
    (
        "[sort, unique, min, max, (map(floor) | add), any(. > 2), transpose?]",
        "[3,1.5,1]",
        "[[1,1.5,3],[1,1.5,3],1,3,5,true]",
    ),
    ("[., null, true, 1] | sort", "{}", "[null,true,1,{}]"),
    ("{} * {a: {b: 1}} * {a: {c: 2}}", "1", r#"{"a":{"b":1,"c":2}}"#),
    ("[isnan, (nan | isnan), (nan < 1), ([nan] | sort | length)]", "1", "[false,true,true,1]"),
    ("[splits(\", *\")]", "\"a, b,c\"", r#"["a","b","c"]"#),
    ("getpath([\"a\",0]) , empty", r#"{"a":[5]}"#, "5"),
    ("tojson | length", "[\"\\ud83d\\ude00\"]", "5"),
];

#[test]
fn programs_make_documents() {
    for (program, document, wanted) in MADE {
        assert_eq!(made(program, document).as_deref(), Ok(*wanted), "{program}");
    }
}

#[test]
fn a_program_gives_one_document() {
    for (program, what) in [
        ("empty", "the program gives no document"),
        ("1, 2", "the program gives more than one document"),
        ("error(\"secret\")", "the program refuses the document"),
        ("1, error", "the program gives more than one document"),
        (".a.b", "the program refuses the document"),
    ] {
        assert_eq!(made(program, "[1]"), Err(Misfit::Program(what)), "{program}");
    }
    assert_eq!(made(".", r#"{"a":1,"\u0061":2}"#), Err(Misfit::Duplicate));
    let document = crate::parse(b"1", Limits::default()).unwrap();
    let roomless = compiled(".").run(&document, &Limits::default());
    assert_eq!(roomless, Err(Misfit::Program("there is no room for programs here")));
}

#[test]
fn no_program_runs_on() {
    for program in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: f, f; f",
        "def f: [f]; f",
        "def f: try f catch f; f",
        "def f(g): f(g | g); f(.)",
        "def f: (. | f) as $x | 1; f",
        "last(repeat(1))",
        "[repeat(1)]",
        "last(range(infinite))",
        "[range(0; 1; 0)]",
        "until(false; .)",
        "0 | last(while(true; . + 1))",
        "last(recurse(.; true))",
        "last(recurse(.))",
        "first(path(recurse(.a) | select(false)))",
        "first(repeat(empty))",
        "limit(1; repeat(error?))",
        "try (def f: f; f) catch 1",
        "(def f: f; f)? // 1",
        "label $out | def f: f; f | break $out",
        "reduce repeat(1) as $x (0; . + $x)",
        "reduce range(64) as $i ([0]; [., .]) | tojson",
        "reduce range(64) as $i ([0]; [., .]) | . == .",
        "reduce range(64) as $i ([0]; [., .]) | last(..)",
        "reduce range(64) as $i ([0]; [., .]) | flatten",
        "reduce range(300) as $i (0; [.])",
        "reduce range(64) as $i (\"x\"; . + .)",
        "\"x\" * 1e18",
        "\"x\" * 1e300",
        "reduce range(1000) as $i ([]; . + [range(10000)])",
        "[range(100000)] | [combinations(3)]",
        "[range(3000)] as $a | [$a, $a] | [combinations]",
        "[range(100000)] | contains([range(100000)])",
        "[limit(100000; repeat(\"a\"))] | join(\"aaaaaaaaaaaaaaaa\") | [limit(1000; repeat(.))] | map(ascii_upcase)",
        "reduce range(1e9) as $i (.; .)",
    ] {
        let ended = made_with(compiled(program), "{}", Limits::default(), false);
        assert!(matches!(ended, Err(Misfit::Spent(_))), "{program}: {ended:?}");
    }
}

#[test]
fn what_a_program_leaves_behind_can_be_taken_down() {
    // Long chains of closures, paths and iterators are taken down inside each other.
    for program in [
        "def f(g): f(g | g); f(.)",
        "first(path(recurse(.a) | select(false)))",
        "def f: f, f; f",
        "def f: [f]; f",
    ] {
        let compiled = Jq::compile(program, MOST_STEPS, Duration::from_secs(60)).unwrap();
        let ended = made_with(compiled, "null", Limits::default(), false);
        assert!(matches!(ended, Err(Misfit::Spent(_))), "{program}: {ended:?}");
    }
}

#[test]
fn whoever_made_the_room_ends_the_program() {
    let ended = made_with(compiled("def f: f; f"), "1", Limits::default(), true);
    assert_eq!(ended, Err(Misfit::Spent("the program takes longer than it may")));
}

#[test]
fn what_a_program_makes_is_bounded_as_what_it_takes() {
    let limits = Limits { size: 1000, depth: 8, ..Limits::default() };
    let with = |program: &str, document: &str| made_with(compiled(program), document, limits, false);
    assert!(with("\"x\" * 900", "1").is_ok());
    assert_eq!(with("\"x\" * 1100", "1"), Err(Misfit::Large(1000)));
    assert_eq!(with("\"x\" * 9000", "1"), Err(Misfit::Spent("the program makes more than it may")));
    assert!(with("reduce range(8) as $i (0; [.])", "1").is_ok());
    assert_eq!(with("reduce range(9) as $i (0; [.])", "1"), Err(Misfit::Deep(8)));
}

#[test]
fn flaws_have_a_place() {
    for (program, line, column, what) in [
        ("{a: .b", 1, 7, "there is no closing brace here"),
        (".a |\n  map(.b", 2, 9, "there is no closing parenthesis here"),
        (".a | | .b", 1, 6, "term is to stand here"),
        (".a\n| nowhere", 2, 3, "`nowhere` with 0 arguments is no function that is known here"),
        ("map(.; .)", 1, 1, "`map` with 2 arguments is no function that is known here"),
        (". + $x", 1, 5, "`$x` is no variable that is known here"),
        ("break $x", 1, 7, "`$x` is no label that is known here"),
        ("if . then 1", 1, 12, "else or end is to stand here"),
        ("include \"a\"; .", 1, 10, "a program is one text, and takes in no other"),
        ("env", 1, 1, "`env` with 0 arguments is no function that is known here"),
        ("$ENV", 1, 1, "`$ENV` is no variable that is known here"),
        ("now", 1, 1, "`now` with 0 arguments is no function that is known here"),
        ("input", 1, 1, "`input` with 0 arguments is no function that is known here"),
        ("halt_error", 1, 1, "`halt_error` with 0 arguments is no function that is known here"),
        ("debug", 1, 1, "`debug` with 0 arguments is no function that is known here"),
        ("localtime", 1, 1, "`localtime` with 0 arguments is no function that is known here"),
        ("", 1, 1, "term is to stand here"),
    ] {
        let told = Jq::compile(program, MOST_STEPS, Duration::ZERO).unwrap_err();
        assert_eq!(told, Flaw { line: Some(line), column, what: what.to_owned() }, "{program}");
    }
    let long = Jq::compile(&" ".repeat(9000), MOST_STEPS, Duration::ZERO).unwrap_err();
    assert_eq!(long.to_string(), "the program is longer than 8KiB");
    for deep in ["(", "[", "-", "{a:", "if ", "try ", "def f: ", "\"\\(", ".[", "1|", "reduce "] {
        let text = deep.repeat(MOST_TEXT / deep.len());
        assert!(Jq::compile(&text, MOST_STEPS, Duration::ZERO).is_err(), "{deep}");
    }
}
