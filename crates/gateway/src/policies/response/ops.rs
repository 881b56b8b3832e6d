//! Operations on bodies as written, and what they are compiled to.
//!
//! Takes a list of steps; gives a program, and the texts that each exchange has to fill in for it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use shape::jq::MOST_STEPS;
use shape::{Filled, Jq, Mask, Op, Part, Path, Program, Skeleton};

use super::is_nothing;
use crate::config::{Diagnostics, OneOrMany, Pairs, Spanned, codes};
use crate::exchange::Exchange;
use crate::values::{self, BodyPath, Secret, Template};

/// One operation on a body. Operations run in the order of the list; one whose place is not there changes nothing.
///
/// A place is a path such as `orders.*.card.number`: names with dots between them, `*` for every member or element, a number
/// for an element, a name in double quotes where it holds dots. `remove`, `rename` and `mask` also take `**.name`, the
/// members of that name at any depth.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "BodyStep")]
pub(in crate::policies) struct Step {
    /// Places that go.
    #[serde(skip_serializing_if = "is_nothing")]
    remove: OneOrMany<Spanned<BodyPath>>,
    /// The only places that stay, each with all that is in it.
    #[serde(skip_serializing_if = "is_nothing")]
    keep: OneOrMany<Spanned<BodyPath>>,
    /// Members that get another name, in their place: `user_name: username`.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    rename: Pairs<Spanned<BodyPath>, String>,
    /// Values that become unreadable.
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<MaskSettings>,
    /// How all names are spelled: `camel` (`userName`) or `snake` (`user_name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<Case>,
    /// Values that go to another place: `address.street: street`. What stands there is replaced. Both begin alike up to their
    /// last `*`.
    #[serde(rename = "move", skip_serializing_if = "Pairs::is_empty")]
    moves: Pairs<Spanned<BodyPath>, Spanned<BodyPath>>,
    /// Values that stand at a place afterwards. Texts in them may hold sources such as `{consumer}` or `{header.x-tenant}`;
    /// one of nothing but sources that all have no text is left out.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    set: Pairs<Spanned<BodyPath>, Spanned<Value>>,
    /// The same where nothing stands yet.
    #[serde(rename = "default", skip_serializing_if = "Pairs::is_empty")]
    defaults: Pairs<Spanned<BodyPath>, Spanned<Value>>,
    /// The whole body becomes a member of this name; `a.b` makes two objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrap: Option<Spanned<BodyPath>>,
    /// An object whose members come to stand in its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    flatten: Option<Spanned<BodyPath>>,
    /// What `flatten` puts before the names of those members.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<Spanned<String>>,
    /// An array or object, for each of whose elements the steps of `body` are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Spanned<BodyPath>>,
    /// A program of jq, where the other operations do not reach: `.orders |= map(select(.open))`. It takes the whole body and
    /// gives one value; docs/transformation.md says what it may do and how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    jq: Option<Spanned<JqSettings>>,
    /// The steps of `map`; their paths begin at each element.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    body: Vec<Spanned<Step>>,
}

/// A program of jq: its text, or a map.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape", rename_all = "lowercase")]
#[schemars(rename = "BodyJq", untagged)]
pub(in crate::policies) enum JqSettings {
    /// The program, as `program` of the long form.
    Text(String),
    /// What is said of it.
    Map(Box<JqMap>),
}

/// A program of jq, and its bounds.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BodyJqMap")]
pub(in crate::policies) struct JqMap {
    /// The program, up to 8KiB.
    program: String,
    /// Steps that it may take for one body, 1 to 1000000. Default: 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_steps: Option<Spanned<u64>>,
    /// The time that it may take for one body, waiting for its turn included, up to 30s. Default: 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<Spanned<values::Duration>>,
}

impl Serialize for JqSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            JqSettings::Text(program) => program.serialize(serializer),
            JqSettings::Map(map) => map.serialize(serializer),
        }
    }
}

/// Values that become unreadable.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "BodyMask")]
pub(in crate::policies) struct MaskSettings {
    /// Where they stand. An object or array becomes `****` as a whole; `null` stays.
    fields: OneOrMany<Spanned<BodyPath>>,
    /// `stars`: they become `****`. `last4`: `****` and their last four characters, where they have eight or more. `hash`: a
    /// keyed hash, the same for the same value. Default: stars.
    #[serde(default)]
    with: MaskWith,
    /// The key of `hash`: without one, a hash of few possible values can be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Secret>,
}

/// How values are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BodyMaskWith")]
enum MaskWith {
    #[default]
    Stars,
    Last4,
    Hash,
}

/// How names are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BodyCase")]
enum Case {
    Snake,
    Camel,
}

