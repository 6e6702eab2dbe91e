//! Builders that are made otherwise than their pool makes them now: how fast they leave, and what they are still used for.

use std::collections::BTreeSet;

use super::*;

/// Made before the chroot with the number 2 was.
fn lacks_the_second() -> Lacks {
    Lacks::Chroots(Arc::new([of_chroot(0, 2).chroot].into()))
}

/// An attempt in the chroot of that number.
fn of_chroot(number: u128, chroot: u32) -> QueuedAttempt {
    QueuedAttempt {
        chroot: format!("microdistro-{chroot}-x86_64").parse().unwrap(),
        ..attempt(number, "alice")
    }
}

fn older(number: u128, state: BuilderState) -> Builder {
    Builder {
        drift: Some(Drift::Chroots),
        lacks: lacks_the_second(),
        ..builder(number, "x86", state)
    }
}

fn useless(number: u128, state: BuilderState) -> Builder {
    Builder {
        drift: Some(Drift::Programs),
        lacks: Lacks::Everything,
        ..builder(number, "x86", state)
    }
}

fn of_pool(farm: &mut Farm) -> &mut Pool {
    farm.pools.values_mut().next().unwrap()
}

fn drained(plan: &Plan) -> Vec<u128> {
    let drained = plan.actions.iter().filter_map(|action| match action {
        Action::Drain { builder, .. } => Some(builder.0.as_u128()),
        _ => None,
    });
    drained.collect()
}

fn given(plan: &Plan) -> Vec<(u128, u128)> {
    let given = plan.actions.iter().filter_map(|it| match it {
        Action::Assign { attempt, builder } => Some((attempt.0.as_u128(), builder.0.as_u128())),
        _ => None,
    });
    given.collect()
}

pub(super) fn wait_of(plan: &Plan, number: u128) -> &str {
    let wait = plan.waits.iter().find(|it| it.attempt.0.as_u128() == number);
    &wait.unwrap().reason
}

#[test]
fn a_chroot_that_is_new_gets_builders_of_its_own_while_the_others_go_on() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    of_pool(&mut farm).spec.drift.budget = "1".parse().unwrap();
    farm.builders = (1..=4).map(|number| older(number, BuilderState::Ready)).collect();
    farm.queue = vec![of_chroot(1, 2), of_chroot(2, 1), of_chroot(3, 2), of_chroot(4, 1)];
    let decided = plan(&farm);
    assert_eq!(given(&decided), [(2, 1), (4, 2)], "{decided:?}");
    assert_eq!((launches(&decided), drained(&decided)), (2, vec![3]));
    let coming = "a builder of pool x86 is being started for it";
    assert_eq!([wait_of(&decided, 1), wait_of(&decided, 3)], [coming; 2]);
    // One that is fit for all goes to who needs it, also where that is not the next builder.
    farm.builders.push(builder(5, "x86", BuilderState::Ready));
    assert_eq!(given(&plan(&farm)), [(1, 5), (2, 1), (4, 2)]);
}

#[test]
fn how_a_builder_differs_is_told_with_what_follows() {
    let from_another_image = Builder {
        drift: Some(Drift::Image),
        ..builder(1, "x86", BuilderState::Ready)
    };
    for (one, expected) in [
        (builder(1, "x86", BuilderState::Ready), None),
        (
            from_another_image,
            Some("from another image or disk by now: it takes builds until its turn comes to leave"),
        ),
        (
            older(1, BuilderState::Busy),
            Some(
                "for other chroots by now: it takes builds, but none in microdistro-2-x86_64, until its turn comes to leave",
            ),
        ),
        (
            useless(1, BuilderState::Ready),
            Some("with other programs by now: it takes no more builds"),
        ),
    ] {
        let expected = expected.map(|words| format!("builders of pool x86 are made {words}"));
        assert_eq!(one.outdated_in_words(), expected);
    }
}

