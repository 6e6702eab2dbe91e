//! Texts with a grammar of their own, checked where they are decoded, so that an error names the parameter.

use ipnet::IpNet;
use serde::Deserialize;

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
        printable(text, 127)
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
    /// A network in its canonical form: `10.1.2.3/8` is `10.0.0.0/8`, as EC2 makes it.
    Network = |text| {
        text.parse::<IpNet>()
            .map(|network| network.trunc().to_string())
            .map_err(|_| "It must be a network such as 10.0.0.0/8.".to_owned())
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
        if matches!(name, "tcp" | "udp" | "icmp" | "icmpv6" | "-1") || name.parse::<u8>().is_ok() {
            return Ok(name.to_owned());
        }
        Err("It must be tcp, udp, icmp, icmpv6, a number or -1.".to_owned())
    };
}

fn printable(text: String, most: usize) -> Result<String, String> {
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(format!("It must have at most {most} printable characters."));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{GroupText, Network, NewKeyName, Protocol, TagKey, TagValue};

    fn check<T: TryFrom<String, Error = String>>(text: &str) -> Result<T, String> {
        T::try_from(text.to_owned())
    }

    #[test]
    fn a_networks_form_is_the_canonical_one() {
        for (given, kept) in [
            ("100.68.0.18/18", "100.68.0.0/18"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("1.2.3.4/32", "1.2.3.4/32"),
            ("2001:db8:1:2::3/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(check::<Network>(given).unwrap().0, kept);
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/-1", ""] {
            assert!(check::<Network>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_ec2s_on_both_sides() {
        assert!(check::<TagValue>(&"ü".repeat(256)).is_ok() && check::<TagValue>("").is_ok());
        assert!(check::<TagValue>(&"ü".repeat(257)).is_err() && check::<TagValue>("a\0").is_err());
        assert!(check::<TagKey>(&"k".repeat(127)).is_ok() && check::<TagKey>(&"k".repeat(128)).is_err());
        assert!(check::<TagKey>("").is_err() && check::<TagKey>("AWS:x").is_err());
        assert!(
            check::<NewKeyName>(&"k".repeat(255)).is_ok() && check::<NewKeyName>(&"k".repeat(256)).is_err()
        );
        assert!(check::<NewKeyName>("a b").is_ok() && check::<NewKeyName>("ü").is_err());
        assert!(check::<GroupText>("web").is_ok() && check::<GroupText>("sg-1").is_err());
    }

    #[test]
    fn protocols_go_by_their_names() {
        assert_eq!(check::<Protocol>("6").unwrap().0, "tcp");
        assert_eq!(check::<Protocol>("50").unwrap().0, "50");
        assert!(check::<Protocol>("tcpp").is_err() && check::<Protocol>("256").is_err());
    }
}