/// Compiled operations.
#[derive(Default)]
pub(in crate::policies) struct Ops {
    program: Arc<Program>,
    /// What is filled in for each exchange.
    slots: Vec<Template>,
}

impl Ops {
    /// Compiles steps; `what` is where they stand.
    pub(in crate::policies) fn new(
        steps: &[Spanned<Step>],
        key: &Spanned<String>,
        faults: &mut Diagnostics,
    ) -> Option<Ops> {
        let mut slots = Vec::new();
        let before = faults.errors();
        let ops: Vec<Op> = steps.iter().filter_map(|step| compiled(step, &mut slots, faults)).collect();
        if faults.errors() > before {
            return None;
        }
        match Program::compile(&ops, false) {
            Ok(program) => Some(Ops { program: Arc::new(program), slots }),
            Err(why) => {
                let place = steps.first().map_or(key.span(), Spanned::span);
                faults
                    .error(
                        codes::BAD_POLICY,
                        place,
                        format!("the body of `{}` cannot be shaped so: {why}", **key),
                    )
                    .help("see docs/transformation.md for what each operation takes");
                None
            }
        }
    }

    /// Those that take names out of bodies, wherever they stand and however they are capitalised.
    pub(in crate::policies) fn removing(names: &[&str]) -> Result<Ops, String> {
        let paths = names.iter().map(|name| Path::deep(name)).collect();
        let program = Program::compile(&[Op::Remove(paths)], true)?;
        Ok(Ops { program: Arc::new(program), slots: Vec::new() })
    }

    /// Whether nothing is changed.
    pub(in crate::policies) fn is_empty(&self) -> bool {
        self.program.is_empty()
    }

