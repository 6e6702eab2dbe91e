//! What a seed's world consists of beside its faults.

use std::{fmt::Write as _, time::Duration};

use model::fleet::FleetSpec;
use sim::luck::Luck;

use crate::{door::FLEET, outside::CLOUDS};

/// The fleet file, and what is wanted of the farm.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) fleet: String,
    /// How many builds there are.
    pub(crate) builds: usize,
    /// When nothing goes wrong any more.
    pub(crate) calm_at: Duration,
    /// How many controllers there are: one of them leads.
    pub(crate) controllers: usize,
}

impl Setting {
    pub(crate) fn of(luck: &mut Luck) -> Self {
        let is_slow = luck.once_in(3);
        let deadlines = if is_slow {
            String::new()
        } else {
            let (pending, boot, play) = (luck.count(90, 180), luck.count(60, 120), luck.count(120, 240));
            format!("pending: {pending}s, boot: {boot}s, provision: {play}s")
        };
        let mut fleet = format!(
            "schema: 1\nfleet: {FLEET}\nname: storm\n\
             controller: {{tick: {{min: 4s, max: 30s}}, lease: {{ttl: 15s, renew: 5s}}}}\n\
             provision:\n  base: {{timeouts: {{{deadlines}}}}}\nclouds:\n"
        );
        let mut images = String::from("images:\n");
        for name in CLOUDS {
            // Writing to a text cannot fail.
            writeln!(
                fleet,
                "  {name}: {{kind: ec2, region: r, endpoint: 'http://{name}', credentials: {{source: environment}}}}"
            )
            .ok();
            writeln!(images, "  {name}: {{cloud: {name}, id: ami-1}}").ok();
        }
        // A farm with little to do has builders that wait for long.
        let is_idle = luck.once_in(3);
        fleet.push_str(&images);
        fleet.push_str("pools:\n");
        for name in ["main", "more"]
            .into_iter()
            .take(1 + usize::from(luck.once_in(2)))
        {
            fleet.push_str(&pool(name, is_idle, luck));
        }
        Self {
            fleet,
            builds: usize::try_from(if is_idle {
                luck.count(4, 12)
            } else {
                luck.count(15, 50)
            })
            .unwrap_or(4),
            calm_at: luck.seconds(400, 1200),
            controllers: 1 + usize::from(!luck.once_in(4)),
        }
    }

    /// The file, as a controller reads it.
    pub(crate) fn read(&self) -> Result<FleetSpec, String> {
        runtime::yaml::parse(&self.fleet, "fleet.yaml").map_err(|error| error.to_string())
    }
}

fn pool(name: &str, is_idle: bool, luck: &mut Luck) -> String {
    let max = luck.count(if is_idle { 4 } else { 1 }, 10);
    let idle = if is_idle {
        luck.count(3, 5).min(max)
    } else {
        luck.count(0, 2).min(max)
    };
    let (min, parallel, attempts) = (luck.count(0, 2).min(max), luck.count(1, 6), luck.count(1, 3));
    let shrink = if is_idle { 1800 } else { 30 + luck.below(200) };
    let on_demand = "{types: [a, b]}";
    let offerings = match luck.once_in(2) {
        true => format!("{{types: [a], market: spot}}, {on_demand}"),
        false => on_demand.to_owned(),
    };
    let reuse = match luck.once_in(2) {
        true => "never".to_owned(),
        false => {
            let (idle_for, uses, age) = (30 + luck.below(90), luck.count(2, 6), 300 + luck.below(1500));
            format!("sandbox, idle_for: {idle_for}s, max_uses: {uses}, max_age: {age}s")
        }
    };
    let cloud = luck.pick(&CLOUDS).unwrap_or("near");
    let priority = luck.below(3);
    format!(
        "  {name}:\n    labels: ['arch:x86_64']\n    image: {cloud}\n    provision: base\n    priority: {priority}\n    \
         size: {{min: {min}, max: {max}, idle: {idle}}}\n    launch: {{parallel: {parallel}, attempts: {attempts}}}\n    \
         offerings: [{offerings}]\n    shrink: {{idle_for: {shrink}s}}\n    reuse: {{scope: {reuse}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_a_fleet_file_that_a_controller_takes() {
        for seed in 0..200 {
            let setting = Setting::of(&mut Luck::of(seed));
            let read = setting.read().unwrap_or_else(|error| panic!("{seed}: {error}"));
            assert!(matches!(read.pools.len(), 1 | 2) && setting.builds >= 4);
            assert!(matches!(setting.controllers, 1 | 2));
        }
    }
}
