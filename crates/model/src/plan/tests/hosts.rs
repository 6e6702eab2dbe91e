//! Pools of fixed hosts: each is one builder at most, and one that is not fit is passed over.

use super::*;
use crate::fleet::HostSpec;

fn host(name: &str) -> HostSpec {
    HostSpec {
        name: name.to_owned(),
        address: format!("{name}.example.org"),
        port: None,
        host_key: None,
    }
}

/// A pool of the hosts a, b and c, of which so many are to be spare.
fn rack(idle: u32) -> Pool {
    let mut pool = pool(0, 3, idle);
    pool.spec.image = None;
    pool.spec.offerings.clear();
    pool.spec.hosts = ["a", "b", "c"].map(host).into();
    pool
}

/// A builder that is made of a host.
fn made_of(number: u128, host: &str, state: BuilderState) -> Builder {
    Builder {
        host: Some(HostUse {
            name: host.to_owned(),
            address: format!("{host}.example.org"),
            port: 22,
        }),
        ..builder(number, "rack", state)
    }
}

fn farm(pool: Pool, builders: Vec<Builder>) -> Farm {
    Farm {
        builders,
        ..snapshot(&[("rack", pool)])
    }
}

/// The hosts that a plan makes builders.
fn taken(plan: &Plan) -> Vec<&str> {
    let hosts = plan.actions.iter().filter_map(|action| match action {
        Action::Launch { host, .. } => Some(host.as_deref().unwrap_or("none")),
        _ => None,
    });
    hosts.collect()
}

fn failed(failures: u32, seconds_ago: u64) -> Host {
    Host {
        history: LaunchHistory {
            failures,
            last_failure: Some(NOW.minus(Duration::from_secs(seconds_ago))),
            last_reason: Some("SSH did not answer".to_owned()),
        },
        ..Host::default()
    }
}

#[test]
fn each_host_that_is_free_becomes_one_builder_in_the_order_of_the_file() {
    for (idle, builders, expected) in [
        (3, vec![], &["a", "b", "c"][..]),
        (2, vec![], &["a", "b"]),
        (
            3,
            vec![
                made_of(1, "a", BuilderState::Ready),
                made_of(2, "c", BuilderState::Busy),
            ],
            &["b"],
        ),
        // One that is given back is not free before it is.
        (3, vec![made_of(1, "a", BuilderState::Terminating)], &["b", "c"]),
    ] {
        let decided = plan(&farm(rack(idle), builders.clone()));
        assert_eq!(taken(&decided), expected, "{idle} {builders:?}");
    }
    // One that was another pool's in an earlier file is not taken from that.
    let mut moved = farm(rack(3), vec![made_of(1, "b", BuilderState::Busy)]);
    moved.builders[0].pool = "gone".parse().unwrap();
    assert_eq!(taken(&plan(&moved)), ["a", "c"]);
}

#[test]
fn who_waits_gets_a_host_and_is_told_why_there_is_none() {
    let mut farm = farm(rack(0), vec![made_of(1, "a", BuilderState::Busy)]);
    farm.pools.values_mut().for_each(|pool| {
        pool.hosts = [
            ("b".to_owned(), failed(3, 10)),
            (
                "c".to_owned(),
                Host {
                    out: Some(OutOfService {
                        since: NOW,
                        why: "users: eve: is new".to_owned(),
                    }),
                    ..Host::default()
                },
            ),
        ]
        .into();
    });
    farm.queue = vec![attempt(1, "alice")];
    let decided = plan(&farm);
    assert_eq!(taken(&decided), [""; 0]);
    assert_eq!(
        &*decided.waits[0].reason,
        "pool rack has no free host: 1 in use, 1 left alone after failures, 1 out of service"
    );
    // What machines said is for operators.
    assert_eq!(
        decided.pools[0].note,
        "host b is left alone until 1970-01-12T13:47:00Z: its last 3 builders never got ready; the last one: SSH did not answer; \
         host c is out of service since 1970-01-12T13:46:40Z: users: eve: is new"
    );
    farm.pools
        .values_mut()
        .for_each(|pool| pool.spec.size.idle = Share::Count(1));
    let note = plan(&farm).pools[0].note.clone();
    assert!(
        note.starts_with("pool rack has no free host: 1 in use, "),
        "{note}"
    );
    assert!(note.contains("; host b is left alone until "), "{note}");
}

#[test]
fn a_host_that_failed_lately_comes_after_the_others_and_one_that_always_fails_is_left_alone() {
    for (hosts, expected) in [
        (vec![("a", failed(1, 5))], &["b", "c", "a"][..]),
        (vec![("a", failed(3, 5))], &["b", "c"]),
        (vec![("a", failed(3, 31))], &["b", "c", "a"]),
        (vec![("c", failed(0, 5))], &["a", "b", "c"]),
    ] {
        let mut pool = rack(3);
        let known = hosts
            .iter()
            .map(|(name, host)| ((*name).to_owned(), host.clone()));
        pool.hosts = known.collect();
        assert_eq!(taken(&plan(&farm(pool, vec![]))), expected, "{hosts:?}");
    }
}

#[test]
fn a_builder_whose_host_left_the_file_or_moved_goes_when_nothing_runs_on_it() {
    let drains = |farm: &Farm| -> Vec<String> {
        let drains = plan(farm).actions.into_iter().filter_map(|action| match action {
            Action::Drain { reason, .. } => Some(reason),
            _ => None,
        });
        drains.collect()
    };
    let ready = made_of(1, "a", BuilderState::Ready);
    let mut farm = farm(rack(1), vec![ready.clone()]);
    assert_eq!(drains(&farm), [""; 0]);
    let pool = farm.pools.values_mut().next().unwrap();
    pool.spec.hosts[0].port = Some(2222);
    let words = "host a has another address in fleet.yaml by now";
    assert_eq!(drains(&farm), [words]);
    farm.builders[0].host.as_mut().unwrap().port = 2222;
    assert_eq!(drains(&farm), [""; 0]);
    let pool = farm.pools.values_mut().next().unwrap();
    pool.spec.hosts.remove(0);
    pool.spec.size.max = 2;
    let words = "host a is no longer among those of its pool";
    assert_eq!(drains(&farm), [words]);
    farm.builders[0].state = BuilderState::Busy;
    assert_eq!(drains(&farm), [""; 0]);
}
