//! The keeping of the lease by itself, with renewals that a script answers and a clock that jumps from one wake to the next.

use std::{cell::RefCell, collections::VecDeque};

use model::FleetId;
use runtime::clock::ManualClock;

use super::*;

/// How a renewal ends.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Well,
    /// Well, after so many seconds.
    Late(u64),
    /// The database cannot be reached.
    Away,
    /// It cannot be reached, which takes so many seconds to find out.
    AwayAfter(u64),
    /// Another has it.
    Lost,
    Conflict,
    Hangs,
}

use Answer::{Away, AwayAfter, Conflict, Hangs, Late, Lost, Well};

impl Answer {
    async fn give(self, clock: &Clock) -> Result<(), store::Error> {
        let (database, why) = ("farm.db".to_owned(), "it is away".to_owned());
        match self {
            Well => Ok(()),
            Late(seconds) => {
                clock.sleep(Duration::from_secs(seconds)).await;
                Ok(())
            }
            Away => Err(store::Error::Unavailable { database, why }),
            AwayAfter(seconds) => {
                clock.sleep(Duration::from_secs(seconds)).await;
                Err(store::Error::Unavailable { database, why })
            }
            Lost => Err(store::Error::LeaseLost {
                fleet: FleetId(uuid::Uuid::from_u128(3)),
                epoch: 7,
            }),
            Conflict => Err(store::Error::Conflict {
                what: "the writer".to_owned(),
            }),
            Hangs => std::future::pending().await,
        }
    }
}

fn spec(ttl: u64, renew: u64) -> ControllerSpec {
    let text = format!("tick: {{min: 2s, max: 30s}}\nlease: {{ttl: {ttl}s, renew: {renew}s}}\n");
    runtime::yaml::parse(&text, "controller").unwrap()
}

/// Keeps a lease that was asked for so many seconds ago: at which milliseconds it is renewed, when the keeping ends, and why.
fn kept(ttl: u64, renew: u64, ago: u64, answers: &[Answer]) -> (Vec<u128>, u128, String) {
    let manual = ManualClock::new(Timestamp::from_micros(0));
    let clock = Clock::Manual(manual.clone());
    let script = RefCell::new(answers.iter().copied().collect::<VecDeque<_>>());
    let asked = RefCell::new(Vec::new());
    let millis = || clock.elapsed().as_millis();
    let (lease, term) = (spec(ttl, renew).lease, Term::default());
    let renew_now = || {
        assert!(!term.is_over(&clock), "{} ms", millis());
        asked.borrow_mut().push(millis());
        let answer = script.borrow_mut().pop_front().unwrap_or(Away);
        answer.give(&clock)
    };
    manual.advance(Duration::from_secs(ago));
    let keeping = keep_lease((&clock, &term), &lease, Duration::ZERO, renew_now);
    let time_passes = async {
        while let Some(next) = manual.next_wake() {
            manual.advance(next);
            tokio::task::yield_now().await;
        }
        panic!("it waits for nothing, and goes on");
    };
    let ended = async {
        tokio::select! {
            biased;
            error = keeping => error,
            () = time_passes => unreachable!("it panics"),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(ended);
    let ended = millis();
    let is_late = matches!(error, Error::LeaseNotRenewed);
    assert_eq!(
        term.is_over(&clock),
        is_late,
        "acting ends with the lease's time, and not before"
    );
    (asked.into_inner(), ended, error_chain(&error))
}

#[test]
fn a_lease_is_renewed_in_time_and_given_up_at_two_thirds_of_it() {
    let lost = "the lease of fleet flt_00000000000000000000000000000003 with epoch 7 is lost";
    let late = "the lease could not be renewed in time";
    type Case<'a> = (&'a str, &'a [Answer], &'a [u128], u128, &'a str);
    let cases: [Case<'_>; 10] = [
        (
            "as usual",
            &[Well, Well, Well, Lost],
            &[5000, 10_000, 15_000, 20_000],
            20_000,
            lost,
        ),
        ("lost at once", &[Lost], &[5000], 5000, lost),
        (
            "a conflict is no reason to ask again",
            &[Conflict],
            &[5000],
            5000,
            "conflict: the writer",
        ),
        ("a renewal that hangs", &[Hangs], &[5000], 9900, late),
        (
            "a database that stays away",
            &[],
            &[5000, 6000, 7000, 8000, 9000],
            9900,
            late,
        ),
        (
            "a database that comes back, after which all is as before",
            &[Away, Away, Well, Well, Lost],
            &[5000, 6000, 7000, 12_000, 17_000],
            17_000,
            lost,
        ),
        (
            "the lease lasts from the question, not from the answer",
            &[Late(4), Hangs],
            &[5000, 14_000],
            14_900,
            late,
        ),
        ("an answer that comes too late", &[Late(5)], &[5000], 9900, late),
        (
            "failures that take their time",
            &[AwayAfter(3), AwayAfter(3)],
            &[5000, 9000],
            9900,
            late,
        ),
        ("lost after a failure", &[Away, Lost], &[5000, 6000], 6000, lost),
    ];
    for (what, answers, asked, ended, why) in cases {
        assert_eq!(
            kept(15, 5, 0, answers),
            (asked.to_vec(), ended, why.to_owned()),
            "{what}"
        );
    }
}

#[test]
fn a_lease_that_was_given_slowly_ends_as_early_as_if_it_had_been_given_at_once() {
    let (asked, ended, _) = kept(15, 5, 3, &[Hangs]);
    assert_eq!((asked, ended), (vec![8000], 9900));
    // What came later than it may be used is not used at all.
    let (asked, ended, _) = kept(15, 5, 12, &[]);
    assert_eq!((asked, ended), (vec![], 12_000));
}

#[test]
fn no_pause_goes_beyond_the_time_of_a_short_lease() {
    let (asked, ended, why) = kept(2, 1, 0, &[Away]);
    assert_eq!((asked, ended), (vec![1000], 1320));
    assert_eq!(why, "the lease could not be renewed in time");
}

#[test]
fn rounds_are_close_while_something_is_under_way_and_no_further_apart_than_renewals_otherwise() {
    for (ttl, renew, is_busy, seconds) in [
        (15, 5, true, 2),
        (15, 5, false, 5),
        (600, 300, true, 2),
        (600, 300, false, 30),
    ] {
        let found = rest(&spec(ttl, renew), is_busy);
        assert_eq!(found, Duration::from_secs(seconds), "{ttl} {renew} {is_busy}");
    }
}
