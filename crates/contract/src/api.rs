//! A document as it is used: its operations, found by method and path.

use std::collections::HashMap;

use serde_json::Value;

use crate::document::Document;
use crate::media::{self, MediaKind};
use crate::parameter::Parameter;
use crate::path::{Paths, Template};
use crate::schema::{Judged, Registered, Schema, Schemas, View, views};
use crate::shape::Shape;
use crate::{Flaw, escaped};

/// Operations of one document.
const MOST_OPERATIONS: usize = 5_000;
/// Flaws that are told.
const MOST_FLAWS: usize = 20;
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// What an OpenAPI document says.
pub struct Api {
    /// Its operations, in the order of the document.
    pub operations: Vec<Operation>,
    /// The paths of its servers, without a `/` at the end; at least one.
    pub bases: Vec<String>,
    /// The URLs of its servers, as written.
    pub servers: Vec<String>,
    /// Its title.
    pub title: String,
    /// For each path the operations by method.
    methods: Vec<HashMap<String, usize>>,
    paths: Paths,
    pub(crate) document: Document,
}

/// One method of one path.
pub struct Operation {
    /// Its name: the `operationId`, else method and path.
    pub id: String,
    /// The method in upper case.
    pub method: String,
    /// The path.
    pub path: Template,
    /// What its request has beside the body.
    pub parameters: Vec<Parameter>,
    /// The body of its request.
    pub body: Option<Body>,
    /// Its answers by status: `200`, `4XX`, `default`.
    pub responses: Vec<(String, Response)>,
}

/// The body of a request.
pub struct Body {
    /// Whether there must be one.
    pub required: bool,
    /// What it may be, by media type.
    pub content: Vec<Media>,
}

/// An answer.
pub struct Response {
    /// What its body may be, by media type; empty for none.
    pub content: Vec<Media>,
    /// Headers that must be there, and what they must be.
    pub(crate) headers: Vec<(String, bool, Shape, Option<Schema>)>,
    /// Where it stands in the document.
    pub(crate) pointer: String,
}

/// A body of one media type.
pub struct Media {
    /// The media type as written.
    pub name: String,
    /// How it is read.
    pub kind: MediaKind,
    pub(crate) shape: Shape,
    pub(crate) schema: Option<Schema>,
}

/// What a request is by the document.
pub enum Found<'a> {
    /// This operation, and what the names in its path stand for.
    Operation(usize, &'a Operation, Vec<(String, String)>),
    /// The path is known with other methods: these.
    OtherMethods(Vec<String>),
    /// The path is not known.
    Nothing,
}

impl Api {
    /// Reads a document, to judge by it what is wanted.
    ///
    /// # Errors
    /// What is wrong with it, by place.
    pub fn new(root: Value, judged: Judged) -> Result<Api, Vec<Flaw>> {
        let document = Document::new(root)?;
        let Read { operations, methods, templates } = read(&document, judged)?;
        let text = |pointer: &str| document.root.pointer(pointer).and_then(Value::as_str);
        let title = text("/info/title").unwrap_or("api").to_owned();
        let servers = servers(&document.root);
        let mut bases: Vec<String> = Vec::new();
        for base in servers.iter().map(|url| base_of(url)).chain(servers.is_empty().then(String::new)) {
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        // The longest first: `/api/v2` before `/api`.
        bases.sort_by_key(|base| std::cmp::Reverse(base.len()));
        let paths = Paths::new(templates.into_iter());
        Ok(Api { operations, bases, servers, title, methods, paths, document })
    }

    /// The operation of a request. `base` is what stands before the paths of the document; without it, those of its servers.
    pub fn find(&self, method: &str, path: &[u8], base: Option<&str>) -> Found<'_> {
        let bases = self.bases.iter().map(String::as_str);
        let own: Vec<&str> = base.map_or_else(|| bases.collect(), |base| vec![base.trim_end_matches('/')]);
        let found = own.iter().find_map(|base| {
            let rest = path.strip_prefix(base.as_bytes())?;
            self.paths.find(if rest.is_empty() { b"/" } else { rest })
        });
        let Some((place, names)) = found else { return Found::Nothing };
        let Some(methods) = self.methods.get(place) else { return Found::Nothing };
        // A HEAD is a GET whose body is not sent.
        let operation = methods.get(method).or_else(|| methods.get("GET").filter(|_| method == "HEAD"));
        match operation.and_then(|index| Some((*index, self.operations.get(*index)?))) {
            Some((index, operation)) => Found::Operation(index, operation, names),
            None => {
                let mut others: Vec<String> = methods.keys().cloned().collect();
                others.sort();
                Found::OtherMethods(others)
            }
        }
    }

