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
