//! Names in another spelling: `user_name` and `userName`.
//!
//! Only what can be spelled back is changed: an underscore before a letter. Names that hold anything but letters, digits
//! and underscores stay.

use std::borrow::Cow;

use crate::op::Case;
use crate::text::{plain, written};

/// A name as it is written, in another spelling.
pub(crate) fn spelled(name: &[u8], case: Case) -> Cow<'_, [u8]> {
    let said = plain(name);
    if !said.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Cow::Borrowed(name);
    }
    let new = match case {
        Case::Camel => camel(&said),
        Case::Snake => snake(&said),
    };
    // A name of nothing but letters, digits and underscores is written as it is.
    if *new == *name { Cow::Borrowed(name) } else { Cow::Owned(written(&String::from_utf8_lossy(&new))) }
}

fn camel(name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    let mut bytes = name.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let inside = out.last().is_some_and(|last| *last != b'_');
        match bytes.peek() {
            Some(next) if byte == b'_' && inside && next.is_ascii_lowercase() => {
                out.push(next.to_ascii_uppercase());
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    out
}

fn snake(name: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(name.len().saturating_add(4));
    let mut bytes = name.iter().copied().peekable();
    let mut before = b'_';
    while let Some(byte) = bytes.next() {
        let after = bytes.peek().copied().unwrap_or(b'_');
        // A run of capitals is one word, whose last one begins the next: `userID`, `HTTPServer`.
        let begins = byte.is_ascii_uppercase()
            && before != b'_'
            && (!before.is_ascii_uppercase() || after.is_ascii_lowercase());
        if begins {
            out.push(b'_');
        }
        out.push(byte.to_ascii_lowercase());
        before = byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_both_ways() {
        for (snake, camel) in [
            ("user_name", "userName"),
            ("id", "id"),
            ("_private_key", "_privateKey"),
            ("address_1", "address_1"),
            ("a__b", "a__b"),
            ("a_", "a_"),
            ("x_2_y", "x_2Y"),
        ] {
            assert_eq!(&*spelled(snake.as_bytes(), Case::Camel), camel.as_bytes());
            assert_eq!(&*spelled(camel.as_bytes(), Case::Snake), snake.as_bytes());
        }
        assert_eq!(&*spelled(b"userID", Case::Snake), b"user_id");
        assert_eq!(&*spelled(b"HTTPServer", Case::Snake), b"http_server");
        assert_eq!(&*spelled(b"content-type_x", Case::Camel), b"content-type_x");
        assert_eq!(&*spelled(br"user\u005fname", Case::Camel), b"userName");
    }
}
