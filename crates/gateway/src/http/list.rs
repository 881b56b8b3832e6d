//! The elements of list fields (RFC 9110 section 5.6.1).

/// The elements of one line, trimmed, empty ones left out; commas within quotes do not part them.
pub fn elements(mut line: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            if line.is_empty() {
                return None;
            }
            let (mut quoted, mut escaped, mut end) = (false, false, line.len());
            for (at, byte) in line.iter().enumerate() {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b',' if !quoted => {
                        end = at;
                        break;
                    }
                    _ => {}
                }
            }
            let (element, rest) = line.split_at_checked(end).unwrap_or((line, b""));
            line = rest.get(1..).unwrap_or_default();
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_part_elements_but_not_within_quotes() {
        for (line, wanted) in [
            ("a, b ,c", &["a", "b", "c"][..]),
            (", ,a,,", &["a"]),
            ("\"a, b\", c", &["\"a, b\"", "c"]),
            ("\"a\\\", b\", c", &["\"a\\\", b\"", "c"]),
            ("\"open, c", &["\"open, c"]),
            ("", &[]),
        ] {
            let got: Vec<&str> =
                elements(line.as_bytes()).map(|one| std::str::from_utf8(one).unwrap()).collect();
            assert_eq!(got, wanted, "{line}");
        }
    }
}