    /// The document as it was read.
    pub fn root(&self) -> &Value {
        &self.document.root
    }
}

/// The operations of a document, the methods of each path, and the paths.
struct Read {
    operations: Vec<Operation>,
    methods: Vec<HashMap<String, usize>>,
    templates: Vec<(Template, usize)>,
}

fn read(document: &Document, judged: Judged) -> Result<Read, Vec<Flaw>> {
    let views = views(document, judged);
    let registered = Registered::new(&views).map_err(|flaw| vec![flaw])?;
    let mut reading = Reading { document, registered, schemas: Schemas::new(judged), flaws: Vec::new() };
    let mut operations = Vec::new();
    let mut methods: Vec<HashMap<String, usize>> = Vec::new();
    let mut templates = Vec::new();
    let paths = document.root.get("paths").and_then(Value::as_object);
    for path in paths.into_iter().flatten().map(|(path, _)| path).filter(|path| !path.starts_with("x-")) {
        let pointer = format!("/paths/{}", escaped(path));
        let template = match Template::read(path, &pointer) {
            Ok(template) => template,
            Err(flaw) => {
                reading.flaws.push(flaw);
                continue;
            }
        };
        let mut by_method = HashMap::new();
        for operation in reading.path(&pointer, &template) {
            by_method.insert(operation.method.clone(), operations.len());
            operations.push(operation);
        }
        templates.push((template, methods.len()));
        methods.push(by_method);
        if operations.len() > MOST_OPERATIONS {
            let what = format!("more than {MOST_OPERATIONS} operations: split the document");
            return Err(vec![Flaw::new("/paths", what)]);
        }
    }
    let Reading { mut flaws, schemas, .. } = reading;
    flaws.extend(schemas.flaws);
    if !flaws.is_empty() {
        flaws.truncate(MOST_FLAWS);
        return Err(flaws);
    }
    Ok(Read { operations, methods, templates })
}

/// The URLs of the servers, variables filled in.
fn servers(root: &Value) -> Vec<String> {
    let servers = root.get("servers").and_then(Value::as_array).into_iter().flatten();
    servers
        .filter_map(|server| {
            let mut url = server.get("url").and_then(Value::as_str)?.to_owned();
            for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
                let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
                url = url.replace(&format!("{{{name}}}"), default);
            }
            Some(url)
        })
        .collect()
}

/// The path of a URL, without a `/` at the end.
fn base_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if path.is_empty() || path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// A document that is being read.
struct Reading<'d> {
    document: &'d Document,
    registered: Registered<'d>,
    schemas: Schemas,
    flaws: Vec<Flaw>,
}

