//! What comes back: frames of gRPC in any pieces, told as JSON, one message or one on each line.

use std::io;
use std::sync::Arc;

use prost_reflect::{DynamicMessage, SerializeOptions, Value};

use crate::catalog::Call;
use crate::depth;

/// How many times larger than a message its JSON may be.
const GROWTH: usize = 16;
/// Bytes before a message: a flag and its length.
const PREFIX: usize = 5;

/// The answer to one call.
#[derive(Debug)]
pub struct Reply {
    call: Arc<Call>,
    held: Vec<u8>,
    messages: u64,
}

impl Reply {
    /// Nothing has come.
    pub fn new(call: Arc<Call>) -> Reply {
        Reply { call, held: Vec::new(), messages: 0 }
    }

    /// Whether the first message is there.
    pub fn has_begun(&self) -> bool {
        self.messages > 0
    }

    /// Takes a piece; the JSON of the messages that are whole is put behind `out`.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.held.extend_from_slice(piece);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some((message, after)) = first(rest, self.call.options.size)? {
            if self.messages > 0 && !self.call.streams {
                return Err("the service answers with more than one message".into());
            }
            self.messages = self.messages.saturating_add(1);
            self.tell(message, out)?;
            rest = after;
        }
        self.held = if rest.len() == held.len() { held } else { rest.to_vec() };
        Ok(())
    }

    /// The service says that all went well.
    ///
    /// # Errors
    /// Something is missing.
    pub fn end(&self) -> Result<(), String> {
        match (self.held.is_empty(), self.messages, self.call.streams) {
            (false, _, _) => Err("the service's last message is not whole".into()),
            (true, 0, false) => Err("the service answers without a message".into()),
            _ => Ok(()),
        }
    }

    fn tell(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let call = &*self.call;
        let message = DynamicMessage::decode(call.output.clone(), bytes)
            .map_err(|error| format!("the service's message is no {}: {error}", call.output.full_name()))?;
        if call.holds_any && !depth::is_told(&message) {
            return Err("the service's message is nested too deep".into());
        }
        let left = call.options.size.saturating_mul(GROWTH);
        let mut bounded = Bounded { out, left };
        let written = match &call.told {
            None => write(&message, call, &mut bounded),
            Some(field) => match message.get_field(field).into_owned() {
                Value::Message(inner) => write(&inner, call, &mut bounded),
                value => serde_json::to_writer(&mut bounded, &member(&message, field, value, call)?),
            },
        };
        written.map_err(|error| format!("the service's message cannot be told as JSON: {error}"))?;
        if call.streams {
            out.push(b'\n');
        }
        Ok(())
    }
}

/// A frame, and what stands behind it.
type Framed<'b> = (&'b [u8], &'b [u8]);

/// The first frame; none until it is whole.
fn first(bytes: &[u8], most: usize) -> Result<Option<Framed<'_>>, String> {
    let Some((prefix, rest)) = bytes.split_at_checked(PREFIX) else { return Ok(None) };
    let [flag, length @ ..] = prefix else { return Ok(None) };
    if *flag != 0 {
        return Err("the service's message is compressed, though nobody asked for that".into());
    }
    let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_be_bytes);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > most {
        return Err(format!("the service's message has {length} bytes, more than the {most} of `max_size`"));
    }
    Ok(rest.split_at_checked(length))
}

fn options(call: &Call) -> SerializeOptions {
    SerializeOptions::new()
        .skip_default_fields(!call.options.defaults)
        .use_proto_field_name(call.options.proto_names)
}

fn write(message: &DynamicMessage, call: &Call, out: &mut Bounded<'_>) -> serde_json::Result<()> {
    message.serialize_with_options(&mut serde_json::Serializer::new(out), &options(call))
}

/// A field that is no message, as JSON.
fn member(
    message: &DynamicMessage,
    field: &prost_reflect::FieldDescriptor,
    value: Value,
    call: &Call,
) -> Result<serde_json::Value, String> {
    let mut alone = DynamicMessage::new(call.output.clone());
    let mut options = options(call);
    if message.has_field(field) {
        alone.try_set_field(field, value).map_err(|error| error.to_string())?;
    } else {
        // Its default value is told, since there is nothing else to tell.
        options = options.skip_default_fields(false);
    }
    let told = alone.serialize_with_options(serde_json::value::Serializer, &options);
    let mut told = told.map_err(|error| error.to_string())?;
    let name = if call.options.proto_names { field.name() } else { field.json_name() };
    Ok(told.get_mut(name).map(serde_json::Value::take).unwrap_or_default())
}

/// Writes so many bytes and no more.
struct Bounded<'o> {
    out: &'o mut Vec<u8>,
    left: usize,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
