use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// A builder that comes back as soon as one may.
const NOBODY: BuilderId = BuilderId(uuid::Uuid::nil());
const REFUSED: &str = "b: the cloud refuses: VcpuLimitExceeded";

fn offering(text: &str) -> Offering {
    text.parse().unwrap()
}

/// The next step of a builder that was planned again so many seconds ago, after so many launches that were refused and put off.
fn next_after(offerings: &[&str], tries: u32, (refusals, postponements, seconds): (u32, u32, u64)) -> Step {
    let builder = Standing {
        id: NOBODY,
        state: BuilderState::Planned,
        entered_at: NOW.minus(Duration::from_secs(seconds)),
        reason: Some(REFUSED),
        launches: Launches {
            refusals,
            postponements,
            last: Some(if postponements > 0 {
                LaunchAnswer::Later
            } else {
                LaunchAnswer::Refused
            }),
        },
    };
    let wanted = Wanted {
        lines: vec![Line::open(offerings.iter().map(|text| offering(text)).collect())],
        short: Vec::new(),
        tries,
    };
    next(&builder, &Ok(wanted), NOW)
}

fn ask(text: &str) -> Step {
    Step::Launch(offering(text))
}

fn given_up(why: &str) -> Step {
    Step::Move(Move::new(BuilderState::Abandoned, why))
}

#[test]
fn a_refusal_leads_to_the_next_offering_at_once_and_to_the_first_again_after_a_while() {
    assert_eq!(next_after(&["a", "b"], 3, (0, 0, 0)), ask("a"));
    assert_eq!(next_after(&["a", "b"], 3, (1, 0, 0)), ask("b"));
    let pause = Step::Wait(Duration::from_secs(2));
    assert_eq!(next_after(&["a", "b"], 3, (2, 0, 1)), pause);
    assert_eq!(next_after(&["a", "b"], 3, (2, 0, 3)), ask("a"));
}

#[test]
fn every_offering_is_asked_for_before_a_builder_is_given_up_and_the_last_refusal_is_told() {
    let five = ["a", "b", "c", "d", "e"];
    assert_eq!(next_after(&five, 3, (4, 0, 0)), ask("e"));
    let why = format!("all its launches were refused, 5 in all; the last one: {REFUSED}");
    assert_eq!(next_after(&five, 3, (5, 0, 0)), given_up(&why));
    let why = format!("its launch was refused, 1 in all; the last one: {REFUSED}");
    assert_eq!(next_after(&["a"], 1, (1, 0, 9)), given_up(&why));
    assert_eq!(
        next_after(&[], 3, (0, 0, 9)),
        given_up("its pool has no offering")
    );
}

#[test]
fn what_is_put_off_is_asked_for_again_after_ever_longer_pauses_and_uses_up_no_try() {
    for (postponements, pause) in [(1, 3), (2, 6), (3, 12), (4, 24), (5, 48), (6, 60), (9, 60)] {
        let early = next_after(&["a", "b"], 2, (1, postponements, pause - 1));
        assert_eq!(early, Step::Wait(Duration::from_secs(1)), "{postponements}");
        assert_eq!(next_after(&["a", "b"], 2, (1, postponements, pause)), ask("b"));
    }
}

#[test]
fn those_who_were_put_off_together_come_back_one_by_one() {
    let wait = |number: u128| {
        let builder = Standing {
            // The first bits of an id are its time: the same for all that were planned together.
            id: BuilderId(uuid::Uuid::from_u128(
                0x019a_0000_0000_7000_8000_0000_0000_0000 | number,
            )),
            state: BuilderState::Planned,
            entered_at: NOW,
            reason: None,
            launches: Launches {
                refusals: 0,
                postponements: 1,
                last: Some(LaunchAnswer::Later),
            },
        };
        let wanted = Wanted {
            lines: vec![Line::open(vec![offering("a")])],
            short: Vec::new(),
            tries: 3,
        };
        match next(&builder, &Ok(wanted), NOW) {
            Step::Wait(pause) => pause.as_millis(),
            other => panic!("{other:?}"),
        }
    };
    // 500 ids whose last bits are as random ones are.
    let mut waits: Vec<u128> = (1..=500).map(|number| wait(number * 40_503)).collect();
    waits.sort_unstable();
    assert!(waits[0] >= 3000 && waits[499] <= 4500, "{waits:?}");
    let most = (30..45)
        .map(|tenth| waits.iter().filter(|wait| **wait / 100 == tenth).count())
        .max();
    assert!(
        most.unwrap() < 50,
        "of 500 not more than a tenth in a tenth of a second: {waits:?}"
    );
    assert_eq!(wait(7), wait(7), "each has its own");
}

