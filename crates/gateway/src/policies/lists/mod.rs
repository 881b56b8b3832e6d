//! `lists`: who may come at all, by network, country, user agent, and by lists that others keep.
//!
//! Takes the client's address and its user agent; refuses with 403. `networks` is what is looked up, `shared` fetches lists on the
//! control side and keeps the last good one, `countries` reads a database. Must never fetch or read a file on the road.

mod countries;
mod networks;
mod settings;
mod shared;

use std::sync::Arc;

use http1::names;

use super::{Context, Place, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::observe::Figure;
use countries::Countries;
use networks::Networks;
pub use settings::Lists;
pub use shared::{LIVE, Registry};
use shared::{SharedList, SharedSettings};

impl Settings for Lists {
    const NAME: &'static str = "lists";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        context: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        let before = faults.errors();
        self.check(key, faults);
        if faults.errors() > before {
            return None;
        }
        let shared =
            self.shared.into_vec().into_iter().map(|list| SharedSettings::new(list, context.state.clone()));
        Some(Box::new(Compiled {
            allow: Networks::new(&self.allow),
            deny: Networks::new(&self.deny),
            agents: self.agents.iter().map(|agent| agent.to_ascii_lowercase().into_bytes()).collect(),
            wanted: shared.collect(),
            shared: Vec::new(),
            registry: None,
            countries: self.countries,
            database: None,
        }))
    }
}

impl Lists {
    fn check(&self, key: &Spanned<String>, faults: &mut Diagnostics) {
        let says_nothing = self.deny.is_empty()
            && self.agents.is_empty()
            && self.countries.is_none()
            && self.shared.is_empty();
        if says_nothing {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`lists` denies nobody");
            fault.help("write `deny`, `agents`, `countries` or `shared`; who alone may come is said by `ip: { allow: .. }`");
        }
        if let Some(countries) = &self.countries {
            let both = countries.allow.iter().chain(countries.deny.iter());
            if let Some(wrong) = both.clone().find(|code| !is_country(code)) {
                let text = format!("`{}` is not the code of a country", wrong.escape_debug());
                faults
                    .error(codes::BAD_POLICY, wrong.span(), text)
                    .help("write two capital letters: DE, SE, US");
            }
            if both.count() == 0 {
                let fault =
                    faults.error(codes::BAD_POLICY, countries.file.span(), "`countries` names no country");
                fault.help("write `deny: [..]`, or `allow: [..]` for those alone that may come");
            }
        }
        for list in self.shared.iter().filter(|list| !list.url.is_https() && !list.url.is_local()) {
            if list.checksum.is_none() && list.sha256.is_none() {
                let text = format!("the list at {} could be changed by anybody on the way", *list.url);
                let fault = faults.error(codes::BAD_POLICY, list.url.span(), text);
                fault.help("use https, or say what it is by `sha256`");
            }
        }
    }
}

fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The policy, ready to run.
struct Compiled {
    allow: Networks,
    deny: Networks,
    /// Parts of user agents, in lower case.
    agents: Vec<Vec<u8>>,
    wanted: Vec<SharedSettings>,
    shared: Vec<Arc<SharedList>>,
    registry: Option<Arc<Registry>>,
    countries: Option<settings::Countries>,
    database: Option<Arc<Countries>>,
}

fn refuse<'v>(reason: &'static str) -> Verdict<'v> {
    Verdict::answer(Answer::problem(403, reason, "this client may not use this route"))
}

impl Compiled {
    fn is_of_denied_country(&self, exchange: &mut Exchange) -> bool {
        let (Some(settings), Some(database)) = (&self.countries, &self.database) else { return false };
        let country = database.of(exchange.client.ip);
        let among = |codes: &[Spanned<String>]| {
            country.is_some_and(|country| codes.iter().any(|code| code.as_bytes() == country))
        };
        let denied = among(&settings.deny)
            || (!settings.allow.is_empty()
                && !among(&settings.allow)
                && (country.is_some() || !settings.unknown));
        if denied && let Some(country) = country {
            exchange.record.why = format!("country {}", String::from_utf8_lossy(&country)).into();
        }
        denied
    }
}

