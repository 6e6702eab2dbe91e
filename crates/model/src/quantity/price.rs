//! What an hour of a machine costs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::InvalidQuantity;

/// A price, such as that of a machine for an hour, in the currency of the cloud's account (US dollars at Amazon), exact to a millionth: `0.156`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

/// How many digits of a price stand behind its point.
const PRICE_DIGITS: usize = 6;

impl Price {
    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(count: u64) -> Self {
        Self(count)
    }

    /// Both together; the highest price there is where that is higher.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of it; nothing where the other one is higher.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What so many seconds cost, rounded up to a millionth.
    #[must_use]
    pub fn for_seconds(self, seconds: u64) -> Self {
        let millionths = u128::from(self.0)
            .saturating_mul(u128::from(seconds))
            .div_ceil(3600);
        Self(u64::try_from(millionths).unwrap_or(u64::MAX))
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
            expected: "a price, such as 0.156, with at most six digits behind the point",
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
        f.write_str("a price, such as 0.156")
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
    use super::Price;

    #[test]
    fn a_part_of_an_hour_costs_its_part() {
        let price: Price = "0.18".parse().unwrap();
        for (seconds, expected) in [
            (0, "0"),
            (1, "0.00005"),
            (1800, "0.09"),
            (3600, "0.18"),
            (3700, "0.185"),
            (7, "0.00035"),
        ] {
            assert_eq!(price.for_seconds(seconds).to_string(), expected);
        }
        let least = Price::from_millionths(1);
        assert_eq!(least.for_seconds(1), least, "rounded up");
        let most = Price::from_millionths(u64::MAX);
        assert_eq!(most.for_seconds(u64::MAX), most);
        assert_eq!(price.less("0.17".parse().unwrap()).to_string(), "0.01");
        assert_eq!(least.less(price), Price::default());
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
            let expected =
                format!("`{text}` is not a price, such as 0.156, with at most six digits behind the point");
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
            ("true", "a price, such as 0.156"),
            ("[]", "a price, such as 0.156"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
