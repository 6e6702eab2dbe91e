use super::{
    ClientToken, FilterValue, GroupText, Network, NetworkV6, NewKeyName, Protocol, RuleText, TagKey, TagValue,
};

fn check<T: TryFrom<String, Error = String>>(text: &str) -> Result<T, String> {
    T::try_from(text.to_owned())
}

#[test]
fn a_networks_form_is_the_canonical_one() {
    for (given, kept) in [
        ("100.68.0.18/18", "100.68.0.0/18"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("1.2.3.4/32", "1.2.3.4/32"),
        ("1.2.3.4/0", "0.0.0.0/0"),
    ] {
        assert_eq!(check::<Network>(given).unwrap().0, kept);
        assert!(check::<NetworkV6>(given).is_err(), "{given} is of the other kind");
    }
    for (given, kept) in [
        ("2001:db8:1:2::3/32", "2001:db8::/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:0db8:0:0:0:0:0:1/128", "2001:db8::1/128"),
        ("::/0", "::/0"),
    ] {
        assert_eq!(check::<NetworkV6>(given).unwrap().0, kept);
        assert!(check::<Network>(given).is_err(), "{given} is of the other kind");
    }
}

#[test]
fn a_network_has_one_spelling_of_its_numbers_and_nothing_after_them() {
    for bad in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0/8",
        "x/8",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "/8",
        "",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "010.0.0.0/8",
        "+10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/8,10.1.0.0/16",
        "10.0.0.0/255.0.0.0",
        "0x0a.0.0.0/8",
        "167772160/8",
    ] {
        let reason = check::<Network>(bad).unwrap_err();
        assert_eq!(reason, "It must be a network such as 10.0.0.0/8.", "{bad:?}");
    }
    for bad in ["::/129", "::/064", "::", "fe80::1%eth0/64", ":::/0", "::ffff/-1"] {
        let reason = check::<NetworkV6>(bad).unwrap_err();
        assert_eq!(reason, "It must be a network such as 2001:db8::/32.", "{bad:?}");
    }
}

#[test]
fn limits_are_ec2s_on_both_sides() {
    assert!(check::<TagValue>(&"ü".repeat(256)).is_ok() && check::<TagValue>("").is_ok());
    assert!(check::<TagValue>(&"ü".repeat(257)).is_err() && check::<TagValue>("a\0").is_err());
    assert!(check::<TagKey>(&"ü".repeat(128)).is_ok() && check::<TagKey>(&"ü".repeat(129)).is_err());
    assert!(check::<NewKeyName>(&"k".repeat(255)).is_ok() && check::<NewKeyName>(&"k".repeat(256)).is_err());
    assert!(check::<ClientToken>(&"t".repeat(64)).is_ok() && check::<ClientToken>(&"t".repeat(65)).is_err());
    assert!(check::<RuleText>(&"r".repeat(255)).is_ok() && check::<RuleText>(&"r".repeat(256)).is_err());
    assert!(check::<RuleText>("").is_ok() && check::<RuleText>("a-Z 0:/(#),@[]+=&;{}!$*._").is_ok());
    assert!(check::<RuleText>("it's").is_err() && check::<RuleText>("ü").is_err());
    assert!(check::<GroupText>(&"g".repeat(255)).is_ok() && check::<GroupText>(&"g".repeat(256)).is_err());
    let longest = "*".repeat(1024);
    assert!(check::<FilterValue>(&longest).is_ok() && check::<FilterValue>(&format!("{longest}*")).is_err());
}

#[test]
fn texts_hold_what_their_resource_may_be_called() {
    for (text, good) in [
        ("role", true),
        ("a b", true),
        ("awsome", true),
        ("ü", true),
        ("", false),
    ] {
        assert_eq!(check::<TagKey>(text).is_ok(), good, "the key {text:?}");
    }
    for reserved in ["aws:x", "AWS:x", "Aws:", "aws:cloudformation:stack-name"] {
        let reason = check::<TagKey>(reserved).unwrap_err();
        assert!(reason.contains("'aws:' are reserved"), "{reserved}: {reason}");
    }
    for (text, good) in [
        ("a b", true),
        ("a\tb", false),
        ("ü", false),
        ("", false),
        ("~", true),
    ] {
        assert_eq!(check::<NewKeyName>(text).is_ok(), good, "the key pair {text:?}");
    }
    for (text, good) in [("", true), ("a b", true), ("ü", false)] {
        assert_eq!(check::<ClientToken>(text).is_ok(), good, "the token {text:?}");
    }
    for (text, good) in [
        ("web", true),
        ("sg-1", false),
        ("", false),
        ("a\nb", false),
        ("my sg-1", true),
    ] {
        assert_eq!(check::<GroupText>(text).is_ok(), good, "the group {text:?}");
    }
}

#[test]
fn protocols_go_by_their_names() {
    for (given, kept) in [
        ("tcp", "tcp"),
        ("6", "tcp"),
        ("udp", "udp"),
        ("17", "udp"),
        ("icmp", "icmp"),
        ("1", "icmp"),
        ("icmpv6", "icmpv6"),
        ("58", "icmpv6"),
        ("-1", "-1"),
        ("0", "0"),
        ("50", "50"),
        ("255", "255"),
    ] {
        assert_eq!(check::<Protocol>(given).unwrap().0, kept);
    }
}

#[test]
fn a_protocol_that_is_oddly_spelled_is_none() {
    for odd in [
        "", "all", "tcpp", "tcp ", " tcp", "TCP", "06", "+6", "006", "6.0", "0x6", "-0", "-01", "-2", "256",
        "1e1", "17 ",
    ] {
        let reason = check::<Protocol>(odd).unwrap_err();
        assert_eq!(
            reason, "It must be tcp, udp, icmp, icmpv6, a number or -1.",
            "{odd:?}"
        );
    }
}
