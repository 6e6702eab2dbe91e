use model::LaunchAnswer;

use super::*;
use crate::{
    Rule,
    cloud::Change,
    luck::Luck,
    setting::word,
    world::tests::{
        broken, builder, calls, change, due, is_to_end, lead, machine, row, still, strike, told, until, usurp,
    },
};

/// Begins the steps of builders, none of which waits for a hook.
fn begin(world: &mut World) {
    world.begin_steps(Side::One, &BTreeSet::new());
}

/// A world whose first controller leads, and whose clouds answer it.
fn led() -> World {
    let mut world = still();
    lead(&mut world);
    for cloud in world.one.memory.clouds.values_mut() {
        cloud.succeed();
    }
    world
}

/// A step for a row, which is the first one of its controller.
fn under_way(world: &mut World, row: &Builder) {
    let work = work(row.state).unwrap();
    world
        .one
        .memory
        .under_way
        .insert(row.id, UnderWay { number: 1, work });
}

/// What the only call that is about to leave asks for.
fn only_launch(world: &World) -> &LaunchAsk {
    match &calls(world)[..] {
        [
            Call {
                ask: Ask::Launch(ask),
                ..
            },
        ] => ask,
        others => panic!("{others:?}"),
    }
}

fn reply(words: &str) -> Reply {
    let words = words.to_owned();
    match words.as_str() {
        "i-1" => Reply::Instance(words),
        "full" => Reply::Refused {
            code: "InsufficientInstanceCapacity".to_owned(),
            words,
        },
        "later" => Reply::Later(words),
        "ended" => Reply::Ended(words),
        _ => Reply::Unclear(words),
    }
}

#[test]
fn a_launch_is_on_record_with_its_token_before_its_call_leaves() {
    let mut world = led();
    let planned = row(&mut world, BuilderState::Planned);
    begin(&mut world);
    let row = world.store.builders[&planned.id].clone();
    assert_eq!(row.state, BuilderState::Launching);
    let launch = row.launch.unwrap();
    assert!(world.store.tokens.contains(&launch.token));
    let ask = only_launch(&world);
    assert_eq!((ask.tags.launch, ask.tags.builder), (launch.token, planned.id));
    assert_eq!(ask.offering, launch.offering);
}

#[test]
fn a_launch_that_could_not_be_written_down_is_not_asked_for() {
    for (record_first, expected) in [(true, None), (false, Some(Rule::Record))] {
        let mut world = led();
        world.store.guards.record_first = record_first;
        row(&mut world, BuilderState::Planned);
        strike(&mut world, Fault::DatabaseAway, 0);
        begin(&mut world);
        assert_eq!(calls(&world).len(), usize::from(!record_first));
        until(&mut world, 5, |world| world.violation.is_some());
        assert_eq!(broken(&world, "of which nothing is on record"), expected);
    }
}

#[test]
fn a_launch_without_an_answer_is_asked_for_again_by_its_own_token() {
    for (tokens, expected) in [(true, None), (false, Some(Rule::Record))] {
        let mut world = led();
        world.store.guards.tokens = tokens;
        let row = row(&mut world, BuilderState::Resolving);
        begin(&mut world);
        let token = only_launch(&world).tags.launch;
        assert_eq!(token == row.launch.as_ref().unwrap().token, tokens);
        until(&mut world, 5, |world| world.violation.is_some());
        assert_eq!(broken(&world, "of which nothing is on record"), expected);
        if tokens {
            assert!(until(&mut world, 60, |world| {
                world.store.builders[&row.id].state == BuilderState::Pending
            }));
        }
    }
}

#[test]
fn nothing_is_asked_of_a_cloud_that_does_not_answer_and_what_is_under_way_is_not_begun_twice() {
    let mut world = still();
    lead(&mut world);
    for state in [BuilderState::Planned, BuilderState::Resolving] {
        row(&mut world, state);
    }
    begin(&mut world);
    assert_eq!(calls(&world).len(), 0, "nobody knows whether it answers");
    for cloud in world.one.memory.clouds.values_mut() {
        cloud.succeed();
    }
    begin(&mut world);
    assert_eq!(calls(&world).len(), 2);
    begin(&mut world);
    assert_eq!(calls(&world).len(), 2);
}

