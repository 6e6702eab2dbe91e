use std::{collections::BTreeMap, time::Duration};

use model::{BuildId, BuilderState, ProjectId, quantity::Price};
use store::{BuildChroot, BuildOptions, StoredSource};

use super::{
    super::super::testing::{NOW, attempt, builder, fleet, name, snapshot, view},
    Attempt, AttemptState, Build, BuildState, BuildStory, FleetSpec, by_pool, lacks,
};

const X86: &str = "fedora-43-x86_64";

fn source() -> StoredSource {
    StoredSource {
        file_name: "hello-1.0-1.src.rpm".to_owned(),
        sha256: String::new(),
        size: 1,
    }
}

/// Build 5, of one chroot.
fn build(state: BuildState) -> Build {
    let submitted_at = NOW.minus(Duration::from_secs(1000));
    Build {
        id: BuildId(5),
        project: ProjectId(1),
        owner: "alice".parse().unwrap(),
        project_name: "demo".parse().unwrap(),
        directory: "demo".parse().unwrap(),
        package: Some("hello".parse().unwrap()),
        version: Some("1.0-1".to_owned()),
        source: source(),
        state,
        source_state: BuildState::Succeeded,
        canceled: false,
        submitter: None,
        is_background: false,
        submitted_at,
        started_at: None,
        ended_at: None,
        chroots: vec![BuildChroot {
            name: X86.parse().unwrap(),
            state,
            started_at: None,
            ended_at: None,
            result_directory: None,
            waiting_reason: None,
            failure: None,
            attempts: 1,
        }],
        options: BuildOptions::default(),
    }
}

fn waiting() -> Attempt {
    let queued = attempt(5, X86);
    Attempt {
        id: queued.id,
        build: queued.build,
        project: ProjectId(1),
        owner: queued.owner,
        project_name: "demo".parse().unwrap(),
        directory: "demo".parse().unwrap(),
        chroot: queued.chroot,
        package: None,
        number: 1,
        state: AttemptState::Waiting,
        epoch: None,
        builder: None,
        blame: None,
        reason: None,
        evidence: None,
        log_bytes: 0,
        cancel_requested: false,
        queued_at: queued.queued_at,
        started_at: None,
        ended_at: None,
        source: source(),
        options: BuildOptions::default(),
        additional_repos: vec![],
        submitter: None,
    }
}

fn pools() -> FleetSpec {
    fleet(&[
        ("arm", "arch:aarch64", [0, 1, 0], 0),
        ("big", "arch:x86_64", [0, 1, 0], 9),
        ("small", "arch:x86_64", [0, 1, 0], 0),
    ])
}

fn story(fleet: &FleetSpec, builders: &[(&str, BuilderState)]) -> BuildStory {
    let builders = builders
        .iter()
        .zip(1..)
        .map(|((pool, state), number)| builder(number, pool, *state));
    let view = view(
        builders.collect(),
        vec![attempt(4, X86), attempt(5, X86), attempt(6, X86)],
    );
    let plan = model::plan(&snapshot(fleet, &view, &[]));
    BuildStory::new(build(BuildState::Pending), &[waiting()], fleet, &view, &plan)
}

