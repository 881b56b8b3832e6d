//! Templates of paths by `google/api/http.proto`: literals, `*`, `**`, captures of fields, a custom verb.
//!
//! Takes a path in canonical form, still percent-encoded; gives the texts of the captures.

use crate::percent::decoded;

/// One segment of a template, the more definite first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// This text.
    Literal(Vec<u8>),
    /// One segment.
    One,
    /// All that is left, also nothing.
    Rest,
}

/// Segments that become the text of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    /// The path of the field.
    pub(crate) field: String,
    start: usize,
    end: usize,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// As written.
    pub(crate) text: String,
    pub(crate) parts: Vec<Part>,
    pub(crate) captures: Vec<Capture>,
    pub(crate) verb: Option<Vec<u8>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Template, String> {
        let Some(rest) = text.strip_prefix('/') else { return Err("a path begins with `/`".into()) };
        let mut template =
            Template { text: text.to_owned(), parts: Vec::new(), captures: Vec::new(), verb: None };
        let mut reader = Reader { rest, template: &mut template };
        reader.segments(false)?;
        let rest = reader.rest;
        if let Some(verb) = rest.strip_prefix(':') {
            if verb.is_empty() || verb.contains(['/', '{', '}', '*', ':']) {
                return Err(format!("`:{verb}` is no verb"));
            }
            template.verb = Some(verb.as_bytes().to_vec());
        } else if !rest.is_empty() {
            return Err(format!("`{rest}` is not expected here"));
        }
        let before_last = template.parts.len().saturating_sub(1);
        if template.parts.iter().take(before_last).any(|part| *part == Part::Rest) {
            return Err("nothing may stand behind `**` but a verb".into());
        }
        Ok(template)
    }

    /// The texts of the captures, if the path is one of this template.
    pub(crate) fn captured(&self, path: &[u8]) -> Option<Vec<Vec<u8>>> {
        let path = path.strip_prefix(b"/")?;
        let path = match &self.verb {
            None => path,
            Some(verb) => path.strip_suffix(&**verb)?.strip_suffix(b":")?,
        };
        let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let open = self.parts.last() == Some(&Part::Rest);
        let definite = self.parts.len().saturating_sub(usize::from(open));
        // Nothing at all is one empty segment.
        let count = if path.is_empty() { 0 } else { segments.len() };
        if count < definite || (!open && count > definite) {
            return None;
        }
        let fits = self.parts.iter().zip(&segments).all(|(part, segment)| match part {
            Part::Literal(text) => decoded(segment, false) == *text,
            Part::One => !segment.is_empty(),
            Part::Rest => true,
        });
        let text = |capture: &Capture| {
            let is_last = capture.end == self.parts.len();
            let end = if is_last && open { count } else { capture.end };
            let several = capture.end.saturating_sub(capture.start) != 1 || (is_last && open);
            decoded(&segments.get(capture.start..end).unwrap_or_default().join(&b'/'), several)
        };
        fits.then(|| self.captures.iter().map(text).collect())
    }

    /// What decides which of several templates is looked at first: those with a verb, then the more definite.
    pub(crate) fn rank(&self) -> (bool, &[Part]) {
        (self.verb.is_none(), &self.parts)
    }
}

/// Reads one template.
struct Reader<'t, 'o> {
    rest: &'t str,
    template: &'o mut Template,
}

