//! Fields by their paths, and the values that texts mean for them: captures of a path, parameters of a query.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// A field and those it stands in, the outermost first.
pub(crate) type Fields = Vec<FieldDescriptor>;

/// Fields inside each other that a path may name.
const DEEPEST: usize = 16;

/// Finds the field of a path, by the names of the file or those of JSON.
///
/// # Errors
/// Why there is none.
pub(crate) fn find(message: &MessageDescriptor, path: &str) -> Result<Fields, &'static str> {
    const NONE: &str = "there is no such field";
    let mut fields = Fields::new();
    let mut within = Some(message.clone());
    for name in path.split('.') {
        let message = within.take().ok_or(NONE)?;
        let field = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name));
        let field = field.ok_or(NONE)?;
        if let Kind::Message(inner) = field.kind()
            && !field.is_list()
            && !field.is_map()
        {
            within = Some(inner);
        }
        fields.push(field);
        if fields.len() > DEEPEST {
            return Err("the path is too long");
        }
    }
    Ok(fields)
}

/// Whether a text can say this field, alone or as one of several.
pub(crate) fn is_sayable(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => !field.is_map() && has_text(&message),
        _ => true,
    }
}

/// The messages that JSON writes as one word.
fn has_text(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue"
    )
}

/// What a text means for a field; for a repeated one, the meaning of one of its elements.
///
/// # Errors
/// What was expected.
pub(crate) fn value(field: &FieldDescriptor, text: &str) -> Result<Value, String> {
    let number = |what: &str| format!("{what} was expected");
    match field.kind() {
        Kind::Double => float(text).map(Value::F64).ok_or_else(|| number("a number")),
        Kind::Float => {
            let narrow = float(text).map(|wide| wide as f32);
            narrow.map(Value::F32).ok_or_else(|| number("a number"))
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            text.parse().map(Value::I32).map_err(|_| number("a whole number of 32 bits"))
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            text.parse().map(Value::I64).map_err(|_| number("a whole number of 64 bits"))
        }
        Kind::Uint32 | Kind::Fixed32 => {
            text.parse().map(Value::U32).map_err(|_| number("a whole number of 32 bits, not below 0"))
        }
        Kind::Uint64 | Kind::Fixed64 => {
            text.parse().map(Value::U64).map_err(|_| number("a whole number of 64 bits, not below 0"))
        }
        Kind::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err("true or false was expected".into()),
        },
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Bytes => base64(text)
            .map(|bytes| Value::Bytes(bytes.into()))
            .ok_or_else(|| "base64 was expected".to_owned()),
        Kind::Enum(kind) => {
            let known = kind.get_value_by_name(text).map(|value| value.number());
            let number = known.or_else(|| text.parse().ok());
            number
                .map(Value::EnumNumber)
                .ok_or_else(|| format!("a value of {} was expected", kind.full_name()))
        }
        Kind::Message(message) if has_text(&message) => {
            let word = match (message.full_name(), text) {
                ("google.protobuf.BoolValue", "true" | "false") => serde_json::Value::Bool(text == "true"),
                _ => serde_json::Value::String(text.to_owned()),
            };
            let read = DynamicMessage::deserialize(message.clone(), word);
            read.map(Value::Message).map_err(|_| format!("a {} was expected", message.name()))
        }
        Kind::Message(_) => Err("this field cannot be said in one word".into()),
    }
}

/// A number as JSON writes it, or one of its three other words.
fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text if shape::text::is_number(text.as_bytes()) => text.parse().ok(),
        _ => None,
    }
}

/// Either alphabet, padded or not, as JSON may bring it.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = GeneralPurpose::new(&STANDARD, LENIENT);
    let url_safe = GeneralPurpose::new(&URL_SAFE, LENIENT);
    standard.decode(text).or_else(|_| url_safe.decode(text)).ok()
}

/// Puts a value into a message; behind what is there in a repeated field.
pub(crate) fn put(message: &mut DynamicMessage, fields: &[FieldDescriptor], value: Value) {
    let Some((last, outer)) = fields.split_last() else { return };
    let mut within = message;
    for field in outer {
        match within.get_field_mut(field) {
            Value::Message(inner) => within = inner,
            _ => return,
        }
    }
    if !last.is_list() {
        // What does not fit has been refused by its text.
        let _ = within.try_set_field(last, value);
    } else if let Value::List(list) = within.get_field_mut(last) {
        list.push(value);
    }
}
