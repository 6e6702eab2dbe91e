//! The size of a disk, as clouds count it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{InvalidQuantity, split};

/// A size of whole GiB such as `160g`, `160GiB` or `2t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gibibytes(u32);

impl Gibibytes {
    /// So many GiB.
    #[must_use]
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// The number of GiB.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Gibibytes {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a size of whole GiB with its unit, such as 160g or 2t",
        };
        let (count, unit) = split(text).ok_or_else(invalid)?;
        let count = match unit {
            "g" | "GiB" => Some(count),
            "t" | "TiB" => count.checked_mul(1024),
            _ => None,
        };
        let count = count.and_then(|count| u32::try_from(count).ok());
        count.map(Self).ok_or_else(invalid)
    }
}

impl TryFrom<String> for Gibibytes {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Gibibytes> for String {
    fn from(size: Gibibytes) -> Self {
        size.to_string()
    }
}

impl fmt::Display for Gibibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Gibibytes;

    #[test]
    fn a_size_is_read_in_either_unit_and_written_in_the_one_that_is_always_exact() {
        for (text, count) in [
            ("160g", 160),
            ("160GiB", 160),
            ("160 GiB", 160),
            ("2t", 2048),
            ("2TiB", 2048),
            ("0g", 0),
            ("4294967295g", u32::MAX),
        ] {
            let read: Gibibytes = text.parse().unwrap();
            assert_eq!(read.get(), count, "{text}");
            assert_eq!(read.to_string(), format!("{count}g"));
            assert_eq!(serde_json::to_value(read).unwrap(), read.to_string());
            assert_eq!(read.to_string().parse(), Ok(Gibibytes::new(count)));
        }
    }

    #[test]
    fn what_is_no_whole_size_or_has_no_unit_is_refused_with_an_example() {
        for text in [
            "",
            "g",
            "160",
            "1.5g",
            "160G",
            "160gb",
            "160GB",
            "-1g",
            "160m",
            "4294967296g",
            "4194304t",
        ] {
            let said = text.parse::<Gibibytes>().unwrap_err().to_string();
            let expected = format!("`{text}` is not a size of whole GiB with its unit, such as 160g or 2t");
            assert_eq!(said, expected);
        }
    }
}
