//! How many ready builders a pool holds that keeps a part of those in use.

use super::{
    pools::{drained, idle},
    *,
};

#[test]
fn a_part_of_the_builders_in_use_is_held_ready_besides_them() {
    let part = |cap| {
        let mut pool = pool(0, 90, 0);
        pool.spec.launch.parallel = 90;
        (pool.spec.size.idle, pool.spec.size.idle_cap) = (Share::Percent(10), cap);
        pool
    };
    let used = [BuilderState::Busy, BuilderState::Reserved, BuilderState::Cleaning];
    for (in_use, cap, expected, reason) in [
        (0, None, 0, ""),
        (1, None, 1, "the pool has 0 of 1 spare builders (10% of 1 in use)"),
        (
            21,
            Some(3),
            3,
            "the pool has 0 of 3 spare builders (10% of 21 in use)",
        ),
        (
            31,
            Some(3),
            3,
            "the pool has 0 of 3 spare builders (10% of 31 in use, at most 3)",
        ),
    ] {
        let mut farm = snapshot(&[("x86", part(cap)), ("other", pool(0, 90, 0))]);
        let numbered = (1..=in_use).zip(used.into_iter().cycle());
        farm.builders = numbered
            .map(|(number, state)| builder(number, "x86", state))
            .collect();
        // Those of another pool, and those that are held or ready, are not in use.
        farm.builders.push(builder(900, "other", BuilderState::Busy));
        farm.builders.push(builder(901, "x86", BuilderState::Held));
        let decided = plan(&farm);
        assert_eq!(launches(&decided), expected, "{in_use} {cap:?}");
        if let Some(Action::Launch { reason: given, .. }) = decided.actions.first() {
            assert_eq!(given, reason);
        }
    }
    // When builds end, what is held ready for too long goes.
    let mut farm = snapshot(&[("x86", part(None))]);
    farm.builders = vec![idle(1), idle(2), builder(3, "x86", BuilderState::Busy)];
    assert_eq!(drained(&plan(&farm)).len(), 1);
    farm.builders.pop();
    assert_eq!(drained(&plan(&farm)).len(), 2);
}
