use model::BuilderId;

use super::*;
use crate::{luck::Luck, setting::word};

/// A luck of which nothing bad comes.
fn calm() -> Luck {
    let mut luck = Luck::of(1);
    luck.calm_down();
    luck
}

fn cloud() -> Cloud {
    Cloud::new("near", 3, Duration::from_secs(100))
}

fn ask(number: u128) -> LaunchAsk {
    LaunchAsk {
        tags: Tags {
            pool: word("main"),
            builder: BuilderId(uuid::Uuid::from_u128(number)),
            launch: LaunchId(uuid::Uuid::from_u128(number)),
        },
        offering: word("c7i.xlarge"),
    }
}

const fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn given(cloud: &mut Cloud, number: u128, luck: &mut Luck) -> String {
    match cloud.launch(&ask(number), luck, at(0)).reply {
        Reply::Instance(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_token_makes_one_machine_and_none_any_more_once_that_has_ended() {
    let (mut cloud, mut luck) = (cloud(), calm());
    let id = given(&mut cloud, 1, &mut luck);
    assert_eq!(given(&mut cloud, 1, &mut luck), id);
    assert_ne!(given(&mut cloud, 2, &mut luck), id);
    assert!(cloud.terminate(&id, &mut luck, at(1)).unwrap());
    let (after, change) = cloud.change(&id, Change::Ends, &mut luck, at(1)).unwrap();
    assert!(change == Change::Ended && after > Duration::ZERO);
    cloud.change(&id, Change::Ended, &mut luck, at(10));
    // Also when the cloud has forgotten the machine.
    for second in [10, 500] {
        let listed = cloud.list(&mut luck, at(second)).unwrap();
        assert_eq!(listed.iter().any(|it| it.id == id), second == 10);
        let again = cloud.launch(&ask(1), &mut luck, at(second)).reply;
        assert!(matches!(again, Reply::Ended(_)), "{again:?}");
    }
}

#[test]
fn a_full_account_refuses_by_its_code() {
    let (mut cloud, mut luck) = (cloud(), calm());
    for number in 1..=3 {
        given(&mut cloud, number, &mut luck);
    }
    match cloud.launch(&ask(4), &mut luck, at(0)).reply {
        Reply::Refused { code, .. } => assert_eq!(code, "InstanceLimitExceeded"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_has_an_address_while_it_runs_and_another_gets_it_after_that() {
    let (mut cloud, mut luck) = (cloud(), calm());
    let (one, other) = (given(&mut cloud, 1, &mut luck), given(&mut cloud, 2, &mut luck));
    cloud.change(&one, Change::Runs, &mut luck, at(5));
    let address = cloud
        .list(&mut luck, at(6))
        .unwrap()
        .into_iter()
        .find(|it| it.id == one)
        .unwrap()
        .address
        .unwrap();
    assert!(cloud.at(&address, at(5)).is_none(), "it boots");
    assert_eq!(cloud.at(&address, at(60)).unwrap().key, Some(ask(1).tags.launch));
    cloud.change(&one, Change::Dies, &mut luck, at(61));
    assert!(cloud.at(&address, at(61)).is_none(), "it is dead");
    cloud.change(&one, Change::Ended, &mut luck, at(70));
    cloud.change(&other, Change::Runs, &mut luck, at(71));
    assert_eq!(
        cloud.at(&address, at(120)).unwrap().key,
        Some(ask(2).tags.launch),
        "a machine of another key"
    );
}

#[test]
fn only_machines_with_our_tag_are_listed_and_only_when_they_are_shown() {
    let (mut cloud, mut luck) = (cloud(), calm());
    let id = given(&mut cloud, 1, &mut luck);
    let strangers = cloud.make(None, &mut luck, at(0));
    assert_eq!(cloud.list(&mut luck, at(0)).unwrap().len(), 0, "not shown yet");
    let listed = cloud.list(&mut luck, at(1)).unwrap();
    assert_eq!(listed.iter().map(|it| &it.id).collect::<Vec<_>>(), [&id]);
    let found = cloud
        .describe(&[id, strangers, "i-none".to_owned()], &mut luck, at(1))
        .unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn a_cloud_that_is_away_does_nothing_and_says_so_until_it_is_calm() {
    let (mut cloud, mut luck) = (cloud(), calm());
    cloud.away_until = at(100);
    assert_eq!(cloud.list(&mut luck, at(50)).unwrap_err(), Trouble::Unreachable);
    let said = cloud.launch(&ask(1), &mut luck, at(50));
    assert!(said.is_unreachable && matches!(said.reply, Reply::Later(_)));
    assert!(cloud.machines.is_empty());
    cloud.calm_down();
    assert!(cloud.list(&mut luck, at(50)).is_ok());
}

#[test]
fn a_wish_to_end_a_machine_is_forgotten_once_and_refused_for_a_while() {
    let (mut cloud, mut luck) = (cloud(), calm());
    let id = given(&mut cloud, 1, &mut luck);
    cloud.machines.get_mut(&id).unwrap().forgets_end = true;
    assert_eq!(cloud.terminate(&id, &mut luck, at(1)), Ok(false));
    assert_eq!(cloud.terminate(&id, &mut luck, at(2)), Ok(true));
    cloud.machines.get_mut(&id).unwrap().end_refused_until = at(10);
    assert_eq!(cloud.terminate(&id, &mut luck, at(9)), Err(Trouble::Refused));
    assert_eq!(cloud.terminate(&id, &mut luck, at(10)), Ok(true));
    assert_eq!(cloud.terminate("i-none", &mut luck, at(10)), Ok(false));
}

#[test]
fn a_stale_list_shows_what_was_until_a_minute_ago() {
    let (mut cloud, mut luck) = (cloud(), calm());
    let id = given(&mut cloud, 1, &mut luck);
    cloud.change(&id, Change::Runs, &mut luck, at(5));
    let machine = &cloud.machines[&id];
    assert_eq!(machine.shown(&id, true, at(30)).state, InstanceState::Pending);
    assert_eq!(machine.shown(&id, false, at(30)).state, InstanceState::Running);
    assert_eq!(machine.shown(&id, true, at(65)).state, InstanceState::Running);
}

/// A luck of which one fault comes, at once.
fn bad(fault: Fault) -> Luck {
    Luck::once(fault, 0)
}

/// A machine of a launch that runs, at a moment at which all is shown of it.
fn running(cloud: &mut Cloud, number: u128) -> String {
    let id = given(cloud, number, &mut calm());
    cloud.change(&id, Change::Runs, &mut calm(), at(5));
    id
}

#[test]
fn a_call_that_does_not_get_through_does_nothing() {
    for (fault, expected) in [
        (Fault::Unreachable, Trouble::Unreachable),
        (Fault::Outage, Trouble::Unreachable),
        (Fault::Throttled, Trouble::Throttled),
    ] {
        let mut cloud = cloud();
        let id = running(&mut cloud, 1);
        assert_eq!(cloud.list(&mut bad(fault), at(50)).unwrap_err(), expected);
        assert_eq!(cloud.terminate(&id, &mut bad(fault), at(51)), Err(expected));
        let said = cloud.launch(&ask(2), &mut bad(fault), at(52));
        assert!(
            matches!(said.reply, Reply::Later(_)),
            "{fault:?}: {:?}",
            said.reply
        );
        assert_eq!(said.is_unreachable, expected == Trouble::Unreachable, "{fault:?}");
        assert!(cloud.machines.len() == 1 && cloud.machines[&id].is_alive());
        // An outage goes on for a while, the others are over.
        let again = cloud.list(&mut calm(), at(53));
        assert_eq!(again.is_err(), fault == Fault::Outage, "{fault:?}");
        assert!(cloud.list(&mut calm(), at(53 + 900)).is_ok());
    }
}

#[test]
fn a_launch_is_refused_by_what_is_short_for_as_long_as_it_is() {
    for (fault, code, lasts) in [
        (Fault::Capacity, "InsufficientInstanceCapacity", 20),
        (Fault::Quota, "InstanceLimitExceeded", 20),
        (Fault::Odd, "Strange", 0),
    ] {
        let mut cloud = cloud();
        let refused = |said: Said| match said.reply {
            Reply::Refused { code, .. } => Some(code),
            _ => None,
        };
        let said = cloud.launch(&ask(1), &mut bad(fault), at(100));
        assert_eq!(refused(said).as_deref(), Some(code));
        assert!(cloud.machines.is_empty());
        let again = refused(cloud.launch(&ask(2), &mut calm(), at(101)));
        assert_eq!(again.is_some(), lasts > 0, "{fault:?}");
        // Another offering is there, where it is only one that is short.
        let other = LaunchAsk {
            offering: word("m7i.large"),
            ..ask(3)
        };
        let other = refused(cloud.launch(&other, &mut calm(), at(102)));
        assert_eq!(other.is_some(), fault == Fault::Quota, "{fault:?}");
        assert!(refused(cloud.launch(&ask(4), &mut calm(), at(100 + 900))).is_none());
    }
}

#[test]
fn an_answer_that_is_lost_says_nothing_of_whether_a_machine_was_made() {
    for (fault, machines) in [(Fault::ActedUnanswered, 1), (Fault::Unanswered, 0)] {
        let mut cloud = cloud();
        let said = cloud.launch(&ask(1), &mut bad(fault), at(0));
        assert!(matches!(said.reply, Reply::Unclear(_)));
        assert_eq!(
            (cloud.machines.len(), said.made.len()),
            (machines, machines),
            "{fault:?}"
        );
        // Asked for again, it is the machine that was made, or one is made now.
        let id = given(&mut cloud, 1, &mut calm());
        assert_eq!(cloud.machines.keys().collect::<Vec<_>>(), [&id]);
    }
}

#[test]
fn a_machine_that_was_made_does_what_it_is_to() {
    for (fault, market, expected) in [
        (Fault::Outage, "", Some(Change::Runs)),
        (Fault::NeverRuns, "", None),
        (Fault::Dies, "", Some(Change::Dies)),
        (Fault::Stops, "", Some(Change::Stops)),
        (Fault::TakenBack, " spot", Some(Change::TakenBack)),
    ] {
        let mut cloud = cloud();
        let ask = LaunchAsk {
            offering: word(&format!("c7i.xlarge{market}")),
            ..ask(1)
        };
        let mut luck = bad(fault);
        if fault == Fault::Outage {
            luck.calm_down();
        }
        let made = cloud.launch(&ask, &mut luck, at(0)).made;
        let changes: Vec<Change> = made.iter().map(|(_, _, change)| *change).collect();
        let runs = fault != Fault::NeverRuns;
        assert_eq!(changes.contains(&Change::Runs), runs, "{fault:?}");
        assert_eq!(changes.last().copied(), expected, "{fault:?}");
        for (after, id, change) in &made {
            assert!(cloud.machines.contains_key(id));
            let most = if *change == Change::Runs { 20 } else { 600 };
            assert!(
                *after > Duration::ZERO && *after <= at(most),
                "{change:?} {after:?}"
            );
        }
    }
    let mut cloud = cloud();
    let made = cloud.launch(&ask(1), &mut bad(Fault::TakenBack), at(0)).made;
    assert!(
        made.iter().all(|(_, _, change)| *change != Change::TakenBack),
        "it is paid for"
    );
}

#[test]
fn lists_lack_machines_or_show_older_states() {
    let ids = |shown: Vec<Shown>| shown.len();
    let mut some = Vec::new();
    for more in 0..20 {
        let mut cloud = Cloud::new("near", 9, Duration::from_secs(100));
        for number in 1..=4 {
            running(&mut cloud, number);
        }
        let mut luck = bad(Fault::ListPartial);
        for _ in 0..more {
            luck.below(2);
        }
        some.push(ids(cloud.list(&mut luck, at(30)).unwrap()));
        assert_eq!(ids(cloud.list(&mut bad(Fault::ListEmpty), at(31)).unwrap()), 0);
        assert_eq!(ids(cloud.list(&mut calm(), at(32)).unwrap()), 4);
    }
    assert!(
        some.iter().any(|shown| *shown < 4) && some.iter().any(|shown| *shown > 0),
        "{some:?}"
    );
    let mut stale = 0;
    for more in 0..20 {
        let mut cloud = cloud();
        running(&mut cloud, 1);
        let mut luck = bad(Fault::ListStale);
        for _ in 0..more {
            luck.below(2);
        }
        let shown = cloud.list(&mut luck, at(6)).unwrap();
        stale += usize::from(shown[0].state == InstanceState::Pending);
        assert_eq!(
            shown[0].address.is_none(),
            shown[0].state == InstanceState::Pending
        );
    }
    assert!((1..20).contains(&stale), "{stale} of 20");
}

#[test]
fn a_question_for_single_machines_fails_or_does_not_find_them() {
    let mut cloud = cloud();
    let ids = [running(&mut cloud, 1), running(&mut cloud, 2)];
    let found = |luck: &mut Luck| cloud.describe(&ids, luck, at(30)).map(|it| it.len());
    assert_eq!(found(&mut calm()), Ok(2));
    assert_eq!(found(&mut bad(Fault::DescribeFails)), Err(Trouble::Unclear));
    assert_eq!(found(&mut bad(Fault::DescribePartial)), Ok(1));
}

#[test]
fn a_machine_is_shown_late_and_its_address_later() {
    let mut cloud = cloud();
    let said = cloud.launch(&ask(1), &mut bad(Fault::ShownLate), at(0));
    let Reply::Instance(id) = said.reply else {
        panic!("{:?}", said.reply)
    };
    let from = cloud.machines[&id].shown_from;
    assert!(from >= at(1) && from <= at(60), "{from:?}");
    let shown = |cloud: &mut Cloud, second| cloud.list(&mut calm(), second).unwrap().len();
    assert_eq!(
        shown(&mut cloud, from.saturating_sub(Duration::from_millis(1))),
        0
    );
    assert_eq!(shown(&mut cloud, from), 1);
    cloud.change(&id, Change::Runs, &mut bad(Fault::AddressLate), at(70));
    let from = cloud.machines[&id].address_from;
    assert!(from >= at(71) && from <= at(270), "{from:?}");
    let address = |second| {
        cloud
            .describe(std::slice::from_ref(&id), &mut calm(), second)
            .unwrap()[0]
            .address
            .clone()
    };
    assert_eq!(address(at(70)), None);
    assert!(address(from).is_some());
}

#[test]
fn a_machine_boots_in_its_time_or_never_and_may_show_another_key() {
    for (fault, least, most) in [
        (None, 5, 25),
        (Some(Fault::BootsSlowly), 60, 400),
        (Some(Fault::NeverAnswers), 0, 0),
    ] {
        let mut cloud = cloud();
        let id = given(&mut cloud, 1, &mut calm());
        let mut luck = fault.map_or_else(calm, bad);
        cloud.change(&id, Change::Runs, &mut luck, at(10));
        let answers = cloud.machines[&id].answers_from;
        let expected = (most > 0).then(|| at(10 + least)..=at(10 + most));
        assert_eq!(answers.is_some(), expected.is_some(), "{fault:?}");
        let is_in_time = answers
            .zip(expected)
            .is_none_or(|(from, times)| times.contains(&from));
        assert!(is_in_time, "{fault:?}: {answers:?}");
    }
    let mut cloud = cloud();
    let id = given(&mut cloud, 1, &mut bad(Fault::StrangeKey));
    assert_eq!(cloud.machines[&id].key, None);
}

#[test]
fn a_machine_ends_in_its_time_once_the_wish_for_that_got_through() {
    let mut cloud = cloud();
    let id = given(&mut cloud, 1, &mut bad(Fault::EndForgotten));
    assert_eq!(
        cloud.terminate(&id, &mut calm(), at(20)),
        Ok(false),
        "it is forgotten"
    );
    assert_eq!(
        cloud.terminate(&id, &mut bad(Fault::EndRefused), at(21)),
        Err(Trouble::Refused)
    );
    assert_eq!(
        cloud.terminate(&id, &mut calm(), at(22)),
        Err(Trouble::Refused),
        "for a while"
    );
    assert_eq!(cloud.terminate(&id, &mut calm(), at(21 + 1200)), Ok(true));
    for (fault, least, most) in [(None, 1, 15), (Some(Fault::EndsSlowly), 60, 2400)] {
        let mut cloud = self::cloud();
        let id = running(&mut cloud, 1);
        let mut luck = fault.map_or_else(calm, bad);
        let (after, change) = cloud.change(&id, Change::Ends, &mut luck, at(30)).unwrap();
        assert_eq!(change, Change::Ended);
        assert!(after >= at(least) && after <= at(most), "{fault:?}: {after:?}");
        assert_eq!(cloud.machines[&id].state, InstanceState::ShuttingDown);
        assert!(
            cloud.terminate(&id, &mut calm(), at(31)) == Ok(false),
            "it ends already"
        );
        assert!(cloud.change(&id, Change::Dies, &mut calm(), at(32)).is_none());
    }
}

#[test]
fn a_machine_that_stopped_answers_no_more_and_is_still_there() {
    let mut cloud = cloud();
    let id = running(&mut cloud, 1);
    let address = cloud.machines[&id].address.clone().unwrap();
    assert!(cloud.at(&address, at(60)).is_some());
    assert!(cloud.change(&id, Change::Stops, &mut calm(), at(61)).is_none());
    assert!(cloud.at(&address, at(62)).is_none());
    let machine = &cloud.machines[&id];
    assert!(machine.state == InstanceState::Stopped && machine.is_alive() && machine.run.is_none());
    // What runs already does not begin to run, and what is stopped does not stop.
    assert!(cloud.change(&id, Change::Runs, &mut calm(), at(63)).is_none());
    assert_eq!(cloud.machines[&id].state, InstanceState::Stopped);
    assert!(
        cloud
            .change("i-none", Change::Runs, &mut calm(), at(64))
            .is_none()
    );
}

#[test]
fn an_address_is_one_machines_and_when_there_is_none_left_a_machine_has_none() {
    let mut cloud = Cloud::new("near", 100, Duration::from_secs(100));
    let mut addresses = BTreeSet::new();
    for number in 1..=u128::from(ADDRESSES) + 2 {
        let id = running(&mut cloud, number);
        addresses.extend(cloud.machines[&id].address.clone());
    }
    assert_eq!(addresses.len(), usize::try_from(ADDRESSES).unwrap());
    let without = cloud.machines.values().filter(|it| it.address.is_none());
    assert_eq!(without.count(), 2);
}
