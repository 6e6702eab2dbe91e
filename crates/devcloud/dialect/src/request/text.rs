//! Texts with a grammar of their own, checked where they are decoded, so that an error names the parameter.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::Deserialize;

use crate::whole_number;

/// Declares texts that hold only what their check lets through.
macro_rules! texts {
    ($($(#[$note:meta])* $name:ident = $check:expr;)*) => {$(
        $(#[$note])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(pub String);

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(String) -> Result<String, String> = $check;
                check(text).map(Self)
            }
        }
    )*};
}

texts! {
    /// A pattern of a filter. Its length is limited, because the time of a comparison grows with it.
    FilterValue = |text| {
        if text.len() > 1024 {
            return Err("A filter value can have at most 1024 bytes.".to_owned());
        }
        Ok(text)
    };
    /// The key of a tag that is set.
    TagKey = |text| {
        if text.is_empty() {
            return Err("It must not be empty.".to_owned());
        }
        if text.to_ascii_lowercase().starts_with("aws:") {
            return Err("Tag keys starting with 'aws:' are reserved for internal use.".to_owned());
        }
        // Amazon's guide says 128, the reference of its API 127: what either takes is taken.
        printable(text, 128)
    };
    /// The value of a tag that is set.
    TagValue = |text| printable(text, 256);
    /// The name of a key pair that is made.
    NewKeyName = |text| {
        let plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if text.is_empty() || text.len() > 255 || !plain {
            return Err("It must have 1 to 255 printable ASCII characters.".to_owned());
        }
        Ok(text)
    };
    /// An idempotency token.
    ClientToken = |text| {
        if text.len() > 64 || !text.is_ascii() {
            return Err("It must have at most 64 ASCII characters.".to_owned());
        }
        Ok(text)
    };
    /// The name or the description of a security group that is made.
    GroupText = |text| {
        if text.is_empty() || text.starts_with("sg-") {
            return Err("It must not be empty or begin with sg-.".to_owned());
        }
        printable(text, 255)
    };
    /// What a rule of a security group says for people.
    RuleText = |text| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        if text.len() > 255 || !text.chars().all(allowed) {
            return Err("It must have at most 255 of the characters a-zA-Z0-9 ._-:/()#,@[]+=&;{}!$*".to_owned());
        }
        Ok(text)
    };
    /// A network of IPv4 in its canonical form: `10.1.2.3/8` is `10.0.0.0/8`, as EC2 makes it.
    Network = |text| {
        canonical::<Ipv4Addr>(&text).ok_or_else(|| "It must be a network such as 10.0.0.0/8.".to_owned())
    };
    /// The same of IPv6.
    NetworkV6 = |text| {
        canonical::<Ipv6Addr>(&text).ok_or_else(|| "It must be a network such as 2001:db8::/32.".to_owned())
    };
    /// The protocol of a rule, by its name where it has one.
    Protocol = |text| {
        let name = match text.as_str() {
            "6" => "tcp",
            "17" => "udp",
            "1" => "icmp",
            "58" => "icmpv6",
            other => other,
        };
        let is_number = || whole_number(name).is_some_and(|number| (-1..=255).contains(&number));
        if matches!(name, "tcp" | "udp" | "icmp" | "icmpv6") || is_number() {
            return Ok(name.to_owned());
        }
        Err("It must be tcp, udp, icmp, icmpv6, a number or -1.".to_owned())
    };
}

/// A network with the bits of its hosts cleared. Address and length are read apart, because the library takes zeros
/// before both.
fn canonical<A: FromStr + Into<IpAddr>>(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    let address: A = address.parse().ok()?;
    let length = whole_number(length).and_then(|length| u8::try_from(length).ok())?;
    let network = IpNet::new(address.into(), length).ok()?;
    Some(network.trunc().to_string())
}

fn printable(text: String, most: usize) -> Result<String, String> {
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(format!("It must have at most {most} printable characters."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
