use model::BuilderState;

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
    let words = unusable(&old, &other, (&[], &[])).unwrap();
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
        assert_eq!(unusable(&old, &moved, (&builders, &[])), expected, "{states:?}");
        assert_eq!(unusable(&old, &old, (&builders, &[])), None);
        assert_eq!(unusable(&old, &without_aws, (&builders, &[])), None, "it is kept");
    }
}

#[test]
fn builders_count_for_their_cloud_before_they_are_launched_and_fixed_hosts_do_not() {
    let of = |state, cloud: &str, host: Option<&str>| Builder {
        cloud: cloud.to_owned(),
        host: host.map(str::to_owned),
        ..testing::builder(state)
    };
    let builders = [
        of(BuilderState::Planned, "aws", None),
        of(BuilderState::Ready, "aws", None),
        of(BuilderState::Terminating, "lab", None),
        of(BuilderState::Ready, "hosts", Some("rack-1")),
    ];
    let expected = BTreeMap::from([("aws".to_owned(), 2), ("lab".to_owned(), 1)]);
    assert_eq!(builders_by_cloud(&builders), expected);
}

/// Its step may be about to launch it, by the file with which it began.
#[test]
fn a_file_waits_for_builders_that_are_about_to_be_launched_where_it_leads_no_more() {
    let old = fleet();
    let moved = changed(|it| it.clouds.get_mut("aws").unwrap().region = "q".to_owned());
    let smaller = changed(|it| it.pools.values_mut().for_each(|pool| pool.size.max = 0));
    let planned = testing::builder(BuilderState::Planned);
    let words = unusable(&old, &moved, (std::slice::from_ref(&planned), &[])).unwrap();
    assert!(
        words.starts_with("builders are about to be launched in aws, which it changes: "),
        "{words}"
    );
    assert_eq!(
        unusable(&old, &smaller, (std::slice::from_ref(&planned), &[])),
        None
    );
    let of_host = Builder {
        host: Some("rack-1".to_owned()),
        cloud: "hosts".to_owned(),
        ..planned
    };
    assert_eq!(unusable(&old, &moved, (&[of_host], &[])), None);
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
