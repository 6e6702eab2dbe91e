//! For how long builders are held, and how many at once.

use super::*;

#[test]
fn a_hold_is_as_long_as_its_pool_says_or_is_refused() {
    let hold = |lasts: Option<&str>, spec: serde_json::Value| {
        let request = Request::Hold {
            builder: id(1),
            reason: "look".to_owned(),
            lasts: lasts.map(|lasts| lasts.parse().unwrap()),
            owner: None,
        };
        let mut farm = snapshot(vec![builder(1, S::Ready, None)], None);
        farm.pools.get_mut(&x86()).unwrap().spec.hold = serde_json::from_value(spec).unwrap();
        take_up(&intent(request), &farm)
    };
    let none = || serde_json::json!({});
    let short = || serde_json::json!({"default": "5m", "max": "10m"});
    for (lasts, spec, expected) in [
        (None, none(), Some(3600)),
        (Some("3d"), none(), Some(3 * 86_400)),
        (Some("4d"), none(), None),
        (None, short(), Some(300)),
        (Some("10m"), short(), Some(600)),
        (Some("11m"), short(), None),
    ] {
        let decision = hold(lasts, spec.clone());
        let mark = decision.marks.first().and_then(|(_, mark)| mark.as_ref());
        let found = mark.map(|mark| (mark.lasts, mark.by.as_str()));
        let expected = expected.map(|seconds| (Some(Span::seconds(seconds)), "root"));
        assert_eq!(found, expected, "{lasts:?} {spec}: who asks is who owns it");
        assert_eq!(
            decision.state == Refused,
            expected.is_none(),
            "{}",
            decision.words
        );
    }
    assert_eq!(
        hold(Some("11m"), short()).words,
        format!(
            "builder {} may be held for 10m at most (`pools.x86.hold.max`), not for 11m",
            id(1)
        )
    );
}

#[test]
fn no_more_builders_of_a_pool_are_held_at_once_than_the_file_says() {
    let retired = || Some(mark(MarkKind::Retired, "released"));
    for (builders, is_refused, why) in [
        (vec![], false, "none is held"),
        (vec![(S::Held, Some(held()))], false, "one is"),
        (
            vec![(S::Held, Some(held())), (S::Busy, Some(held()))],
            true,
            "one is, and one is to be",
        ),
        (
            vec![(S::Held, Some(held())), (S::Held, retired())],
            false,
            "one of two is released",
        ),
        (
            vec![(S::Held, Some(held())), (S::Draining, Some(held()))],
            false,
            "the hold of one is over",
        ),
    ] {
        let others = builders.into_iter().zip(2..);
        let others = others.map(|((state, mark), number)| builder(number, state, mark));
        let others: Vec<Builder> = others.collect();
        for (first, may_always) in [(None, false), (Some(held()), true)] {
            let mut all = vec![builder(1, if may_always { S::Held } else { S::Ready }, first)];
            all.extend(others.iter().cloned());
            let mut farm = snapshot(all, None);
            farm.pools.get_mut(&x86()).unwrap().spec.hold.limit = Some(2);
            let request = Request::Hold {
                builder: id(1),
                reason: "longer".to_owned(),
                lasts: None,
                owner: None,
            };
            let decision = take_up(&intent(request), &farm);
            let is_refused = is_refused && !may_always;
            assert_eq!(decision.state == Refused, is_refused, "{why}: {}", decision.words);
            let words = "of pool x86 2 builders may be held at once (`pools.x86.hold.limit`), and 2 are, or are to be";
            assert_eq!(decision.words == words, is_refused, "{}", decision.words);
        }
    }
}
