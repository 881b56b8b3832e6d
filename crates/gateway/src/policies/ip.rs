//! `ip`: lets requests pass by the address they come from.
//!
//! The address is the client's as `http::trust` found it: the peer's, or what trusted proxies said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::values::Cidr;

/// Allows or denies requests by the network they come from, with 403.
///
/// The address is that of the connection, or what `trusted_proxies` say of it in `X-Forwarded-For` or `Forwarded`;
/// nobody else's word counts. An IPv4 address in an IPv6 coat (`::ffff:10.0.0.1`) is that IPv4 address.
///
/// ```yaml
/// ip: { allow: [10.0.0.0/8, "2001:db8::/32"], deny: [10.0.66.0/24] }
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Ip {
    /// Networks, or single addresses, that may pass; all others get 403. Default: every address may pass that `deny`
    /// does not name.
    #[serde(default)]
    allow: Vec<Cidr>,
    /// Networks, or single addresses, that get 403 even if `allow` names them. Default: none.
    #[serde(default)]
    deny: Vec<Cidr>,
}

impl Settings for Ip {
    const NAME: &'static str = "ip";
    const REFUSES: bool = true;

    fn compile(
        self,
        key: &Spanned<String>,
        _: &Context,
        faults: &mut Diagnostics,
    ) -> Option<Box<dyn Policy>> {
        if self.allow.is_empty() && self.deny.is_empty() {
            let fault = faults.error(codes::BAD_POLICY, key.span(), "`ip` names no network");
            fault.help("write `allow: [10.0.0.0/8]`, `deny: [..]`, or both");
            return None;
        }
        Some(Box::new(self))
    }
}

impl Policy for Ip {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let address = exchange.client.ip;
        let among = |networks: &[Cidr]| networks.iter().any(|network| network.contains(address));
        if among(&self.deny) || (!self.allow.is_empty() && !among(&self.allow)) {
            return Verdict::answer(Answer::problem(403, "ip_denied", "this address may not use this route"));
        }
        Verdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, fault, run};

    #[test]
    fn the_network_decides_and_deny_has_the_last_word() {
        for (settings, address, passes) in [
            ("allow: [10.0.0.0/8]", "10.1.2.3", true),
            ("allow: [10.0.0.0/8]", "11.0.0.1", false),
            ("allow: [10.0.0.0/8]", "::ffff:10.1.2.3", true),
            ("allow: [10.0.0.0/8]", "2001:db8::1", false),
            ("allow: [10.0.0.0/8], deny: [10.1.0.0/16]", "10.1.2.3", false),
            ("allow: [10.0.0.0/8], deny: [10.1.0.0/16]", "10.2.2.3", true),
            ("deny: [192.0.2.7]", "192.0.2.7", false),
            ("deny: [192.0.2.7]", "192.0.2.8", true),
            ("deny: [\"2001:db8::/32\"]", "2001:db8:1::1", false),
        ] {
            let mut exchange = asked("GET", "/", &[]);
            exchange.client.ip = address.parse().unwrap();
            let answer = run(&format!("ip: {{ {settings} }}"), &mut exchange);
            let told = answer.map(|answer| (answer.status, answer.reason));
            assert_eq!(told, if passes { None } else { Some((403, "ip_denied")) }, "{settings} {address}");
            assert_eq!(exchange.record.refused_by, if passes { None } else { Some("ip") });
        }
    }

    #[test]
    fn a_list_without_a_network_is_a_fault() {
        for settings in ["{}", "{ allow: [] }"] {
            assert_eq!(
                fault(&format!("ip: {settings}")),
                "`ip` names no network: write `allow: [10.0.0.0/8]`, `deny: [..]`, or both"
            );
        }
    }
}
