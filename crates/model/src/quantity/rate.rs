//! How often something is done.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Decimal, InvalidQuantity, Span};

/// The most times at once, and the longest time for them.
const MOST: u32 = 1000;
const LONGEST: Span = Span::seconds(24 * 3600);

/// How often something is done at most, such as `1/s`, `1/3s` or `20/m`: from `1/d` to `1000/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: u32,
    per: Span,
}

impl Rate {
    /// How often in a second.
    #[must_use]
    pub fn per_second(self) -> Decimal {
        let millionths = u64::from(self.count).saturating_mul(1_000_000);
        Decimal::from_millionths(millionths / self.per.get().as_secs().max(1))
    }
}

impl FromStr for Rate {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let invalid = || InvalidQuantity {
            text: text.to_owned(),
            expected: "a rate from 1/d to 1000/s, such as 1/s or 1/3s",
        };
        let (count, per) = text.split_once('/').ok_or_else(invalid)?;
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count
            .parse()
            .ok()
            .filter(|count| is_number && (1..=MOST).contains(count));
        // A unit alone is one of it.
        let one = per
            .starts_with(|first: char| first.is_ascii_alphabetic())
            .then(|| format!("1{per}"));
        let per: Span = one.as_deref().unwrap_or(per).parse().map_err(|_| invalid())?;
        let is_whole = per.get().subsec_nanos() == 0 && (Span::seconds(1)..=LONGEST).contains(&per);
        let count = count.filter(|_| is_whole).ok_or_else(invalid)?;
        Ok(Self { count, per })
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.to_string();
        let unit = per
            .strip_prefix('1')
            .filter(|unit| !unit.starts_with(|it: char| it.is_ascii_digit()));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&per))
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Rate};

    #[test]
    fn a_rate_is_so_many_in_a_time_and_written_in_the_shortest_way() {
        for (text, shown, millionths) in [
            ("1/s", "1/s", 1_000_000),
            ("1/1s", "1/s", 1_000_000),
            ("1/3s", "1/3s", 333_333),
            ("20/m", "20/m", 333_333),
            ("20/60s", "20/m", 333_333),
            ("1/10m", "1/10m", 1_666),
            ("1000/s", "1000/s", 1_000_000_000),
            ("1/d", "1/d", 11),
            ("5/11s", "5/11s", 454_545),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), shown, "{text}");
            assert_eq!(rate.per_second(), Decimal::from_millionths(millionths), "{text}");
            assert_eq!(shown.parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_an_example() {
        for text in [
            "", "1", "1/", "/s", "0/s", "1001/s", "1/0s", "1/500ms", "1/2d", "1/ s", "+1/s", "1.5/s",
            "1/s/s", "one/s",
        ] {
            let said = text.parse::<Rate>().unwrap_err().to_string();
            assert_eq!(
                said,
                format!("`{text}` is not a rate from 1/d to 1000/s, such as 1/s or 1/3s")
            );
        }
    }
}
