//! Quantities as operators write them: durations and sizes always carry a unit.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

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

/// A price for an hour in the currency of the cloud's account (US dollars at Amazon), exact to a millionth, such as `0.156`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

/// How many digits of a price stand behind its point.
const PRICE_DIGITS: usize = 6;

impl Price {
    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(count: u64) -> Self {
        Self(count)
    }

    /// The price in millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }
}

impl FromStr for Price {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a price for an hour, such as 0.156, with at most six digits behind the point",
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(part) || part.len() > PRICE_DIGITS {
            return Err(invalid());
        }
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let part: u64 = format!("{part:0<PRICE_DIGITS$}").parse().map_err(|_| invalid())?;
        let millionths = whole
            .checked_mul(1_000_000)
            .and_then(|whole| whole.checked_add(part));
        millionths.map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:0PRICE_DIGITS$}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl Serialize for Price {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Price {
    /// From a text or a number: in YAML both `0.156` and `"0.156"` mean a price.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PriceVisitor)
    }
}

struct PriceVisitor;

impl serde::de::Visitor<'_> for PriceVisitor {
    type Value = Price;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a price for an hour, such as 0.156")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Price, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Price, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Price, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Price, E> {
        // The shortest text that means this number: what the operator wrote, unless that had more digits than a number holds.
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ByteSize, Price, Span};

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

    #[test]
    fn a_price_is_exact_to_a_millionth_and_is_written_as_short_as_it_can_be() {
        for (text, millionths, written) in [
            ("0", 0, "0"),
            ("2", 2_000_000, "2"),
            ("0.156", 156_000, "0.156"),
            ("0.10", 100_000, "0.1"),
            ("12.000001", 12_000_001, "12.000001"),
            ("18446744073709.551615", u64::MAX, "18446744073709.551615"),
        ] {
            let price: Price = text.parse().unwrap();
            assert_eq!(
                (price.millionths(), price.to_string().as_str()),
                (millionths, written),
                "{text}"
            );
        }
        for text in [
            "",
            ".5",
            "1.",
            "-1",
            "1,5",
            "1e3",
            "0.1234567",
            "18446744073710",
            "$1",
            "NaN",
        ] {
            let error = text.parse::<Price>().unwrap_err().to_string();
            let expected = format!(
                "`{text}` is not a price for an hour, such as 0.156, with at most six digits behind the point"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_price_may_be_a_number_or_a_text() {
        let read = |json: &str| serde_json::from_str::<Price>(json);
        for (json, written) in [
            ("0.156", "0.156"),
            ("2", "2"),
            ("0.30", "0.3"),
            ("\"0.156\"", "0.156"),
        ] {
            assert_eq!(read(json).unwrap().to_string(), written, "{json}");
        }
        for (json, words) in [
            ("-1", "`-1` is not a price"),
            ("1e-9", "is not a price"),
            ("true", "a price for an hour, such as 0.156"),
            ("[]", "a price for an hour, such as 0.156"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
