//! Times of the week, as operators write them.

use std::{fmt, str::FromStr};

use jiff::{
    civil::{Date, DateTime, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};

use super::InvalidQuantity;
use crate::Timestamp;

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// Days of the week, such as `any`, `mon-fri`, `fri-mon` or `tue,sat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days {
    text: String,
    /// Monday first.
    has: [bool; 7],
}

impl Days {
    fn holds(&self, day: Weekday) -> bool {
        let index = usize::try_from(day.to_monday_zero_offset()).unwrap_or(0);
        self.has.get(index).copied().unwrap_or(false)
    }
}

impl FromStr for Days {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "any, days such as tue,sat, or a range of days such as mon-fri",
        };
        let day = |name: &str| NAMES.iter().position(|known| *known == name);
        let mut has = [text == "any"; 7];
        for part in text.split(',').filter(|_| text != "any") {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = day(first).zip(day(last)).ok_or_else(invalid)?;
            // Over the end of the week where the last day comes before the first.
            let count = (last + 7 - first) % 7;
            for (index, has) in has.iter_mut().enumerate() {
                *has |= (index + 7 - first) % 7 <= count;
            }
        }
        Ok(Self {
            text: text.to_owned(),
            has,
        })
    }
}

/// A part of a day, such as `07:00-19:00`. One whose end is not after its beginning ends on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// In minutes of the day: up to 1439.
    from: u16,
    /// From 1 to 1440.
    to: u16,
}

impl FromStr for Hours {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let two_digits = |text: &str| {
            let is_good = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| is_good)
        };
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let (hour, minute) = two_digits(hour).zip(two_digits(minute))?;
            (minute < 60).then_some(hour * 60 + minute)
        };
        let hours = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = minutes(from).zip(minutes(to))?;
            let to = if to == 0 { MINUTES_OF_A_DAY } else { to };
            (from < MINUTES_OF_A_DAY && to <= MINUTES_OF_A_DAY).then_some(Self { from, to })
        });
        hours.ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            expected: "a part of a day, such as 07:00-19:00",
        })
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        let (from, to) = ((from / 60, from % 60), (to / 60, to % 60));
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.0, from.1, to.0, to.1)
    }
}

/// A time zone, by its name in the IANA database, such as `Europe/Prague`. The rules are those of the database that this program
/// was built with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl FromStr for Zone {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let rules = TimeZoneDatabase::bundled().get(text);
        rules
            .map(|rules| Self {
                name: text.to_owned(),
                rules,
            })
            .map_err(|_| InvalidQuantity {
                text: text.to_owned(),
                expected: "a time zone, such as Europe/Prague or UTC",
            })
    }
}

/// A text that is kept as it was written.
macro_rules! as_text {
    ($($type:ident: $text:expr;)+) => {$(
        impl TryFrom<String> for $type {
            type Error = InvalidQuantity;

            fn try_from(text: String) -> Result<Self, InvalidQuantity> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(it: $type) -> Self {
                let text: fn($type) -> Self = $text;
                text(it)
            }
        }
    )+};
}

