//! What the admin address is told of the guard: watches, their routes, and the clients that give most cause.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde_json::{Value, json};

use super::ladder::{LEVELS, Rungs};
use super::memory::Memory;
use super::table::State;
use super::watch::{Desk, Guard, V4, Watched};

/// Routes of a watch that are told, those with most failures first.
const MOST_ROUTES: usize = 20;

impl Guard {
    /// The clients that give most cause, and what is usual, for the admin address.
    pub fn list(&self, most: usize) -> Value {
        let desk = self.desk();
        let mut clients: Vec<(&usize, &Box<Memory>)> = desk
            .memories
            .iter()
            .filter(|(_, memory)| memory.standing.level > 0 || memory.score.value >= 1.0)
            .collect();
        let weight = |memory: &Memory| (memory.standing.level, memory.score.value);
        clients.sort_by(|(_, one), (_, other)| {
            weight(other).partial_cmp(&weight(one)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let more = clients.len().saturating_sub(most);
        let told = clients.into_iter().take(most).filter_map(|(nth, memory)| {
            let state = self.table.at(*nth)?.state();
            let watched = desk.watches.get(&state.watch)?;
            Some(desk.shown(memory, state, watched))
        });
        let clients: Vec<Value> = told.collect();
        let watches = desk.watches();
        let [tracked, dropped, crowded] = self.table.counted();
        json!({
            "watches": watches,
            "clients": clients,
            "more": more,
            "tracked": tracked,
            "dropped": dropped,
            "uncounted": crowded,
        })
    }
}

impl Desk {
    fn watches(&self) -> Vec<Value> {
        let mut watches: Vec<(&u32, &Watched)> = self.watches.iter().collect();
        watches.sort_by(|(_, one), (_, other)| one.rules.name.cmp(&other.rules.name));
        let told = watches.into_iter().map(|(id, watched)| {
            let routes = self.routes.iter().filter(|((watch, _), _)| watch == id);
            let mut routes: Vec<(&str, f32, f32)> =
                routes.map(|((_, route), (_, seen))| (&**route, seen.told().0, seen.told().1)).collect();
            routes.sort_by(|one, other| other.1.total_cmp(&one.1));
            let routes: Vec<Value> = routes
                .into_iter()
                .take(MOST_ROUTES)
                .map(|(route, failures, usual)| json!({ "route": route, "failures": tenth(failures), "usual": tenth(usual) }))
                .collect();
            json!({
                "name": watched.rules.name,
                "mode": if watched.rules.shadow { "shadow" } else { "enforce" },
                "levels": levels(&watched.rules.rungs),
                "together": tenth(watched.heat),
                "routes": routes,
            })
        });
        told.collect()
    }

    fn shown(&self, memory: &Memory, state: State, watched: &Watched) -> Value {
        let standing = memory.standing;
        let reasons: Vec<Value> = memory
            .score
            .reasons()
            .map(|reason| {
                json!({
                    "what": reason.what.word(),
                    "points": reason.points.round(),
                    "measured": tenth(reason.measured),
                    "usual": tenth(reason.usual),
                })
            })
            .collect();
        json!({
            "client": name_of(&self.names, memory.who, state.is_consumer),
            "kind": if state.is_consumer { "consumer" } else { "address" },
            "watch": watched.rules.name,
            "level": LEVELS.get(usize::from(standing.level)).copied().unwrap_or_default(),
            "score": memory.score.value.round(),
            "reasons": reasons,
            "since_seconds": self.now.saturating_sub(standing.since),
            "left_seconds": standing.left(&watched.rules.rungs, self.now),
            "seen_seconds": self.now.saturating_sub(memory.last),
            "per_second": tenth(memory.rate()),
            "forgiven_seconds": memory.forgiven.saturating_sub(self.now),
        })
    }
}

fn levels(rungs: &Rungs) -> Value {
    let named = LEVELS.iter().skip(1).zip(rungs);
    let told = named.map(|(name, rung)| json!({ "name": name, "at": rung.at, "seconds": rung.keeps }));
    told.collect()
}

fn tenth(number: f32) -> f64 {
    (f64::from(number) * 100.0).round() / 100.0
}

/// A client by name.
pub(super) fn name_of(names: &HashMap<u64, Arc<str>>, bits: u64, is_consumer: bool) -> String {
    if is_consumer {
        return names.get(&bits).map_or_else(|| format!("#{bits:016x}"), |name| name.to_string());
    }
    if bits >> 32 == V4 >> 32 {
        return Ipv4Addr::from_bits((bits & u64::from(u32::MAX)) as u32).to_string();
    }
    format!("{}/64", Ipv6Addr::from_bits(u128::from(bits) << 64))
}
