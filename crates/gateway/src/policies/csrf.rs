//! `csrf`: refuses what a page of another origin makes a browser send.
//!
//! For routes whose callers are known by a cookie, which browsers add by themselves. Looks at what browsers say of where a
//! request comes from and cannot be made to say otherwise (Fetch Metadata, `Origin`), so that no token is needed.

use http1::{Method, names};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, OneOrMany, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::values::OriginPattern;

/// Refuses requests that change something (all but GET, HEAD, OPTIONS) and that a page of another origin had a browser send,
/// with 403.
///
/// A browser tells it by `Sec-Fetch-Site`, an older one by `Origin`, which is then compared with the host that was asked.
/// Requests with neither are no browser's and pass: whoever sends them can send any cookie anyway.
///
/// ```yaml
/// csrf: { origins: [https://admin.shop.example] }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Csrf {
    /// Other origins whose pages may: as in `cors`, but not `*`. Default: none.
    #[serde(default)]
    origins: OneOrMany<Spanned<OriginPattern>>,
}

impl Settings for Csrf {
    const NAME: &'static str = "csrf";
    const REFUSES: bool = true;

    fn compile(self, _: &Spanned<String>, _: &Context, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
        if let Some(any) = self.origins.iter().find(|origin| ***origin == OriginPattern::Any) {
            let fault =
                faults.error(codes::BAD_POLICY, any.span(), "`csrf` for the origin `*` refuses nothing");
            fault.help("name the origins, or leave `csrf` out");
            return None;
        }
        Some(Box::new(self))
    }
}

impl Csrf {
    fn is_good(&self, exchange: &Exchange) -> bool {
        if matches!(exchange.record.method, Method::Get | Method::Head | Method::Options) {
            return true;
        }
        let fields = &exchange.request.fields;
        let mut lines = fields.get_all(names::ORIGIN);
        let (origin, second) = (lines.next(), lines.next());
        if second.is_some() {
            return false;
        }
        if origin.is_some_and(|origin| self.origins.iter().any(|own| own.matches(origin))) {
            return true;
        }
        let mut sites = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"Sec-Fetch-Site"));
        match (sites.next(), origin) {
            (Some(site), _) => matches!(site.value, b"same-origin" | b"none") && sites.next().is_none(),
            (None, None) => true,
            (None, Some(origin)) => {
                let scheme =
                    memchr::memmem::find(origin, b"://").and_then(|at| origin.get(at.saturating_add(3)..));
                let host = fields.get(names::HOST);
                scheme.zip(host).is_some_and(|(of_origin, host)| of_origin.eq_ignore_ascii_case(host))
            }
        }
    }
}

impl Policy for Csrf {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        if self.is_good(exchange) {
            return Verdict::Go;
        }
        let text = "this request comes from a page of another origin";
        Verdict::answer(Answer::problem(403, "cross_site", text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        for (method, fields, passes) in [
            ("POST", &[][..], true),
            ("POST", &[("Sec-Fetch-Site", "same-origin")], true),
            ("POST", &[("Sec-Fetch-Site", "none")], true),
            ("POST", &[("Sec-Fetch-Site", "same-site")], false),
            ("POST", &[("Sec-Fetch-Site", "cross-site")], false),
            ("POST", &[("Sec-Fetch-Site", "")], false),
            ("POST", &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")], false),
            ("DELETE", &[("Origin", "https://h.example")], true),
            ("POST", &[("Origin", "https://H.example")], true),
            ("POST", &[("Origin", "https://h.example.evil.com")], false),
            ("POST", &[("Origin", "https://h.example:444")], false),
            ("POST", &[("Origin", "null")], false),
            ("POST", &[("Origin", "https://h.example"), ("Origin", "https://evil.com")], false),
            ("POST", &[("Origin", "https://admin.example"), ("Sec-Fetch-Site", "cross-site")], true),
            ("GET", &[("Sec-Fetch-Site", "cross-site")], true),
            ("PURGE", &[("Sec-Fetch-Site", "cross-site")], false),
        ] {
            let mut exchange = asked(method, "/", fields);
            exchange.record.method = exchange.request.method;
            let answer = run("csrf: { origins: https://admin.example }", &mut exchange);
            let told = answer.map(|answer| (answer.status, answer.reason));
            assert_eq!(told, if passes { None } else { Some((403, "cross_site")) }, "{method} {fields:?}");
        }
        assert!(fault("csrf: { origins: \"*\" }").starts_with("`csrf` for the origin `*` refuses nothing"));
    }
}
