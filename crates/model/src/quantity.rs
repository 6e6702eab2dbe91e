//! Quantities as operators write them: durations and sizes always carry a unit.

mod decimal;
mod gibibytes;
mod price;
mod rate;
mod share;
mod week;

use std::{fmt, str::FromStr, time::Duration};

pub use decimal::Decimal;
pub use gibibytes::Gibibytes;
pub use price::Price;
pub use rate::Rate;
use serde::{Deserialize, Serialize};
pub use share::Share;
pub use week::{Days, Hours, Zone, goes_on_until};

/// A quantity without a unit, or with one that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidQuantity {
    text: String,
    expected: &'static str,
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(unit)?;
    Some((digits.parse().ok()?, unit.trim_start()))
}

/// A length of time such as `250ms`, `30s`, `5m`, `2h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many thousandths of a second.
    #[must_use]
    pub const fn milliseconds(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// The length.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a duration with a unit (ms, s, m, h, d)",
        };
        let (count, unit) = split(text).ok_or_else(invalid)?;
        let millis = match unit {
            "ms" => Some(count),
            "s" => count.checked_mul(1000),
            "m" => count.checked_mul(60_000),
            "h" => count.checked_mul(3_600_000),
            "d" => count.checked_mul(86_400_000),
            _ => None,
        };
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(invalid)
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
            if millis >= size && millis.is_multiple_of(size) {
                return write!(f, "{}{unit}", millis / size);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number of bytes such as `64KiB`, `512MiB` or `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

const BINARY_UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(count: u64) -> Self {
        Self(count)
    }

    /// So many times 2¹⁰ bytes.
    #[must_use]
    pub const fn kibibytes(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many times 2²⁰ bytes.
    #[must_use]
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a size with a unit (B, KiB, MiB, GiB, TiB)",
        };
        let (count, unit) = split(text).ok_or_else(invalid)?;
        let (_, shift) = BINARY_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(invalid)?;
        count.checked_mul(1 << shift).map(Self).ok_or_else(invalid)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in BINARY_UNITS {
            if self.0 >> shift > 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ByteSize, Span};

    #[test]
    fn a_quantity_is_written_as_it_is_read() {
        for text in ["250ms", "30s", "5m", "2h", "7d", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["1B", "64KiB", "512MiB", "3GiB", "1TiB", "1500B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_quantity_without_a_unit_is_refused() {
        for text in ["", "30", "s", "5 weeks", "-1s", "1.5h", "99999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["", "64", "64K", "64kb", "99999999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        let message = "30".parse::<Span>().unwrap_err().to_string();
        assert_eq!(message, "`30` is not a duration with a unit (ms, s, m, h, d)");
    }

    #[test]
    fn odd_but_clear_ways_to_write_a_quantity_are_read_and_written_back_in_the_largest_unit_that_is_exact() {
        for (given, shown) in [
            ("0s", "0s"),
            ("0d", "0s"),
            ("007m", "7m"),
            ("5 m", "5m"),
            ("1000ms", "1s"),
            ("1001ms", "1001ms"),
            ("60s", "1m"),
            ("61s", "61s"),
            ("3600s", "1h"),
            ("24h", "1d"),
            ("25h", "25h"),
        ] {
            assert_eq!(given.parse::<Span>().unwrap().to_string(), shown, "{given}");
        }
        for (given, shown) in [
            ("0B", "0B"),
            ("0TiB", "0B"),
            ("1023B", "1023B"),
            ("1024B", "1KiB"),
            ("1025B", "1025B"),
            ("2048KiB", "2MiB"),
            ("16 GiB", "16GiB"),
            ("1024TiB", "1024TiB"),
        ] {
            assert_eq!(given.parse::<ByteSize>().unwrap().to_string(), shown, "{given}");
        }
    }

    #[test]
    fn what_is_too_large_to_count_is_refused_and_the_largest_is_not() {
        let milliseconds = u64::MAX;
        for (most, over) in [
            (
                format!("{milliseconds}ms"),
                format!("{}ms", u128::from(milliseconds) + 1),
            ),
            (
                format!("{}s", milliseconds / 1000),
                format!("{}s", milliseconds / 1000 + 1),
            ),
            (
                format!("{}d", milliseconds / 86_400_000),
                format!("{}d", milliseconds / 86_400_000 + 1),
            ),
        ] {
            assert!(most.parse::<Span>().is_ok(), "{most}");
            assert!(over.parse::<Span>().is_err(), "{over}");
        }
        for (most, over) in [
            ("18446744073709551615B", "18446744073709551616B"),
            ("18014398509481983KiB", "18014398509481984KiB"),
            ("16777215TiB", "16777216TiB"),
        ] {
            assert!(most.parse::<ByteSize>().is_ok(), "{most}");
            assert!(over.parse::<ByteSize>().is_err(), "{over}");
        }
    }

    #[test]
    fn the_words_for_a_bad_quantity_in_a_file_name_it_and_the_units() {
        let said = serde_json::from_str::<ByteSize>("\"64kb\"")
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("`64kb` is not a size with a unit (B, KiB, MiB, GiB, TiB)"),
            "{said}"
        );
        let said = serde_json::from_str::<Span>("\" 5m\"").unwrap_err().to_string();
        assert!(
            said.starts_with("` 5m` is not a duration with a unit (ms, s, m, h, d)"),
            "{said}"
        );
        assert!(
            serde_json::from_str::<Span>("5").is_err(),
            "a bare number has no unit"
        );
    }

    proptest! {
        #[test]
        fn every_length_and_every_size_survives_being_written(milliseconds in any::<u64>(), bytes in any::<u64>()) {
            let span = Span::milliseconds(milliseconds);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let size = ByteSize::from_bytes(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            prop_assert_eq!(serde_json::to_value(size).unwrap(), size.to_string());
        }

        #[test]
        fn whatever_is_read_is_no_panic_and_never_without_a_unit(text in "[0-9]{0,22}[ a-zA-Z]{0,4}") {
            for shown in [
                text.parse::<Span>().map(|span| span.to_string()),
                text.parse::<ByteSize>().map(|size| size.to_string()),
            ].into_iter().flatten() {
                prop_assert!(shown.ends_with(|c: char| c.is_ascii_alphabetic()), "{} of {}", shown, text);
            }
        }
    }
}
