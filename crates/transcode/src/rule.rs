//! The annotation `google.api.http` of a method, read by reflection: nothing of Google's files is compiled in.

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};

/// Bindings that one method may have besides its first.
const MOST: usize = 64;

/// One way to call a method, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The method of HTTP; `*` for any.
    pub(crate) verb: String,
    pub(crate) path: String,
    /// Empty for none, `*` for all, or the name of a field.
    pub(crate) body: String,
    /// Empty for the whole message.
    pub(crate) response_body: String,
}

/// What the annotation of a method says; nothing for a method without one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn of(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Vec<Rule>, String> {
    let Some(http) = pool.get_extension_by_name("google.api.http") else { return Ok(Vec::new()) };
    let options = method.options();
    if !options.has_extension(&http) {
        return Ok(Vec::new());
    }
    let annotation = options.get_extension(&http);
    let Some(rule) = annotation.as_message() else { return Err("it is no message".into()) };
    let mut rules = vec![one(rule)?];
    if let Some(more) = rule.get_field_by_name("additional_bindings") {
        for more in more.as_list().unwrap_or_default() {
            let Some(more) = more.as_message() else { return Err("a binding is no message".into()) };
            rules.push(one(more)?);
            if rules.len() > MOST {
                return Err(format!("it has more than {MOST} bindings"));
            }
        }
    }
    Ok(rules)
}

fn one(rule: &DynamicMessage) -> Result<Rule, String> {
    let text = |message: &DynamicMessage, name: &str| {
        let field = message.get_field_by_name(name);
        field.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (body, response_body) = (text(rule, "body"), text(rule, "response_body"));
    for verb in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(verb) {
            let path = text(rule, verb);
            return Ok(Rule { verb: verb.to_uppercase(), path, body, response_body });
        }
    }
    let custom = rule.get_field_by_name("custom").filter(|_| rule.has_field_by_name("custom"));
    let Some(custom) = custom.as_deref().and_then(Value::as_message) else {
        return Err(format!("{} says no path", rule.descriptor().name()));
    };
    Ok(Rule { verb: text(custom, "kind"), path: text(custom, "path"), body, response_body })
}