as_text! {
    Days: |it| it.text;
    Hours: |it| it.to_string();
    Zone: |it| it.name;
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Until when a part of days that begins on some days of the week goes on; `None` where it does not at `now`. An hour that the
/// clocks leave out begins when they go on, and one that they repeat begins with its first time.
#[must_use]
pub fn goes_on_until(days: &Days, hours: Hours, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
    let rules = &zone.rules;
    let moment = |civil: DateTime| {
        let zoned = rules.to_zoned(civil).ok()?;
        Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
    };
    let at = |date: Date, minutes: u16| {
        let date = if minutes < MINUTES_OF_A_DAY {
            date
        } else {
            date.tomorrow().ok()?
        };
        let (hour, minute) = (minutes / 60 % 24, minutes % 60);
        let time = i8::try_from(hour).ok().zip(i8::try_from(minute).ok())?;
        moment(date.at(time.0, time.1, 0, 0))
    };
    let local = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
    let today = local.to_zoned(rules.clone()).date();
    // What began yesterday may go on.
    [Some(today), today.yesterday().ok()]
        .into_iter()
        .flatten()
        .filter(|begins| days.holds(begins.weekday()))
        .find_map(|begins| {
            let ends = if hours.to > hours.from {
                begins
            } else {
                begins.tomorrow().ok()?
            };
            let (from, to) = (at(begins, hours.from)?, at(ends, hours.to)?);
            (from <= now && now < to).then_some(to)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_micros(moment.as_microsecond())
    }

    #[test]
    fn days_are_read_as_people_write_them() {
        for (text, expected) in [
            ("any", Some("mtwtfss")),
            ("mon-fri", Some("mtwtf..")),
            ("fri-mon", Some("m...fss")),
            ("tue,sat", Some(".t...s.")),
            ("mon,wed-thu,sun", Some("m.wt..s")),
            ("sun", Some("......s")),
            ("mon-sun", Some("mtwtfss")),
            ("", None),
            ("mon,", None),
            ("monday", None),
            ("mon-", None),
            ("Mon", None),
            ("any,mon", None),
        ] {
            let days: Result<Days, _> = text.parse();
            let letters = |days: &Days| -> String {
                let letters = "mtwtfss".chars().zip(days.has);
                letters
                    .map(|(letter, has)| if has { letter } else { '.' })
                    .collect()
            };
            assert_eq!(days.as_ref().ok().map(letters).as_deref(), expected, "{text}");
            assert_eq!(days.ok().map(String::from), expected.map(|_| text.to_owned()));
        }
    }

    #[test]
    fn hours_are_read_as_they_are_written() {
        for (text, expected) in [
            ("07:00-19:00", Some("07:00-19:00")),
            ("22:30-06:15", Some("22:30-06:15")),
            ("00:00-24:00", Some("00:00-24:00")),
            ("12:00-00:00", Some("12:00-24:00")),
            ("7:00-19:00", None),
            ("07:00", None),
            ("07:60-08:00", None),
            ("24:00-08:00", None),
            ("07:00-24:01", None),
            ("07:00 - 19:00", None),
        ] {
            let hours = text.parse::<Hours>().ok().map(|hours| hours.to_string());
            assert_eq!(hours.as_deref(), expected, "{text}");
        }
        let said = "7-19".parse::<Hours>().unwrap_err().to_string();
        assert_eq!(said, "`7-19` is not a part of a day, such as 07:00-19:00");
        let said = "Europe/Prag".parse::<Zone>().unwrap_err().to_string();
        assert_eq!(
            said,
            "`Europe/Prag` is not a time zone, such as Europe/Prague or UTC"
        );
    }

    /// Days, hours, a zone, a moment, and until when they go on then. 2026-11-30 is a Monday; Prague is an hour ahead of UTC in winter.
    const GOES_ON: &[(&str, &str, &str, &str, Option<&str>)] = &[
        (
            "mon-fri",
            "07:00-19:00",
            "Europe/Prague",
            "2026-11-30T05:59:59Z",
            None,
        ),
        (
            "mon-fri",
            "07:00-19:00",
            "Europe/Prague",
            "2026-11-30T06:00:00Z",
            Some("2026-11-30T18:00:00Z"),
        ),
        (
            "mon-fri",
            "07:00-19:00",
            "Europe/Prague",
            "2026-11-30T18:00:00Z",
            None,
        ),
        (
            "mon-fri",
            "07:00-19:00",
            "Europe/Prague",
            "2026-11-29T12:00:00Z",
            None,
        ),
        (
            "mon-fri",
            "07:00-19:00",
            "UTC",
            "2026-11-30T18:00:00Z",
            Some("2026-11-30T19:00:00Z"),
        ),
        // Over midnight: Friday's night goes on on Saturday, and Saturday has none of its own.
        (
            "mon-fri",
            "22:00-06:00",
            "UTC",
            "2026-12-05T03:00:00Z",
            Some("2026-12-05T06:00:00Z"),
        ),
        ("mon-fri", "22:00-06:00", "UTC", "2026-12-05T23:00:00Z", None),
        ("mon-fri", "22:00-06:00", "UTC", "2026-11-30T03:00:00Z", None),
        (
            "any",
            "00:00-24:00",
            "UTC",
            "2026-11-30T23:59:59Z",
            Some("2026-12-01T00:00:00Z"),
        ),
        (
            "any",
            "08:00-08:00",
            "UTC",
            "2026-11-30T07:00:00Z",
            Some("2026-11-30T08:00:00Z"),
        ),
        // The clocks of Prague go on from 02:00 to 03:00 on 2027-03-28, and back from 03:00 to 02:00 on 2027-10-31.
        (
            "any",
            "02:30-04:00",
            "Europe/Prague",
            "2027-03-28T01:29:00Z",
            None,
        ),
        (
            "any",
            "02:30-04:00",
            "Europe/Prague",
            "2027-03-28T01:30:00Z",
            Some("2027-03-28T02:00:00Z"),
        ),
        (
            "any",
            "02:30-04:00",
            "Europe/Prague",
            "2027-10-31T00:30:00Z",
            Some("2027-10-31T03:00:00Z"),
        ),
        (
            "any",
            "02:30-04:00",
            "Europe/Prague",
            "2027-10-31T01:15:00Z",
            Some("2027-10-31T03:00:00Z"),
        ),
    ];

    #[test]
    fn a_part_of_a_day_goes_on_in_its_zone_until_its_end() {
        for (days, hours, zone, now, until) in GOES_ON {
            let until = until.map(at);
            let (days, hours, zone) = (
                days.parse().unwrap(),
                hours.parse().unwrap(),
                zone.parse().unwrap(),
            );
            let found = goes_on_until(&days, hours, &zone, at(now));
            assert_eq!(found, until, "{days:?} {hours} {zone} {now}");
        }
    }
}
