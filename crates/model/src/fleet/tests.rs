use std::time::Duration;

use super::*;
use crate::{Market, quantity::Share};

/// A file in which nothing stands that has a default.
fn least() -> serde_json::Value {
    serde_json::json!({
        "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
        "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
        "images": {"i": {"cloud": "c", "id": "ami-1"}},
        "provision": {"p": {}},
        "pools": {"here": {
            "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1},
            "offerings": [{"types": ["t"]}],
        }},
    })
}

#[test]
fn what_is_left_out_has_the_value_that_the_guide_names() {
    let spec: FleetSpec = serde_json::from_value(least()).unwrap();
    assert_eq!(
        (spec.controller.tick.min, spec.controller.tick.max),
        (Span::seconds(2), Span::seconds(30))
    );
    assert_eq!(
        (spec.controller.lease.ttl, spec.controller.lease.renew),
        (Span::seconds(15), Span::seconds(5))
    );
    let cloud = &spec.clouds["c"];
    assert_eq!((cloud.profile, &cloud.endpoint), (CloudProfile::Aws, &None));
    let provision = &spec.provision["p"];
    assert_eq!(
        (provision.playbook.as_str(), provision.check.as_str()),
        ("builder.yml", "check.yml")
    );
    assert_eq!(
        (provision.connect.user.as_str(), provision.connect.port),
        ("root", 22)
    );
    assert_eq!(
        (provision.runner, &provision.ansible.command),
        (Runner::Builtin, &None)
    );
    let pool = spec.pools.values().next().unwrap();
    assert_eq!(
        (pool.size.min, pool.size.idle, pool.priority),
        (0, Share::Count(0), 0)
    );
    assert_eq!((pool.launch.parallel, pool.launch.attempts), (10, 3));
    assert_eq!(pool.shrink.idle_for.to_string(), "10m");
}