#[test]
fn an_attempt_that_waits_is_told_with_its_place_and_what_each_pool_says() {
    let found = story(
        &pools(),
        &[("big", BuilderState::Busy), ("small", BuilderState::Terminating)],
    );
    let expected = "\
build 5 of alice/demo, hello 1.0-1, is pending

  submitted 2026-11-29T11:43:20Z, 16 min 40 s ago

CHROOT            STATE    ATTEMPTS  WHY
fedora-43-x86_64  pending  1         -

ATTEMPT                               CHROOT            NUMBER  STATE    SINCE                 BUILDER  WHY
att_00000000000000000000000000000005  fedora-43-x86_64  1       waiting  2026-11-29T11:43:25Z  -        -

fedora-43-x86_64 waits for 16 min 35 s, at place 2 of 3 in the queue: pool big is at its maximum of 1; pool small is at its maximum of 1
POOL   OFFERS IT  PRIORITY  BUILDERS  READY  AT MOST  WHY IT DOES NOT TAKE IT NOW
big    yes        9         1         0      1        pool big is at its maximum of 1
small  yes        0         1         0      1        pool small is at its maximum of 1
arm    no         0         0         0      1        it has no label arch:x86_64
";
    assert_eq!(found.as_text(), expected);
    let json = serde_json::to_value(&found).unwrap();
    let wait = &json["waits"][0];
    assert_eq!(
        (&wait["place"], &wait["of"], &wait["seconds"]),
        (&2.into(), &3.into(), &995.into())
    );
    assert_eq!(wait["pools"][2]["may_take_it"], false);
    assert_eq!(
        json["attempts"][0]["attempt"],
        "att_00000000000000000000000000000005"
    );
}

#[test]
fn what_the_next_round_does_for_it_is_told() {
    // The first in the queue gets the builder of the preferred pool, and the second the other.
    let found = story(
        &pools(),
        &[("big", BuilderState::Ready), ("small", BuilderState::Ready)],
    );
    let given = "the next round gives it bdr_00000000000000000000000000000002 of pool small";
    assert_eq!(found.waits[0].why, given);
    let why: Vec<&str> = found.waits[0].pools.iter().map(|it| it.why.as_str()).collect();
    let other = "it is not asked: another pool serves the attempt";
    assert_eq!(why, [other, given, "it has no label arch:x86_64"]);
    // One is started for it.
    let found = story(&pools(), &[("big", BuilderState::Booting)]);
    assert_eq!(
        found.waits[0].why,
        "a builder of pool small is being started for it"
    );
    // Nobody offers it.
    let found = story(&fleet(&[]), &[]);
    assert_eq!(found.waits[0].why, "no pool offers fedora-43-x86_64");
    assert!(
        found
            .as_text()
            .ends_with("in the queue: no pool offers fedora-43-x86_64\n")
    );
}

#[test]
fn a_cloud_that_costs_as_much_as_it_may_is_why_each_of_its_pools_takes_nothing() {
    let mut fleet = pools();
    let money = serde_json::json!({"per_day": 0.5});
    let cloud = fleet.clouds.get_mut("c").unwrap();
    cloud.limits.money = serde_json::from_value(money).unwrap();
    cloud.prices = serde_json::from_value(serde_json::json!({"t": {"on-demand": 1}})).unwrap();
    let found = story(&fleet, &[]);
    let why = "cloud c costs as much in 24 hours as it may";
    assert_eq!(found.waits[0].why, format!("{why}; {why}"));
    let said: Vec<&str> = found.waits[0].pools.iter().map(|it| it.why.as_str()).collect();
    assert_eq!(said, [why, why, "it has no label arch:x86_64"]);
}

