//! What no type can know of the settings of a guard, and the levels that they come to.

use super::ladder::{self, LEVELS};
use super::settings::Guard;
use super::{LEAST_SECRET, LONGEST_DELAY};
use crate::config::{Diagnostics, Spanned, codes};
use crate::policies::Context;

impl Guard {
    pub(super) fn check(&self, key: &Spanned<String>, context: &Context, faults: &mut Diagnostics) {
        let mut below = 0;
        for ((name, at), usual) in self.scores().into_iter().zip(ladder::usual()) {
            let usual = usual.at.unwrap_or_default() as u32;
            let at = at.unwrap_or_else(|| Spanned::new(usual, key.span()));
            if *at <= below || *at > 100 {
                let what = format!("the level `{name}` begins at {}, and the one below it at {below}", *at);
                let fault = faults.error(codes::BAD_POLICY, at.span(), what);
                fault.help("write scores from 1 to 100, each higher than the one before");
            }
            below = *at;
        }
        let delay = &self.levels.slow.delay;
        if delay.get() > LONGEST_DELAY {
            let fault =
                faults.error(codes::BAD_POLICY, delay.span(), format!("a delay of {} is too long", **delay));
            fault.help("write at most 10s: whoever waits keeps a connection");
        }
        self.check_challenge(context, faults);
    }

    fn check_challenge(&self, context: &Context, faults: &mut Diagnostics) {
        let bits = &self.challenge.difficulty;
        if !(8..=24).contains(&**bits) {
            let what = format!("a difficulty of {} is no work, or too much", **bits);
            faults.error(codes::BAD_POLICY, bits.span(), what).help("write a number from 8 to 24");
        }
        if let Some(short) =
            self.challenge.secret.as_ref().filter(|secret| secret.expose().len() < LEAST_SECRET)
        {
            let fault =
                faults.error(codes::BAD_POLICY, short.span(), "the `secret` of the challenge is too short");
            fault.help("it has at least 32 letters: openssl rand -base64 48");
        }
        if let (Some(url), None) = (&self.challenge.url, &self.challenge.secret) {
            let what = "a verification elsewhere needs a `secret`, with which it seals its answers";
            faults
                .error(codes::BAD_POLICY, url.span(), what)
                .help("write `secret: \"${GUARD_SECRET}\"` beside `url`");
        }
        let totp = &self.challenge.totp;
        if **totp && context.is_whole && !context.callers.have_codes() {
            let what = "`totp` asks for codes, and no consumer has an authenticator";
            let fault = faults.error(codes::BAD_POLICY, totp.span(), what);
            fault.help("write `consumers: { alice: { totp: \"${ALICE_TOTP}\" } }`, or leave it out");
        }
    }

    fn scores(&self) -> [(&'static str, Option<Spanned<u32>>); 5] {
        let levels = &self.levels;
        let all =
            [&levels.watch.at, &levels.slow.at, &levels.limit.at, &levels.challenge.at, &levels.block.at];
        let mut named = LEVELS.iter().skip(1).zip(all).map(|(name, at)| (*name, *at));
        std::array::from_fn(|_| named.next().unwrap_or_default())
    }

    pub(super) fn rungs(&self) -> ladder::Rungs {
        let levels = &self.levels;
        let times = [
            levels.watch.time,
            levels.slow.time,
            levels.limit.time,
            levels.challenge.time,
            levels.block.time,
        ];
        let mut rungs = ladder::usual();
        for (nth, (rung, ((_, at), time))) in
            rungs.iter_mut().zip(self.scores().into_iter().zip(times)).enumerate()
        {
            if let Some(time) = time {
                rung.keeps = u32::try_from(time.get().as_secs()).unwrap_or(u32::MAX);
            }
            if let Some(at) = at {
                rung.at = Some(*at as f32);
            }
            rung.at = rung.at.filter(|_| nth < self.highest as usize);
        }
        rungs
    }
}
