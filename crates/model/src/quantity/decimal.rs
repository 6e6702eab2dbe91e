//! Numbers with a point, exact.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{InvalidQuantity, Price};

/// A number such as `0.7`, exact to a millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(u64);

impl Decimal {
    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(count: u64) -> Self {
        Self(count)
    }

    /// The number in millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The number without what is behind its second digit after the point: enough for people.
    #[must_use]
    pub const fn to_two_digits(self) -> Self {
        Self(self.0 / 10_000 * 10_000)
    }
}

impl FromStr for Decimal {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        // Prices are written alike.
        let price: Result<Price, _> = text.parse();
        price
            .map(|it| Self(it.millionths()))
            .map_err(|_| InvalidQuantity {
                text: text.to_owned(),
                expected: "a number, such as 0.7, with at most six digits behind the point",
            })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Price::from_millionths(self.0).fmt(f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    /// From a number or a text: in YAML both `0.7` and `"0.7"` mean it.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecimalVisitor)
    }
}

struct DecimalVisitor;

impl serde::de::Visitor<'_> for DecimalVisitor {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, such as 0.7")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn a_number_is_exact_to_a_millionth_and_may_be_a_text() {
        let read = |json: &str| serde_json::from_str::<Decimal>(json);
        for (json, millionths, written) in [
            ("0.7", 700_000, "0.7"),
            ("2", 2_000_000, "2"),
            ("\"1.40\"", 1_400_000, "1.4"),
            ("0.000001", 1, "0.000001"),
        ] {
            let number = read(json).unwrap();
            assert_eq!(
                (number.millionths(), number.to_string().as_str()),
                (millionths, written)
            );
        }
        assert_eq!(
            Decimal::from_millionths(87_512).to_two_digits().to_string(),
            "0.08"
        );
        for (json, words) in [
            (
                "-1",
                "`-1` is not a number, such as 0.7, with at most six digits behind the point",
            ),
            ("\"70%\"", "`70%` is not a number, such as 0.7"),
            ("true", "a number, such as 0.7"),
        ] {
            let error = read(json).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
