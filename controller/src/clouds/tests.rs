use cloud::FakeCloud;
use model::FleetId;
use runtime::clock::ManualClock;
use store::Orphan;

use super::*;
use crate::testing::NOW;

fn known(health: CloudHealth) -> Known {
    Known {
        cloud: Arc::new(FakeCloud::default()),
        health,
        recorded: None,
        is_looked_at: false,
        ending: Vec::new(),
        answered: None,
        changed: None,
        looked: None,
        count_due: Duration::ZERO,
        profile: Profile::default(),
        pauses: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        pause: Duration::ZERO,
    }
}

fn away(since: u64, reason: &str) -> CloudHealth {
    CloudHealth::Away(CloudTrouble {
        cloud: "aws".to_owned(),
        since: NOW.plus(Duration::from_secs(since)),
        reason: reason.to_owned(),
        detail: format!("{reason}, in detail"),
    })
}

fn failure(reason: &str) -> Failure {
    Failure {
        reason: reason.to_owned(),
        detail: format!("{reason}, in detail"),
    }
}

/// Cloud `aws` by itself.
fn clouds(known: Known) -> (Clouds, ManualClock) {
    let manual = ManualClock::new(NOW);
    let clouds = Clouds {
        clock: Clock::Manual(manual.clone()),
        known: BTreeMap::from([("aws".to_owned(), known)]),
        looks: JoinSet::new(),
        seen: Vec::new(),
        absences: Absences::default(),
        ends: Pauses::default(),
        tags: Pauses::default(),
        found: Vec::new(),
    };
    (clouds, manual)
}

fn unreachable() -> cloud::Error {
    cloud::Error::Unreachable {
        why: "connection refused".to_owned(),
    }
}

#[test]
fn a_cloud_is_asked_as_often_as_its_health_calls_for() {
    let seconds = Duration::from_secs;
    // (health, its pause, how often, last asked, now, whether it is due)
    for (health, pause, every, looked, now, expected) in [
        (CloudHealth::Unknown, 0, 30, None, 0, true),
        (CloudHealth::Unknown, 0, 30, Some(5), 5, true),
        (CloudHealth::Answers, 0, 30, None, 0, true),
        (CloudHealth::Answers, 0, 30, Some(5), 34, false),
        (CloudHealth::Answers, 0, 30, Some(5), 35, true),
        (CloudHealth::Answers, 20, 1, Some(5), 6, true),
        // One that is away is not asked more often because something waits for it.
        (away(0, "no"), 20, 1, Some(5), 24, false),
        (away(0, "no"), 20, 1, Some(5), 25, true),
        (away(0, "no"), 1, 30, Some(5), 6, true),
    ] {
        let case = format!("{health:?} {pause} {every} {looked:?} {now}");
        let known = Known {
            pause: seconds(pause),
            looked: looked.map(seconds),
            ..known(health)
        };
        assert_eq!(known.is_due(seconds(every), seconds(now)), expected, "{case}");
    }
}