impl Policy for Compiled {
    fn settle(&mut self, place: &mut Place<'_, '_>) {
        let registry: Arc<Registry> = place.lives.keep(LIVE, |before| before.cloned().unwrap_or_default());
        let list = |wanted: SharedSettings| {
            let identity = wanted.identity();
            place.lives.keep(&identity, |before: Option<&Arc<SharedList>>| {
                before.cloned().unwrap_or_else(|| Arc::new(SharedList::new(wanted)))
            })
        };
        self.shared = std::mem::take(&mut self.wanted).into_iter().map(list).collect();
        if let Some(countries) = &self.countries {
            let identity = format!("countries {}", *countries.file);
            let file = countries.file.as_str();
            self.database = Some(place.lives.keep(&identity, |before: Option<&Arc<Countries>>| {
                before.cloned().unwrap_or_else(|| Arc::new(Countries::new(file)))
            }));
        }
        self.registry = Some(registry);
    }

    fn start(&self) {
        let Some(registry) = &self.registry else { return };
        self.shared.iter().for_each(|list| registry.adopt_list(list));
        if let Some(database) = &self.database {
            database.refresh();
            registry.adopt_countries(database);
        }
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let address = exchange.client.ip;
        if self.allow.contains(address) {
            return Verdict::Go;
        }
        if self.deny.contains(address) {
            return refuse("listed_network");
        }
        if let Some(list) = self.shared.iter().find(|list| list.contains(address)) {
            exchange.record.why = format!("list {}", list.name()).into();
            return refuse("listed_shared");
        }
        if !self.agents.is_empty() {
            let agent =
                exchange.request.fields.get(names::USER_AGENT).unwrap_or_default().to_ascii_lowercase();
            let is_in = |part: &Vec<u8>| memchr::memmem::find(&agent, part).is_some();
            if self.agents.iter().any(is_in) {
                return refuse("listed_agent");
            }
        }
        if self.is_of_denied_country(exchange) { refuse("listed_country") } else { Verdict::Go }
    }

    fn figures(&self, tell: &mut dyn FnMut(Figure)) {
        if let Some(registry) = self.registry.as_ref().filter(|_| !self.shared.is_empty()) {
            registry.figures(tell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};

    #[test]
    fn networks_and_agents_decide_and_allow_has_the_last_word() {
        let settings = "lists: { allow: [10.0.0.1], deny: [10.0.0.0/8, \"2001:db8::/32\"], agents: [sqlmap, \"Bad Bot\"] }";
        for (address, agent, reason) in [
            ("10.0.0.1", "sqlmap/1.0", None),
            ("10.0.0.2", "curl", Some("listed_network")),
            ("::ffff:10.0.0.2", "curl", Some("listed_network")),
            ("2001:db8::7", "", Some("listed_network")),
            ("192.0.2.1", "Mozilla/5.0 (SQLMap)", Some("listed_agent")),
            ("192.0.2.1", "a bad bot", Some("listed_agent")),
            ("192.0.2.1", "Mozilla/5.0", None),
        ] {
            let mut exchange = asked("GET", "/", &[("User-Agent", agent)]);
            exchange.client.ip = address.parse().unwrap();
            let answer = run(settings, &mut exchange);
            assert_eq!(
                answer.map(|answer| (answer.status, answer.reason)),
                reason.map(|reason| (403, reason)),
                "{address} {agent}"
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        for (written, told) in [
            (
                "lists: { allow: [10.0.0.0/8] }",
                "`lists` denies nobody: write `deny`, `agents`, `countries` or `shared`; who alone may come is said by `ip: { allow: .. }`",
            ),
            (
                "lists: { countries: { file: /x.mmdb, deny: [Germany] } }",
                "`Germany` is not the code of a country: write two capital letters: DE, SE, US",
            ),
            (
                "lists: { shared: { url: \"http://lists.example/bad.txt\" } }",
                "the list at http://lists.example/bad.txt could be changed by anybody on the way: use https, or say what it is by `sha256`",
            ),
        ] {
            assert_eq!(fault(written), told, "{written}");
        }
    }
}
