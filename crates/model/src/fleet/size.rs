//! How many machines a pool has, and the times of the week at which that is otherwise.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    quantity::{Days, Hours, Share, Zone, goes_on_until},
};

/// How many machines a pool has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeSpec {
    /// The fewest machines, even when there is nothing to build; at most `max`.
    #[serde(default)]
    pub min: u32,
    /// The most machines, counting those that come and those that go; of more than that, those are given up for which no cloud was asked
    /// yet; 0 closes the pool.
    pub max: u32,
    /// How many ready builders to hold besides those in use: a number, at most `max`, or a part of those in use, rounded up.
    #[serde(default = "none")]
    pub idle: Share,
    /// The most of them where `idle` is a part; at most `max`. No limit but `max` when left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub idle_cap: Option<u32>,
}

const fn none() -> Share {
    Share::Count(0)
}

/// A time of the week at which a pool has another size. Of several that go on at once the first one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSpec {
    /// The days on which it begins.
    #[serde(default = "any")]
    pub days: Days,
    /// From when to when. It ends on the next day where the end is not after the beginning.
    pub hours: Hours,
    /// The time zone of `days` and `hours`, by its name in the IANA database, such as `Europe/Prague`.
    #[serde(default = "utc")]
    pub zone: Zone,
    /// Takes the place of `size.idle` meanwhile.
    #[serde(default)]
    pub idle: Option<Share>,
    /// Takes the place of `size.min` meanwhile.
    #[serde(default)]
    pub min: Option<u32>,
}

/// A time of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhenSpec {
    /// The days on which it begins.
    #[serde(default = "any")]
    pub days: Days,
    /// From when to when. It ends on the next day where the end is not after the beginning.
    pub hours: Hours,
    /// The time zone of `days` and `hours`, by its name in the IANA database, such as `Europe/Prague`.
    #[serde(default = "utc")]
    pub zone: Zone,
}

impl WhenSpec {
    /// Until when it goes on; `None` where it does not.
    #[must_use]
    pub fn goes_on_until(&self, now: Timestamp) -> Option<Timestamp> {
        goes_on_until(&self.days, self.hours, &self.zone, now)
    }
}

impl fmt::Display for WhenSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, hours, zone } = self;
        write!(f, "{days} {hours} {zone}")
    }
}

#[expect(clippy::unwrap_used, reason = "the two texts are read by the tests below")]
fn any() -> Days {
    "any".parse().unwrap()
}

#[expect(clippy::unwrap_used, reason = "the two texts are read by the tests below")]
fn utc() -> Zone {
    "UTC".parse().unwrap()
}

/// A pool's size at a moment, with what a schedule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeNow {
    /// The fewest machines.
    pub min: u32,
    /// The most machines.
    pub max: u32,
    /// How many ready builders to hold besides those in use.
    pub idle: u32,
    /// Where that is a part of those in use: which, in words such as `10% of 21 in use`.
    pub idle_of: Option<String>,
    /// Until when a schedule says it; `None` where none does.
    pub until: Option<Timestamp>,
}