#[test]
fn what_is_known_to_be_short_is_left_for_later_and_asked_for_if_there_is_nothing_else() {
    let short = |text: &str, seconds: u64| Note {
        shortage: Shortage::Capacity(offering(text)),
        noted_at: NOW,
        until: NOW.plus(Duration::from_secs(seconds)),
        strikes: 1,
        why: String::new(),
    };
    let next = |notes: &[Note], refusals: u32| {
        let builder = Standing {
            id: NOBODY,
            state: BuilderState::Planned,
            entered_at: NOW,
            reason: Some(REFUSED),
            launches: Launches {
                refusals,
                ..Launches::default()
            },
        };
        let wanted = Wanted {
            lines: vec![Line::open(vec![offering("a spot"), offering("a"), offering("b")])],
            short: notes.to_vec(),
            tries: 3,
        };
        next(&builder, &Ok(wanted), NOW)
    };
    let all = [short("a spot", 9), short("a", 9), short("b", 9)];
    // Others found it out: nobody has to do so again.
    assert_eq!(next(&all[..1], 0), ask("a"));
    assert_eq!(next(&all[..2], 0), ask("b"));
    // Its own refusal is among what is known: the next one is not passed over for it.
    assert_eq!(next(&all[..1], 1), ask("a"));
    assert_eq!(next(&all, 1), ask("a"), "in its turn, as nothing were known");
    assert_eq!(next(&[short("a spot", 0)], 0), ask("a spot"), "its time is over");
}

#[test]
fn a_builder_whose_pool_wants_nothing_any_more_is_given_up_and_says_why() {
    let builder = Standing {
        id: NOBODY,
        state: BuilderState::Planned,
        entered_at: NOW,
        reason: None,
        launches: Launches::default(),
    };
    let gone = Err("pool x86 is no longer in fleet.yaml".to_owned());
    let expected = given_up("pool x86 is no longer in fleet.yaml");
    assert_eq!(next(&builder, &gone, NOW), expected);
}

/// What a cloud may say, and what it says.
fn replies() -> [Reply; 5] {
    [
        Reply::Instance("i-1".to_owned()),
        Reply::Refused {
            code: "X".to_owned(),
            words: "the cloud refuses: X".to_owned(),
        },
        Reply::Later("the cloud asks for fewer calls (X)".to_owned()),
        Reply::Ended("it has ended already".to_owned()),
        Reply::Unclear("no clear answer".to_owned()),
    ]
}

#[test]
fn an_answer_moves_the_builder_and_closes_its_launch_unless_nobody_knows_what_it_means() {
    use BuilderState as S;
    let expected = [
        (
            S::Pending,
            "the cloud gave instance i-1 (a@1 spot)",
            Some(LaunchAnswer::Given),
        ),
        (
            S::Planned,
            "a@1 spot: the cloud refuses: X",
            Some(LaunchAnswer::Refused),
        ),
        (
            S::Planned,
            "a@1 spot: the cloud asks for fewer calls (X)",
            Some(LaunchAnswer::Later),
        ),
        (
            S::Abandoned,
            "a@1 spot: it has ended already",
            Some(LaunchAnswer::Nothing),
        ),
        (S::Resolving, "a@1 spot: no clear answer", None),
    ];
    for (reply, (to, reason, answer)) in replies().into_iter().zip(expected) {
        let instance_id = (to == S::Pending).then(|| "i-1".to_owned());
        let step = after(&offering("a@1 spot"), reply);
        let shortage =
            (answer == Some(LaunchAnswer::Refused)).then(|| Shortage::Offering(offering("a@1 spot")));
        let expected = Move {
            answer,
            instance_id,
            shortage,
            ..Move::new(to, reason)
        };
        assert_eq!(step, expected);
        assert!(S::Launching.may_become(step.to), "{to}");
    }
}

#[test]
fn only_a_machine_its_end_or_long_without_any_end_the_doubt_about_a_launch() {
    let seconds = Duration::from_secs;
    for waited in [0, 4, 10, 600, 601, 1800, 1801, 9000] {
        let pause = seconds((waited / 2).clamp(3, 60));
        let after = |least| {
            if waited > least {
                Doubt::Unless(pause)
            } else {
                Doubt::GoesOn(pause)
            }
        };
        let expected = [
            Doubt::Over(Box::new(given(&offering("a"), "i-1".to_owned()))),
            after(600),
            after(1800),
            Doubt::Over(Box::new(Move {
                answer: Some(LaunchAnswer::Nothing),
                ..Move::new(BuilderState::Abandoned, "it has ended already")
            })),
            after(1800),
        ];
        for (reply, expected) in replies().into_iter().zip(expected) {
            let found = after_question(&offering("a"), reply.clone(), seconds(waited));
            assert_eq!(found, expected, "{reply:?} after {waited} s");
        }
    }
}

#[test]
fn a_launch_is_not_asked_for_again_between_the_lists_that_end_the_doubt_about_it() {
    let seconds = Duration::from_secs;
    for (waited, misses, expected) in [
        (1800, 1, false),
        (1801, 0, false),
        (1801, 1, true),
        (9000, 2, true),
    ] {
        assert_eq!(
            only_lists_tell(seconds(waited), misses),
            expected,
            "{waited} s, {misses}"
        );
    }
}

