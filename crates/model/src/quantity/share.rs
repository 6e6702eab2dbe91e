//! How many of all machines.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::InvalidQuantity;

/// A number of machines, or a part of all of them, such as `3` or `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

impl Share {
    /// How many that is of `all`, rounded up; at most all.
    #[must_use]
    pub fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(all),
            Self::Percent(percent) => {
                let part = u64::from(all).saturating_mul(u64::from(percent)).div_ceil(100);
                u32::try_from(part).unwrap_or(all).min(all)
            }
        }
    }
}

impl FromStr for Share {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let percent = text.strip_suffix('%');
        let digits = percent.unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let share = digits
            .parse()
            .ok()
            .filter(|_| is_number)
            .and_then(|number| match percent {
                Some(_) => (number <= 100).then_some(Self::Percent(number)),
                None => Some(Self::Count(number)),
            });
        share.ok_or_else(|| InvalidQuantity {
            text: text.to_owned(),
            expected: "a number of machines, or a part of them such as 10%",
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Share {
    /// As it is read: a number as one, and a part as text.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(_) => serializer.serialize_str(&self.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    /// From a number or a text: YAML's `3` is the one, and its `10%` the other.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShareVisitor)
    }
}

struct ShareVisitor;

impl serde::de::Visitor<'_> for ShareVisitor {
    type Value = Share;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of machines, or a part of them such as 10%")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Share, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Share, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Share, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Share, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn a_share_of_machines_is_rounded_up_and_is_never_more_than_there_are() {
        for (text, all, expected) in [
            ("0", 9, 0),
            ("3", 9, 3),
            ("3", 2, 2),
            ("10%", 0, 0),
            ("10%", 1, 1),
            ("10%", 10, 1),
            ("10%", 11, 2),
            ("100%", 7, 7),
            ("0%", 7, 0),
            ("100%", u32::MAX, u32::MAX),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!(
                (share.of(all), share.to_string().as_str()),
                (expected, text),
                "{text} of {all}"
            );
        }
        for text in ["", "%", "101%", "-1", "+1", "1.5%", "10 %", "a few", "4294967296"] {
            let error = text.parse::<Share>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("`{text}` is not a number of machines, or a part of them such as 10%")
            );
        }
        let read = |json: &str| serde_json::from_str::<Share>(json).unwrap();
        assert_eq!(
            (read("3"), read("\"3\""), read("\"25%\"")),
            (Share::Count(3), Share::Count(3), Share::Percent(25))
        );
        let written = |share: Share| serde_json::to_string(&share).unwrap();
        assert_eq!(
            (
                written(Share::Count(3)).as_str(),
                written(Share::Percent(25)).as_str()
            ),
            ("3", "\"25%\"")
        );
    }
}
