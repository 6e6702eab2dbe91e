//! What a cloud is asked for: a type of instance, where, and in which market.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Price;

/// How an instance is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// At the list price, for as long as it is wanted.
    #[default]
    OnDemand,
    /// At the price of the moment. The cloud takes it back when others pay more.
    Spot,
}

impl Market {
    /// The word in the fleet file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        }
    }
}

/// One thing that a cloud can be asked for.
///
/// As text it is `TYPE[@ZONE][/SUBNET][ spot[<=PRICE]]`, such as `c7i.xlarge@eu-central-1a spot<=0.156`: people read it so in
/// reasons, and the database keeps it so with each launch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offering {
    /// The type of instance, such as `c7i.xlarge`; of a fixed host, its name.
    pub instance_type: String,
    /// The availability zone; none leaves it to the cloud.
    pub zone: Option<String>,
    /// The subnet's id; none leaves it to the cloud.
    pub subnet: Option<String>,
    /// The market that it is taken from.
    pub market: Market,
    /// The most that an hour of it may cost, in the spot market; none: as much as on demand.
    pub max_price: Option<Price>,
}

impl Offering {
    /// A fixed host, by its name: nothing is asked for but that one.
    #[must_use]
    pub fn of_host(name: &str) -> Self {
        Self {
            instance_type: name.to_owned(),
            zone: None,
            subnet: None,
            market: Market::OnDemand,
            max_price: None,
        }
    }
}

/// Whether a text can be a part of an offering's text: letters, digits, `.`, `_` and `-`, and not nothing. Types of instances,
/// zones and subnets of EC2 and Eucalyptus are.
#[must_use]
pub fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// A text that is no offering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no offering; one looks like c7i.xlarge@eu-central-1a spot<=0.156")]
pub struct InvalidOffering(String);

impl FromStr for Offering {
    type Err = InvalidOffering;

    fn from_str(text: &str) -> Result<Self, InvalidOffering> {
        let invalid = || InvalidOffering(text.to_owned());
        let (place, market) = text.split_once(' ').map_or((text, None), |(a, b)| (a, Some(b)));
        let (place, subnet) = place.split_once('/').map_or((place, None), |(a, b)| (a, Some(b)));
        let (kind, zone) = place.split_once('@').map_or((place, None), |(a, b)| (a, Some(b)));
        let (market, max_price) = match market.map(|words| words.strip_prefix("spot")) {
            None => (Market::OnDemand, None),
            Some(None) => return Err(invalid()),
            Some(Some("")) => (Market::Spot, None),
            Some(Some(limit)) => {
                let price = limit.strip_prefix("<=").and_then(|price| price.parse().ok());
                (Market::Spot, Some(price.ok_or_else(invalid)?))
            }
        };
        if ![Some(kind), zone, subnet].into_iter().flatten().all(is_word) {
            return Err(invalid());
        }
        Ok(Self {
            instance_type: kind.to_owned(),
            zone: zone.map(str::to_owned),
            subnet: subnet.map(str::to_owned),
            market,
            max_price,
        })
    }
}

impl fmt::Display for Offering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.instance_type)?;
        if let Some(zone) = &self.zone {
            write!(f, "@{zone}")?;
        }
        if let Some(subnet) = &self.subnet {
            write!(f, "/{subnet}")?;
        }
        if self.market == Market::Spot {
            f.write_str(" spot")?;
            if let Some(price) = self.max_price {
                write!(f, "<={price}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(zone: Option<&str>, subnet: Option<&str>, market: Market, price: Option<&str>) -> Offering {
        Offering {
            instance_type: "c7i.xlarge".to_owned(),
            zone: zone.map(str::to_owned),
            subnet: subnet.map(str::to_owned),
            market,
            max_price: price.map(|price| price.parse().unwrap()),
        }
    }

    #[test]
    fn an_offering_is_read_back_from_its_text_as_launches_of_older_farms_are() {
        use Market::{OnDemand, Spot};
        let (zone, subnet) = (Some("eu-central-1a"), Some("subnet-0aa1"));
        for (text, expected) in [
            ("c7i.xlarge", offering(None, None, OnDemand, None)),
            ("c7i.xlarge@eu-central-1a", offering(zone, None, OnDemand, None)),
            ("c7i.xlarge/subnet-0aa1", offering(None, subnet, OnDemand, None)),
            (
                "c7i.xlarge@eu-central-1a/subnet-0aa1",
                offering(zone, subnet, OnDemand, None),
            ),
            ("c7i.xlarge spot", offering(None, None, Spot, None)),
            (
                "c7i.xlarge@eu-central-1a spot<=0.156",
                offering(zone, None, Spot, Some("0.156")),
            ),
            (
                "c7i.xlarge@eu-central-1a/subnet-0aa1 spot<=2",
                offering(zone, subnet, Spot, Some("2")),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_offering_is_named_and_an_example_is_given() {
        for text in [
            "",
            " ",
            "@a",
            "c7i.xlarge@",
            "c7i.xlarge@a/",
            "c7i.xlarge spot<=",
            "c7i.xlarge spot<=cheap",
            "c7i.xlarge spot<=-1",
            "c7i.xlarge spott",
            "c7i.xlarge on-demand",
            "c7i.xlarge  spot",
            "c7i xlarge",
            "c7i.xlarge@a@b",
            "c7i.xlarge@a/b/c",
            "c7i.xlarge\u{e4}",
        ] {
            let error = text.parse::<Offering>().unwrap_err().to_string();
            let expected =
                format!("`{text}` is no offering; one looks like c7i.xlarge@eu-central-1a spot<=0.156");
            assert_eq!(error, expected);
        }
    }
}
