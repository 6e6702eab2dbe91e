use super::*;

/// A luck of which nothing bad comes.
fn calm() -> Luck {
    let mut luck = Luck::of(1);
    luck.calm_down();
    luck
}

const fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

/// One that runs, and answers from the fortieth second on.
fn running() -> Machine {
    let mut machine = Machine::made(None, 1, (at(0), at(0)), &mut calm());
    machine.change(Change::Runs, Some("near.1".to_owned()), (&mut calm(), at(10)));
    machine.answers_from = Some(at(40));
    machine
}

fn changed(machine: &mut Machine, change: Change, second: u64) -> Option<(Duration, Change)> {
    machine.change(change, None, (&mut calm(), at(second)))
}

#[test]
fn a_machine_that_falls_silent_is_shown_as_ever_and_answers_again_in_its_time_or_never() {
    for (lasts, expected) in [(None, None), (Some(at(60)), Some((at(60), Change::Answers)))] {
        let mut machine = running();
        assert!(!machine.answers(at(39)) && machine.answers(at(40)));
        assert_eq!(changed(&mut machine, Change::FallsSilent(lasts), 50), expected);
        assert!(!machine.answers(at(51)) && machine.is_alive());
        assert_eq!(machine.shown("i-1", false, at(51)).state, InstanceState::Running);
        changed(&mut machine, Change::Answers, 110);
        assert!(machine.answers(at(110)));
    }
    let mut machine = Machine::made(None, 1, (at(0), at(0)), &mut calm());
    let lasts = Some(at(60));
    assert_eq!(changed(&mut machine, Change::FallsSilent(lasts), 5), None);
    assert!(
        !machine.is_silent,
        "one that does not run yet says nothing anyway"
    );
}

#[test]
fn a_machine_that_starts_again_boots_and_breaks_what_ran_there() {
    let mut machine = running();
    machine.run = Some(Run {
        attempt: AttemptId(uuid::Uuid::from_u128(1)),
        epoch: Epoch(1),
        ends_at: at(900),
        outcome: Outcome::Built,
    });
    changed(&mut machine, Change::StartsAgain, 100);
    assert_eq!(machine.starts, 1);
    assert!(!machine.answers(at(114)) && machine.answers(at(160)));
    let run = machine.run.unwrap();
    assert_eq!((run.outcome, run.ends_at), (Outcome::Broken, at(100)));
}

#[test]
fn a_notice_says_nothing_of_what_the_machine_does_then() {
    let mut machine = running();
    changed(&mut machine, Change::IsNoticed, 100);
    assert!(machine.is_noticed && machine.answers(at(101)) && !machine.is_taken_back);
    changed(&mut machine, Change::TakenBack, 220);
    assert!(machine.is_taken_back && !machine.is_alive());
    changed(&mut machine, Change::IsNoticed, 230);
    assert!(!machine.is_noticed, "one that ends is told nothing");
    let mut machine = running();
    changed(&mut machine, Change::FallsSick, 100);
    assert!(machine.is_sick && machine.answers(at(101)), "it says so");
}

#[test]
fn each_fault_has_its_fate_and_notices_are_the_spot_markets() {
    let fate_of = |fault, market| {
        let all = fate("i-1", market, &mut Luck::once(fault, 0));
        let by_fault = all.into_iter().filter(|(_, _, it)| *it != Change::Runs);
        by_fault
            .map(|(after, _, change)| (after, change))
            .collect::<Vec<_>>()
    };
    for (fault, expected) in [
        (Fault::Stops, Change::Stops),
        (Fault::StartsAgain, Change::StartsAgain),
        (Fault::Sick, Change::FallsSick),
        (Fault::Dies, Change::Dies),
    ] {
        let fate = fate_of(fault, Market::OnDemand);
        assert!(fate.len() == 1 && fate[0].1 == expected, "{fault:?}: {fate:?}");
    }
    let silent = fate_of(Fault::Silent, Market::OnDemand);
    assert!(matches!(silent[..], [(_, Change::FallsSilent(_))]), "{silent:?}");
    for (fault, expected) in [
        (Fault::Noticed, &[Change::IsNoticed, Change::TakenBack][..]),
        (Fault::FalseNotice, &[Change::IsNoticed]),
        (Fault::TakenBack, &[Change::TakenBack]),
    ] {
        assert!(fate_of(fault, Market::OnDemand).is_empty(), "{fault:?}");
        let fate = fate_of(fault, Market::Spot);
        let changes: Vec<Change> = fate.iter().map(|(_, change)| *change).collect();
        assert_eq!(changes, expected, "{fault:?}");
        if let [(notice, _), (end, _)] = fate[..] {
            assert_eq!(end - notice, at(NOTICE), "two minutes before");
        }
    }
}
