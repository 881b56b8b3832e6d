//! The codes of configuration faults: one table, from which `docs/errors.md` is made.
//!
//! A code is stable: it never changes its meaning and is never used again for another one. Scripts and searches
//! rely on it, sentences may change.

use serde::{Serialize, Serializer};
use std::fmt;

/// The code of a kind of fault, such as `TG012`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static str);

impl Code {
    /// The code as it is printed.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// What the manual says of a code.
#[derive(Debug)]
pub struct Explained {
    /// The code.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub sentence: &'static str,
    /// The smallest text that has the fault.
    pub example: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $sentence:literal, $example:literal, $remedy:literal;)*) => {
        $(
            #[doc = $sentence]
            pub const $name: Code = Code($code);
        )*
        /// All codes in order.
        pub const CODES: &[Explained] = &[$(
            Explained { code: $name, sentence: $sentence, example: $example, remedy: $remedy },
        )*];
    };
}

codes! {
    SYNTAX = "TG001", "The text is not YAML as this gateway reads it: one document, strict YAML 1.2, no tags.",
        "routes: { /a: ",
        "Mend the place named. JSON is accepted too. Merge keys (`<<`) and tags are not: use `policies:` and `use:`.";
    DUPLICATE_KEY = "TG002", "The same key stands twice, in one map or in two included files.",
        "services:\n  users: http://a:8000\n  users: http://b:8000",
        "Keep one of the two places named.";
    MISSING_VARIABLE = "TG003", "A variable or file named by `${...}` does not exist or cannot be read.",
        "listen: \"${ADDRESS}\"",
        "Set it, give a default as in `${NAME:-default}`, or write `$$` for a dollar.";
    UNREADABLE = "TG004", "A file or folder of the configuration cannot be read.",
        "include: [routes/shop.yaml]",
        "Look at the path, which is relative to the file that names it, and at its permissions.";
    TOO_LARGE = "TG005", "The configuration is larger, deeper or more repetitive than is sensible.",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]   # and so on, many times",
        "At most 16 MiB in one file, 64 levels, 100000 nodes through aliases, 1000 files, 1 MiB from one `${file:...}`.";
    WRONG_TYPE = "TG010", "A value of another kind is needed here: a map instead of a text, a number instead of a list.",
        "services: [http://users:8000]",
        "Write the kind of value that the message names.";
    BAD_VALUE = "TG011", "The value is of the right kind but not a possible one.",
        "drain: { timeout: 5 minutes }",
        "Write what the help line says.";
    UNKNOWN_KEY = "TG012", "This key is not known here.",
        "routes:\n  /a: { to: users, rate_limt: 10/s }",
        "Take the name from the help line or from `tidegate schema`. A key of a route that is no action is a policy.";
    MISSING_KEY = "TG013", "A key that is needed here is missing.",
        "services:\n  users: { balance: random }",
        "Add the key that the message names.";
    UNKNOWN_NAME = "TG020", "A name refers to nothing: no service, no bundle of policies is called so.",
        "routes:\n  /a: { to: user }   # the service is called `users`",
        "Mend the name or define what it refers to.";
    CONFLICT = "TG021", "Two things of the configuration contradict each other.",
        "listeners:\n  a: 0.0.0.0:8080\n  b: 0.0.0.0:8080",
        "Change one of the two places named.";
    NO_LISTENER = "TG022", "Nothing says where clients arrive.",
        "routes:\n  /: { respond: hello }",
        "Add `listen: 0.0.0.0:8080`.";
    UNUSED = "TG023", "Something is defined and never used. A warning: the configuration is applied.",
        "services:\n  old: http://old:8000   # no route leads here",
        "Use it or remove it.";
    BAD_VERSION = "TG024", "The file says that it is written in a version of the language that this build does not know.",
        "version: 2",
        "Write `version: 1` or leave it out.";
    BAD_ROUTE_KEY = "TG030", "A route key, path pattern, host pattern or method is not well formed.",
        "routes:\n  GET /a/*/b: { to: users }",
        "Write `[METHOD[,METHOD]] [host]/path`: `*` only as the last segment, each `{name}` once, no `//`, `..`, query.";
    NO_CONDITION = "TG031", "A route whose key is a name does not say which requests it takes.",
        "routes:\n  shop: { to: users }",
        "Add `match:` with a `path` or a `host`, or write the path as the key: `/shop/*`.";
    NO_ACTION = "TG032", "A route does not say what to do.",
        "routes:\n  /a: { use: [login] }",
        "Add one of `to`, `split`, `aggregate`, `respond`, `mock`, `redirect`.";
    TWO_ACTIONS = "TG033", "A route says two things to do.",
        "routes:\n  /a: { to: users, redirect: /b }",
        "Keep one of `to`, `split`, `aggregate`, `respond`, `mock`, `redirect`; make two routes if both are wanted.";
    EQUAL_ROUTES = "TG034", "Two routes take exactly the same requests, so that one of them could never be reached.",
        "routes:\n  GET /a/{id}: { to: users }\n  GET /a/{key}: { to: orders }",
        "Remove one, or add a condition to one: a method, a host, a header.";
    BAD_POLICY = "TG040", "The settings of a policy contradict each other or the route that they stand on.",
        "routes:\n  /a: { to: users, cors: { origins: [\"*\"], credentials: true } }",
        "Change the settings as the help line says.";
    BAD_DOCUMENT = "TG041", "An OpenAPI document that the configuration points at cannot be used.",
        "routes:\n  /*: { mock: shop.yaml }   # which is of Swagger 2.0, or refers to another file, or to nothing",
        "Mend the document at the place named. It must be of OpenAPI 3.0 or 3.1, in one file.";
    BAD_AGGREGATE = "TG042", "The parts of an aggregate do not fit together: they wait for each other, or for a part that is not there.",
        "routes:\n  /a:\n    aggregate:\n      user: users /users/{orders.body.user}\n      orders: orders /orders/{user.body.id}",
        "Let one of them come first: take its place from the request instead.";
    BAD_DESCRIPTOR = "TG043", "A descriptor set that `transcode` names cannot be used, or has not what is wanted of it.",
        "routes:\n  /*: { to: users, transcode: stock.pb }   # which is no descriptor set, or lacks what it imports",
        "Make it with `protoc --include_imports --descriptor_set_out=FILE`, and name services as they are called there.";
    BAD_TLS = "TG050", "A file of TLS cannot be read or used: a certificate, a key, a list of authorities.",
        "listeners:\n  web: { address: \"0.0.0.0:443\", tls: { certificates: { cert: shop.crt, key: shop.key } } }   # no such file",
        "Mend the file that the message names. Of a certificate that has expired this is a warning.";
    TEST_FAILED = "TG060", "A test of the configuration does not hold. Told by `tidegate test` and `tidegate check --test`; a gateway starts all the same.",
        "routes:\n  /a: { respond: 204 }\ntests:\n  a is here: { request: GET /a, expect: { status: 200 } }",
        "See why with `tidegate explain` and the same request; mend the configuration, or what the test expects.";
}

/// The page `docs/errors.md`.
pub fn manual() -> String {
    let mut page = String::from(
        "# Faults of a configuration\n\n\
         `tidegate check` finds all of them in one run and prints for each its code, its place, and what to do. The codes\n\
         are stable. This page is made from the table in `crates/gateway/src/config/codes.rs`.\n",
    );
    for explained in CODES {
        let Explained { code, sentence, example, remedy } = explained;
        page.push_str(&format!("\n## {code}\n\n{sentence}\n\n```yaml\n{example}\n```\n\n{remedy}\n"));
    }
    page
}
