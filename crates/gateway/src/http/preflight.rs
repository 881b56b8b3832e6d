//! The question that a browser asks before a request to another origin (Fetch, section "CORS-preflight request").
//!
//! Takes a request, tells whether it is such a question and for which method. Whether the answer is yes is not known
//! here.

use http1::{Method, RequestHead, names};

/// The method that a preflight asks for; `None` for any other request. A preflight is an OPTIONS that names an origin
/// and a method; an OPTIONS without them is a request of its own.
pub fn asked_method(request: &RequestHead) -> Option<&[u8]> {
    if request.method != Method::Options || !request.fields.contains(names::ORIGIN) {
        return None;
    }
    request.fields.get(names::ACCESS_CONTROL_REQUEST_METHOD).filter(|method| !method.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_options_that_names_origin_and_method_is_a_preflight() {
        let origin = (names::ORIGIN, "https://a.example");
        let method = (names::ACCESS_CONTROL_REQUEST_METHOD, "PUT");
        for (verb, fields, asked) in [
            ("OPTIONS", &[origin, method][..], Some("PUT")),
            ("OPTIONS", &[origin], None),
            ("OPTIONS", &[method], None),
            ("OPTIONS", &[origin, (names::ACCESS_CONTROL_REQUEST_METHOD, "")], None),
            ("GET", &[origin, method], None),
        ] {
            let mut request = RequestHead::default();
            request.set_method(verb.as_bytes()).unwrap();
            fields.iter().for_each(|(name, value)| request.fields.push(*name, value.as_bytes()));
            assert_eq!(asked_method(&request), asked.map(str::as_bytes), "{verb} {fields:?}");
        }
    }
}
