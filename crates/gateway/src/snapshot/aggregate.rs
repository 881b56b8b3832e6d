//! Makes a running aggregate of a written one: who waits for whom, which service each part asks, and under which policies.
//!
//! Each part becomes a route of its own behind the written ones: no request finds it, but its service, its policies and its
//! counters are those of any route. Reports parts that wait for each other, and places that lead nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http1::NameBuf;
use serde_json::Value as Json;

use super::compile::{bind, settle, simple_action};
use super::services::Services;
use super::stats::Stats;
use crate::aggregate::document::Bounds;
use crate::aggregate::skeleton::Skeleton;
use crate::aggregate::template::Template;
use crate::aggregate::text::{Path, PathText, Piece, Text, Value};
use crate::aggregate::{Aggregate, Each, Form, MOST_ITEMS, MOST_PARTS, Part, Rule, Select, bit, reads};
use crate::config::{self, Config, Diagnostics, PartSettings, Report, Span, Spanned, codes};
use crate::exchange::Answer;
use crate::policies::{Bound, Context, Lives};
use crate::route::compiled::{Action, Route};
use crate::values::composed::{Field, ITEM, Of, Stretch};
use crate::values::{Composed, HeaderValue, nearest};

/// Policies about the requests to one service: the parts take them over from `defaults` and bundles.
const OF_SERVICES: [&str; 3] = ["fallback", "hedge", "retry"];
/// Elements of a fan-out unless the part says otherwise.
const ITEMS: u32 = 20;
/// Requests of a fan-out at a time.
const AT_ONCE: u32 = 8;
/// Bytes of a part's answer.
const LARGEST: u64 = 1 << 20;
/// The most that can be written for that.
const MOST_BYTES: u64 = 64 << 20;

/// Compiles an aggregate. `first` is the place of the first part's route, `service` the name of what a part asks.
fn aggregate(
    written: &config::Aggregate,
    (first, key): (u32, &Spanned<String>),
    service: &dyn Fn(&PartSettings) -> String,
    faults: &mut Diagnostics,
) -> Option<Aggregate> {
    let before = faults.errors();
    if written.parts.len() > MOST_PARTS {
        let what = format!("route `{key}` has {} parts", written.parts.len());
        faults.error(codes::BAD_AGGREGATE, key.span(), what).help(format!("write at most {MOST_PARTS}"));
        return None;
    }
    let names: Vec<&str> = written.parts.names().collect();
    let mut parts = Vec::with_capacity(names.len());
    for (place, (name, part)) in written.parts.iter().enumerate() {
        let mut read = Reading { names: &names, each: false, used: 0, faults };
        let mut compiled = read.part(name, &part.settings)?;
        compiled.route = first.saturating_add(u32::try_from(place).unwrap_or(u32::MAX));
        compiled.service = service(&part.settings).into();
        parts.push(compiled);
    }
    let mut read = Reading { names: &names, each: false, used: 0, faults };
    let (form, read_by_form) = read.form(written)?;
    if !matches!(form, Form::Object) && parts.iter().any(|part| part.flatten) {
        let what = format!("route `{key}` has a `template` and a part with `flatten`");
        faults
            .error(codes::BAD_AGGREGATE, key.span(), what)
            .help("keep one of them: a template says all of the answer");
    }
    let read_by_all = parts.iter().map(Part::reads).fold(read_by_form, std::ops::BitOr::bitor);
    for (place, part) in parts.iter_mut().enumerate() {
        part.is_read = read_by_all & bit(place) != 0;
    }
    circle(&parts, written, faults);
    (faults.errors() == before).then(|| Aggregate { parts: parts.into(), form })
}

/// The aggregates of a configuration, and the routes that their parts run as.
pub(super) struct Parts {
    first: usize,
    workers: usize,
    routes: Vec<Route>,
}

impl Parts {
    /// None yet; their routes will stand behind so many written ones.
    pub(super) fn behind(routes: usize, workers: usize) -> Parts {
        Parts { first: routes, workers, routes: Vec::new() }
    }

    /// Their routes.
    pub(super) fn into_routes(self) -> Vec<Route> {
        self.routes
    }