#[test]
fn nobody_waits_any_more_for_a_machine_that_is_to_be_ended() {
    let mut world = led();
    let booting = builder(&mut world, BuilderState::Booting);
    begin(&mut world);
    assert!(world.one.memory.under_way[&booting.id].work == Work::Machine);
    assert!(!is_to_end(&world, booting.instance.as_ref().unwrap()));
    change(&mut world, &booting, |row| row.state = BuilderState::Terminating);
    begin(&mut world);
    assert!(world.one.memory.under_way[&booting.id].work == Work::Call);
    assert!(is_to_end(&world, booting.instance.as_ref().unwrap()));
}

#[test]
fn what_the_code_says_can_never_be_breaks_a_rule() {
    for (state, part) in [
        (BuilderState::Terminating, "is terminating without an instance"),
        (BuilderState::Resolving, "is resolving without a launch"),
    ] {
        let mut world = led();
        let row = row(&mut world, state);
        change(&mut world, &row, |row| row.launch = None);
        begin(&mut world);
        assert_eq!(broken(&world, part), Some(Rule::Moves));
    }
    let mut world = led();
    world.answered(
        Side::One,
        Then::OrphanTold("i-1".to_owned()),
        Heard::Shown(Ok(Vec::new())),
    );
    assert_eq!(broken(&world, "OrphanTold"), Some(Rule::Moves));
}

#[test]
fn an_answer_moves_its_builder_where_the_model_says() {
    use BuilderState as S;
    let ended = None;
    for (words, expected) in [
        ("i-1", Some((S::Pending, Some(LaunchAnswer::Given)))),
        ("full", Some((S::Planned, Some(LaunchAnswer::Refused)))),
        ("later", Some((S::Planned, Some(LaunchAnswer::Later)))),
        ("unclear", Some((S::Resolving, None))),
        ("ended", ended),
    ] {
        let mut world = led();
        let row = row(&mut world, S::Launching);
        under_way(&mut world, &row);
        let then = Then::Launched(Box::new(row.clone()), 1);
        world.answered(Side::One, then, Heard::Launch(reply(words), false));
        let found = world.store.builders.get(&row.id);
        let found = found.map(|it| (it.state, it.launch.as_ref().and_then(|launch| launch.answer)));
        assert_eq!(found, expected, "{words}");
        assert!(!world.one.memory.under_way.contains_key(&row.id));
    }
}

#[test]
fn an_answer_to_a_step_that_is_over_says_nothing() {
    let mut world = led();
    let row = row(&mut world, BuilderState::Launching);
    let then = |number| Then::Launched(Box::new(row.clone()), number);
    // None is under way; then another one is.
    world.answered(Side::One, then(1), Heard::Launch(reply("i-1"), false));
    under_way(&mut world, &row);
    world.answered(Side::One, then(9), Heard::Launch(reply("i-1"), false));
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Launching);
    world.answered(Side::One, then(1), Heard::Launch(reply("i-1"), false));
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Pending);
}

#[test]
fn a_cloud_that_cannot_be_reached_is_left_alone_for_a_while_and_so_is_the_builder() {
    let mut world = led();
    let row = row(&mut world, BuilderState::Launching);
    under_way(&mut world, &row);
    let then = Then::Launched(Box::new(row.clone()), 1);
    world.answered(Side::One, then, Heard::Launch(reply("later"), true));
    assert!(!world.one.memory.clouds["near"].answers());
    assert!(world.one.memory.clouds["far"].answers());
    assert!(world.one.memory.pauses.holds(&row.id, world.now));
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Planned);
}

