//! Tables (RFC 4180) and JSON: an array of objects, whose names are the first line. All values read are texts.

use ::csv::{ReaderBuilder, Writer};

use super::tell::Telling;
use crate::text::said;
use crate::token::Token;
use crate::{Limits, Misfit, Value};

/// Columns of a table.
const COLUMNS: usize = 1000;
const FLAT: Misfit =
    Misfit::Unsayable("a table holds an array of objects of texts and numbers, nothing else");
const RAGGED: Misfit =
    Misfit::Syntax("a line of the table has more or fewer values than the first one has names", 0);

pub(super) fn read(bytes: &[u8], limits: Limits) -> Result<Value, Misfit> {
    let text = std::str::from_utf8(bytes).map_err(|_| Misfit::Syntax("the body is not UTF-8", 0))?;
    if unbalanced(text) {
        return Err(Misfit::Cut);
    }
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|_| RAGGED)?.clone();
    if names.len() > COLUMNS.min(limits.members) {
        return Err(Misfit::Wide(COLUMNS.min(limits.members)));
    }
    let mut telling = Telling::new(limits);
    telling.token(Token::ArrayStart)?;
    for row in reader.records() {
        let row = row.map_err(|_| RAGGED)?;
        if row.len() != names.len() {
            return Err(RAGGED);
        }
        telling.token(Token::ObjectStart)?;
        for (name, value) in names.iter().zip(&row) {
            telling.name(name)?;
            telling.text(value)?;
        }
        telling.token(Token::ObjectEnd)?;
    }
    telling.token(Token::ArrayEnd)?;
    telling.whole()
}

/// Whether a quoted value has no end: then the table is not whole.
fn unbalanced(text: &str) -> bool {
    memchr::memchr_iter(b'"', text.as_bytes()).count() % 2 == 1
}

pub(super) fn write(value: &Value) -> Result<Vec<u8>, Misfit> {
    let Value::Array(rows) = value else { return Err(FLAT) };
    // In the order in which they are met first.
    let mut names: Vec<&[u8]> = Vec::new();
    for row in rows {
        let Value::Object(members) = row else { return Err(FLAT) };
        for (name, _) in members {
            if !names.contains(&&**name) {
                names.push(name);
                if names.len() > COLUMNS {
                    return Err(Misfit::Unsayable("a table has at most 1000 columns"));
                }
            }
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut writer = Writer::from_writer(Vec::new());
    let unwritten = |_| FLAT;
    writer.write_record(names.iter().map(|name| said(name))).map_err(unwritten)?;
    for row in rows {
        let Value::Object(members) = row else { return Err(FLAT) };
        let mut cells = Vec::with_capacity(names.len());
        for name in &names {
            cells.push(match members.iter().find(|(own, _)| &**own == *name) {
                None => String::new(),
                Some((_, Value::Scalar(word))) if **word == *b"null" => String::new(),
                Some((_, value)) => value.said().ok_or(FLAT)?,
            });
        }
        writer.write_record(&cells).map_err(unwritten)?;
    }
    writer.into_inner().map_err(|_| FLAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_arrays() {
        let table = b"id,name\n1,\"a \"\"b\"\", c\"\n2,\n";
        let value = read(table, Limits::default()).unwrap();
        let text = r#"[{"id":"1","name":"a \"b\", c"},{"id":"2","name":""}]"#;
        assert_eq!(value.write(&Limits::default()).unwrap(), text.as_bytes());
        assert_eq!(write(&value).unwrap(), table);
        let value = crate::parse(br#"[{"a":1.50},{"b":null,"a":true}]"#, Limits::default()).unwrap();
        assert_eq!(write(&value).unwrap(), b"a,b\n1.50,\ntrue,\n");
        for text in ["{}", "[1]", r#"[{"a":[]}]"#] {
            assert_eq!(write(&crate::parse(text.as_bytes(), Limits::default()).unwrap()), Err(FLAT));
        }
        for table in [&b"a,b\n1\n"[..], b"a\n1,2\n", b"a\n\"x", b"a\n\xff\n"] {
            assert!(read(table, Limits::default()).is_err(), "{table:?}");
        }
    }
}
