//! Machines that are always there, which the fleet file lists. What builds left on one an operator mends.

use model::{BuilderId, InstanceState, LaunchId, fleet::HOSTS};
use shell::ClientKey;
use sim::{
    Fault,
    cloud::{Change, Tags},
};
use uuid::Uuid;

use crate::outside::{All, Keys};

/// The pool that they are in.
pub(crate) const RACK: &str = "rack";
/// One of so many moments at which a machine might be started again is one for a host: they live for as long as the world.
const MOMENTS: u64 = 8;

/// The name of one, which is also its id here, and where it is reached.
pub(crate) fn host(nth: u32) -> [String; 2] {
    [format!("i-{HOSTS}-{nth:05}"), format!("host-{nth}")]
}

/// Puts so many up.
///
/// # Errors
/// A sentence about what is in the way.
pub(crate) fn put_up(all: &mut All, count: u32) -> Result<(), String> {
    for nth in 1..=count {
        let [id, address] = host(nth);
        let key = ClientKey::generate("host").and_then(|key| key.host_key());
        let shown = key.map_err(|error| format!("cannot make a host key: {error}"))?;
        let All {
            clouds, luck, now, ..
        } = all;
        let rack = clouds.get_mut(HOSTS).ok_or("there is no place for hosts")?;
        let tags = Tags {
            pool: RACK.parse().map_err(|_| format!("{RACK} is no name of a pool"))?,
            builder: BuilderId(Uuid::nil()),
            launch: LaunchId(Uuid::nil()),
        };
        let made = rack.make(Some(tags), luck, *now);
        let machine = rack.machines.get_mut(&made).filter(|_| made == id);
        let machine = machine.ok_or_else(|| format!("host {id} is named {made}"))?;
        machine.enter(InstanceState::Running, *now);
        machine.key = Some(LaunchId(Uuid::nil()));
        (machine.address, machine.answers_from) = (Some(address), Some(*now));
        let keys = Keys {
            set_up: u32::MAX,
            shown,
            made: None,
            told_at: None,
        };
        all.keys.insert(id, keys);
    }
    Ok(())
}

/// Has chance decide what becomes of each at a moment.
pub(crate) fn may_be_struck(all: &mut All) {
    let ids: Vec<String> = all
        .clouds
        .get(HOSTS)
        .map_or_else(Vec::new, |rack| rack.machines.keys().cloned().collect());
    for id in ids {
        if all.luck.strikes(Fault::StartsAgain) && all.luck.once_in(MOMENTS) {
            all.change(HOSTS, &id, Change::StartsAgain);
        }
        if all.luck.strikes(Fault::Silent) && all.luck.once_in(MOMENTS) {
            let lasts = all.luck.seconds(5, 600);
            all.change(HOSTS, &id, Change::FallsSilent(Some(lasts)));
        }
    }
}

/// Removes what builds left there.
pub(crate) fn mend(all: &mut All, id: &str) {
    all.tell(|| format!("an operator mends {id}"));
    let rack = all.clouds.get_mut(HOSTS);
    if let Some(machine) = rack.and_then(|rack| rack.machines.get_mut(id)) {
        (machine.has_residue, machine.is_dirty, machine.sandbox) = (false, false, None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outside::Outside;

    #[test]
    fn hosts_are_reached_where_the_file_says_and_start_again_or_fall_silent_for_a_while() {
        let outside = Outside::new(3, None, false);
        outside.with(|all| {
            put_up(all, 2).unwrap();
            let [id, address] = host(2);
            let found = all.at(&address).unwrap();
            assert_eq!((found.cloud, &found.id, found.starts), (HOSTS, &id, 0));
            assert!(found.key.is_some());
            for (fault, starts) in [(Fault::StartsAgain, 1), (Fault::Silent, 1)] {
                // Of the two that might be struck, at some moment.
                for spared in 0..100 {
                    all.luck = sim::luck::Luck::once(fault, spared % 2);
                    for _ in 0..spared {
                        all.luck.below(2);
                    }
                    may_be_struck(all);
                }
                assert!(all.at(&address).is_none(), "{fault:?}");
                assert!(all.clouds[HOSTS].machines[&id].starts >= starts);
                all.now = all.now.saturating_add(Duration::from_secs(601));
                all.go_on();
                assert!(all.at(&address).is_some(), "{fault:?}");
            }
        });
    }

    #[test]
    fn what_a_build_left_is_gone_when_it_is_mended() {
        let outside = Outside::new(3, None, false);
        outside.with(|all| {
            put_up(all, 1).unwrap();
            let [id, _] = host(1);
            let machine = |all: &mut All| all.clouds.get_mut(HOSTS).unwrap().machines[&id].clone();
            let rack = all.clouds.get_mut(HOSTS).unwrap();
            rack.machines.get_mut(&id).unwrap().has_residue = true;
            mend(all, &id);
            assert!(!machine(all).has_residue);
            mend(all, "i-near-00001");
        });
    }
}
