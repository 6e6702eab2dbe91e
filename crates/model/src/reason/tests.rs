use proptest::prelude::*;

use super::{for_users, without_machine};
use crate::Blame;

/// Reasons as the farm makes them, and what every user reads whatever the blame.
const HIDDEN: [(&str, &str); 21] = [
    (
        "instance i-0abc1234def567890 runs at 10.88.0.7",
        "instance [instance] runs at [address]",
    ),
    (
        "the cloud no longer knows instance i-deadbeef",
        "the cloud no longer knows instance [instance]",
    ),
    (
        "i-0abc1234's console (at 10.0.0.3:22): no answer",
        "[instance]'s console (at [address]): no answer",
    ),
    (
        "connecting to [fd00::7]:22, refused",
        "connecting to [[address]]:22, refused",
    ),
    (
        "connecting to root@10.0.0.3:22: timed out",
        "connecting to root@[address]: timed out",
    ),
    ("address=10.0.0.3", "address=[address]"),
    ("IP:10.0.0.3.", "IP:[address]."),
    (
        "asking http://10.0.0.3:8080/latest: 404",
        "asking http://[address]/latest: 404",
    ),
    ("fd00::7 is gone", "[address] is gone"),
    ("fe80::1%eth0 is gone", "[address]%eth0 is gone"),
    (
        "at ::ffff:192.168.7.1 and 64:ff9b::a58:7",
        "at [address] and [address]",
    ),
    (
        "a neighbour at 172.31.255.1, 192.168.0.9, 100.64.0.1",
        "a neighbour at [address], [address], [address]",
    ),
    (
        "devcloud's 127.88.0.3:2222 refused",
        "devcloud's [address] refused",
    ),
    ("169.254.169.254 does not answer", "[address] does not answer"),
    (
        "Could not resolve host: ip-10-0-0-7.ec2.internal",
        "Could not resolve host: [address]",
    ),
    (
        "ec2-54-1-2-3.compute-1.amazonaws.com:22 refused",
        "[address] refused",
    ),
    (
        "pool x86-std is at its maximum of 90",
        "pool x86-std is at its maximum of 90",
    ),
    (
        "an i-frame at 12:30, version 1.2.3, ip-tables, ip-1-2",
        "an i-frame at 12:30, version 1.2.3, ip-tables, ip-1-2",
    ),
    (
        "nothing provides a >= 10.0.0.1 needed by b-10.0.0.2-1.noarch",
        "nothing provides a >= 10.0.0.1 needed by b-10.0.0.2-1.noarch",
    ),
    ("std::a in ab::cd :: 0.0.0.0", "std::a in ab::cd :: 0.0.0.0"),
    ("two\n  lines  i-0abc1234\n", "two\n  lines  [instance]\n"),
];

const BLAMES: [Option<Blame>; 5] = [
    None,
    Some(Blame::Package),
    Some(Blame::Infrastructure),
    Some(Blame::Service),
    Some(Blame::Cancelled),
];

#[test]
fn no_machine_of_the_farm_is_named_whatever_the_blame() {
    for blame in BLAMES {
        for (reason, shown) in HIDDEN {
            assert_eq!(for_users(reason, blame, &[]), shown, "{blame:?}");
        }
    }
}

/// Words that name a machine, and what is left of them; whatever the blame.
const MACHINES: [(&str, &str); 30] = [
    ("i-0abc1234def567890.us-west-2.compute.internal", "[instance]"),
    ("i-0abc1234def567890.ec2.internal:22", "[instance]"),
    ("i-0abc1234.", "[instance]."),
    ("i-0abc1234:22", "[instance]"),
    ("ec2-user@i-0abc1234:results/x", "ec2-user@[instance]:results/x"),
    ("console-i-0abc1234def567890.log", "console-[instance].log"),
    ("vm_i-0abc1234_1", "vm_[instance]_1"),
    ("root@10.88.0.7:results", "root@[address]:results"),
    ("root@10.88.0.7:22:results", "root@[address]:results"),
    ("root@10.88.0.7:/root/results", "root@[address]:/root/results"),
    ("root@10.88.0.7:", "root@[address]:"),
    ("rsync://10.88.0.7:873/x", "rsync://[address]/x"),
    ("10.88.0.7:ssh", "[address]:ssh"),
    ("10.88.0.7:10.88.0.8", "[address]:[address]"),
    ("builder-7:10.88.0.7", "builder-7:[address]"),
    ("ssh_1:10.88.0.7:22", "ssh_1:[address]"),
    ("main.c:12:10.88.0.7", "main.c:12:[address]"),
    ("builder-7:fd00::7", "builder-7:[address]"),
    ("fd00::7:ssh", "[address]:ssh"),
    ("10.88.0.1:fd00::7", "[address]:[address]"),
    ("i-0abc1234:fd00::7", "[instance]:[address]"),
    ("root@[fd00::7]:results", "root@[[address]]:results"),
    ("ip-10-0-0-7-x.internal", "[address]"),
    ("ip-10-0-0-7", "[address]"),
    ("root@ip-10-0-0-7:results", "root@[address]:results"),
    ("ip-10-0-0-7.us-west-2.compute.internal:ssh", "[address]:ssh"),
    ("domU-12-31-39-00-1A-B2.compute-1.internal", "[address]"),
    ("builder-7.novalocal.", "[address]."),
    ("host-ip-10-0-0-7.inner", "host-[address]"),
    ("EC2AMAZ-1.us-west-2.Compute.Internal", "[address]"),
];

