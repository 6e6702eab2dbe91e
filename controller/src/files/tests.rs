use model::BuilderState;
use store::{Builder, Orphan};

use super::*;
use crate::testing;

fn fleet() -> FleetSpec {
    let text = "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
        clouds:\n\
        \x20 aws: {kind: ec2, region: r, credentials: {source: environment}}\n\
        \x20 lab: {kind: ec2, region: r, credentials: {source: environment}}\n\
        images:\n  builder: {cloud: aws, id: ami-1}\nprovision:\n  base: {}\n\
        pools:\n\
        \x20 x86: {labels: [\"arch:x86_64\"], image: builder, provision: base, size: {max: 1}, offerings: [{types: [a]}]}\n";
    runtime::yaml::parse(text, "fleet.yaml").unwrap()
}

fn changed(change: impl FnOnce(&mut FleetSpec)) -> FleetSpec {
    let mut fleet = fleet();
    change(&mut fleet);
    fleet
}

#[test]
fn a_file_of_another_fleet_or_with_a_cloud_that_has_machines_elsewhere_cannot_be_used() {
    let old = fleet();
    let other = changed(|it| it.fleet = "019a0000-0000-7000-8000-000000000002".parse().unwrap());
    let words = unusable(&old, &other, &BTreeMap::new()).unwrap();
    assert!(
        words.contains("is another fleet than flt_019a") && words.ends_with("restart it to lead another"),
        "{words}"
    );

    let without_aws = changed(|it| drop(it.clouds.remove("aws")));
    let moved = changed(|it| it.clouds.get_mut("aws").unwrap().region = "q".to_owned());
    let hint = "set `max` of its pools to 0, and change the cloud when its machines have ended";
    let one = "clouds.aws.region was `r` and is `q`, and 1 machine is left there";
    let two = "clouds.aws.region was `r` and is `q`, and 2 machines are left there";
    use BuilderState as S;
    for (states, expected) in [
        (&[][..], None),
        (&[S::Terminating], Some(one)),
        (&[S::Launching, S::Ready], Some(two)),
        (&[S::Resolving], Some(one)),
    ] {
        let builders: Vec<Builder> = states.iter().map(|state| testing::builder(*state)).collect();
        let expected = expected.map(|words| format!("{words}: {hint}"));
        assert_eq!(
            unusable(&old, &moved, &machines_by_cloud(&builders, &[])),
            expected,
            "{states:?}"
        );
        assert_eq!(unusable(&old, &old, &machines_by_cloud(&builders, &[])), None);
        assert_eq!(
            unusable(&old, &without_aws, &machines_by_cloud(&builders, &[])),
            None,
            "it is kept"
        );
    }
}

#[test]
fn machines_of_a_cloud_are_its_builders_and_the_strays_that_are_to_be_ended() {
    let of = |state, cloud: &str, host: Option<&str>| Builder {
        cloud: cloud.to_owned(),
        host: host.map(str::to_owned),
        ..testing::builder(state)
    };
    let stray = |ignored: bool| Orphan {
        cloud: "lab".to_owned(),
        instance_id: "i-9".to_owned(),
        state: "running".to_owned(),
        first_at: model::Timestamp::from_micros(0),
        last_at: model::Timestamp::from_micros(0),
        times_seen: 1,
        refusal: Some("no".to_owned()),
        pool: None,
        is_ending: true,
        ignored: ignored.then(|| model::stray::Ignored {
            by: "alice".to_owned(),
            why: String::new(),
        }),
    };
    use BuilderState as S;
    let lab = |builders, strays, planned| {
        let machines = Machines {
            builders,
            strays,
            planned,
        };
        BTreeMap::from([("lab".to_owned(), machines)])
    };
    for (builders, strays, expected) in [
        (vec![], vec![], BTreeMap::new()),
        (vec![of(S::Planned, "lab", None)], vec![], lab(0, 0, 1)),
        (
            vec![of(S::Launching, "lab", None), of(S::Resolving, "lab", None)],
            vec![],
            lab(2, 0, 0),
        ),
        (
            vec![of(S::Held, "lab", None), of(S::Terminating, "lab", None)],
            vec![],
            lab(2, 0, 0),
        ),
        (
            vec![of(S::Ready, "hosts", Some("rack-1"))],
            vec![],
            BTreeMap::new(),
        ),
        (vec![of(S::Busy, "lab", None)], vec![stray(false)], lab(1, 1, 0)),
        (vec![], vec![stray(false), stray(true)], lab(0, 1, 0)),
        (vec![], vec![stray(true)], BTreeMap::new()),
    ] {
        let states: Vec<_> = builders.iter().map(|it| it.state).collect();
        assert_eq!(
            machines_by_cloud(&builders, &strays),
            expected,
            "{states:?} {}",
            strays.len()
        );
    }
}

/// Its step may be about to launch it, by the file with which it began.
#[test]
fn a_file_waits_for_builders_that_are_about_to_be_launched_where_it_leads_no_more() {
    let old = fleet();
    let moved = changed(|it| it.clouds.get_mut("aws").unwrap().region = "q".to_owned());
    let smaller = changed(|it| it.pools.values_mut().for_each(|pool| pool.size.max = 0));
    let planned = testing::builder(BuilderState::Planned);
    let words = unusable(
        &old,
        &moved,
        &machines_by_cloud(std::slice::from_ref(&planned), &[]),
    )
    .unwrap();
    assert!(
        words.starts_with("builders are about to be launched in aws, which it changes: "),
        "{words}"
    );
    assert_eq!(
        unusable(
            &old,
            &smaller,
            &machines_by_cloud(std::slice::from_ref(&planned), &[])
        ),
        None
    );
    let of_host = Builder {
        host: Some("rack-1".to_owned()),
        cloud: "hosts".to_owned(),
        ..planned
    };
    assert_eq!(unusable(&old, &moved, &machines_by_cloud(&[of_host], &[])), None);
}

#[test]
fn what_a_file_changes_is_told_by_name() {
    let old = fleet();
    let pool = old.pools.values().next().unwrap().clone();
    for (new, expected) in [
        (old.clone(), "it says the same as before"),
        (
            changed(|it| it.pools.values_mut().for_each(|pool| pool.size.max = 2)),
            "pool x86 changes",
        ),
        (
            changed(|it| {
                it.pools.clear();
                it.pools.insert("arm".parse().unwrap(), pool);
                it.images.get_mut("builder").unwrap().id = Some("ami-2".to_owned());
            }),
            "pool arm is new, pool x86 is gone, `images` changes",
        ),
        (changed(|it| it.name = "other".to_owned()), "`name` changes"),
    ] {
        assert_eq!(changes(&old, &new), expected);
    }
}