#[test]
fn who_waits_for_a_new_chroot_does_not_wait_for_a_builder_that_was_begun_before_it_was() {
    for (coming, launched) in [
        (vec![older(1, BuilderState::Booting)], 1),
        (vec![useless(1, BuilderState::Booting)], 1),
        (vec![builder(1, "x86", BuilderState::Booting)], 0),
        (
            vec![
                older(1, BuilderState::Booting),
                builder(2, "x86", BuilderState::Booting),
            ],
            0,
        ),
    ] {
        let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
        farm.builders = coming;
        farm.queue = vec![of_chroot(1, 2)];
        assert_eq!(launches(&plan(&farm)), launched, "{:?}", farm.builders);
    }
    // Others do, and leave the one that is fit for all to who needs it.
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![
        builder(1, "x86", BuilderState::Booting),
        older(2, BuilderState::Booting),
    ];
    farm.queue = vec![of_chroot(1, 1), of_chroot(2, 2)];
    assert_eq!(launches(&plan(&farm)), 0);
    farm.queue.push(of_chroot(3, 1));
    assert_eq!(launches(&plan(&farm)), 1);
}

#[test]
fn a_builder_that_is_kept_for_a_sandbox_is_not_used_for_a_chroot_that_it_was_not_made_for() {
    let sandbox = Sandbox::kept("alice/demo by alice");
    let own = |number, chroot| QueuedAttempt {
        sandbox: Some(sandbox.clone()),
        ..of_chroot(number, chroot)
    };
    for state in [BuilderState::Ready, BuilderState::Cleaning] {
        let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
        of_pool(&mut farm).spec.reuse.scope = ReuseScope::Sandbox;
        of_pool(&mut farm).spec.drift.budget = "0".parse().unwrap();
        farm.builders = vec![Builder {
            sandbox: Some(sandbox.clone()),
            ready_at: Some(NOW),
            ..older(1, state)
        }];
        farm.queue = vec![own(1, 2)];
        let decided = plan(&farm);
        assert_eq!((given(&decided), launches(&decided)), (vec![], 1), "{state}");
        farm.queue = vec![own(1, 1)];
        assert_eq!(launches(&plan(&farm)), 0, "{state}");
    }
}

#[test]
fn in_a_full_pool_who_waits_for_a_new_chroot_is_told_what_becomes_of_the_others() {
    let full = "pool x86 is at its maximum of 3; ";
    for (budget, first, gone, expected) in [
        (
            "1",
            older(1, BuilderState::Ready),
            vec![1],
            "2 of its builders were made before what builds in microdistro-2-x86_64 need now, and they are replaced a few at a time",
        ),
        (
            "0",
            older(1, BuilderState::Ready),
            vec![],
            "3 of its builders were made before what builds in microdistro-2-x86_64 need now, and with its `drift.budget` of 0 none \
             is replaced before its time",
        ),
        (
            "0",
            useless(1, BuilderState::Ready),
            vec![1],
            "2 of its builders were made before what builds in microdistro-2-x86_64 need now, and with its `drift.budget` of 0 none \
             is replaced before its time",
        ),
    ] {
        let mut farm = snapshot(&[("x86", pool(0, 3, 0))]);
        of_pool(&mut farm).spec.drift.budget = budget.parse().unwrap();
        farm.builders = vec![
            first,
            older(2, BuilderState::Ready),
            older(3, BuilderState::Ready),
        ];
        farm.queue = vec![of_chroot(1, 2)];
        let decided = plan(&farm);
        assert_eq!(drained(&decided), gone);
        assert_eq!(wait_of(&decided, 1), format!("{full}{expected}"));
    }
    // Operators see it in any case.
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![
        older(1, BuilderState::Busy),
        builder(2, "x86", BuilderState::Ready),
    ];
    let note =
        "1 of 2 builders are made otherwise than new ones and are replaced in turn (`drift.budget`: 10%)";
    assert_eq!(plan(&farm).pools[0].note, note);
    // Of those that are at work nothing is said.
    let mut farm = snapshot(&[("x86", pool(0, 1, 0))]);
    farm.builders = vec![older(1, BuilderState::Busy)];
    farm.queue = vec![of_chroot(1, 2)];
    assert_eq!(wait_of(&plan(&farm), 1), "pool x86 is at its maximum of 1");
}