#[test]
fn a_doubt_is_over_by_a_machine_or_goes_on_and_a_list_is_asked_after_ten_minutes() {
    use BuilderState as S;
    for (words, waited, expected, lists) in [
        ("i-1", 10, Some(S::Pending), false),
        ("ended", 10, None, false),
        ("unclear", 700, Some(S::Resolving), false),
        ("full", 10, Some(S::Resolving), false),
        ("full", 700, Some(S::Resolving), true),
    ] {
        let mut world = led();
        let row = row(&mut world, S::Resolving);
        under_way(&mut world, &row);
        world.now += seconds(waited);
        let then = Then::AskedAgain(Box::new(row.clone()), 1);
        world.answered(Side::One, then, Heard::Launch(reply(words), false));
        let state = world.store.builders.get(&row.id).map(|it| it.state);
        assert_eq!(state, expected, "{words} after {waited}");
        let asked = calls(&world);
        let is_list = asked.iter().any(|call| matches!(call.ask, Ask::List));
        assert_eq!(is_list, lists, "{words} after {waited}");
    }
    // A cloud that cannot be reached says nothing of the launch.
    let mut world = led();
    let row = row(&mut world, S::Resolving);
    under_way(&mut world, &row);
    let then = Then::AskedAgain(Box::new(row.clone()), 1);
    world.answered(Side::One, then, Heard::Launch(reply("ended"), true));
    assert_eq!(world.store.builders[&row.id].state, S::Resolving);
    assert!(!world.one.memory.clouds["near"].answers());
}

#[test]
fn a_builder_whose_machine_is_in_no_list_is_given_up_and_one_whose_machine_is_there_is_not() {
    for (shows, expected) in [("its own", true), ("none", false), ("an error", true)] {
        let mut world = led();
        let row = row(&mut world, BuilderState::Resolving);
        under_way(&mut world, &row);
        let shown = Shown {
            id: "i-1".to_owned(),
            state: model::InstanceState::Running,
            address: None,
            is_taken_back: false,
            builder: Some(row.id),
        };
        let listed = match shows {
            "its own" => Ok(vec![shown]),
            "none" => Ok(Vec::new()),
            _ => Err(Trouble::Unclear),
        };
        let then = Then::Searched(Box::new(row.clone()), 1, seconds(3));
        world.answered(Side::One, then, Heard::Shown(listed));
        assert_eq!(world.store.builders.contains_key(&row.id), expected, "{shows}");
    }
}

#[test]
fn a_cloud_is_told_to_end_a_machine_again_and_again_and_later_each_time() {
    let mut pauses = Vec::new();
    for waited in [2, 20] {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Terminating);
        under_way(&mut world, &row);
        world.now += seconds(waited);
        world.answered(
            Side::One,
            Then::Told(Box::new(row.clone()), 1),
            Heard::Told(Ok(())),
        );
        let still_held = |after| world.one.memory.pauses.holds(&row.id, world.now + seconds(after));
        pauses.push((0..60).find(|after| !still_held(*after)));
    }
    assert_eq!(pauses, [Some(1), Some(10)]);
    let mut world = led();
    let row = builder(&mut world, BuilderState::Terminating);
    under_way(&mut world, &row);
    let then = Then::Told(Box::new(row.clone()), 1);
    world.answered(Side::One, then, Heard::Told(Err(Trouble::Refused)));
    assert!(world.one.memory.pauses.holds(&row.id, world.now));
    assert!(world.one.memory.clouds["near"].answers(), "it only refused");
}

#[test]
fn an_answer_that_takes_too_long_is_none() {
    let Heard::Launch(Reply::Unclear(_), false) = unanswered(&Heard::Launch(reply("i-1"), true)) else {
        panic!("a machine may have been made")
    };
    let Heard::Shown(Err(Trouble::Unclear)) = unanswered(&Heard::Shown(Ok(Vec::new()))) else {
        panic!("nothing was shown")
    };
    let Heard::Told(Err(Trouble::Unclear)) = unanswered(&Heard::Told(Ok(()))) else {
        panic!("nobody knows whether it was heard")
    };
    // It never takes longer than that until it is given up.
    for spared in 0..40 {
        let mut world = led();
        world.luck = Luck::once(Fault::Slow, 0);
        for _ in 0..spared {
            world.luck.below(2);
        }
        let call = Call {
            cloud: "near",
            ask: Ask::List,
            then: Then::Listed("near", Vec::new(), Vec::new()),
        };
        world.arrives(Side::One, world.one.life, call);
        let answer = due(&world, |event| {
            matches!(event, Event::Controller(_, _, Task::Answer(..)))
        });
        let answer = answer.unwrap();
        assert!(answer >= seconds(1) && answer <= LONGEST_CALL, "{answer:?}");
    }
}

