//! Buckets, shortages and quotas, in time that stands still.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{Faults, failures, plan};
use crate::faults::{Held, Market, Quotas};

/// A plan, and the milliseconds of its clock.
fn planned(text: &str) -> (Faults, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let faults = Faults::new(Box::new({
        let clock = Arc::clone(&clock);
        move || clock.load(Ordering::Relaxed)
    }));
    faults.set(plan(text).unwrap());
    (faults, clock)
}

fn advance(clock: &AtomicU64, milliseconds: u64) {
    clock.fetch_add(milliseconds, Ordering::Relaxed);
}

/// Which of these calls are refused: `-` passes, `x` does not.
fn throttled(faults: &Faults, action: &str, instances: u64, calls: usize) -> String {
    let told = (0..calls).map(|_| match faults.throttle(action, instances) {
        None => '-',
        Some(_) => 'x',
    });
    told.collect()
}

#[test]
fn a_bucket_gives_what_it_holds_and_then_what_comes_back() {
    let (faults, clock) = planned(
        r#"{"rules": [], "buckets": [
            {"actions": ["Describe*"], "size": 3, "per_minute": 60},
            {"actions": ["RunInstances"], "size": 5, "per_minute": 120, "counts": "instances", "code": "Throttling"}]}"#,
    );
    assert_eq!(throttled(&faults, "DescribeInstances", 0, 2), "--");
    assert_eq!(throttled(&faults, "DescribeImages", 0, 2), "-x", "they share it");
    assert_eq!(
        throttled(&faults, "TerminateInstances", 9, 9),
        "---------",
        "no bucket"
    );
    advance(&clock, 999);
    assert_eq!(throttled(&faults, "DescribeInstances", 0, 1), "x");
    advance(&clock, 1);
    assert_eq!(
        throttled(&faults, "DescribeInstances", 0, 2),
        "-x",
        "one a second"
    );
    advance(&clock, 3_600_000);
    assert_eq!(
        throttled(&faults, "DescribeInstances", 0, 4),
        "---x",
        "never more than it holds"
    );
    // A launch takes a token for each instance, and one that is refused takes none.
    assert_eq!(throttled(&faults, "RunInstances", 6, 1), "x");
    assert_eq!(throttled(&faults, "RunInstances", 4, 2), "-x");
    assert_eq!(throttled(&faults, "RunInstances", 1, 2), "-x");
    assert_eq!(faults.throttle("RunInstances", 1).as_deref(), Some("Throttling"));
    assert_eq!(
        faults.throttle("DescribeTags", 1).as_deref(),
        Some("RequestLimitExceeded")
    );
}

