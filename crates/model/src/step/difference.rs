//! What cleaning finds on a machine that is not as it was, and what that means. The parts of a machine are those of the builder's own
//! program: `provision-files/builder/README.md` lists them.

use std::fmt;

use serde::Deserialize;

/// How many differences an operator is told.
const MOST_TOLD: usize = 5;
/// How many the builder's program lists: where there are as many, there may be more.
const MOST_LISTED: usize = 200;
/// The part that tells one start of a machine from another.
const BOOT: &str = "boot";
/// What is in the kernel's memory only, and begins anew with each start.
const OF_A_BOOT: [&str; 8] = [
    BOOT,
    "kernel",
    "processes",
    "listeners",
    "mounts",
    "network",
    "memory",
    "devices",
];
/// Of parts that also look at disks: what is in memory all the same, or emptied and filled at a start.
const PLACES_OF_A_BOOT: [(&str, &[&str]); 2] =
    [("timers", &["/run/"]), ("writable", &["/run/", "/dev/", "/tmp/"])];

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Difference {
    /// The part of the machine.
    pub part: String,
    /// The thing, such as a path.
    pub what: String,
    /// How it differs.
    pub how: String,
}

impl Difference {
    fn may_come_from_a_boot(&self) -> bool {
        let is_in = |places: &[&str]| places.iter().any(|place| self.what.starts_with(place));
        OF_A_BOOT.contains(&self.part.as_str())
            || PLACES_OF_A_BOOT
                .iter()
                .any(|(part, places)| *part == self.part && is_in(places))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, what, how } = self;
        write!(f, "{part}: {what}: {how}")
    }
}

/// What differs, in a sentence.
#[must_use]
pub fn told(differences: &[Difference]) -> String {
    let first = differences.iter().take(MOST_TOLD).map(Difference::to_string);
    let first = first.collect::<Vec<_>>().join("; ");
    let more = match differences.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("it is not as it was before its first build: {first}{more}")
}

/// Whether a machine on which no build ran was started again, and differs by nothing else. Whatever is on its disks is as it was
/// then. Where a build may have run, what it left in memory may have changed the start itself.
#[must_use]
pub fn is_only_a_boot(differences: &[Difference], may_have_built: bool) -> bool {
    !may_have_built
        && differences.len() < MOST_LISTED
        && differences.iter().any(|difference| difference.part == BOOT)
        && differences.iter().all(Difference::may_come_from_a_boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(part: &str, what: &str) -> Difference {
        Difference {
            part: part.to_owned(),
            what: what.to_owned(),
            how: "is new".to_owned(),
        }
    }

    #[test]
    fn a_few_differences_are_told_and_how_many_more_there_are() {
        let differences = |count: usize| -> Vec<Difference> {
            (1..=count)
                .map(|nth| difference("etc", &format!("d{nth}")))
                .collect()
        };
        let begin = "it is not as it was before its first build: etc: d1: is new";
        assert_eq!(told(&differences(1)), begin);
        let five = format!("{begin}; etc: d2: is new; etc: d3: is new; etc: d4: is new; etc: d5: is new");
        assert_eq!(told(&differences(5)), five);
        assert_eq!(told(&differences(7)), format!("{five}; and 2 more"));
    }

    #[test]
    fn only_what_a_start_changes_is_forgiven_and_only_beside_one() {
        let boot = || difference("boot", "boot");
        for part in OF_A_BOOT {
            assert!(is_only_a_boot(&[boot(), difference(part, "x")], false), "{part}");
        }
        for (part, what, expected) in [
            ("timers", "/run/systemd/transient/x.timer", true),
            ("timers", "/var/spool/cron/root", false),
            ("timers", "and 3 more", false),
            ("writable", "/tmp/.X11-unix", true),
            ("writable", "/dev/shm/x", true),
            ("writable", "/run/lock/x", true),
            ("writable", "/var/tmp/x", false),
            ("writable", "/runaway/x", false),
            ("etc", "/etc/cron.d/left", false),
            ("accounts", "eve", false),
            ("keys", "/root/.ssh/authorized_keys", false),
            ("homes", "/root/x", false),
            ("programs", "/usr/bin/x", false),
            ("libraries", "/usr/lib64/x", false),
            ("scripts", "/usr/libexec/verdigris/x", false),
            ("images", "/usr/lib/verdigris/roots/x", false),
            ("own", "/var/lib/verdigris/x", false),
            ("cache", "x", false),
            ("roots", "x", false),
            ("details", "baseline.json", false),
            ("dirty", "dirty.json", false),
        ] {
            let found = [boot(), difference(part, what)];
            assert_eq!(is_only_a_boot(&found, false), expected, "{part} {what}");
        }
    }

    #[test]
    fn without_a_start_after_a_build_or_with_a_list_that_is_cut_nothing_is_forgiven() {
        let boot = || difference("boot", "boot");
        assert!(is_only_a_boot(&[boot()], false));
        assert!(!is_only_a_boot(&[boot()], true));
        assert!(!is_only_a_boot(&[], false));
        assert!(!is_only_a_boot(&[difference("processes", "x")], false));
        assert!(is_only_a_boot(&vec![boot(); MOST_LISTED - 1], false));
        assert!(!is_only_a_boot(&vec![boot(); MOST_LISTED], false));
    }
}
