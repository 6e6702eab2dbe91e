use super::*;
use crate::testing::{self, NOW};

/// A builder that has been planned again so many seconds ago, after so many launches that were refused and put off.
fn builder(refusals: u32, postponements: u32, seconds: u64) -> Builder {
    Builder {
        instance_id: None,
        reason: Some("b: the cloud refuses: VcpuLimitExceeded".to_owned()),
        entered_at: NOW.minus(Duration::from_secs(seconds)),
        created_at: NOW.minus(Duration::from_secs(100)),
        launch: Some(LaunchAttempt {
            id: LaunchId(Uuid::from_u128(2)),
            offering: "b".parse().unwrap(),
            params_hash: String::new(),
            asked_at: NOW,
            answered_at: Some(NOW),
            answer: Some(if postponements > 0 {
                LaunchAnswer::Later
            } else {
                LaunchAnswer::Refused
            }),
            outcome: None,
        }),
        launches: refusals + postponements,
        refusals,
        postponements,
        ..testing::builder(BuilderState::Planned)
    }
}

fn next_after(offerings: &[&str], tries: u32, builder: &Builder) -> Next {
    let offerings: Vec<Offering> = offerings.iter().map(|name| name.parse().unwrap()).collect();
    next_of(&offerings, tries, builder, NOW)
}

fn ask(offering: &str) -> Next {
    Next::Ask(offering.parse().unwrap())
}

#[test]
fn a_refusal_leads_to_the_next_offering_at_once_and_to_the_first_again_after_a_while() {
    assert_eq!(next_after(&["a", "b"], 3, &builder(0, 0, 0)), ask("a"));
    assert_eq!(next_after(&["a", "b"], 3, &builder(1, 0, 0)), ask("b"));
    let pause = Next::Wait(Duration::from_secs(2));
    assert_eq!(next_after(&["a", "b"], 3, &builder(2, 0, 1)), pause);
    assert_eq!(next_after(&["a", "b"], 3, &builder(2, 0, 3)), ask("a"));
}

#[test]
fn every_offering_is_asked_for_before_a_builder_is_given_up_and_the_last_refusal_is_told() {
    assert_eq!(
        next_after(&["a", "b", "c", "d", "e"], 3, &builder(4, 0, 0)),
        ask("e")
    );
    let Next::GiveUp(why) = next_after(&["a", "b", "c", "d", "e"], 3, &builder(5, 0, 0)) else {
        panic!("it goes on");
    };
    assert_eq!(
        why,
        "all its launches were refused, 5 in all; the last one: b: the cloud refuses: VcpuLimitExceeded"
    );
    assert!(matches!(
        next_after(&["a"], 3, &builder(3, 0, 9)),
        Next::GiveUp(_)
    ));
    assert!(matches!(next_after(&[], 3, &builder(0, 0, 9)), Next::GiveUp(_)));
}

#[test]
fn what_is_put_off_is_asked_for_again_after_ever_longer_pauses_and_uses_up_no_try() {
    for (postponements, pause) in [(1, 3), (2, 6), (3, 12), (4, 24), (5, 48), (6, 60), (9, 60)] {
        let early = builder(1, postponements, pause - 1);
        assert_eq!(
            next_after(&["a", "b"], 2, &early),
            Next::Wait(Duration::from_secs(1)),
            "{postponements}"
        );
        assert_eq!(
            next_after(&["a", "b"], 2, &builder(1, postponements, pause)),
            ask("b")
        );
    }
}
