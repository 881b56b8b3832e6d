//! `ip`: lets requests pass by the address they come from.
//!
//! The address is the client's as `http::trust` found it: the peer's, or what trusted proxies said.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Policy, Settings};
use crate::config::{Diagnostics, Spanned, codes};
use crate::exchange::{Answer, Exchange, Verdict};
use crate::values::Cidr;

/// Allows or denies requests by the network they come from.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Ip {
    /// Only these networks may pass. Default: all.
    #[serde(default)]
    allow: Vec<Cidr>,
    /// These networks may not pass, even if `allow` names them.
    #[serde(default)]
    deny: Vec<Cidr>,
}

impl Settings for Ip {
    const NAME: &'static str = "ip";
    const REFUSES: bool = true;

    fn compile(self, key: &Spanned<String>, faults: &mut Diagnostics) -> Option<Box<dyn Policy>> {
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
