//! A browser for tests: keeps cookies, follows redirections, sends forms. Knows nothing of scripts.

use std::net::SocketAddr;

use testkit::client::{Response, request};

/// Redirections that are followed.
const MOST_REDIRECTS: usize = 20;

#[derive(Clone, Debug)]
struct Cookie {
    authority: String,
    path: String,
    name: String,
    value: String,
}

/// A browser with its cookies.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    cookies: Vec<Cookie>,
}

/// Authority and target of a URL.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is no URL of http"));
    rest.find('/').map_or((rest, "/"), |at| rest.split_at(at))
}

/// A parameter of the query of a URL, as it stands there.
pub(crate) fn parameter<'u>(url: &'u str, name: &str) -> Option<&'u str> {
    let query = url.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Browser {
    /// The cookies that a URL gets.
    pub(crate) fn cookies(&self, url: &str) -> String {
        let (authority, target) = split(url);
        let path = target.split('?').next().unwrap();
        let fits = |cookie: &&Cookie| cookie.authority == authority && path.starts_with(&cookie.path);
        let own = self.cookies.iter().filter(fits);
        own.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// The names of all cookies of an authority.
    pub(crate) fn names(&self, authority: &str) -> Vec<String> {
        self.cookies
            .iter()
            .filter(|cookie| cookie.authority == authority)
            .map(|cookie| cookie.name.clone())
            .collect()
    }

    /// Forgets cookies.
    pub(crate) fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.cookies.retain(|cookie| !which(&cookie.name));
    }

    /// One request, not followed anywhere.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, url: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let (authority, target) = split(url);
        let addr: SocketAddr = authority.parse().unwrap();
        let cookies = self.cookies(url);
        let mut all = fields.to_vec();
        if !cookies.is_empty() {
            all.push(("Cookie", &cookies));
        }
        let answer = request(addr, method, target, &all, body);
        self.keep(authority, &answer);
        answer
    }

    fn keep(&mut self, authority: &str, answer: &Response) {
        for line in answer.headers_named("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<(String, &str)> = parts
                .map(|part| part.split_once('=').unwrap_or((part, "")))
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect();
            let attribute =
                |name: &str| attributes.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
            let path = attribute("path").unwrap_or("/");
            self.cookies.retain(|cookie| {
                (&*cookie.authority, &*cookie.path, &*cookie.name) != (authority, path, name)
            });
            let gone = attribute("max-age") == Some("0")
                || attribute("expires").is_some_and(|when| when.contains(" 1970 "));
            if !gone {
                let (authority, path) = (authority.to_owned(), path.to_owned());
                self.cookies.push(Cookie { authority, path, name: name.to_owned(), value: value.to_owned() });
            }
        }
    }

    /// Goes to a page and on to wherever that leads. Gives where it ended.
    #[track_caller]
    pub(crate) fn visit(&mut self, url: &str) -> (String, Response) {
        let answer = self.ask("GET", url, &[("Accept", "text/html,*/*;q=0.8")], b"");
        self.follow(url.to_owned(), answer)
    }

    #[track_caller]
    fn follow(&mut self, mut url: String, mut answer: Response) -> (String, Response) {
        for _ in 0..MOST_REDIRECTS {
            if !matches!(answer.status, 301..=303 | 307 | 308) {
                return (url, answer);
            }
            let to = answer.header("location").unwrap().to_owned();
            url = if to.starts_with('/') { format!("http://{}{to}", split(&url).0) } else { to };
            answer = self.ask("GET", &url, &[("Accept", "text/html,*/*;q=0.8")], b"");
        }
        panic!("it goes on and on at {url}");
    }

    /// Sends the one form of a page with these texts in it; what has no field of its own is the button that is pressed.
    #[track_caller]
    pub(crate) fn submit(&mut self, page: &Response, fill: &[(&str, &str)]) -> (String, Response) {
        let text = page.text();
        let form =
            text.split("<form").nth(1).unwrap_or_else(|| panic!("there is no form: {} {text}", page.status));
        let form = form.split("</form>").next().unwrap();
        let attribute = |tag: &str, name: &str| -> Option<String> {
            let rest = tag.split(&format!("{name}=\"")).nth(1)?;
            Some(rest.split('"').next()?.to_owned())
        };
        let action = attribute(form, "action").unwrap();
        let inputs = form.split("<input").skip(1).filter_map(|tag| {
            let tag = tag.split('>').next()?;
            let name = attribute(tag, "name")?;
            let filled = fill.iter().find(|(own, _)| *own == name).map(|(_, text)| (*text).to_owned());
            Some(format!("{name}={}", filled.or_else(|| attribute(tag, "value")).unwrap_or_default()))
        });
        let mut pairs: Vec<String> = inputs.collect();
        for (name, text) in fill {
            if !pairs.iter().any(|pair| pair.starts_with(&format!("{name}="))) {
                pairs.push(format!("{name}={text}"));
            }
        }
        let body = pairs.join("&");
        let kind = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "text/html")];
        let answer = self.ask("POST", &action, &kind, body.as_bytes());
        self.follow(action, answer)
    }
}