#[test]
fn a_build_that_waits_for_nothing_has_its_attempts_and_verdicts_alone() {
    let view = view(vec![], vec![]);
    let plan = model::plan(&snapshot(&pools(), &view, &[]));
    let mut failed = build(BuildState::Failed);
    failed.package = None;
    failed.version = None;
    failed.chroots[0].failure = Some(store::Verdict {
        blame: model::Blame::Package,
        reason: "rpmbuild ended with 1".to_owned(),
        evidence: None,
    });
    let mut ended = waiting();
    ended.state = AttemptState::Failed;
    ended.reason = Some("rpmbuild ended with 1".to_owned());
    ended.ended_at = Some(NOW);
    ended.builder = Some(builder(1, "big", BuilderState::Terminated).id);
    let text = BuildStory::new(failed, &[ended], &pools(), &view, &plan).as_text();
    for line in [
        "build 5 of alice/demo is failed",
        "fedora-43-x86_64  failed  1         rpmbuild ended with 1",
        "att_00000000000000000000000000000005  fedora-43-x86_64  1       failed  2026-11-29T12:00:00Z  bdr_00000000000000000000000000000001  rpmbuild ended with 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("in the queue"), "{text}");
    let text = BuildStory::new(build(BuildState::Pending), &[], &pools(), &view, &plan).as_text();
    assert!(text.ends_with("\nIt has no attempt yet.\n"), "{text}");
}

#[test]
fn what_its_builders_cost_is_told_for_each_attempt_and_together_as_far_as_it_is_known() {
    let view = view(vec![], vec![]);
    let plan = model::plan(&snapshot(&pools(), &view, &[]));
    let ids = [1, 2, 3].map(|number| builder(number, "big", BuilderState::Terminated).id);
    let tried = |index: usize, seconds: u64, is_over: bool| Attempt {
        builder: Some(ids[index]),
        started_at: Some(NOW.minus(Duration::from_secs(seconds))),
        ended_at: is_over.then(|| NOW.minus(Duration::from_secs(seconds / 2))),
        ..waiting()
    };
    // Half an hour, ten minutes that go on, and a machine whose price is not known; one has not begun.
    let attempts = [
        tried(0, 3600, true),
        tried(1, 600, false),
        tried(2, 600, true),
        waiting(),
    ];
    let price = |text: &str| text.parse::<Price>().unwrap();
    let prices = BTreeMap::from([(ids[0], price("0.2")), (ids[1], price("0.06"))]);
    let found = BuildStory::new(build(BuildState::Running), &attempts, &pools(), &view, &plan);
    assert!(!found.as_text().contains("cost"), "{}", found.as_text());
    let found = found.with_prices(&attempts, &prices);
    let json = serde_json::to_value(&found).unwrap();
    let costs: Vec<_> = json["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["cost"].as_str())
        .collect();
    assert_eq!(costs, [Some("0.1"), Some("0.01"), None, None]);
    assert_eq!(json["cost"], "0.11");
    let words = "Its builders cost 0.11 while they built it, by the prices that the fleet file has now.";
    assert!(
        found.as_text().lines().any(|line| line == words),
        "{}",
        found.as_text()
    );
}

#[test]
fn a_reason_is_shared_out_to_the_pools_that_it_is_about() {
    let (big, small) = (name("big"), name("small"));
    let not_asked = "it is not asked: another pool serves the attempt";
    let full = "pool big is at its maximum of 1";
    let held = "pool small is held back until 2026-11-29T12:05:00Z: its last 3 builders never got ready";
    let again = "the cloud gave pool big no machine so far; it is asked again";
    let away = "cloud c gives no machines since 2026-11-29T11:00:00Z: it answers; but not to us";
    for (why, expected) in [
        (format!("{full}; {held}"), [full, held]),
        (again.to_owned(), [again, not_asked]),
        (format!("{again}; {held}"), [again, held]),
        (
            "a builder of pool small is being started for it".to_owned(),
            [not_asked, "a builder of pool small is being started for it"],
        ),
        // Nothing is made up where the parts cannot be told from each other.
        (
            format!("{away}; {away}"),
            ["cloud c gives no machines since 2026-11-29T11:00:00Z: it answers; but not to us; cloud c gives no machines since \
             2026-11-29T11:00:00Z: it answers; but not to us"; 2],
        ),
    ] {
        assert_eq!(by_pool(&why, &[&big, &small]), expected, "{why}");
    }
    assert_eq!(by_pool(away, &[&big]), [away]);
    assert_eq!(by_pool("no pool offers it", &[]), [""; 0]);
}

#[test]
fn what_a_pool_lacks_is_the_architecture_or_a_fitting_chroot_label() {
    let mut spec = pools().pools.remove(&name("big")).unwrap();
    assert_eq!(
        lacks(&spec, &"fedora-43-s390x".parse().unwrap()),
        "it has no label arch:s390x"
    );
    spec.labels.insert("chroot:epel-*".to_owned());
    let why = lacks(&spec, &X86.parse().unwrap());
    assert_eq!(why, "none of its `chroot:` labels fits fedora-43-x86_64");
}
