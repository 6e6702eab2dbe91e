//! The fixed hosts of a pool: which of them may become a builder, and why the others may not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Builder, Pool};
use crate::{
    BuilderId, LaunchHistory, Timestamp,
    fleet::{HostSpec, PoolKind},
};

/// What is on record of a fixed host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Where it was reached, as [`Host::place_at`] writes it. One of that name that is reached elsewhere is another machine, of which
    /// nothing is known.
    pub place: String,
    /// How many builders in a row never got ready on it.
    pub history: LaunchHistory,
    /// That it is out of service.
    pub out: Option<OutOfService>,
}

impl Host {
    /// Address and port as one text, by which records of hosts are kept.
    #[must_use]
    pub fn place_at(address: &str, port: u16) -> String {
        format!("{address} {port}")
    }
}

/// That a host gets no builds, until an operator says that it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfService {
    pub since: Timestamp,
    /// Why, as a sentence for operators.
    pub why: String,
}

/// The hosts of a pool while a plan is made.
#[derive(Debug)]
pub(super) struct Hosts<'a> {
    /// Those that may become builders, the next one last: one that failed lately comes after the others.
    free: Vec<&'a str>,
    used: usize,
    /// Those that are left alone for a while or out of service, each with a sentence for operators.
    unfit: Vec<String>,
    out: usize,
}

impl<'a> Hosts<'a> {
    /// The hosts of a pool; `None` where its machines come from a cloud. `builders`: those that live, of all pools, since a host
    /// may have been another's.
    pub(super) fn of(pool: &'a Pool, builders: &[Builder], now: Timestamp) -> Option<Self> {
        let PoolKind::Hosts(all) = pool.spec.kind() else {
            return None;
        };
        let hosts = builders.iter().filter_map(|builder| builder.host.as_ref());
        let used: BTreeSet<&str> = hosts.map(|host| host.name.as_str()).collect();
        let mut found = Hosts {
            free: Vec::new(),
            used: 0,
            unfit: Vec::new(),
            out: 0,
        };
        let mut tried = Vec::new();
        for HostSpec { name, .. } in all.iter().rev() {
            let state = pool.hosts.get(name);
            let history = state.map(|state| &state.history);
            if let Some(OutOfService { since, why }) = state.and_then(|state| state.out.as_ref()) {
                let since = since.to_the_second();
                found.out = found.out.saturating_add(1);
                found
                    .unfit
                    .push(format!("host {name} is out of service since {since}: {why}"));
            } else if used.contains(name.as_str()) {
                found.used = found.used.saturating_add(1);
            } else if let Some((until, words)) = history.and_then(resting)
                && until > now
            {
                let until = until.to_the_second();
                found
                    .unfit
                    .push(format!("host {name} is left alone until {until}: {words}"));
            } else if history.is_some_and(|history| history.failures > 0) {
                tried.push(name.as_str());
            } else {
                found.free.push(name);
            }
        }
        found.unfit.reverse();
        tried.append(&mut found.free);
        found.free = tried;
        Some(found)
    }

    /// Whether none may become a builder.
    pub(super) fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// Takes the next one.
    pub(super) fn take(&mut self) -> Option<String> {
        let name = self.free.pop()?;
        self.used = self.used.saturating_add(1);
        Some(name.to_owned())
    }

    /// Why there is none to take, for everybody.
    pub(super) fn in_public(&self) -> String {
        let all = [
            (self.used, "in use"),
            (
                self.unfit.len().saturating_sub(self.out),
                "left alone after failures",
            ),
            (self.out, "out of service"),
        ];
        let some = all.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some.map(|(count, what)| format!("{count} {what}")).collect();
        words.join(", ")
    }

    /// What operators have to know of those that are not fit; `None` when all are.
    pub(super) fn trouble(&self) -> Option<String> {
        (!self.unfit.is_empty()).then(|| self.unfit.join("; "))
    }
}

/// Until when a host is left alone that failed again and again, and what happened to it.
fn resting(history: &LaunchHistory) -> Option<(Timestamp, String)> {
    let until = history.held_until()?;
    let last = history.last_reason.as_deref().unwrap_or("no reason was given");
    let failures = history.failures;
    Some((
        until,
        format!("its last {failures} builders never got ready; the last one: {last}"),
    ))
}

/// The builders of hosts that are no longer in the fleet file, or are reached elsewhere by now; with the reason.
pub(super) fn moved<'b>(pool: &Pool, own: impl Iterator<Item = &'b Builder>) -> BTreeMap<BuilderId, String> {
    let gone = own.filter_map(|builder| {
        let host = builder.host.as_ref()?;
        let name = &host.name;
        let why = match pool.spec.host(name) {
            None => format!("host {name} is no longer among those of its pool"),
            Some(spec) if spec.address != host.address || host.port != spec.port_or(pool.port) => {
                format!("host {name} has another address in fleet.yaml by now")
            }
            Some(_) => return None,
        };
        Some((builder.id, why))
    });
    gone.collect()
}