    /// The program, with what this exchange fills in.
    pub(in crate::policies) fn filled(&self, exchange: &Exchange) -> Filled {
        let text = |template: &Template| {
            let text = exchange.render(template);
            (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
        };
        (self.program.clone(), self.slots.iter().map(text).collect())
    }
}

fn compiled(step: &Spanned<Step>, slots: &mut Vec<Template>, faults: &mut Diagnostics) -> Option<Op> {
    let paths = |paths: &OneOrMany<Spanned<BodyPath>>| paths.iter().map(|path| path.path().clone()).collect();
    let mut ops = Vec::new();
    if !step.remove.is_empty() {
        ops.push(Op::Remove(paths(&step.remove)));
    }
    if !step.keep.is_empty() {
        ops.push(Op::Keep(paths(&step.keep)));
    }
    if !step.rename.is_empty() {
        let pairs = step.rename.iter().map(|(path, name)| (path.path().clone(), name.clone()));
        ops.push(Op::Rename(pairs.collect()));
    }
    if let Some(mask) = &step.mask {
        ops.push(Op::Mask(paths(&mask.fields), masking(mask, step, faults)?));
    }
    if let Some(case) = step.case {
        ops.push(Op::Case(match case {
            Case::Snake => shape::Case::Snake,
            Case::Camel => shape::Case::Camel,
        }));
    }
    if !step.moves.is_empty() {
        let pairs = step.moves.iter().map(|(from, to)| (from.path().clone(), to.path().clone()));
        ops.push(Op::Move(pairs.collect()));
    }
    for (pairs, make) in [(&step.set, Op::Set as fn(_) -> Op), (&step.defaults, Op::Default)] {
        if !pairs.is_empty() {
            let mut values = Vec::new();
            for (path, value) in pairs {
                values.push((path.path().clone(), skeleton(value, value, slots, faults)?));
            }
            ops.push(make(values));
        }
    }
    if let Some(names) = &step.wrap {
        ops.push(wrapping(names, faults)?);
    }
    if let Some(path) = &step.flatten {
        let prefix = step.prefix.as_ref().map(|prefix| (**prefix).clone()).unwrap_or_default();
        ops.push(Op::Flatten(path.path().clone(), prefix));
    }
    if let Some(written) = &step.jq {
        ops.push(Op::Jq(Arc::new(program(written, faults)?)));
    }
    if let Some(path) = &step.map {
        let inner = step.body.iter().filter_map(|step| compiled(step, slots, faults)).collect();
        ops.push(Op::Map(path.path().clone(), inner));
    }
    one(step, ops, faults)
}

/// The time of a program of which nothing else is said,
const TIME: values::Duration = values::Duration::from_secs(1);
/// and the longest that can be.
const MOST_TIME: values::Duration = values::Duration::from_secs(30);

fn program(written: &Spanned<JqSettings>, faults: &mut Diagnostics) -> Option<Jq> {
    let (text, steps, time) = match &**written {
        JqSettings::Text(text) => (text, None, None),
        JqSettings::Map(map) => (&map.program, map.max_steps.as_ref(), map.timeout.as_ref()),
    };
    let before = faults.errors();
    if let Some(steps) = steps.filter(|steps| !(1..=MOST_STEPS).contains(&***steps)) {
        let what = format!("`max_steps: {}` is not between 1 and {MOST_STEPS}", **steps);
        faults.error(codes::BAD_VALUE, steps.span(), what).help("leave it out for the default");
    }
    if let Some(time) = time.filter(|time| time.is_zero() || ***time > MOST_TIME) {
        let what = format!("`timeout: {}` of `jq` is not between 1ms and {MOST_TIME}", **time);
        faults.error(codes::BAD_VALUE, time.span(), what).help("leave it out for the default");
    }
    let (steps, time) = (steps.map_or(MOST_STEPS, |steps| **steps), time.map_or(TIME, |time| **time));
    match Jq::compile(text, steps, time.get()) {
        Ok(program) => (faults.errors() == before).then_some(program),
        Err(flaw) => {
            let what = format!("this is no program of jq: {flaw}");
            let fault = faults.error(codes::BAD_POLICY, written.span(), what);
            fault.help("see docs/transformation.md for the functions that there are");
            None
        }
    }
}

/// The one operation of a step.
fn one(step: &Spanned<Step>, mut ops: Vec<Op>, faults: &mut Diagnostics) -> Option<Op> {
    let stray =
        (step.prefix.is_some() && step.flatten.is_none()) || (!step.body.is_empty() && step.map.is_none());
    if ops.len() == 1 && !stray {
        return ops.pop();
    }
    let fault = faults.error(codes::BAD_POLICY, step.span(), "a step of a body is one operation");
    fault.help(
        "write `- remove: ..` and `- rename: ..` as steps of their own; `prefix` goes with `flatten`, `body` with `map`",
    );
    None
}

fn masking(mask: &MaskSettings, step: &Spanned<Step>, faults: &mut Diagnostics) -> Option<Mask> {
    match (mask.with, &mask.key) {
        (MaskWith::Stars, None) => Some(Mask::Stars),
        (MaskWith::Last4, None) => Some(Mask::Last4),
        (MaskWith::Hash, Some(key)) => Some(Mask::Hash(key.expose().as_bytes().into())),
        (MaskWith::Hash, None) => {
            faults
                .error(codes::BAD_POLICY, step.span(), "`hash` needs a key")
                .help("write `key: ${NAME}`: without one, a hash of few possible values can be guessed");
            None
        }
        (MaskWith::Stars | MaskWith::Last4, Some(_)) => {
            faults.error(codes::BAD_POLICY, step.span(), "`key` goes with `with: hash`").help("leave it out");
            None
        }
    }
}

fn wrapping(names: &Spanned<BodyPath>, faults: &mut Diagnostics) -> Option<Op> {
    let path = names.path();
    let names_of = path.segments.iter().map(|segment| match segment {
        shape::path::Segment::Name(name) => Some(name.clone()),
        shape::path::Segment::Any => None,
    });
    match names_of.collect::<Option<Vec<String>>>().filter(|_| !path.deep) {
        Some(names) => Some(Op::Wrap(names)),
        None => {
            let what = format!("`{path}` of `wrap` names no one member");
            faults.error(codes::BAD_POLICY, names.span(), what).help("write a name: data");
            None
        }
    }
}

/// A value with its texts taken for templates.
fn skeleton(
    value: &Value,
    place: &Spanned<Value>,
    slots: &mut Vec<Template>,
    faults: &mut Diagnostics,
) -> Option<Skeleton> {
    Some(match value {
        Value::String(text) => match text.parse::<Template>() {
            Ok(template) => match template.as_literal() {
                Some(text) => Skeleton::Fixed(shape::Value::text(text)),
                None => Skeleton::Text(parts(&template, slots)),
            },
            Err(invalid) => {
                faults.error(codes::BAD_VALUE, place.span(), invalid.what).help(invalid.remedy);
                return None;
            }
        },
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| skeleton(element, place, slots, faults));
            Skeleton::Array(elements.collect::<Option<_>>()?)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Some((name.clone(), skeleton(value, place, slots, faults)?)));
            Skeleton::Object(members.collect::<Option<_>>()?)
        }
        word => Skeleton::Fixed(shape::Value::from_serde(word)),
    })
}

/// The parts of a template, each source a slot of its own.
fn parts(template: &Template, slots: &mut Vec<Template>) -> Vec<Part> {
    let part = |part: &values::Part| match part {
        values::Part::Literal(text) => Part::Literal(text.clone()),
        values::Part::Source(source) => {
            let only: Result<Template, _> = format!("{{{source}}}").parse();
            slots.push(only.unwrap_or_default());
            Part::Slot(slots.len().saturating_sub(1))
        }
    };
    template.parts().iter().map(part).collect()
}