/// What a pool's size is at a moment at which so many of its builders are in use.
pub(super) fn size_at(
    size: &SizeSpec,
    schedule: &[ScheduleSpec],
    (now, in_use): (Timestamp, u32),
) -> SizeNow {
    let found = schedule.iter().find_map(|line| {
        let until = goes_on_until(&line.days, line.hours, &line.zone, now)?;
        Some((line, until))
    });
    let line = found.map(|(line, _)| line);
    let (idle, idle_of) = match line.and_then(|line| line.idle).unwrap_or(size.idle) {
        Share::Count(count) => (count, None),
        part @ Share::Percent(_) => {
            let (all, cap) = (part.of(in_use), size.idle_cap.unwrap_or(u32::MAX));
            let capped = if all > cap {
                format!(", at most {cap}")
            } else {
                String::new()
            };
            (all.min(cap), Some(format!("{part} of {in_use} in use{capped}")))
        }
    };
    SizeNow {
        min: line.and_then(|line| line.min).unwrap_or(size.min),
        max: size.max,
        idle,
        idle_of,
        until: found.map(|(_, until)| until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after Monday, 2026-11-30, at midnight in UTC.
    fn monday(hours: i64) -> Timestamp {
        Timestamp::from_micros((1_795_996_800 + hours * 3600) * 1_000_000)
    }

    #[test]
    fn the_first_line_that_goes_on_takes_the_place_of_the_pools_own_size() {
        let schedule: Vec<ScheduleSpec> = serde_json::from_value(serde_json::json!([
            {"days": "mon", "hours": "07:00-09:00", "idle": 7},
            {"hours": "08:00-12:00", "idle": 0, "min": 3},
            {"days": "mon-fri", "hours": "11:00-13:00", "zone": "Europe/Prague", "min": 9},
        ]))
        .unwrap();
        let size = SizeSpec {
            min: 1,
            max: 9,
            idle: Share::Count(2),
            idle_cap: None,
        };
        for (hour, min, idle, until) in [
            (6, 1, 2, None),
            (7, 1, 7, Some(9)),
            (8, 1, 7, Some(9)),
            (9, 3, 0, Some(12)),
            (11, 3, 0, Some(12)),
            (12, 1, 2, None),
            // Tuesday.
            (24 + 7, 1, 2, None),
            (24 + 8, 3, 0, Some(24 + 12)),
        ] {
            let found = size_at(&size, &schedule, (monday(hour), 50));
            assert_eq!((found.min, found.idle), (min, idle), "{hour}");
            assert_eq!(found.until, until.map(monday), "{hour}");
        }
        // Ten in UTC is eleven in Prague.
        let of_prague = size_at(&size, &schedule[2..], (monday(10), 50));
        assert_eq!((of_prague.min, of_prague.idle), (9, 2));
        assert_eq!(of_prague.until, Some(monday(12)));
    }

    #[test]
    fn a_part_of_those_in_use_is_rounded_up_and_never_more_than_its_cap() {
        for (idle, cap, in_use, expected, words) in [
            (Share::Count(3), None, 0, 3, None),
            (Share::Count(3), Some(2), 9, 3, None),
            (Share::Percent(10), None, 0, 0, Some("10% of 0 in use")),
            (Share::Percent(10), None, 1, 1, Some("10% of 1 in use")),
            (Share::Percent(10), Some(12), 21, 3, Some("10% of 21 in use")),
            (Share::Percent(10), Some(12), 120, 12, Some("10% of 120 in use")),
            (
                Share::Percent(10),
                Some(12),
                121,
                12,
                Some("10% of 121 in use, at most 12"),
            ),
        ] {
            let size = SizeSpec {
                min: 0,
                max: 200,
                idle,
                idle_cap: cap,
            };
            let found = size_at(&size, &[], (monday(0), in_use));
            assert_eq!(
                (found.idle, found.idle_of.as_deref()),
                (expected, words),
                "{idle} of {in_use}"
            );
        }
        // A line of the schedule has the cap of the pool.
        let schedule: Vec<ScheduleSpec> =
            serde_json::from_value(serde_json::json!([{"hours": "00:00-24:00", "idle": "50%"}])).unwrap();
        let size = SizeSpec {
            min: 0,
            max: 200,
            idle: Share::Count(1),
            idle_cap: Some(4),
        };
        assert_eq!(size_at(&size, &schedule, (monday(0), 6)).idle, 3);
        assert_eq!(size_at(&size, &schedule, (monday(0), 60)).idle, 4);
    }

    #[test]
    fn a_line_is_of_every_day_and_of_utc_where_it_says_nothing_else() {
        let line: ScheduleSpec = serde_json::from_value(serde_json::json!({"hours": "08:00-12:00"})).unwrap();
        let written = serde_json::to_value(line).unwrap();
        let expected = serde_json::json!({
            "days": "any", "hours": "08:00-12:00", "zone": "UTC", "idle": null, "min": null,
        });
        assert_eq!(written, expected);
    }
}
