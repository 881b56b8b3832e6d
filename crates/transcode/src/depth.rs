//! How deep a message is, with those of any type that stand in it: each of them is bounded for itself when it is read, not all
//! of them together.

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};

/// Messages inside each other that are told or asked; readers of protobuf take no more, and count the entries of maps.
const DEEPEST: usize = 100;

/// Whether a message can be told without going too deep.
pub(crate) fn is_told(message: &DynamicMessage) -> bool {
    within(message, DEEPEST)
}

fn within(message: &DynamicMessage, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else { return false };
    if message.descriptor().full_name() == "google.protobuf.Any" {
        return payload(message).is_none_or(|inner| within(&inner, left));
    }
    message.fields().all(|(_, value)| match value {
        Value::Message(inner) => within(inner, left),
        Value::List(list) => list.iter().all(|one| one.as_message().is_none_or(|inner| within(inner, left))),
        Value::Map(map) => {
            let left = left.saturating_sub(1);
            map.iter()
                .all(|(_, one): (&MapKey, &Value)| one.as_message().is_none_or(|inner| within(inner, left)))
        }
        _ => true,
    })
}

/// The message in one of any type, where its type is known.
pub(crate) fn payload(any: &DynamicMessage) -> Option<DynamicMessage> {
    let url = any.get_field_by_name("type_url")?;
    let name = url.as_str()?.rsplit('/').next()?;
    let kind = any.descriptor().parent_pool().get_message_by_name(name)?;
    let value = any.get_field_by_name("value")?;
    DynamicMessage::decode(kind, value.as_bytes()?.as_ref()).ok()
}
