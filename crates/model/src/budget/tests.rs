use super::*;

/// A full hour.
const NOON: Timestamp = Timestamp::from_micros(1_795_953_600_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NOON.as_micros() + seconds * 1_000_000)
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn money(spec: serde_json::Value) -> MoneySpec {
    serde_json::from_value(spec).unwrap()
}

/// Two clouds, of which `c` has a limit and prices for its `small` and `big` machines.
fn fleet() -> FleetSpec {
    let pool = |offerings: serde_json::Value| {
        serde_json::json!({
            "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 9}, "offerings": offerings,
        })
    };
    serde_json::from_value(serde_json::json!({
        "schema": 1, "fleet": "019a0000-0000-7000-8000-000000000001", "name": "test",
        "clouds": {
            "c": {
                "kind": "ec2", "region": "r", "credentials": {"source": "environment"},
                "limits": {"money": {"per_day": 10}},
                "prices": {"small": {"on-demand": 0.5, "spot": 0.1}, "big": {"on-demand": 2}},
            },
            "free": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}, "prices": {"small": {"on-demand": 1}}},
        },
        "images": {"i": {"cloud": "c", "id": "ami-1"}}, "provision": {"p": {}},
        "pools": {
            "x86": pool(serde_json::json!([{"types": ["small"], "market": "spot"}, {"types": ["small", "odd"]}])),
            "large": pool(serde_json::json!([{"types": ["small", "big"]}])),
            "odd": pool(serde_json::json!([{"types": ["odd"]}])),
        },
    }))
    .unwrap()
}

fn name(pool: &str) -> PoolName {
    pool.parse().unwrap()
}

#[test]
fn a_machines_time_is_told_for_each_hour_that_still_counts_at_its_end() {
    let (hour, minute) = (3600, 60);
    for (from, to, expected) in [
        (10 * minute, 10 * minute, vec![]),
        (10 * minute, 5 * minute, vec![]),
        (10 * minute, 25 * minute, vec![(0, 15 * minute)]),
        (0, hour, vec![(0, hour)]),
        (
            hour - minute,
            2 * hour + minute,
            vec![(0, minute), (hour, hour), (2 * hour, minute)],
        ),
        (-minute, minute, vec![(-hour, minute), (0, minute)]),
    ] {
        let found = by_hours(at(from), at(to));
        let found: Vec<_> = found
            .into_iter()
            .map(|(hour, time)| (hour, time.as_secs()))
            .collect();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(hour, seconds)| (at(hour), u64::try_from(seconds).unwrap()))
            .collect();
        assert_eq!(found, expected, "{from} {to}");
    }
    // Of one that was there for a year only what is not forgotten again at once.
    let long = by_hours(at(-365 * 86_400), at(minute));
    assert_eq!((long.len(), long[0].0), (90 * 24 + 1, kept_since(at(minute))));
    assert_eq!(kept_since(at(minute)), at(-90 * 86_400));
    assert_eq!(counts_since(at(minute)), at(-86_400));
    assert_eq!(counts_since(at(hour)), at(hour - 86_400));
}

/// What is known, set aside and not known of some builders: their pool, offering, since when, and whether they end.
fn spent(live: &[(&str, Option<&str>, Option<i64>, bool)], ended: &[Ended]) -> (String, String, u32) {
    let fleet = fleet();
    let names: Vec<PoolName> = live.iter().map(|(pool, ..)| name(pool)).collect();
    let offerings: Vec<Option<Offering>> = live
        .iter()
        .map(|(_, offering, ..)| offering.map(|it| it.parse().unwrap()))
        .collect();
    let rentals = live.iter().zip(&names).zip(&offerings);
    let rentals = rentals.map(|(((_, _, since, is_ending), pool), offering)| Rental {
        cloud: "c",
        pool,
        offering: offering.as_ref(),
        since: since.map(at),
        is_ending: *is_ending,
    });
    let budgets = fleet.budgets(rentals, ended, NOON);
    assert_eq!(
        budgets.keys().collect::<Vec<_>>(),
        ["c"],
        "the others have no limit"
    );
    let spent = budgets["c"].spent;
    (
        spent.known.to_string(),
        spent.set_aside.to_string(),
        spent.unpriced,
    )
}

#[test]
fn what_lives_costs_its_time_and_the_rest_of_its_first_hour_is_set_aside() {
    for (what, live, expected) in [
        ("nothing", vec![], ("0", "0", 0)),
        (
            "half an hour",
            vec![("x86", Some("small"), Some(-1800), false)],
            ("0.25", "0.25", 0),
        ),
        (
            "in the spot market, and older than an hour",
            vec![("x86", Some("small@z spot<=0.2"), Some(-7200), false)],
            ("0.2", "0", 0),
        ),
        (
            "on its way out",
            vec![("x86", Some("small"), Some(-1800), true)],
            ("0.25", "0", 0),
        ),
        (
            "for a month, of which a day counts",
            vec![("x86", Some("small"), Some(-30 * 86_400), false)],
            ("12", "0", 0),
        ),
        (
            "planned, at the price of the dearest that may be asked for",
            vec![("x86", None, None, false), ("large", None, None, false)],
            ("0", "2.5", 0),
        ),
        (
            "without a price, which is counted whether or not it ends",
            vec![
                ("x86", Some("odd"), Some(-60), false),
                ("x86", None, Some(-60), true),
                ("odd", None, None, false),
            ],
            ("0", "0", 2),
        ),
        (
            "launched a moment ahead of this clock",
            vec![("x86", Some("small"), Some(5), false)],
            ("0", "0.5", 0),
        ),
    ] {
        let (known, set_aside, unpriced) = spent(&live, &[]);
        assert_eq!((known.as_str(), set_aside.as_str(), unpriced), expected, "{what}");
    }
}