#[test]
fn what_is_fit_for_no_build_leaves_as_fast_as_others_may_take_its_place() {
    for (parallel, budget, leave_already, expected) in [
        (4, "10%", 0, vec![1, 2, 3, 4]),
        (4, "10%", 3, vec![1]),
        (4, "10%", 5, vec![]),
        (4, "0", 0, vec![1, 2, 3, 4]),
        (1, "20%", 0, vec![1, 2]),
        (1, "0", 0, vec![1]),
        (20, "0", 0, (1..=10).collect()),
    ] {
        let mut farm = snapshot(&[("x86", pool(0, 20, 0))]);
        let spec = &mut of_pool(&mut farm).spec;
        (spec.launch.parallel, spec.drift.budget) = (parallel, budget.parse().unwrap());
        farm.builders = (1..=10)
            .map(|number| useless(number, BuilderState::Ready))
            .collect();
        let leaving = (0..leave_already).map(|number| useless(50 + number, BuilderState::Terminating));
        farm.builders.extend(leaving);
        let found: BTreeSet<u128> = drained(&plan(&farm)).into_iter().collect();
        let expected: BTreeSet<u128> = expected.into_iter().collect();
        assert_eq!(found, expected, "{parallel}, {budget}, {leave_already} leave");
        // That nothing can come in their place holds up none of them: they are of no use.
        of_pool(&mut farm).history.failures = 2;
        let found: BTreeSet<u128> = drained(&plan(&farm)).into_iter().collect();
        assert_eq!(found, expected, "{parallel}, {budget}, {leave_already} leave");
    }
}

#[test]
fn a_roll_rests_while_nothing_comes_in_the_place_of_what_left() {
    type Change = fn(&mut Farm);
    let table: [(&str, Change, usize); 7] = [
        ("nothing", |_| {}, 2),
        (
            "one is on its way",
            |it| it.builders.push(builder(9, "x86", BuilderState::Booting)),
            1,
        ),
        (
            "as many as the budget says",
            |it| {
                let coming = [9, 10].map(|number| builder(number, "x86", BuilderState::Planned));
                it.builders.extend(coming);
            },
            0,
        ),
        (
            "the last one never got ready",
            |it| of_pool(it).history.failures = 1,
            0,
        ),
        (
            "its cloud is not known to answer",
            |it| of_pool(it).cloud = CloudHealth::Unknown,
            0,
        ),
        (
            "an operator drained it",
            |it| {
                of_pool(it).pause = Some(Pause {
                    by: "kim".to_owned(),
                    why: String::new(),
                    until: None,
                });
            },
            0,
        ),
        (
            "somebody is at work",
            |it| it.builders[0].state = BuilderState::Busy,
            2,
        ),
    ];
    for (what, change, expected) in table {
        let mut farm = snapshot(&[("x86", pool(0, 20, 0))]);
        of_pool(&mut farm).spec.drift.budget = "2".parse().unwrap();
        farm.builders = (1..=4).map(|number| older(number, BuilderState::Ready)).collect();
        change(&mut farm);
        assert_eq!(drained(&plan(&farm)).len(), expected, "{what}");
    }
}

