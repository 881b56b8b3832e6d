//! What can be called: made once of a descriptor set, its services and their annotations.
//!
//! A method without an annotation is called by `POST /package.Service/Method` with all of it in the body. Those whose client
//! streams are left out: there is no request of HTTP that says them.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use prost_reflect::{
    DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

use crate::Options;
use crate::field::{self, Fields};
use crate::rule::{self, Rule};
use crate::template::Template;

/// Ways to call methods, of one catalog.
const MOST: usize = 10_000;

/// What is wrong with a descriptor set, or with what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no descriptor set, or not a whole one.
    Unreadable(String),
    /// It has no service of this name; these are those it has.
    NoService(String, Vec<String>),
    /// There is nothing that can be called.
    Nothing,
    /// An annotation cannot be used: of which method, and why.
    Annotation(String, String),
    /// Two annotations want the same: what, and whose they are.
    Twice(String, String, String),
    /// There are more ways to call methods than this.
    TooMany(usize),
}

/// What of a request is the body.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Nothing.
    Nothing,
    /// The whole message.
    All,
    /// This field.
    Field(FieldDescriptor),
}

/// One way to call a method.
#[derive(Debug)]
pub struct Call {
    /// The path of the call: `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) verb: String,
    pub(crate) template: Template,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
    /// The fields of the captures.
    pub(crate) captures: Vec<Fields>,
    pub(crate) body: Body,
    /// The field of the answer that is told; none for all.
    pub(crate) told: Option<FieldDescriptor>,
    pub(crate) streams: bool,
    /// Whether an answer may hold messages of any type, and so be deeper than it looks.
    pub(crate) holds_any: bool,
    pub(crate) options: Options,
}

impl Call {
    /// The path of the call of gRPC: `/package.Service/Method`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the answer is a stream of messages.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Bytes of a message, either way.
    pub fn most(&self) -> usize {
        self.options.size
    }

    /// All types that are known beside its own.
    pub(crate) fn pool(&self) -> &DescriptorPool {
        self.output.parent_pool()
    }
}

/// All that can be called.
#[derive(Debug)]
pub struct Catalog {
    /// The more definite first.
    pub(crate) calls: Vec<Arc<Call>>,
}

impl Catalog {
    /// Reads a descriptor set; of its services those that are named, all where none is.
    ///
    /// # Errors
    /// All flaws.
    pub fn new(set: &[u8], services: &[String], options: Options) -> Result<Catalog, Vec<Flaw>> {
        let pool = DescriptorPool::decode(set).map_err(|error| vec![Flaw::Unreadable(error.to_string())])?;
        let (services, mut flaws) = chosen(&pool, services);
        let mut calls = Vec::new();
        for method in services.iter().flat_map(ServiceDescriptor::methods) {
            if method.is_client_streaming() {
                continue;
            }
            match calls_of(&pool, &method, options) {
                Ok(found) => calls.extend(found),
                Err(why) => flaws.push(Flaw::Annotation(method.full_name().to_owned(), why)),
            }
            if calls.len() > MOST {
                return Err(vec![Flaw::TooMany(MOST)]);
            }
        }
        // Stable, so that of two that are as definite the one that was written first is looked at first.
        calls.sort_by(in_order);
        flaws.extend(calls.windows(2).filter_map(|pair| match pair {
            [one, other] if in_order(one, other) == Ordering::Equal => {
                let what = format!("{} {}", one.verb, one.template.text);
                Some(Flaw::Twice(what, one.path.clone(), other.path.clone()))
            }
            _ => None,
        }));
        if calls.is_empty() && flaws.is_empty() {
            flaws.push(Flaw::Nothing);
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        Ok(Catalog { calls: calls.into_iter().map(Arc::new).collect() })
    }

    /// What can be called, as `GET /v1/books/{id}` and the path of its method.
    pub fn told(&self) -> impl Iterator<Item = (String, &str)> {
        self.calls.iter().map(|call| (format!("{} {}", call.verb, call.template.text), &*call.path))
    }
}

fn in_order(one: &Call, other: &Call) -> Ordering {
    let rank = |call: &Call| (call.template.verb.clone(), call.verb.clone());
    one.template.rank().cmp(&other.template.rank()).then_with(|| rank(one).cmp(&rank(other)))
}

/// The services of these names, and what is wrong with the names.
fn chosen(pool: &DescriptorPool, names: &[String]) -> (Vec<ServiceDescriptor>, Vec<Flaw>) {
    if names.is_empty() {
        return (pool.services().collect(), Vec::new());
    }
    let (mut services, mut flaws) = (Vec::new(), Vec::new());
    for name in names {
        match pool.get_service_by_name(name) {
            Some(service) if services.contains(&service) => {}
            Some(service) => services.push(service),
            None => {
                let known = pool.services().map(|service| service.full_name().to_owned());
                flaws.push(Flaw::NoService(name.clone(), known.collect()));
            }
        }
    }
    (services, flaws)
}

fn calls_of(pool: &DescriptorPool, method: &MethodDescriptor, options: Options) -> Result<Vec<Call>, String> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut rules = rule::of(pool, method)?;
    if rules.is_empty() {
        let (verb, body) = ("POST".to_owned(), "*".to_owned());
        rules.push(Rule { verb, path: path.clone(), body, response_body: String::new() });
    }
    let holds_any = holds_any(&method.output());
    let call = |rule: Rule| {
        let template = Template::new(&rule.path).map_err(|why| format!("`{}`: {why}", rule.path))?;
        let (input, output) = (method.input(), method.output());
        if rule.verb.is_empty() || !rule.verb.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'*') {
            return Err(format!("`{}` is no method of HTTP", rule.verb));
        }
        Ok(Call {
            captures: captures(&template, &input)?,
            body: body(&rule.body, &input)?,
            told: told(&rule.response_body, &output)?,
            path: path.clone(),
            verb: rule.verb,
            template,
            input,
            output,
            streams: method.is_server_streaming(),
            holds_any,
            options,
        })
    };
    rules.into_iter().map(call).collect()
}

fn captures(template: &Template, input: &MessageDescriptor) -> Result<Vec<Fields>, String> {
    let found = template.captures.iter().map(|capture| {
        let fields =
            field::find(input, &capture.field).map_err(|why| format!("`{}`: {why}", capture.field))?;
        match fields.last() {
            Some(last) if last.is_list() || last.is_map() || !field::is_sayable(last) => {
                Err(format!("`{}`: a path cannot say this field", capture.field))
            }
            _ => Ok(fields),
        }
    });
    found.collect()
}

fn body(name: &str, input: &MessageDescriptor) -> Result<Body, String> {
    match name {
        "" => Ok(Body::Nothing),
        "*" => Ok(Body::All),
        name => {
            let field = input.get_field_by_name(name);
            field.map(Body::Field).ok_or_else(|| format!("`body: {name}`: there is no such field"))
        }
    }
}

fn told(name: &str, output: &MessageDescriptor) -> Result<Option<FieldDescriptor>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let field = output.get_field_by_name(name);
    field.map(Some).ok_or_else(|| format!("`response_body: {name}`: there is no such field"))
}

/// Whether a message, or one that it may hold, is of any type.
fn holds_any(message: &MessageDescriptor) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![message.clone()];
    while let Some(message) = open.pop() {
        if message.full_name() == "google.protobuf.Any" {
            return true;
        }
        if seen.insert(message.full_name().to_owned()) {
            open.extend(message.fields().filter_map(|field| match field.kind() {
                Kind::Message(inner) => Some(inner),
                _ => None,
            }));
        }
    }
    false
}