#[test]
fn a_limit_that_is_none_is_refused() {
    for (limits, reason) in [
        (
            r#""buckets": [{"actions": [], "size": 1, "per_minute": 1}]"#,
            "buckets[0].actions: there are none",
        ),
        (
            r#""buckets": [{"actions": ["Fly"], "size": 1, "per_minute": 1}]"#,
            "buckets[0].actions: this cloud has no action Fly",
        ),
        (
            r#""buckets": [{"actions": ["*"], "size": -1, "per_minute": 1}]"#,
            "buckets[0].size: it is -1, not a whole number from 0",
        ),
        (
            r#""buckets": [{"actions": ["*"], "size": 1, "per_minute": 1, "code": "a b"}]"#,
            "buckets[0].code: \"a b\" is not letters",
        ),
        (r#""buckets": [[]]"#, "buckets[0]: it is a list, not a mapping"),
        (
            r#""quotas": {"cores": 1}"#,
            "quotas: there is no member `cores`: there are `instances`, `processors`",
        ),
        (
            r#""quotas": {"freed_after_milliseconds": 3600001}"#,
            "quotas.freed_after_milliseconds: 3600001 is not from 0 to 3600000",
        ),
    ] {
        let refused = plan(&format!(r#"{{"rules": [], {limits}}}"#)).unwrap_err();
        assert!(refused.starts_with(reason), "{limits}: {refused}");
    }
}

#[test]
fn a_shortage_is_of_what_it_names_and_lasts_its_time() {
    for (members, is_short) in [
        ("", [true, true, true, true]),
        (r#", "instance_type": "t3.micro""#, [true, true, false, true]),
        (r#", "market": "spot""#, [true, false, true, true]),
        (r#", "market": "on-demand""#, [false, true, false, false]),
        (r#", "zone": "dev-1a""#, [true, true, true, false]),
        (
            r#", "instance_type": "t3.micro", "zone": "dev-1a", "market": "spot""#,
            [true, false, false, false],
        ),
    ] {
        let (faults, clock) = planned(&format!(
            r#"{{"rules": [{{"action": "RunInstances", "after": 1, "effect":
                {{"shortage": {{"milliseconds": 30000{members}}}}}}}]}}"#
        ));
        let ask = || {
            [
                ("t3.micro", "dev-1a", Market::Spot),
                ("t3.micro", "dev-1a", Market::OnDemand),
                ("t3.nano", "dev-1a", Market::Spot),
                ("t3.micro", "dev-1b", Market::Spot),
            ]
            .map(|(kind, zone, market)| faults.is_short(kind, zone, market))
        };
        faults.before("RunInstances");
        assert_eq!(ask(), [false; 4], "it begins with the second launch");
        faults.before("RunInstances");
        assert_eq!(ask(), is_short, "{members}");
        advance(&clock, 29_999);
        assert_eq!(ask(), is_short, "{members}");
        advance(&clock, 1);
        assert_eq!(ask(), [false; 4], "{members}");
    }
}

#[test]
fn quotas_leave_the_room_that_none_of_them_denies() {
    let held = Held {
        instances: 3,
        processors: 6,
        spot_instances: 1,
    };
    for (quotas, spot, bounds, expected) in [
        ("{}", false, (1, 9), Ok(9)),
        (r#"{"instances": 8}"#, false, (1, 9), Ok(5)),
        (r#"{"instances": 8}"#, false, (6, 9), Err("InstanceLimitExceeded")),
        (r#"{"instances": 2}"#, false, (1, 1), Err("InstanceLimitExceeded")),
        (r#"{"processors": 11}"#, false, (1, 9), Ok(2)),
        (r#"{"processors": 7}"#, false, (1, 9), Err("VcpuLimitExceeded")),
        (r#"{"spot_instances": 1}"#, false, (1, 9), Ok(9)),
        (
            r#"{"spot_instances": 1}"#,
            true,
            (1, 9),
            Err("MaxSpotInstanceCountExceeded"),
        ),
        (r#"{"instances": 10, "processors": 10}"#, false, (2, 9), Ok(2)),
    ] {
        let read: Quotas = serde_json::from_str(quotas).unwrap();
        assert_eq!(read.room(held, 2, spot, bounds), expected, "{quotas} {bounds:?}");
    }
}

#[test]
fn a_rule_can_begin_later_and_last_a_time_and_be_of_all_actions() {
    let (faults, clock) = planned(
        r#"{"rules": [{"action": "*", "begins_milliseconds": 1000, "lasts_milliseconds": 3600000,
            "effect": {"fail": {"code": "ServiceUnavailable"}}}]}"#,
    );
    let down = "ServiceUnavailable ServiceUnavailable";
    assert_eq!(failures(&faults, "RunInstances", 2), "- -");
    advance(&clock, 1000);
    assert_eq!(failures(&faults, "RunInstances", 2), down);
    assert_eq!(failures(&faults, "DescribeRegions", 2), down);
    advance(&clock, 3_599_999);
    assert_eq!(
        failures(&faults, "RunInstances", 2),
        down,
        "the cloud is down for an hour"
    );
    advance(&clock, 1);
    assert_eq!(failures(&faults, "RunInstances", 2), "- -");
}