    /// What a route does; an aggregate is taken in with its parts.
    pub(super) fn action(
        &mut self,
        beside: (&Config, &Context),
        (key, route): (&Spanned<String>, &config::Route),
        live: (&mut Services<'_>, &mut Stats<'_>, &mut Lives<'_>),
        policies: &mut Vec<Bound>,
        faults: &mut Diagnostics,
    ) -> Action {
        let beside_services = (&mut *live.0, &beside.1.documents, self.workers);
        let simple = simple_action((key, &route.action), beside_services, live.2, faults);
        let compiled = simple.or_else(|| {
            // The parts have what is about one service.
            policies.retain(|bound| !OF_SERVICES.contains(&bound.name));
            let config::Action::Aggregate(written) = &route.action else { return None };
            self.take(written, beside, (key, route), live, faults)
        });
        // Whatever stands for one with faults: nothing of this will run.
        compiled.unwrap_or_else(|| Action::Respond(Box::new(Answer::empty(500, "aggregate"))))
    }

    /// Takes an aggregate in.
    fn take(
        &mut self,
        written: &config::Aggregate,
        (config, context): (&Config, &Context),
        (key, route): (&Spanned<String>, &config::Route),
        (services, stats, lives): (&mut Services<'_>, &mut Stats<'_>, &mut Lives<'_>),
        faults: &mut Diagnostics,
    ) -> Option<Action> {
        for (name, _) in route.policies.iter().filter(|(name, _)| OF_SERVICES.contains(&name.as_str())) {
            let what = format!("`{}` is about one service, and route `{key}` asks several", **name);
            faults.error(codes::BAD_POLICY, name.span(), what).help("write it on the parts that need it");
        }
        let first = u32::try_from(self.first.saturating_add(self.routes.len())).unwrap_or(u32::MAX);
        let name_of = |settings: &PartSettings| settings.from.to.to_string();
        let compiled = aggregate(written, (first, key), &name_of, faults);
        for (name, part) in &written.parts {
            let from = &part.settings.from;
            let place = services.place(&Spanned::new(from.to.clone(), from.span()), faults);
            let mut action = Action::Forward(place, None);
            let own = config::Route { policies: part.policies.clone(), ..route.clone() };
            let mut policies = bind(config, &own, context, faults);
            policies
                .retain(|bound| part.policies.get(bound.name).is_some() || OF_SERVICES.contains(&bound.name));
            services.take_care(&mut action, &policies);
            let (service, http2) = services.asked_by(&action);
            // No key of a route has this sign in it.
            let key: Arc<str> = format!("{key}#{name}").into();
            settle(&mut policies, (&key, &service, http2), lives, faults);
            let stats = stats.of(&key, &service);
            self.routes.push(Route { key, action, policies, stats });
        }
        compiled.map(Box::new).map(Action::Aggregate)
    }
}

/// Reports parts that wait for each other.
fn circle(parts: &[Part], written: &config::Aggregate, faults: &mut Diagnostics) {
    let mut done = 0_u32;
    loop {
        let free = |(place, part): &(usize, &Part)| done & bit(*place) == 0 && part.needs & !done == 0;
        let next: Vec<usize> = parts.iter().enumerate().filter(free).map(|(place, _)| place).collect();
        if next.is_empty() {
            break;
        }
        done = next.iter().fold(done, |done, place| done | bit(*place));
    }
    let stuck: Vec<_> = parts.iter().enumerate().filter(|(place, _)| done & bit(*place) == 0).collect();
    let Some((first, _)) = stuck.first() else { return };
    let place = written.parts.iter().nth(*first).map_or(Span::NONE, |(name, _)| name.span());
    let names: Vec<String> = stuck.iter().map(|(_, part)| format!("`{}`", part.name)).collect();
    let what = match names.as_slice() {
        [one] => format!("part {one} waits for itself"),
        more => format!("the parts {} wait for each other", more.join(", ")),
    };
    faults
        .error(codes::BAD_AGGREGATE, place, what)
        .help("let one of them come first: take its places from the request, or leave out its `after`");
}

/// Reads one part, or the template.
struct Reading<'r> {
    names: &'r [&'r str],
    /// Whether it stands for the elements of a list.
    each: bool,
    /// The parts whose answers it uses, as bits.
    used: u32,
    faults: &'r mut Diagnostics,
}