#[test]
fn the_farm_understands_all_playbooks_unless_the_real_ansible_plays_some() {
    for (provision, expected) in [
        (r#"{"p": {}}"#, None),
        (r#"{"p": {"runner": "builtin", "playbook": "a.yml"}}"#, None),
        (
            r#"{"p": {"runner": "ansible", "playbook": "a.yml"}}"#,
            Some(&[][..]),
        ),
        (
            r#"{"p": {"playbook": "b.yml"}, "q": {"runner": "ansible", "playbook": "a.yml"}}"#,
            Some(&["b.yml", "check.yml"]),
        ),
        (
            r#"{"p": {}, "q": {"runner": "ansible"}}"#,
            Some(&["builder.yml", "check.yml"]),
        ),
    ] {
        let mut spec = least();
        spec["provision"] = serde_json::from_str(provision).unwrap();
        let spec: FleetSpec = serde_json::from_value(spec).unwrap();
        let found = spec.own_playbooks();
        let found = found
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect());
        assert_eq!(found, expected.map(<[&str]>::to_vec), "{provision}");
    }
}

#[test]
fn a_file_that_is_written_is_read_as_the_same() {
    let spec: FleetSpec = serde_json::from_value(least()).unwrap();
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(
        written["pools"]["here"]["shrink"]["idle_for"], "10m",
        "with its unit"
    );
    assert_eq!(written["fleet"], "flt_019ac1f0000070008000000000000000");
    assert_eq!(serde_json::from_value::<FleetSpec>(written).unwrap(), spec);
}

#[test]
fn a_key_that_is_not_known_is_refused_wherever_it_stands() {
    for place in [
        "",
        "/clouds/c",
        "/clouds/c/credentials",
        "/images/i",
        "/provision/p",
        "/pools/here",
        "/pools/here/size",
        "/pools/here/offerings/0",
    ] {
        let mut spec = least();
        spec.pointer_mut(place).unwrap()["colour"] = "red".into();
        let said = serde_json::from_value::<FleetSpec>(spec).unwrap_err().to_string();
        assert!(said.contains("unknown field `colour`"), "{place}: {said}");
    }
    for (place, key) in [
        ("/pools/here", "launch"),
        ("/pools/here", "shrink"),
        ("/provision/p", "connect"),
        ("/provision/p", "timeouts"),
        ("/provision/p", "ansible"),
        ("/clouds/c", "network"),
        ("", "controller"),
    ] {
        let mut spec = least();
        spec.pointer_mut(place).unwrap()[key] = serde_json::json!({"colour": "red"});
        let said = serde_json::from_value::<FleetSpec>(spec).unwrap_err().to_string();
        assert!(said.contains("unknown field `colour`"), "{key}: {said}");
    }
}

#[test]
fn a_pool_offers_a_chroot_of_its_architectures_that_one_of_its_patterns_fits() {
    for (labels, chroot, expected) in [
        (&["arch:x86_64"][..], "fedora-43-x86_64", true),
        (&["arch:x86_64"], "fedora-43-aarch64", false),
        (&["arch:x86_64", "arch:i386"], "fedora-43-i386", true),
        (&["arch:x86_64", "chroot:fedora-*"], "fedora-43-x86_64", true),
        (
            &["arch:x86_64", "chroot:fedora-*"],
            "centos-stream-9-x86_64",
            false,
        ),
        (
            &["arch:x86_64", "chroot:epel-*", "chroot:fedora-4?-*"],
            "fedora-43-x86_64",
            true,
        ),
        (
            &["arch:x86_64", "chroot:epel-*", "chroot:fedora-4?-*"],
            "fedora-rawhide-x86_64",
            false,
        ),
        // A pattern that names an architecture gives the pool none.
        (&["arch:x86_64", "chroot:*-aarch64"], "fedora-43-aarch64", false),
        (&["chroot:*"], "fedora-43-x86_64", false),
        // An architecture is a whole word, not a pattern.
        (&["arch:*"], "fedora-43-x86_64", false),
        (&["arch:x86"], "fedora-43-x86_64", false),
        (&[], "fedora-43-x86_64", false),
    ] {
        let spec: FleetSpec = serde_json::from_value(least()).unwrap();
        let mut pool = spec.pools.into_values().next().unwrap();
        pool.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(
            pool.offers(&chroot.parse().unwrap()),
            expected,
            "{labels:?} {chroot}"
        );
    }
}

#[test]
fn a_time_limit_that_is_given_changes_its_own_stage_and_no_other() {
    use crate::BuilderState as State;
    let default = Deadlines::default();
    assert_eq!(TimeoutsSpec::default().deadlines(), default);
    for (key, state) in [
        ("launch", State::Launching),
        ("pending", State::Pending),
        ("boot", State::Booting),
        ("provision", State::Provisioning),
        ("check", State::Checking),
    ] {
        let given: TimeoutsSpec = serde_json::from_value(serde_json::json!({key: "77s"})).unwrap();
        let deadlines = given.deadlines();
        for other in State::ALL {
            let expected = if other == state {
                Some(Duration::from_secs(77))
            } else {
                default.of(other)
            };
            assert_eq!(deadlines.of(other), expected, "{key} and {other}");
        }
    }
}

#[test]
fn a_pool_asks_for_each_type_in_each_zone_in_the_order_of_the_file_and_for_nothing_twice() {
    let line = |types: &[&str], zones: &[&str], market, max_price: Option<&str>| OfferingSpec {
        types: types.iter().map(|&name| name.to_owned()).collect(),
        zones: zones.iter().map(|&name| name.to_owned()).collect(),
        market,
        max_price: max_price.map(|price| price.parse().unwrap()),
        max: None,
        after: None,
    };
    let (spot, on_demand) = (Market::Spot, Market::OnDemand);
    let none: &[&str] = &[];
    let both = NetworkSpec {
        subnet: Some("subnet-1".to_owned()),
        subnets: [("2".to_owned(), "subnet-2".to_owned())].into(),
        ..NetworkSpec::default()
    };
    let mut spec: FleetSpec = serde_json::from_value(least()).unwrap();
    let pool = spec.pools.values_mut().next().unwrap();
    for (lines, network, expected) in [
        (vec![], NetworkSpec::default(), none),
        (
            vec![
                line(&["a", "b"], &["1", "2"], spot, Some("0.1")),
                line(&["c"], &[], on_demand, None),
            ],
            NetworkSpec::default(),
            &[
                "a@1 spot<=0.1",
                "a@2 spot<=0.1",
                "b@1 spot<=0.1",
                "b@2 spot<=0.1",
                "c",
            ],
        ),
        (
            vec![
                line(&["a"], &["1", "2"], on_demand, None),
                line(&["a"], &[], on_demand, None),
            ],
            both.clone(),
            &["a@1/subnet-1", "a@2/subnet-2", "a/subnet-1"],
        ),
        (
            vec![
                line(&["a", "a"], &["2"], spot, None),
                line(&["a"], &["2"], spot, None),
            ],
            both,
            &["a@2/subnet-2 spot"],
        ),
    ] {
        pool.offerings = lines;
        let found: Vec<String> = pool
            .all_offerings(&network)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_machine_is_of_the_line_that_asks_for_it_whatever_subnet_and_price_the_file_has_by_now() {
    use crate::BuilderState as S;
    let mut spec: FleetSpec = serde_json::from_value(least()).unwrap();
    let pool = spec.pools.values_mut().next().unwrap();
    pool.offerings = serde_json::from_value(serde_json::json!([
        {"types": ["a"], "zones": ["1"], "market": "spot", "max_price": 0.1},
        {"types": ["a", "b"], "zones": ["1", "2"], "market": "spot", "max_price": 0.2},
        {"types": ["a"], "max": 2},
        {"types": ["a"], "zones": ["1"], "max": 3},
    ]))
    .unwrap();
    for (state, text, expected) in [
        (S::Launching, "a@1 spot<=0.1", Some(0)),
        (S::Resolving, "a@1/subnet-1 spot<=0.2", Some(1)),
        // The file has other prices by now: the cheapest line that would still take it, or else the dearest.
        (S::Busy, "a@1 spot<=0.05", Some(0)),
        (S::Busy, "a@1 spot<=0.15", Some(1)),
        (S::Busy, "a@1 spot<=0.3", Some(1)),
        (S::Busy, "a@1 spot", Some(1)),
        (S::Busy, "b@2 spot<=9", Some(1)),
        (S::Terminating, "a", Some(2)),
        (S::Ready, "a@1", Some(3)),
        (S::Ready, "a@2", Some(2)),
        (S::Ready, "c", None),
        (S::Ready, "b@3 spot", None),
        (S::Planned, "a", None),
        (S::Terminated, "a", None),
        (S::Abandoned, "a", None),
    ] {
        let offering = text.parse().unwrap();
        assert_eq!(pool.line_of(state, Some(&offering)), expected, "{state} {text}");
    }
    assert_eq!(pool.line_of(S::Ready, None), None);
    for (taken, full) in [
        (&[][..], [false; 4]),
        (&[0, 1, 0, 2], [false; 4]),
        (&[2, 2], [false, false, true, false]),
        (&[3, 3, 2, 3, 2, 2, 9], [false, false, true, true]),
    ] {
        assert_eq!(pool.full_lines(taken), full, "{taken:?}");
        assert_eq!(
            pool.left_of_lines(taken.iter().copied()),
            None,
            "spot has no limit"
        );
    }
    pool.offerings.drain(..2);
    for (taken, left) in [(&[][..], 5), (&[0, 0, 0, 1], 2), (&[0, 0, 1, 1, 1], 0)] {
        assert_eq!(pool.left_of_lines(taken.iter().copied()), Some(left), "{taken:?}");
    }
    pool.offerings.clear();
    assert_eq!(
        pool.left_of_lines(std::iter::empty()),
        None,
        "fixed hosts have none"
    );
}