#[test]
fn a_cloud_is_away_since_its_first_failure_for_the_reason_of_its_last_one() {
    let mut known = known(CloudHealth::Answers);
    let mut pauses = Vec::new();
    for (second, reason) in [
        (0, "refused"),
        (2, "refused"),
        (9, "it is silent"),
        (60, "it is silent"),
    ] {
        known.fail("aws", failure(reason), NOW.plus(Duration::from_secs(second)));
        assert_eq!(known.health, away(0, reason), "{second}");
        pauses.push(known.pause);
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    for _ in 0..10 {
        known.fail("aws", failure("no"), NOW);
    }
    let (least, most) = (LONGEST_PAUSE / 2, LONGEST_PAUSE);
    assert!((least..=most).contains(&known.pause), "{:?}", known.pause);
}

#[test]
fn only_states_whose_next_step_is_the_clouds_are_a_reason_to_ask_often() {
    use BuilderState as B;
    let often = LOOK_EVERY;
    let asks = |every| {
        B::ALL
            .into_iter()
            .filter(move |state| look_every(*state, often) == every)
    };
    assert_eq!(
        asks(often).collect::<Vec<_>>(),
        [B::Resolving, B::Pending, B::Terminating]
    );
    // A machine with a build may be taken back.
    assert!(asks(LOOK_WHILE_BUILDING_EVERY).any(|state| state == B::Busy));
    assert!(asks(LOOK_ANYWAY_EVERY).any(|state| state == B::Ready));
}

#[test]
fn a_step_that_met_no_cloud_is_as_good_as_a_look_and_names_of_others_are_passed_over() {
    let (mut clouds, _) = clouds(known(CloudHealth::Answers));
    assert!(clouds.answers("aws") && !clouds.answers("another"));
    clouds.note_failure("another", &unreachable());
    assert!(clouds.answers("aws"));
    clouds.note_failure("aws", &unreachable());
    assert!(!clouds.answers("aws"));
    let words = "the cloud cannot be reached: connection refused";
    let CloudHealth::Away(trouble) = &clouds.health()["aws"] else {
        panic!("it is away");
    };
    assert_eq!((trouble.since, trouble.reason.as_str()), (NOW, words));
}

/// What a look at a fake cloud says, with one orphan to end.
async fn look(cloud: &Arc<FakeCloud>) -> Result<Seen, Error> {
    let orphan = Orphan {
        cloud: "aws".to_owned(),
        instance_id: "i-orphan".to_owned(),
        state: "running".to_owned(),
        first_at: NOW,
        last_at: NOW,
        times_seen: 2,
        refusal: None,
        pool: None,
        is_ending: true,
        ignored: None,
    };
    let look = Look {
        name: "aws".to_owned(),
        cloud: Arc::clone(cloud) as Arc<dyn Cloud>,
        fleet: FleetId(uuid::Uuid::from_u128(3)),
        is_certain: false,
        known: Vec::new(),
        orphans: vec![orphan],
        count: None,
        asks_dialect: false,
        wanted: Vec::new(),
        owners: BTreeMap::new(),
    };
    observe::look(look).await
}

#[tokio::test]
async fn a_cloud_that_answers_again_is_fresh_and_an_orphan_that_ends_is_left_alone_for_a_minute() {
    let cloud = Arc::new(FakeCloud::default());
    let (mut clouds, clock) = clouds(known(CloudHealth::Unknown));
    cloud.set_away(Some(unreachable()));
    for _ in 0..6 {
        let failed = look(&cloud).await;
        clouds.take(Ok(("aws".to_owned(), failed)));
    }
    assert!(matches!(clouds.health()["aws"], CloudHealth::Away(_)));
    assert!(clouds.is_quiet(), "there is nothing to conclude from silence");
    cloud.set_away(None);
    let seen = look(&cloud).await;
    clouds.take(Ok(("aws".to_owned(), seen)));
    assert!(matches!(clouds.health()["aws"], CloudHealth::Away(_)) && !clouds.is_quiet());
    // What it shows is believable, which is found when conclusions are drawn.
    clouds.known.get_mut("aws").unwrap().succeed("aws");
    assert!(clouds.answers("aws"));
    let orphan = "i-orphan".to_owned();
    let held = |clouds: &Clouds, second| clouds.ends.holds(&orphan, Duration::from_secs(second));
    assert!(held(&clouds, 59) && !held(&clouds, 60));
    // The next failure is the first one again.
    clouds.note_failure("aws", &unreachable());
    assert!(clouds.known["aws"].pause <= FIRST_PAUSE);
    // What it refuses to end is asked for again sooner, at first.
    let refusal = cloud::Error::Refused {
        code: "OperationNotPermitted".to_owned(),
        message: String::new(),
    };
    cloud.protect("i-orphan", Some(refusal));
    clock.advance(Duration::from_secs(60));
    let seen = look(&cloud).await;
    clouds.take(Ok(("aws".to_owned(), seen)));
    assert!(held(&clouds, 60) && !held(&clouds, 62));
}

#[test]
fn a_question_for_which_no_call_was_left_is_no_answer_and_is_asked_again_soon() {
    let (mut clouds, clock) = clouds(Known {
        is_looked_at: true,
        looked: Some(Duration::ZERO),
        ..known(CloudHealth::Answers)
    });
    let failed = |source| {
        let cloud = "aws".to_owned();
        Ok(("aws".to_owned(), Err(Error::Cloud { cloud, source })))
    };
    clouds.take(failed(cloud::Error::Rationed {
        class: model::calls::CallClass::Read,
        wait: Duration::from_secs(9),
    }));
    assert!(!clouds.have_been_asked_since(Duration::ZERO));
    let looked = |clouds: &Clouds| clouds.known["aws"].looked;
    assert!(looked(&clouds).is_some(), "not in every round");
    clock.advance(LOOK_EVERY);
    assert!(!clouds.have_been_asked_since(Duration::ZERO));
    assert_eq!((looked(&clouds), clouds.troubles()), (None, vec![]));
    // Silence is a kind of answer, and the pass tells of it.
    clouds.known.get_mut("aws").unwrap().looked = Some(LOOK_EVERY);
    clouds.take(failed(unreachable()));
    assert!(clouds.have_been_asked_since(Duration::ZERO));
    let troubles = clouds.troubles();
    assert!(
        troubles[0].starts_with("cloud aws gives no machines since "),
        "{troubles:?}"
    );
}

#[tokio::test]
async fn a_fault_of_ours_in_a_look_is_no_word_of_the_clouds_to_users() {
    let (mut clouds, _) = clouds(Known {
        is_looked_at: true,
        ..known(CloudHealth::Answers)
    });
    clouds.take(Ok(("gone".to_owned(), Err(Error::Panicked("a look".to_owned())))));
    assert!(
        clouds.answers("aws"),
        "of a cloud that is no longer in the fleet nothing is kept"
    );
    clouds.take(Ok(("aws".to_owned(), Err(Error::Panicked("a look".to_owned())))));
    let CloudHealth::Away(trouble) = &clouds.health()["aws"] else {
        panic!("it is away");
    };
    assert_eq!(trouble.reason, "it could not be asked");
    assert_eq!(trouble.detail, "a look panicked");
    assert!(!clouds.known["aws"].is_looked_at, "it is looked at again");
}