impl Reading<'_> {
    fn part(&mut self, name: &Spanned<String>, settings: &PartSettings) -> Option<Part> {
        let each = settings.for_each.as_ref().and_then(|list| self.each(list, settings));
        self.each = settings.for_each.is_some();
        let (path, query) = settings.from.path.clone().split_at_mark('?');
        let span = settings.from.span();
        let path = PathText::new(self.text(&path, span));
        let query = query.map(|query| self.text(&query, span));
        let headers = settings.headers.iter().filter_map(|(header, text)| {
            let compiled = self.text(text, text.span());
            self.own_header(header.as_str(), text.span());
            Some((NameBuf::new(header.as_str()).ok()?, compiled))
        });
        let headers = headers.collect();
        let body = settings.body.as_ref().and_then(|body| self.skeleton(body));
        for after in settings.after.iter() {
            self.used |= self.find(after, after.span()).map_or(0, bit);
        }
        self.bounds(name, settings);
        let rule = match (&settings.default, settings.optional) {
            (Some(default), _) => Rule::Default(Bytes::from(default.to_string())),
            (None, true) => Rule::Optional,
            (None, false) => Rule::Required,
        };
        let size = settings.max_size.as_ref().map_or(LARGEST, |size| size.bytes());
        let select = settings.select.as_ref().map_or(Select::All, |select| self.select(select));
        Some(Part {
            name: name.as_str().into(),
            quoted: Json::from(name.as_str()).to_string().into_bytes().into(),
            route: 0,
            service: "".into(),
            method: settings.from.method.as_str().as_bytes().into(),
            path,
            query,
            headers,
            body,
            timeout: settings.timeout.as_ref().map(|timeout| timeout.get()),
            rule,
            needs: self.used,
            each,
            select,
            flatten: settings.flatten,
            is_read: false,
            largest: usize::try_from(size).unwrap_or(usize::MAX),
            bounds: Bounds::default(),
        })
    }

    /// What numbers may be, and what goes together.
    fn bounds(&mut self, name: &Spanned<String>, settings: &PartSettings) {
        let mut bad = |span, what: String, help: String| {
            self.faults.error(codes::BAD_VALUE, span, what).help(help);
        };
        for (key, number) in [("max_items", &settings.max_items), ("at_once", &settings.at_once)] {
            let Some(number) = number else { continue };
            if !(1..=MOST_ITEMS).contains(&**number) {
                bad(number.span(), format!("`{key}` is {}", **number), format!("write 1 to {MOST_ITEMS}"));
            } else if settings.for_each.is_none() {
                bad(number.span(), format!("`{key}` is about `for_each`"), "leave it out".to_owned());
            }
        }
        if let Some(size) =
            settings.max_size.as_ref().filter(|size| !(1..=MOST_BYTES).contains(&size.bytes()))
        {
            bad(
                size.span(),
                format!("`max_size` is {}", **size),
                "write at most 64MiB, and not nothing".to_owned(),
            );
        }
        if let Some(time) = settings.timeout.as_ref().filter(|time| time.is_zero()) {
            bad(
                time.span(),
                "a `timeout` of no time ends every request".to_owned(),
                "leave it out for none".to_owned(),
            );
        }
        if settings.optional && settings.default.is_some() {
            let what = format!("part `{}` is `optional` and has a `default`", **name);
            bad(name.span(), what, "keep one of them: one with a default is never missing".to_owned());
        }
        if settings.flatten && settings.for_each.is_some() {
            let what = format!("the answer of part `{}` is a list, which has nothing to `flatten`", **name);
            bad(name.span(), what, "leave out `flatten`".to_owned());
        }
        let bodiless = matches!(settings.from.method.as_str(), "GET" | "HEAD");
        if let Some(body) = settings.body.as_ref().filter(|_| bodiless) {
            let what = format!("part `{}` sends a body with {}", **name, settings.from.method.as_str());
            bad(
                body.span(),
                what,
                "write a method that has one before the service: `POST search /find`".to_owned(),
            );
        }
    }

    fn own_header(&mut self, name: &str, span: Span) {
        let framing =
            ["content-length", "transfer-encoding", "connection", "host", "upgrade", "te", "expect"];
        if framing.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
            let what = format!("the header `{name}` is set by the gateway");
            self.faults.error(codes::BAD_VALUE, span, what).help("leave it out");
        }
    }

    fn each(&mut self, list: &Spanned<config::AggregateList>, settings: &PartSettings) -> Option<Each> {
        let Field { part, of } = &list.0;
        let Of::Body(keys) = of else { return None };
        let place = self.find(part, list.span())?;
        self.used |= bit(place);
        let number = |written: &Option<Spanned<u32>>, usual: u32| {
            written.as_ref().map_or(usual, |number| **number) as usize
        };
        Some(Each {
            part: place,
            path: path(keys),
            most: number(&settings.max_items, ITEMS),
            at_once: number(&settings.at_once, AT_ONCE),
        })
    }

    fn select(&mut self, select: &config::Select) -> Select {
        let keys = |text: &str| Path(text.split('.').map(Into::into).collect());
        match select {
            config::Select::Text(text) => Select::One(keys(text)),
            config::Select::List(list) => {
                let mut wanted: HashMap<&str, Span> = HashMap::new();
                let mut paths = Vec::with_capacity(list.len());
                for text in list {
                    let name = text.rsplit('.').next().unwrap_or_default();
                    if let Some(first) = wanted.insert(name, text.span()) {
                        let what = format!("`select` would have `{name}` twice");
                        self.faults
                            .error(codes::BAD_VALUE, text.span(), what)
                            .note(first, "the first")
                            .help("keep one of them, or write a `template`");
                    }
                    paths.push((name.into(), keys(text)));
                }
                Select::Some(paths)
            }
        }
    }

    /// How the answers become one, and the parts that are looked into for it, as bits. `None` where that cannot be said.
    fn form(&mut self, written: &config::Aggregate) -> Option<(Form, u32)> {
        let kind = written.content_type.as_ref();
        match (&written.template, kind) {
            (Some(template), _) if template.is_string() => self.template(template, kind),
            (_, Some(kind)) => {
                let what = "`content_type` is about a template that is a text";
                self.faults
                    .error(codes::BAD_VALUE, kind.span(), what)
                    .help("leave it out: other answers are JSON");
                None
            }
            (None, None) => Some((Form::Object, 0)),
            (Some(template), None) => {
                let skeleton = self.skeleton(template)?;
                let read = reads(skeleton.pieces());
                Some((Form::Skeleton(skeleton), read))
            }
        }
    }

    fn template(
        &mut self,
        written: &Spanned<Json>,
        kind: Option<&Spanned<HeaderValue>>,
    ) -> Option<(Form, u32)> {
        let span = written.span();
        let text = written.as_str().unwrap_or_default();
        let kind = kind.map_or("application/json", |kind| kind.as_str());
        match Template::new(text, kind, self.names) {
            Ok((template, names)) => {
                let before = self.used;
                self.used = 0;
                names.fields.iter().for_each(|field| _ = self.text(field, span));
                let read = std::mem::replace(&mut self.used, before);
                Some((Form::Text(Arc::new(template)), read))
            }
            Err(flaws) => {
                for flaw in flaws {
                    let line = match text.trim_end().contains('\n') {
                        true => format!("line {} of the template: ", flaw.line),
                        false => String::new(),
                    };
                    let fault = self.faults.error(codes::BAD_VALUE, span, line + &flaw.what);
                    fault.help_if((!flaw.help.is_empty()).then_some(flaw.help));
                }
                None
            }
        }
    }

    fn skeleton(&mut self, written: &Spanned<Json>) -> Option<Skeleton> {
        let span = written.span();
        let skeleton = Skeleton::new(written, &mut |text| match text.parse::<Composed>() {
            Ok(composed) => Some(self.text(&composed, span)),
            Err(invalid) => {
                self.faults.error(codes::BAD_VALUE, span, invalid.what).help(invalid.remedy);
                // Read on: the other places may have faults too.
                Some(Text::default())
            }
        });
        if skeleton.is_none() {
            self.faults
                .error(codes::BAD_VALUE, span, "lists and maps stand too deep in each other")
                .help(format!("write at most {} levels", Bounds::default().depth));
        }
        skeleton
    }

    fn text(&mut self, composed: &Composed, span: Span) -> Text {
        let pieces = composed.stretches().iter().filter_map(|stretch| {
            Some(match stretch {
                Stretch::Literal(text) => Piece::Literal(text.as_str().into()),
                Stretch::Source(source) => Piece::Source(source.clone()),
                Stretch::Field(field) => Piece::Value(self.value(field, span)?),
            })
        });
        Text(pieces.collect())
    }

    fn value(&mut self, field: &Field, span: Span) -> Option<Value> {
        if field.part == ITEM {
            if !self.each {
                let what = format!("`{{{field}}}` stands for an element, and there is no `for_each` here");
                self.faults.error(codes::BAD_AGGREGATE, span, what).help("add `for_each: orders.items`");
            }
            let Of::Body(keys) = &field.of else { return None };
            return Some(Value::Item(path(keys)));
        }
        let place = self.find(&field.part, span)?;
        self.used |= bit(place);
        Some(match &field.of {
            Of::Status => Value::Status(place),
            Of::Body(keys) => Value::Body(place, path(keys)),
        })
    }

    /// The place of a part.
    fn find(&mut self, name: &str, span: Span) -> Option<usize> {
        let found = self.names.iter().position(|known| *known == name);
        if found.is_none() {
            let help: Report<'_> =
                self.faults.error(codes::UNKNOWN_NAME, span, format!("there is no part `{name}`"));
            let meant = nearest(name, self.names.iter().copied());
            help.help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
        }
        found
    }
}

fn path(keys: &[String]) -> Path {
    Path(keys.iter().map(|key| key.as_str().into()).collect())
}
