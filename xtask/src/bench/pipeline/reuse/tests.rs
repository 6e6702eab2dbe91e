use super::{
    super::tests::{figures, passage},
    *,
};

fn on(builder: &str, accepted: f64) -> Passage {
    Passage {
        builder: builder.to_owned(),
        ..passage(None, accepted)
    }
}

fn pair(first: (&str, f64), second: (&str, f64)) -> Pair {
    Pair {
        first: on(first.0, first.1),
        second: on(second.0, second.1),
    }
}

#[test]
fn a_pair_is_of_one_builder_that_was_fresh() {
    assert!(pair(("a", 5.0), ("a", 4.0)).check("z").is_ok());
    for (pair, words) in [
        (
            pair(("a", 5.0), ("b", 4.0)),
            "the second build of a pair ran on builder b",
        ),
        (pair(("z", 5.0), ("z", 4.0)), "\"z\", which is not fresh"),
        (pair(("", 5.0), ("", 4.0)), "not fresh"),
    ] {
        let error = pair.check("z").unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_report_has_both_builds_their_ratio_and_what_each_phase_saves() {
    let pairs = [
        pair(("a", 10.0), ("a", 5.0)),
        pair(("b", 8.0), ("b", 6.0)),
        pair(("c", 10.0), ("c", 9.0)),
    ];
    let text = report("hello", First::Launched, &pairs);
    for (what, expected) in [
        ("hello, at first no builder, seconds", "n median least most"),
        ("accepted to installable, first build", "3 10.00 8.00 10.00"),
        (
            "accepted to installable, second, same builder",
            "3 6.00 5.00 9.00 x 0.60",
        ),
        // 0.5, 0.75 and 0.9.
        ("second divided by first", "3 0.75 0.50 0.90"),
        ("the second build was faster in", "3 of 3 pairs"),
        ("rpmbuild ", "3 2.00 1.00 5.00"),
    ] {
        assert_eq!(figures(&text, what), expected, "{what}");
    }
    for phase in ["queue ", "root "] {
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with(phase)),
            "{phase}has no difference to tell: {text}"
        );
    }
}

#[test]
fn a_second_build_that_gains_nothing_is_said_to_gain_nothing() {
    let text = report(
        "note",
        First::Ready,
        &[
            pair(("a", 5.0), ("a", 5.01)),
            pair(("b", 5.0), ("b", 4.99)),
            pair(("c", 5.0), ("c", 5.0)),
        ],
    );
    assert_eq!(figures(&text, "the second build was faster in"), "1 of 3 pairs");
    assert_eq!(figures(&text, "second divided by first"), "3 1.00 1.00 1.00");
    assert!(text.ends_with("no phase differs by 0.02 s or more"), "{text}");
    let nothing = report("note", First::Rootless, &[]);
    assert!(nothing.contains("not measured"), "nothing to divide: {nothing}");
}

#[test]
fn only_a_pool_that_holds_none_ready_launches_for_a_build() {
    let idle: Vec<u32> = FIRSTS.iter().map(|first| first.idle()).collect();
    assert_eq!(idle, [1, 1, 0]);
    assert_eq!(First::Rootless.describe(), "fresh builder ready, no build root");
}

#[test]
fn a_pool_is_told_to_use_builders_again() {
    let fleet = "pools:\n  local:\n    size: {max: 1}\n    offerings: [{types: [a]}]\n";
    let changed = with_reuse(fleet).unwrap();
    assert!(
        changed.contains("{max: 1}\n    reuse: {scope: sandbox, max_uses: 2, idle_for: 10m}\n    offerings:")
    );
    assert_eq!(
        with_reuse("pools: {}").unwrap_err().to_string(),
        "fleet.yaml has no pool with offerings"
    );
}