#[test]
fn the_end_of_a_doubt_is_a_move_that_a_builder_in_doubt_may_make() {
    let adopted = adopted("i-1");
    assert_eq!(
        (adopted.reason.as_str(), adopted.answer),
        ("instance i-1 carries its tag", None)
    );
    assert_eq!(nowhere().reason, "no instance with its tag in ten minutes");
    for step in [adopted, nowhere(), given(&offering("a"), "i-1".to_owned())] {
        assert!(BuilderState::Resolving.may_become(step.to), "{}", step.to);
    }
}

#[test]
fn a_line_that_is_full_is_passed_over_and_where_all_are_the_builder_waits() {
    let next = |full: [bool; 3], refusals: u32, short: &[Note]| {
        let builder = Standing {
            id: NOBODY,
            state: BuilderState::Planned,
            entered_at: NOW.minus(Duration::from_secs(9)),
            reason: Some(REFUSED),
            launches: Launches {
                refusals,
                ..Launches::default()
            },
        };
        let line = |texts: &[&str], is_full: bool| Line {
            offerings: texts.iter().map(|text| offering(text)).collect(),
            is_full,
            after: Duration::ZERO,
        };
        let wanted = Wanted {
            lines: vec![
                line(&["a spot", "b spot"], full[0]),
                line(&["a"], full[1]),
                line(&["b"], full[2]),
            ],
            short: short.to_vec(),
            tries: 3,
        };
        next(&builder, &Ok(wanted), NOW)
    };
    let spot = Note {
        shortage: Shortage::Quota("standard", crate::Market::Spot),
        noted_at: NOW,
        until: NOW.plus(Duration::from_secs(60)),
        strikes: 1,
        why: String::new(),
    };
    let spot = std::slice::from_ref(&spot);
    assert_eq!(next([false, false, false], 0, &[]), ask("a spot"));
    assert_eq!(next([true, false, false], 0, &[]), ask("a"));
    assert_eq!(next([true, true, false], 0, &[]), ask("b"));
    assert_eq!(next([false, true, true], 3, &[]), ask("b spot"), "by turns");
    assert_eq!(next([false, true, false], 0, spot), ask("b"));
    // What is short is asked for all the same, where all else is full.
    assert_eq!(next([false, true, true], 2, spot), ask("a spot"));
    let waits = Step::Wait(Duration::from_secs(3));
    assert_eq!(next([true, true, true], 0, &[]), waits);
    assert_eq!(next([true, true, true], 2, spot), waits);
}

#[test]
fn a_line_with_an_after_is_asked_for_when_those_before_it_were_refused_for_so_long() {
    let note = |text: &str, ago: u64, left: u64| Note {
        shortage: Shortage::Capacity(offering(text)),
        noted_at: NOW.minus(Duration::from_secs(ago)),
        until: NOW.plus(Duration::from_secs(left)),
        strikes: 1,
        why: String::new(),
    };
    let next = |short: &[Note], refusals: u32, is_full: bool| {
        let builder = Standing {
            id: NOBODY,
            state: BuilderState::Planned,
            entered_at: NOW,
            reason: Some(REFUSED),
            launches: Launches {
                refusals,
                ..Launches::default()
            },
        };
        let line = |texts: &[&str], is_full: bool, after: u64| Line {
            offerings: texts.iter().map(|text| offering(text)).collect(),
            is_full,
            after: Duration::from_secs(after),
        };
        let wanted = Wanted {
            lines: vec![
                line(&["a spot", "b spot"], is_full, 0),
                line(&["a"], false, 30),
                line(&["b"], false, 90),
            ],
            short: short.to_vec(),
            tries: 1,
        };
        next(&builder, &Ok(wanted), NOW)
    };
    let wait = |seconds: u64| Step::Wait(Duration::from_secs(seconds));
    assert_eq!(next(&[], 0, false), ask("a spot"));
    assert_eq!(next(&[note("a spot", 99, 9)], 1, false), ask("b spot"));
    let refused =
        |first: u64, second: u64, left: u64| [note("a spot", first, left), note("b spot", second, 99)];
    assert_eq!(
        next(&refused(12, 10, 99), 2, false),
        wait(20),
        "the last of them counts"
    );
    assert_eq!(
        next(&refused(12, 10, 7), 2, false),
        wait(7),
        "spot may be asked for before"
    );
    assert_eq!(next(&refused(31, 29, 99), 2, false), wait(1));
    assert_eq!(next(&refused(31, 30, 99), 2, false), ask("a"));
    // Whoever begins now has nothing to find out.
    assert_eq!(next(&refused(31, 30, 99), 0, false), ask("a"));
    // However often it was refused: there is a line that it has not asked for.
    assert_eq!(next(&refused(12, 10, 99), 9, false), wait(20));
    let all = |ago: u64| {
        let [first, second] = refused(200, 200, 99);
        [first, second, note("a", ago, 99)]
    };
    assert_eq!(
        next(&all(40), 3, false),
        wait(50),
        "the line before the last counts as well"
    );
    assert_eq!(next(&all(90), 3, false), ask("b"));
    assert_eq!(next(&[], 0, true), ask("a"), "what is full is not waited for");
    assert_eq!(next(&[], 0, false), ask("a spot"), "back at once");
}