/// Versions, names of files and of other things of the user's.
const KEPT: [&str; 26] = [
    "1.2.3.4-1.fc42",
    "10.0.0.7-1.fc42",
    "1:10.0.0.7-1.fc42",
    "1:10.0.0.7",
    "libfoo-10.0.0.7.tar.gz",
    "libfoo-10.0.0.7-1.fc42.src.rpm",
    "libfoo.so.10.0.0.7",
    "libfoo.so.10.0.0.7()(64bit)",
    "foo_10.0.0.7_amd64.deb",
    "v10.0.0.7",
    "10.0.0.7rc1",
    "10.0.0.7.1",
    "10.0.0",
    "ip-tables-1.8",
    "ip-1-2-3.tar.gz",
    "zip-10-0-0-7.tar.gz",
    "ip-10-0-0-300",
    "ami-01234567",
    "vi-01234567.txt",
    "i-0123456.txt",
    "i-frame.compute.js",
    "org.gradle.internal.Foo",
    "com.example.internal",
    "ec2.us-west-2.amazonaws.com",
    "std::vector::a1",
    "12:30:45",
];

#[test]
fn a_machine_is_hidden_however_it_is_named_and_what_is_the_users_stays() {
    for blame in BLAMES {
        for (word, shown) in MACHINES {
            for (before, after) in [
                ("", ""),
                ("at ", " it ended"),
                ("(", ")"),
                ("'", "':"),
                ("\"", "\","),
            ] {
                let said = for_users(&format!("{before}{word}{after}"), blame, &[]);
                assert_eq!(said, format!("{before}{shown}{after}"), "{blame:?}");
            }
        }
        for word in KEPT {
            for text in [
                word.to_owned(),
                format!("file {word}: gone"),
                format!("/srv/{word}/x"),
            ] {
                assert_eq!(for_users(&text, blame, &[]), text, "{blame:?}");
            }
        }
    }
}

