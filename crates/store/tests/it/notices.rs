//! What a cloud's notice means that it takes a machine back.

use model::{
    AttemptState, Blame, BuildId, BuilderState,
    mark::{Mark, MarkKind},
};

use crate::{
    farm::{Farm, assert_lease_lost, because, collected, failed},
    support::at,
};

on_both_databases!(
    a_notice_is_written_down_once_and_never_in_the_place_of_what_asks_for_more,
    what_breaks_on_a_machine_that_is_taken_back_is_no_try_and_says_why,
    what_a_package_does_there_is_its_own_as_ever,
);

fn notice() -> Mark {
    Mark::taken_back("dev", "terminate at noon")
}

impl Farm {
    /// Begins a build's open attempt on a machine that its cloud takes back.
    async fn begin_on_one_that_goes(&self, build: BuildId) -> model::Epoch {
        let epoch = self.begin(build).await;
        let builder = self.open_attempt(build).await.builder.unwrap();
        let notice = notice();
        let is_new = self.store.mark_builder(&self.lease, builder, &notice, at(4));
        assert!(is_new.await.unwrap());
        epoch
    }
}

async fn a_notice_is_written_down_once_and_never_in_the_place_of_what_asks_for_more(farm: Farm) {
    let builder = farm.ready_builder().await;
    let before = farm.last_event().await;
    let write = async |mark: &Mark| {
        let is_new = farm.store.mark_builder(&farm.lease, builder.id, mark, at(4));
        is_new.await.unwrap()
    };
    let cordon = Mark {
        kind: MarkKind::Cordoned,
        ..notice()
    };
    for (mark, is_new) in [
        (&cordon, true),
        (&notice(), true),
        (&notice(), false),
        (&cordon, false),
    ] {
        assert_eq!(write(mark).await, is_new, "{}", mark.kind);
    }
    let told = farm.builder(builder.id).await;
    assert_eq!((told.mark.as_ref(), told.cordoned), (Some(&notice()), true));
    assert_eq!(told.version, builder.version, "it does not move by that");
    let events = farm.events_after(before).await;
    let words: Vec<&str> = events.iter().map(|event| event.reason.as_str()).collect();
    assert_eq!(
        words,
        [
            "cordoned by cloud dev: terminate at noon",
            "taken back by cloud dev: terminate at noon"
        ]
    );

    let ended = farm.go(&told, BuilderState::Draining).await;
    let ended = farm.go(&ended, BuilderState::Terminating).await;
    farm.go(&ended, BuilderState::Terminated).await;
    let harder = Mark {
        kind: MarkKind::Ended,
        ..notice()
    };
    assert!(!write(&harder).await, "it has ended");
    let stale = store::Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    assert_lease_lost(
        farm.store
            .mark_builder(&stale, builder.id, &notice(), at(5))
            .await,
    );
}

async fn what_breaks_on_a_machine_that_is_taken_back_is_no_try_and_says_why(farm: Farm) {
    let build = farm.submit().await.id;
    // However often that happens, whoever sees it first.
    for round in 0..6 {
        let attempt = farm.open_attempt(build).await.id;
        let epoch = farm.begin_on_one_that_goes(build).await;
        let what = if round % 2 == 0 {
            farm.finish(epoch, &failed(Blame::Infrastructure, "the connection was lost"))
                .await;
            "the connection was lost"
        } else {
            farm.lose_builder_by(build, because("still busy after 90 s"), at(5))
                .await;
            "still busy after 90 s"
        };
        let lost = farm.attempt(attempt).await;
        assert_eq!((lost.state, lost.blame), (AttemptState::Lost, None), "{round}");
        let why = format!("taken back by cloud dev: terminate at noon; {what}");
        assert_eq!(lost.reason, Some(why));
        let builder = farm.builder(lost.builder.unwrap()).await;
        assert_eq!(builder.state, BuilderState::Draining);
    }
    // It has all of its tries left.
    for tries in 1..=3 {
        let epoch = farm.begin(build).await;
        farm.finish(epoch, &failed(Blame::Infrastructure, "the disk is full"))
            .await;
        let expected = if tries < 3 {
            AttemptState::Waiting
        } else {
            AttemptState::Failed
        };
        assert_eq!(farm.states(build).await.2, expected, "{tries}");
    }
}

async fn what_a_package_does_there_is_its_own_as_ever(farm: Farm) {
    let build = farm.submit().await.id;
    let epoch = farm.begin_on_one_that_goes(build).await;
    farm.finish(epoch, &failed(Blame::Package, "it does not compile"))
        .await;
    assert_eq!(farm.states(build).await.2, AttemptState::Failed);

    let build = farm.submit().await.id;
    let epoch = farm.begin_on_one_that_goes(build).await;
    let builder = farm.open_attempt(build).await.builder.unwrap();
    farm.finish(epoch, &collected(build)).await;
    assert_eq!(
        farm.states(build).await.2,
        AttemptState::Publishing,
        "it was quicker"
    );
    assert_eq!(farm.builder(builder).await.state, BuilderState::Draining);
}