#[test]
fn what_ended_costs_its_time_and_machines_without_a_price_are_counted() {
    let ended = |cloud: &str, offering: Option<&str>, machines, seconds| Ended {
        cloud: cloud.to_owned(),
        offering: offering.map(|it| it.parse().unwrap()),
        machines,
        seconds,
    };
    let found = spent(
        &[("x86", Some("small"), Some(-3600), false)],
        &[
            ended("c", Some("small"), 2, 7200),
            ended("c", Some("small@z spot"), 1, 3600),
            ended("c", Some("odd"), 3, 60),
            ended("c", None, 1, 60),
            ended("free", Some("small"), 1, 3600),
            ended("gone", Some("small"), 1, 3600),
        ],
    );
    assert_eq!(found, ("1.6".to_owned(), "0".to_owned(), 4));
}

#[test]
fn one_more_machine_is_taken_to_cost_an_hour_of_the_dearest_that_may_be_asked_for() {
    let fleet = fleet();
    for (pool, expected) in [
        ("x86", Some("0.5")),
        ("large", Some("2")),
        ("odd", None),
        ("none", None),
    ] {
        assert_eq!(fleet.launch_price(&name(pool)), expected.map(price), "{pool}");
    }
    let budgets = fleet.budgets(std::iter::empty(), &[], NOON);
    assert_eq!(budgets["c"].next, Price::default(), "of `odd` no price is known");
    let of = |pool: &str| fleet.budget_of(&name(pool), &budgets).map(|budget| budget.next);
    assert_eq!(
        [of("large"), of("odd"), of("none")],
        [Some(price("2")), Some(Price::default()), None]
    );
}

/// What a cloud may cost whose next machine costs 1: what was spent, what is set aside, and how many have no price.
fn aws(spec: &serde_json::Value, known: &str, set_aside: &str, unpriced: u32) -> Budget {
    Budget {
        cloud: "aws".to_owned(),
        spec: money(spec.clone()),
        spent: Spent {
            known: price(known),
            set_aside: price(set_aside),
            unpriced,
        },
        next: price("1"),
    }
}

#[test]
fn each_limit_holds_from_its_sum_on() {
    let usual = serde_json::json!({"per_day": 10});
    let silent = serde_json::json!({"per_day": 10, "soft": "nothing", "hard": "nothing"});
    let early = serde_json::json!({"per_day": 10, "soft_from": 5});
    for (spec, known, set_aside, headroom, launches) in [
        (&usual, "7", "0", false, false),
        (&early, "7", "0", true, false),
        (&usual, "8", "0.5", true, false),
        (&usual, "4", "5", false, false),
        (&usual, "4", "5.000001", false, true),
        (&usual, "11", "0", true, true),
        (&silent, "11", "0", false, false),
    ] {
        let budget = aws(spec, known, set_aside, 0);
        let found = (budget.forbids_headroom(), budget.forbids_launches());
        assert_eq!(found, (headroom, launches), "{spec} {known} {set_aside}");
    }
}

#[test]
fn what_was_spent_is_told_with_what_follows() {
    let usual = serde_json::json!({"per_day": 10});
    let silent = serde_json::json!({"per_day": 10, "soft": "nothing", "hard": "nothing"});
    for (spec, known, set_aside, unpriced, words) in [
        (&usual, "7", "0", 0, "cost 7 of 10 in the last 24 hours"),
        (
            &usual,
            "8",
            "0.5",
            1,
            "cost at least 8 of 10 in the last 24 hours, with 1 machine whose price is not known, and 0.5 is set aside \
             for first hours of machines: no builders are held ready there",
        ),
        (
            &usual,
            "11",
            "0",
            2,
            "cost at least 11 of 10 in the last 24 hours, with 2 machines whose price is not known: nothing more is \
             launched there",
        ),
        (
            &silent,
            "11",
            "0",
            0,
            "cost 11 of 10 in the last 24 hours: that is all, and `hard` lets it go on",
        ),
    ] {
        let budget = aws(spec, known, set_aside, unpriced);
        assert_eq!(budget.in_words(), format!("cloud aws {words}"));
    }
}

#[test]
fn where_no_price_is_known_the_limit_holds_once_it_is_reached_and_launches_of_a_plan_are_set_aside() {
    let budget = |known: &str| Budget {
        cloud: "aws".to_owned(),
        spec: money(serde_json::json!({"per_day": 10})),
        spent: Spent {
            known: price(known),
            ..Spent::default()
        },
        next: Price::default(),
    };
    for (known, expected) in [("9.999999", false), ("10", true), ("10.5", true)] {
        assert_eq!(budget(known).forbids_launches(), expected, "{known}");
    }
    let later = budget("4").with_left(price("1.5"));
    assert_eq!(
        (later.left(), later.spent.set_aside),
        (price("1.5"), price("4.5"))
    );
    assert_eq!(
        budget("12").with_left(Price::default()).spent.set_aside,
        Price::default()
    );
}