#[test]
fn one_machine_is_left_out_and_the_packages_own_world_stays() {
    let machine = ["54.1.2.3".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    for (said, shown) in [
        (
            "connect to 54.1.2.3 port 22, not to 54.1.2.4:80 or 10.0.0.1",
            "connect to [address] port 22, not to 54.1.2.4:80 or 10.0.0.1",
        ),
        ("root@54.1.2.3:results", "root@[address]:results"),
        (
            "[2001:db8::7]:22 and 2001:db8::8",
            "[[address]]:22 and 2001:db8::8",
        ),
        ("::ffff:54.1.2.3", "[address]"),
        ("i-0abc1234", "[instance]"),
        (
            "foo-54.1.2.3.tar.gz, 54.1.2.3-1.fc42, a >= 54.1.2.3",
            "foo-54.1.2.3.tar.gz, 54.1.2.3-1.fc42, a >= 54.1.2.3",
        ),
    ] {
        assert_eq!(without_machine(said, &machine, &[]), shown);
    }
    let given = ["http://54.1.2.3/repo/".to_owned()];
    let said = "http://54.1.2.3:80/repo/x: 404, and 2001:db8::7";
    assert_eq!(
        without_machine(said, &machine, &given),
        "http://54.1.2.3:80/repo/x: 404, and [address]"
    );
    assert_eq!(without_machine(said, &[], &[]), said);
}

#[test]
fn public_addresses_are_a_packages_own_affair_and_else_may_be_a_machines() {
    let reason = "it wants to reach 192.0.2.1, 127.0.0.1:5432 and 2001:db8::7";
    for blame in BLAMES {
        let shown = for_users(reason, blame, &[]);
        if blame == Some(Blame::Package) {
            assert_eq!(shown, reason);
        } else {
            assert_eq!(
                shown, "it wants to reach [address], [address] and [address]",
                "{blame:?}"
            );
        }
    }
}

#[test]
fn what_the_user_gave_himself_stays_whatever_the_blame() {
    let given = [
        "http://10.88.0.1/mirrors/more/".to_owned(),
        "https://repo.example.org:8443/$basearch/?priority=3".to_owned(),
        "http://[fd00::5]:80/x/".to_owned(),
        "http://ip-10-9-9-9.inner/x".to_owned(),
    ];
    let kept = "10.88.0.1 port 80, http://10.88.0.1:80/mirrors/more/repodata, [fd00::5]:80, ip-10-9-9-9.inner, \
                https://repo.example.org:8443/x86_64/";
    for blame in BLAMES {
        let reason = format!("{kept}; 10.88.0.2 and i-0abc1234");
        let shown = format!("{kept}; [address] and [instance]");
        assert_eq!(for_users(&reason, blame, &given), shown, "{blame:?}");
    }
}

#[test]
fn only_a_version_that_is_compared_is_no_address() {
    for (reason, shown) in [
        ("moved -> 10.0.0.3", "moved -> [address]"),
        ("moved => 10.0.0.3", "moved => [address]"),
        ("moved <-> 10.0.0.3", "moved <-> [address]"),
        ("moved -->  10.0.0.3", "moved -->  [address]"),
        ("<<< 10.0.0.3", "<<< [address]"),
        ("id = i-0abc1234", "id = [instance]"),
        ("at = 10.0.0.3:22", "at = [address]"),
        ("at = IP:10.0.0.3", "at = IP:[address]"),
        ("at = fd00::7", "at = [address]"),
        ("host = ip-10-0-0-7.ec2.internal", "host = [address]"),
        ("a >=10.0.0.3", "a >=[address]"),
        ("a < 10.0.0.3, b <= 10.0.0.3.", "a < 10.0.0.3, b <= 10.0.0.3."),
        ("a == 10.0.0.3 b> 10.0.0.3", "a == 10.0.0.3 b> 10.0.0.3"),
        ("(a = 10.0.0.3) at 10.0.0.3", "(a = 10.0.0.3) at [address]"),
    ] {
        for blame in BLAMES {
            assert_eq!(for_users(reason, blame, &[]), shown, "{blame:?}");
        }
    }
}

#[test]
fn networks_of_the_farm_end_where_the_standards_say() {
    for (inner, public) in [
        ("10.255.255.255", "11.0.0.0"),
        ("10.0.0.0", "9.255.255.255"),
        ("172.16.0.0", "172.15.255.255"),
        ("172.31.255.255", "172.32.0.0"),
        ("192.168.0.0", "192.167.255.255"),
        ("192.168.255.255", "192.169.0.0"),
        ("100.64.0.0", "100.63.255.255"),
        ("100.127.255.255", "100.128.0.0"),
        ("169.254.0.1", "169.253.255.255"),
        ("127.0.0.2", "127.0.0.1"),
        ("fc00::1", "fbff::1"),
        ("fdff::1", "fe00::1"),
        ("febf::1", "fec0::1"),
        ("64:ff9b::10.0.0.1", "64:ff9b::11.0.0.1"),
        ("64:ff9b::a00:1", "64:ff9c::a00:1"),
    ] {
        let shown = for_users(&format!("{inner} and {public}"), Some(Blame::Package), &[]);
        assert!(shown.starts_with("[address]"), "{inner}: {shown}");
        assert!(shown.ends_with(&format!(" and {public}")), "{public}: {shown}");
    }
}

#[test]
fn ids_of_instances_are_known_by_their_form() {
    for id in [
        "i-01234567",
        "i-0123456789abcdef0",
        "i-DEADBEEF",
        "i-0123456789abcdef0123",
    ] {
        assert_eq!(for_users(id, None, &[]), "[instance]");
        // Nobody gives one himself: whoever has it got it from the farm.
        assert_eq!(for_users(id, None, &[id.to_owned()]), "[instance]");
    }
    for other in [
        "i-0123456",
        "i-0123456g",
        "vi-01234567",
        "i01234567",
        "ami-01234567",
    ] {
        assert_eq!(for_users(other, None, &[]), other);
    }
}

/// What may stand around a word in a reason, and is no operator.
fn around() -> impl Strategy<Value = (String, String)> {
    ("[ a-z(/@\\[\"']{0,6}[ (/@\\[\"'=]", "[ )/\\],;\"'][ a-z]{0,6}")
}

proptest! {
    #[test]
    fn an_inner_address_is_hidden_wherever_it_stands((before, after) in around(), octets: [u8; 3], port: Option<u16>) {
        let [a, b, c] = octets;
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        for address in [format!("10.{a}.{b}.{c}{port}"), format!("i-{a:03}{b:03}{c:03}")] {
            for blame in BLAMES {
                let shown = for_users(&format!("{before}{address}{after}"), blame, &[]);
                prop_assert!(!shown.contains(&address), "{}", shown);
                prop_assert!(shown.starts_with(&before) && shown.ends_with(&after), "the rest stays: {}", shown);
            }
        }
    }

    #[test]
    fn what_was_shown_is_shown_again_as_it_is(text in "[a-f0-9.:i<=> -]{0,40}") {
        for blame in BLAMES {
            let once = for_users(&text, blame, &[]);
            prop_assert_eq!(for_users(&once, blame, &[]), once.clone(), "{}", text);
        }
    }
}