#[test]
fn a_call_gets_there_also_when_its_controller_is_dead_by_then_and_nobody_hears_the_answer() {
    let mut world = led();
    let planned = row(&mut world, BuilderState::Planned);
    begin(&mut world);
    let leaves = |world: &World| {
        world
            .events
            .iter()
            .any(|it| matches!(it.event, Event::Arrives(..)))
    };
    assert!(until(&mut world, 1, leaves));
    world.kill(Side::One);
    let is_made = |world: &World| !world.clouds["near"].machines.is_empty();
    assert!(until(&mut world, 1, is_made));
    until(&mut world, 60, |_| false);
    let row = &world.store.builders[&planned.id];
    assert!(
        row.instance.is_none() || world.one.lease.is_some(),
        "{}",
        told(&world)
    );
    assert!(world.store.tokens.contains(&row.launch.as_ref().unwrap().token));
}

#[test]
fn a_controller_may_be_killed_before_and_after_a_call_leaves_and_paused_before_it() {
    for (spared, arrives) in [(0, false), (1, true)] {
        let mut world = led();
        row(&mut world, BuilderState::Planned);
        begin(&mut world);
        strike(&mut world, Fault::KilledAtCall, spared);
        until(&mut world, 1, |world| !world.one.is_up);
        assert!(!world.one.is_up);
        let is_made = |world: &World| !world.clouds["near"].machines.is_empty();
        assert_eq!(until(&mut world, 1, is_made), arrives);
    }
    let mut world = led();
    row(&mut world, BuilderState::Planned);
    strike(&mut world, Fault::PausedAtCall, 0);
    begin(&mut world);
    assert!(world.one.is_paused);
    until(&mut world, 1, |_| false);
    assert_eq!(
        world.one.backlog.len(),
        1,
        "it leaves when the controller goes on"
    );
}

#[test]
fn a_controller_that_goes_on_after_another_led_asks_and_writes_down_nothing_of_it() {
    let mut world = led();
    let planned = row(&mut world, BuilderState::Planned);
    begin(&mut world);
    usurp(&mut world);
    // The call was on its way: its machine is found by its token.
    let is_made = |world: &World| !world.clouds["near"].machines.is_empty();
    assert!(until(&mut world, 5, is_made));
    until(&mut world, 5, |_| false);
    let row = world.store.builders[&planned.id].clone();
    assert_eq!((row.state, row.instance), (BuilderState::Launching, None));
    assert!(!world.one.memory.under_way.contains_key(&planned.id));
}

#[test]
fn a_machine_is_told_to_end_and_ends() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Draining);
    let ends = |world: &World| {
        let mut machines = world.clouds["near"].machines.values();
        machines.all(|it| it.state == model::InstanceState::Terminated)
    };
    begin(&mut world);
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Terminating);
    begin(&mut world);
    assert!(until(&mut world, 60, ends), "{}", told(&world));
    assert!(told(&world).contains(&format!("{:?}", Change::Ends)));
    assert!(!machine(&mut world, &row).is_alive());
}

#[test]
fn a_pool_that_is_in_the_file_no_more_has_nothing_to_ask_for() {
    let mut world = led();
    let row = row(&mut world, BuilderState::Planned);
    let wanted = world.wanted(Side::One, &row).unwrap();
    let pool = &world.file.pools[&row.pool];
    assert_eq!(
        (wanted.lines, wanted.tries),
        (
            Line::of_pool(&pool.spec, &NetworkSpec::default(), &[]),
            pool.spec.launch.attempts
        )
    );
    assert!(wanted.short.is_empty());
    let lost = change(&mut world, &row, |row| row.pool = word("gone"));
    let why = world.wanted(Side::One, &lost).unwrap_err();
    assert_eq!(why, "pool gone is no longer in the fleet file");
}
