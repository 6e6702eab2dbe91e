use runtime::clock::ManualClock;
use uuid::Uuid;

use super::*;
use crate::testing::{self, NOW};

const ID: BuilderId = BuilderId(Uuid::from_u128(1));

fn steps() -> (Steps, ManualClock) {
    let manual = ManualClock::new(NOW);
    (Steps::new(Clock::Manual(manual.clone())), manual)
}

/// Has a step be under way that ends so.
fn begin(
    steps: &mut Steps,
    work: Work,
    does: impl Future<Output = Result<Duration, Error>> + Send + 'static,
) {
    steps.count += 1;
    let number = steps.count;
    let task = steps.tasks.spawn(async move {
        let outcome = does.await;
        Ended {
            id: ID,
            number,
            outcome,
        }
    });
    let under_way = UnderWay {
        number,
        work,
        cloud: "aws".to_owned(),
        asks: None,
        task,
    };
    steps.under_way.insert(ID, under_way);
}

fn unreachable() -> Error {
    Error::Cloud {
        cloud: "aws".to_owned(),
        source: cloud::Error::Unreachable {
            why: "connection refused".to_owned(),
        },
    }
}

fn conflict() -> Error {
    let what = "it is terminating".to_owned();
    store::Error::Conflict { what }.into()
}

#[tokio::test]
async fn a_builder_is_left_alone_after_its_step_as_that_says() {
    let second = Duration::from_secs(1);
    let contradiction = || Error::Contradiction("a row".to_owned());
    type Case = (&'static str, Result<Duration, Error>, Duration, usize);
    // (how it ends, until when it is left alone at most, how many clouds failed)
    let cases: [Case; 5] = [
        ("it is over", Ok(Duration::ZERO), Duration::ZERO, 0),
        ("it rests", Ok(second * 7), second * 7, 0),
        ("it came too late", Err(conflict()), Duration::ZERO, 0),
        ("a cloud failed", Err(unreachable()), second, 1),
        ("a row is wrong", Err(contradiction()), second, 0),
    ];
    for (what, outcome, rest, failures) in cases {
        let (mut steps, _) = steps();
        begin(&mut steps, Work::Call, async { outcome });
        let told = steps.ends().await.unwrap();
        assert_eq!(told.len(), failures, "{what}");
        assert_eq!(steps.pauses.holds(&ID, Duration::ZERO), !rest.is_zero(), "{what}");
        assert!(!steps.pauses.holds(&ID, rest), "{what}");
        assert!(steps.under_way.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn there_is_nothing_to_wait_for_without_steps_and_those_that_ended_together_are_told_together() {
    let (mut steps, _) = steps();
    assert_eq!(steps.ends().await, None);
    for number in 1..=3 {
        let id = BuilderId(Uuid::from_u128(number));
        let task = steps.tasks.spawn(async move {
            let outcome = Err(unreachable());
            Ended {
                id,
                number: 0,
                outcome,
            }
        });
        let work = Work::Call;
        steps.under_way.insert(
            id,
            UnderWay {
                cloud: "aws".to_owned(),
                number: 0,
                work,
                asks: None,
                task,
            },
        );
    }
    while !steps.under_way.values().all(|it| it.task.is_finished()) {
        tokio::task::yield_now().await;
    }
    let clouds: Vec<String> = steps
        .ends()
        .await
        .unwrap()
        .into_iter()
        .map(|(cloud, _)| cloud)
        .collect();
    assert_eq!(clouds, ["aws"; 3]);
    assert_eq!(steps.under_way(), 0);
}

#[tokio::test]
async fn a_failed_step_is_complained_of_until_one_goes_well() {
    let (mut steps, _) = steps();
    begin(&mut steps, Work::Call, async {
        Err(Error::Contradiction("a row".to_owned()))
    });
    steps.ends().await;
    assert_eq!(steps.complaints[&ID], "a row");
    begin(&mut steps, Work::Call, async { Err(conflict()) });
    steps.ends().await;
    assert_eq!(
        steps.complaints[&ID], "a row",
        "a step that came too late says nothing"
    );
    begin(&mut steps, Work::Call, async { Ok(Duration::ZERO) });
    steps.ends().await;
    assert!(steps.complaints.is_empty());
}

#[tokio::test]
async fn a_step_that_was_given_up_says_nothing_of_the_builder_that_has_another_one() {
    let (mut steps, _) = steps();
    begin(&mut steps, Work::Machine, async { Err(unreachable()) });
    // It ends, and before that is noticed its builder is to be ended: its next step begins.
    steps.under_way.remove(&ID);
    begin(&mut steps, Work::Call, std::future::pending());
    assert_eq!(steps.ends().await, Some(Vec::new()));
    assert!(steps.under_way.contains_key(&ID), "the other one goes on");
    assert!(!steps.pauses.holds(&ID, Duration::ZERO));
    steps.stop().await;
    assert_eq!((steps.under_way(), steps.under_way.len()), (0, 0));
}

#[tokio::test]
async fn a_machine_is_waited_for_until_its_builder_is_to_be_ended() {
    use BuilderState as B;
    for (state, taken, goes_on) in [
        (B::Booting, Work::Machine, true),
        (B::Checking, Work::Machine, true),
        (B::Terminating, Work::Machine, false),
        (B::Draining, Work::Machine, false),
        // A call is not cut short: it may be the one that launches.
        (B::Terminating, Work::Call, true),
    ] {
        let (mut steps, _) = steps();
        begin(&mut steps, taken, std::future::pending());
        steps.stop_waiting_for(&[testing::builder(state)]);
        assert_eq!(steps.under_way.contains_key(&ID), goes_on, "{state} {taken:?}");
        if !goes_on {
            assert_eq!(steps.ends().await, Some(Vec::new()), "{state}");
        }
    }
}

#[test]
fn a_cloud_that_hangs_and_machines_that_wait_hold_up_no_other_cloud() {
    let mut places = Places::default();
    let taken = |places: &mut Places, work, cloud| (0..2000).filter(|_| places.take(work, cloud)).count();
    assert_eq!(taken(&mut places, Work::Call, "hangs"), MOST_CALLS);
    assert_eq!(taken(&mut places, Work::Machine, "hangs"), MOST_MACHINES);
    assert_eq!(taken(&mut places, Work::Call, "other"), MOST_CALLS);
    assert!(!places.take(Work::Call, "hangs"));
}
