//! Moments. Everywhere in the farm a moment is a count of microseconds since 1970-01-01T00:00:00Z: it
//! survives a round trip through both databases, compares as an integer and knows no time zone.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A moment in UTC, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that is this many microseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z, as stored.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, as Copr's API counts time.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The beginning of its second: enough for people.
    #[must_use]
    pub const fn to_the_second(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1_000_000)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment `duration` later; the last one there is when that is out of range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// The moment `duration` earlier; the first one there is when that is out of range.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    /// From RFC 3339, such as `2026-11-24T03:45:54.000Z`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment: jiff::Timestamp = text.parse()?;
        Ok(Self(moment.as_microsecond()))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, such as `2026-11-24T03:45:54.000001Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0).saturating_mul(1000);
        let text = time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|moment| moment.format(&time::format_description::well_known::Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{} µs", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAST: Timestamp = Timestamp(i64::MAX);
    const FIRST: Timestamp = Timestamp(i64::MIN);

    #[test]
    fn a_moment_is_written_in_utc_with_as_many_digits_as_it_has() {
        for (micros, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_500_000, "1970-01-01T00:00:01.5Z"),
            (1_795_923_954_000_001, "2026-11-29T03:45:54.000001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            // Behind the last year of four digits RFC 3339 ends.
            (253_402_300_800_000_000, "253402300800000000 µs"),
            (i64::MAX, "9223372036854775807 µs"),
            (i64::MIN, "-9223372036854775808 µs"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), shown);
        }
    }

    #[test]
    fn seconds_are_counted_downwards_also_before_1970() {
        for (micros, seconds) in [
            (0, 0),
            (999_999, 0),
            (1_000_000, 1),
            (-1, -1),
            (-1_000_000, -1),
            (-1_000_001, -2),
        ] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(moment.as_seconds(), seconds, "{micros}");
            assert_eq!(
                moment.to_the_second().as_micros(),
                seconds * 1_000_000,
                "{micros}"
            );
        }
        assert_eq!(FIRST.to_the_second(), FIRST, "there is none before it");
    }

    #[test]
    fn a_moment_is_read_as_clouds_write_it() {
        for (text, expected) in [
            ("2026-11-24T03:45:54.000Z", Some("2026-11-24T03:45:54Z")),
            ("2026-11-24T03:45:54.000001Z", Some("2026-11-24T03:45:54.000001Z")),
            ("2026-11-24T04:45:54+01:00", Some("2026-11-24T03:45:54Z")),
            ("2026-11-24", None),
            ("", None),
        ] {
            let read = text.parse::<Timestamp>().ok().map(|it| it.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_lies_beyond_all_moments_is_the_last_or_the_first_of_them() {
        let (second, long) = (Duration::from_secs(1), Duration::MAX);
        assert_eq!(LAST.plus(second), LAST);
        assert_eq!(Timestamp(0).plus(long), LAST);
        assert_eq!(FIRST.minus(second), FIRST);
        assert_eq!(Timestamp(-2).minus(long), FIRST);
        assert_eq!(
            LAST.since(FIRST),
            Duration::from_micros(u64::try_from(i64::MAX).unwrap())
        );
        assert_eq!(FIRST.since(LAST), Duration::ZERO, "it lies ahead");
    }

    proptest! {
        #[test]
        fn what_is_added_is_what_has_passed(micros in -4_000_000_000_000_000i64..4_000_000_000_000_000, added in 0u64..4_000_000_000_000_000) {
            let (moment, added) = (Timestamp::from_micros(micros), Duration::from_micros(added));
            let later = moment.plus(added);
            prop_assert_eq!(later.since(moment), added);
            prop_assert_eq!(later.minus(added), moment);
            prop_assert!(moment.to_the_second() <= moment);
            prop_assert!(moment.since(moment.to_the_second()) < Duration::from_secs(1));
            // As text moments of one length sort as they follow each other.
            let (early, late) = (moment.to_the_second().to_string(), later.to_the_second().to_string());
            prop_assert!(early <= late, "{} {}", early, late);
        }
    }
}
