//! What a text is read as, by its media type: how foreign text has to be put into it.

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// HTML or XML: what could be a tag or end an attribute is escaped.
    Markup,
    /// JSON (RFC 8259): what could end a string is escaped.
    Json,
    /// Anything else: text stands as it is.
    Plain,
}

impl Syntax {
    /// By a media type with or without parameters (RFC 6838 section 4.2.8: `+json` and `+xml` say what it is built on).
    pub fn of(content_type: &str) -> Syntax {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "application/json" || kind.ends_with("+json") {
            return Syntax::Json;
        }
        if kind == "text/html" || kind.ends_with("xml") { Syntax::Markup } else { Syntax::Plain }
    }
}

#[cfg(test)]
mod tests {
    use super::Syntax;

    #[test]
    fn a_type_says_how_text_is_put_in() {
        for (written, wanted) in [
            ("text/html; charset=utf-8", Syntax::Markup),
            ("Text/HTML", Syntax::Markup),
            ("application/xhtml+xml", Syntax::Markup),
            ("text/xml", Syntax::Markup),
            ("application/json", Syntax::Json),
            ("application/problem+json;charset=utf-8", Syntax::Json),
            ("text/plain", Syntax::Plain),
            ("text/csv", Syntax::Plain),
            ("", Syntax::Plain),
        ] {
            assert_eq!(Syntax::of(written), wanted, "{written}");
        }
    }
}