impl<'t> Reader<'t, '_> {
    /// Segments with `/` between them; `inside` a capture they end with its brace.
    fn segments(&mut self, inside: bool) -> Result<(), String> {
        loop {
            self.segment(inside)?;
            match self.rest.strip_prefix('/') {
                Some(rest) => self.rest = rest,
                None => return Ok(()),
            }
        }
    }

    fn segment(&mut self, inside: bool) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix('{') {
            if inside {
                return Err("a capture stands inside another".into());
            }
            self.rest = rest;
            return self.capture();
        }
        let (word, rest) = self.until(&['/', ':', '{', '}', '=']);
        let part = match word {
            "" => return Err("a segment is empty".into()),
            "*" => Part::One,
            "**" => Part::Rest,
            word if word.contains('*') => {
                return Err(format!("`{word}` is neither a literal nor `*` nor `**`"));
            }
            word => Part::Literal(decoded(word.as_bytes(), false)),
        };
        self.template.parts.push(part);
        self.rest = rest;
        Ok(())
    }

    fn capture(&mut self) -> Result<(), String> {
        let (field, rest) = self.until(&['=', '}', '/', '{']);
        let field = field.to_owned();
        if field.is_empty() {
            return Err("a capture names no field".into());
        }
        let start = self.template.parts.len();
        self.rest = rest;
        match self.rest.strip_prefix('=') {
            None => self.template.parts.push(Part::One),
            Some(rest) => {
                self.rest = rest;
                self.segments(true)?;
            }
        }
        let Some(rest) = self.rest.strip_prefix('}') else {
            return Err(format!("the capture of `{field}` has no end"));
        };
        self.rest = rest;
        if self.template.captures.iter().any(|known| known.field == field) {
            return Err(format!("`{field}` is captured twice"));
        }
        let end = self.template.parts.len();
        self.template.captures.push(Capture { field, start, end });
        Ok(())
    }

    /// What stands before the first of these, and what stands from there on.
    fn until(&self, ends: &[char]) -> (&'t str, &'t str) {
        let rest = self.rest;
        rest.split_at_checked(rest.find(ends).unwrap_or(rest.len())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(template: &str, path: &str) -> Option<Vec<String>> {
        let texts = Template::new(template).unwrap().captured(path.as_bytes())?;
        Some(texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect())
    }

    #[test]
    fn paths_are_taken_apart() {
        for (template, path, texts) in [
            ("/v1/books", "/v1/books", Some(vec![])),
            ("/v1/books", "/v1/books/", None),
            ("/v1/books/{id}", "/v1/books/7", Some(vec!["7"])),
            ("/v1/books/{id}", "/v1/books/", None),
            ("/v1/books/{id}", "/v1/books/7/8", None),
            ("/v1/books/{id}", "/v1/books/a%20b%2Fc", Some(vec!["a b/c"])),
            ("/v1/{name=shelves/*}", "/v1/shelves/3", Some(vec!["shelves/3"])),
            ("/v1/{name=shelves/*}", "/v1/books/3", None),
            (
                "/v1/{name=shelves/*/books/*}",
                "/v1/shelves/3/books/a%2fb%20",
                Some(vec!["shelves/3/books/a%2fb "]),
            ),
            ("/v1/{shelf.id}/books/{id}", "/v1/3/books/4", Some(vec!["3", "4"])),
            ("/v1/{name=**}", "/v1/a/b/c", Some(vec!["a/b/c"])),
            ("/v1/{name=**}", "/v1", Some(vec![""])),
            ("/v1/{name=files/**}", "/v1/files/x", Some(vec!["files/x"])),
            ("/v1/*/x", "/v1/any/x", Some(vec![])),
            ("/v1/{id}:cancel", "/v1/7:cancel", Some(vec!["7"])),
            ("/v1/{id}:cancel", "/v1/7", None),
            ("/v1/{id}", "/v1/7:cancel", Some(vec!["7:cancel"])),
            ("/v1/{name=**}:undo", "/v1/a/b:undo", Some(vec!["a/b"])),
            ("/v1/caf%C3%A9", "/v1/caf%c3%a9", Some(vec![])),
            ("/**", "/", Some(vec![])),
        ] {
            let texts = texts.map(|texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(captured(template, path), texts, "{template} {path}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "",
            "v1",
            "/",
            "/v1//x",
            "/v1/",
            "/{}",
            "/{a",
            "/{a=}",
            "/{a={b}}",
            "/{a}{b}",
            "/**/x",
            "/{a=**}/x",
            "/a*b",
            "/{a}/{a}",
            "/a:",
            "/a:b:c",
            "/a:b/c",
            "/a}",
            "/a=b",
            "/{a=*}x",
        ] {
            assert!(Template::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_more_definite_comes_first() {
        let mut templates: Vec<_> =
            ["/a/**", "/a/*", "/a/b", "/a/{c}:d", "/**"].map(|text| Template::new(text).unwrap()).into();
        templates.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let texts: Vec<_> = templates.iter().map(|template| template.text.as_str()).collect();
        assert_eq!(texts, ["/a/{c}:d", "/a/b", "/a/*", "/a/**", "/**"]);
    }
}