#[test]
fn builders_that_take_builds_are_replaced_in_the_time_of_the_file_only_and_others_at_any() {
    // It is Monday, 13:46:40 in UTC.
    for (when, expected, ends) in [
        (None, vec![1, 2, 3], ""),
        (Some("mon 13:00-14:00 UTC"), vec![1, 2, 3], ""),
        (Some("mon 14:00-15:00 Europe/Prague"), vec![1, 2, 3], ""),
        (
            Some("tue 13:00-14:00 UTC"),
            vec![1],
            " when `drift.when` begins again: tue 13:00-14:00 UTC; those that take no more builds leave before",
        ),
        (
            Some("any 01:00-05:00 Europe/Prague"),
            vec![1],
            " when `drift.when` begins again: any 01:00-05:00 Europe/Prague; those that take no more builds leave before",
        ),
    ] {
        let mut farm = snapshot(&[("x86", pool(0, 4, 0))]);
        let drift = &mut of_pool(&mut farm).spec.drift;
        drift.budget = "100%".parse().unwrap();
        drift.when = when.map(|text| {
            let [days, hours, zone] = text.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{text}");
            };
            serde_json::from_value(serde_json::json!({"days": days, "hours": hours, "zone": zone})).unwrap()
        });
        farm.builders = vec![
            useless(1, BuilderState::Ready),
            older(2, BuilderState::Ready),
            older(3, BuilderState::Ready),
            builder(4, "x86", BuilderState::Busy),
        ];
        let decided = plan(&farm);
        assert_eq!(drained(&decided), expected, "{when:?}");
        let note = format!(
            "3 of 4 builders are made otherwise than new ones and are replaced in turn (`drift.budget`: 100%){ends}"
        );
        assert_eq!(decided.pools[0].note, note, "{when:?}");
        // Who waits for what they lack is told.
        farm.queue = vec![of_chroot(1, 2)];
        let waits = plan(&farm).waits[0].reason.to_string();
        let is_told = waits.contains("in `drift.when` (");
        assert_eq!(is_told, !ends.is_empty(), "{waits}");
    }
}

/// How long a builder takes to end and to get ready, in rounds.
const ENDS_AFTER: usize = 2;
const READY_AFTER: usize = 6;

#[test]
fn a_thousand_builders_are_replaced_in_as_many_waves_as_the_budget_needs_and_no_job_is_cut() {
    let mut farm = snapshot(&[("x86", pool(1000, 1000, 0))]);
    of_pool(&mut farm).spec.launch.parallel = 1000;
    let from_another_image = |number: u128, state| Builder {
        drift: Some(Drift::Image),
        ..builder(number, "x86", state)
    };
    farm.builders = (0..950)
        .map(|number| from_another_image(number, BuilderState::Ready))
        .collect();
    farm.builders
        .extend((950..1000).map(|number| from_another_image(number, BuilderState::Busy)));
    // When each that ends is gone, or that is launched is ready: the round.
    let mut due: BTreeMap<BuilderId, usize> = BTreeMap::new();
    let (mut waves, mut rounds) = (0, 0);
    while farm
        .builders
        .iter()
        .any(|it| it.drift.is_some() && it.state != BuilderState::Busy)
    {
        rounds += 1;
        assert!(rounds < 1000, "it never ends");
        farm.builders
            .retain(|it| it.state != BuilderState::Draining || due[&it.id] > rounds);
        for it in &mut farm.builders {
            if it.state == BuilderState::Booting && due[&it.id] <= rounds {
                it.state = BuilderState::Ready;
            }
        }
        let decided = plan(&farm);
        waves += usize::from(!drained(&decided).is_empty());
        for number in drained(&decided) {
            let one = farm
                .builders
                .iter_mut()
                .find(|it| it.id.0.as_u128() == number)
                .unwrap();
            assert_eq!(one.state, BuilderState::Ready, "a job is cut");
            one.state = BuilderState::Draining;
            due.insert(one.id, rounds + ENDS_AFTER);
        }
        for _ in 0..launches(&decided) {
            let new = builder(10_000 + due.len() as u128, "x86", BuilderState::Booting);
            due.insert(new.id, rounds + READY_AFTER);
            farm.builders.push(new);
        }
        let there = |it: &&Builder| matches!(it.state, BuilderState::Ready | BuilderState::Busy);
        assert!(
            farm.builders.iter().filter(there).count() >= 900,
            "more than a tenth is missing"
        );
    }
    assert_eq!(waves, 10);
    assert!(rounds <= waves * (ENDS_AFTER + READY_AFTER), "{rounds} rounds");
}
