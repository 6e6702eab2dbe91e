//! What a seed's world consists of beside its faults.

use std::time::Duration;

use sim::luck::Luck;

use crate::file::File;

/// The fleet file, and what is wanted of the farm.
#[derive(Debug)]
pub(crate) struct Setting {
    /// As it is at the beginning.
    pub(crate) file: File,
    /// How many builds there are.
    pub(crate) builds: usize,
    /// When nothing goes wrong any more.
    pub(crate) calm_at: Duration,
    /// How many controllers there are: one of them leads.
    pub(crate) controllers: usize,
}

impl Setting {
    pub(crate) fn of(luck: &mut Luck) -> Self {
        // A farm with little to do has builders that wait for long.
        let is_idle = luck.once_in(3);
        let file = File::of(is_idle, luck);
        let builds = if is_idle {
            luck.count(4, 12)
        } else {
            luck.count(15, 50)
        };
        Self {
            file,
            builds: usize::try_from(builds).unwrap_or(4),
            calm_at: luck.seconds(400, 1200),
            controllers: 1 + usize::from(!luck.once_in(4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_a_fleet_file_that_a_controller_takes() {
        for seed in 0..200 {
            let setting = Setting::of(&mut Luck::of(seed));
            let read = setting.file.read();
            let read = read.unwrap_or_else(|error| panic!("{seed}: {error}"));
            assert!(matches!(read.pools.len(), 1..=3) && setting.builds >= 4);
            assert!(matches!(setting.controllers, 1 | 2));
        }
    }
}
