//! What comes over a world by chance: machines of strangers, outages of our own network, and changes of the fleet file.

use std::{sync::Arc, time::Duration};

use model::{BuilderId, LaunchId, fleet::HostKeySource};
use sim::{
    Fault,
    cloud::{Change, Tags},
};

use crate::{
    file::File,
    hosts,
    outside::{All, CLOUDS},
    world::World,
};

/// How long after an outage of our own network there is no other: what is away for long may be given up.
const NETWORK_HOLDS: Duration = Duration::from_secs(900);

impl World {
    /// All that may strike at any moment.
    pub(crate) fn weather(&mut self) {
        self.strangers();
        self.network();
        if self.with(|all| all.luck.strikes(Fault::FileChange)) {
            let whole = &self.setting.file;
            let next = self.with(|all| self.file.changed(whole, &mut all.luck));
            self.write_file(next);
        }
        self.with(hosts::may_be_struck);
        let outside = Arc::clone(&self.common.outside);
        for place in &mut self.places {
            place.may_be_set(&outside);
            place.may_be_struck(&outside);
        }
    }

    /// The fleet file is written anew; controllers read it when they come to that.
    pub(crate) fn write_file(&mut self, file: File) {
        self.common.version = self.common.version.wrapping_add(1);
        self.common.fleet = file.read().map(Arc::new);
        self.with(|all| {
            all.tell(|| format!("the fleet file:\n{}", file.text()));
            let Ok(fleet) = &self.common.fleet else { return };
            for (name, spec) in &fleet.pools {
                let max = usize::try_from(spec.size.max).unwrap_or(usize::MAX);
                let most = all.most.entry(name.clone()).or_default();
                *most = max.max(*most);
                let line = spec.offerings.last().and_then(|line| line.max);
                all.most_of_line.allow(name.clone(), line.map(u64::from));
                if spec.host_key == HostKeySource::Console {
                    all.told_keys.insert(name.clone());
                }
            }
            for cloud in CLOUDS {
                all.money.most.allow(cloud, file.limit(cloud));
            }
            all.most_of_owner
                .allow((), fleet.fairness.caps.owner.map(u64::from));
        });
        self.file = file;
    }

    /// The programs of the controllers look whether the file has changed; some do so a little later.
    pub(crate) fn read_file(&mut self) {
        for place in &mut self.places {
            if !self.common.outside.with(|all| all.luck.once_in(3)) {
                place.read_file(&self.common);
            }
        }
    }

    /// Machines of others, and some with our tag that nobody knows.
    fn strangers(&self) {
        let ids = [runtime::chance::new_id(), runtime::chance::new_id()];
        self.with(|all| {
            let name = all.luck.pick(&CLOUDS).unwrap_or("near");
            let is_orphan = all.luck.strikes(Fault::Orphan);
            if !is_orphan && !all.luck.strikes(Fault::Foreign) {
                return;
            }
            let pool = all.most.keys().next().cloned().filter(|_| is_orphan);
            let [builder, launch] = ids;
            let tags = pool.map(|pool| Tags {
                pool,
                builder: BuilderId(builder),
                launch: LaunchId(launch),
            });
            let All {
                clouds, luck, now, ..
            } = all;
            let Some(of) = clouds.get_mut(name) else { return };
            let id = of.make(tags, luck, *now);
            all.tell(|| format!("{id} is made by somebody else"));
            all.strays.insert(id.clone());
            all.will(Duration::from_secs(5), name, &id, Change::Runs);
        });
    }

    /// The network between the farm and all machines is away for some minutes.
    fn network(&mut self) {
        let until = self.with(|all| {
            if all.now < self.network_holds_until || !all.luck.strikes(Fault::NetworkAway) {
                return None;
            }
            let until = all.now.saturating_add(all.luck.seconds(60, 300));
            all.tell(|| "no machine is reached any more".to_owned());
            (all.network_away_until, all.outages) = (until, all.outages.saturating_add(1));
            Some(until)
        });
        if let Some(until) = until {
            self.network_holds_until = until.saturating_add(NETWORK_HOLDS);
        }
    }
}