impl Reading<'_> {
    /// The operations of a path.
    fn path(&mut self, pointer: &str, template: &Template) -> Vec<Operation> {
        let Some((at, item)) = self.document.follow(pointer) else { return Vec::new() };
        let methods = METHODS.iter().filter(|method| item.get(**method).is_some_and(Value::is_object));
        methods.map(|method| self.operation(&at, method, template)).collect()
    }

    fn operation(&mut self, path: &str, method: &str, template: &Template) -> Operation {
        let pointer = format!("{path}/{method}");
        let written = self.document.root.pointer(&pointer);
        let named = written.and_then(|written| written.get("operationId")).and_then(Value::as_str);
        let upper = method.to_ascii_uppercase();
        let id = named.map_or_else(|| format!("{upper} {}", template.text), str::to_owned);
        let parameters = self.parameters(path, &pointer, template);
        let body = self.body(&pointer);
        let responses = self.responses(&pointer);
        Operation { id, method: upper, path: template.clone(), parameters, body, responses }
    }

    /// Those of the path, and over them those of the operation.
    fn parameters(&mut self, path: &str, operation: &str, template: &Template) -> Vec<Parameter> {
        let mut read: Vec<Parameter> = Vec::new();
        for owner in [path, operation] {
            let list = format!("{owner}/parameters");
            let count = self.document.root.pointer(&list).and_then(Value::as_array).map_or(0, Vec::len);
            for index in 0..count {
                let schemas = (&mut self.schemas, &self.registered);
                match Parameter::read(self.document, schemas, &format!("{list}/{index}")) {
                    Ok(Some(own)) => {
                        read.retain(|known| known.name != own.name || known.place != own.place);
                        read.push(own);
                    }
                    Ok(None) => {}
                    Err(flaw) => self.flaws.push(flaw),
                }
            }
        }
        // A parameter of the path that the path does not have can never be there.
        let names = template.names();
        read.retain(|one| one.place != crate::Place::Path || names.contains(&one.name.as_str()));
        read
    }

    fn body(&mut self, operation: &str) -> Option<Body> {
        let (at, written) = self.document.follow(&format!("{operation}/requestBody"))?;
        let required = written.get("required").and_then(Value::as_bool) == Some(true);
        Some(Body { required, content: self.content(&at, View::Request) })
    }

    fn responses(&mut self, operation: &str) -> Vec<(String, Response)> {
        let document = self.document;
        let list = format!("{operation}/responses");
        let written = document.root.pointer(&list).and_then(Value::as_object);
        let statuses = written.into_iter().flatten().map(|(status, _)| status);
        let mut read = Vec::new();
        for status in statuses.filter(|status| !status.starts_with("x-")) {
            let Some((at, response)) = document.follow(&format!("{list}/{}", escaped(status))) else {
                continue;
            };
            let names = response.get("headers").and_then(Value::as_object).into_iter().flatten();
            let names: Vec<&String> = names.map(|(name, _)| name).collect();
            let headers = names.into_iter().filter_map(|name| self.header(&at, name)).collect();
            let content = self.content(&at, View::Answer);
            read.push((status.to_ascii_uppercase(), Response { content, headers, pointer: at }));
        }
        read
    }

    /// A header of an answer. `Content-Type` is said elsewhere.
    fn header(&mut self, response: &str, name: &str) -> Option<(String, bool, Shape, Option<Schema>)> {
        if name.eq_ignore_ascii_case("content-type") {
            return None;
        }
        let (at, written) = self.document.follow(&format!("{response}/headers/{}", escaped(name)))?;
        let required = written.get("required").and_then(Value::as_bool) == Some(true);
        let own = format!("{at}/schema");
        let schema = self.document.root.pointer(&own)?;
        let shape = Shape::of(self.document, schema);
        let compiled = self.schemas.compile(&self.registered, self.document, &own, View::Answer);
        Some((name.to_owned(), required, shape, compiled))
    }

    fn content(&mut self, owner: &str, view: View) -> Vec<Media> {
        let document = self.document;
        let list = format!("{owner}/content");
        let written = document.root.pointer(&list).and_then(Value::as_object);
        let mut content = Vec::new();
        for name in written.into_iter().flatten().map(|(name, _)| name) {
            let own = format!("{list}/{}/schema", escaped(name));
            let kind = media::kind(&media::essence(name.as_bytes()));
            // A range may be JSON: its schema is for that case.
            let is_range = name.contains('*');
            let schema = document.root.pointer(&own).filter(|_| kind != MediaKind::Other || is_range);
            content.push(Media {
                name: name.clone(),
                kind,
                shape: schema.map(|schema| Shape::of(document, schema)).unwrap_or_default(),
                schema: schema.and_then(|_| self.schemas.compile(&self.registered, document, &own, view)),
            });
        }
        content
    }
}
