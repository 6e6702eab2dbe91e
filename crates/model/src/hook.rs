//! Hooks: which are due, for how long they may run, and what follows from how they ended. No hook keeps a machine from being ended
//! for longer than its time, and a builder's hooks run one after another, in the order of its life.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::{
    BuilderId, BuilderState, PoolName, Timestamp,
    fleet::{HookPoint, HookSpec, HooksSpec, LONGEST_WAIT, OnFailure},
};

/// The exit code of a program that wants to be tried again later, as sysexits.h has it.
const TRY_AGAIN: i32 = 75;
/// How long a hook is left alone after a try, doubled with each: one that a builder waits for, and any other.
const PAUSE_BEFORE: Duration = Duration::from_secs(1);
const PAUSE_AFTER: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The turn that a builder comes to by a move to a state; `was_ready`: whether it was ready before. One that never had a machine
/// comes to its end as well, where others may have been told of its beginning.
#[must_use]
pub fn reached(to: BuilderState, was_ready: bool, hooks: &HooksSpec, pool: &PoolName) -> Option<HookPoint> {
    match to {
        BuilderState::Pending => Some(HookPoint::AfterSpawn),
        BuilderState::Ready if !was_ready => Some(HookPoint::AfterReady),
        BuilderState::Terminated => Some(HookPoint::AfterTerminate),
        BuilderState::Abandoned => {
            let is_known = hooks.of(HookPoint::BeforeSpawn, pool).next().is_some();
            is_known.then_some(HookPoint::AfterTerminate)
        }
        _ => None,
    }
}

/// The turn whose hooks a builder in a state waits for; `launches`: how often its cloud was asked.
#[must_use]
pub const fn waits_for(state: BuilderState, launches: u32) -> Option<HookPoint> {
    match state {
        BuilderState::Planned if launches == 0 => Some(HookPoint::BeforeSpawn),
        BuilderState::Draining => Some(HookPoint::BeforeTerminate),
        _ => None,
    }
}

/// Whether builders wait for the hooks of a turn.
#[must_use]
pub const fn is_waited_for(point: HookPoint) -> bool {
    matches!(point, HookPoint::BeforeSpawn | HookPoint::BeforeTerminate)
}

/// Whether a builder is given up when this hook has failed for good.
#[must_use]
pub fn gives_up(point: HookPoint, spec: &HookSpec) -> bool {
    point == HookPoint::BeforeSpawn && spec.on_failure == OnFailure::Retry
}

/// For how long hooks of a turn may still run for a builder that is in its state for so long; `None`: they come too late.
#[must_use]
pub fn time_left(point: HookPoint, state: BuilderState, waited: Duration) -> Option<Duration> {
    let any = Duration::MAX;
    match point {
        HookPoint::BeforeSpawn => (state == BuilderState::Planned).then_some(any),
        HookPoint::AfterSpawn | HookPoint::AfterReady => {
            let is_over = state.is_final() || BuilderState::ENDING.contains(&state);
            (!is_over).then_some(any)
        }
        HookPoint::BeforeTerminate => {
            let left = LONGEST_WAIT.get().saturating_sub(waited);
            (state == BuilderState::Draining && !left.is_zero()).then_some(left)
        }
        HookPoint::AfterTerminate => Some(any),
    }
}

/// A hook that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub builder: BuilderId,
    pub point: HookPoint,
    /// Its place in the list of the file.
    pub place: u32,
    /// Before this moment it is not tried.
    pub due_at: Timestamp,
}

/// What is to be done about a hook that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is tried, for so long at most, whatever its own limit.
    Now(Duration),
    /// Nothing yet.
    Later,
    /// It is dropped; what runs of it is ended.
    TooLate,
}

/// What is to be done about each hook that has not ended. `builders`: the state of those that live, and since when they are in it.
#[must_use]
pub fn due(
    open: &[Open],
    builders: &BTreeMap<BuilderId, (BuilderState, Timestamp)>,
    now: Timestamp,
) -> Vec<Due> {
    let left = |hook: &Open| {
        let over = (BuilderState::Terminated, now);
        let (state, since) = builders.get(&hook.builder).copied().unwrap_or(over);
        time_left(hook.point, state, now.since(since))
    };
    let mut order: Vec<usize> = (0..open.len()).collect();
    order.sort_by_key(|index| open.get(*index).map(|it| (it.builder, it.point, it.place)));
    let mut dues = vec![Due::Later; open.len()];
    let mut taken = BTreeSet::new();
    for index in order {
        let (Some(hook), Some(due)) = (open.get(index), dues.get_mut(index)) else {
            continue;
        };
        match left(hook) {
            None => *due = Due::TooLate,
            // One after another, also where the first one waits for its next try.
            Some(left) if taken.insert(hook.builder) && hook.due_at <= now => *due = Due::Now(left),
            Some(_) => {}
        }
    }
    dues
}

/// What a look at the hooks that have not ended leads to; hooks by their places in the list that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Those that come too late. They are dropped before any other is tried, so that nothing runs beside the next one of its builder.
    pub late: Vec<usize>,
    /// Those that are tried, and for how long at most.
    pub tried: Vec<(usize, Duration)>,
    /// The builders that wait for some of them.
    pub waiting: BTreeSet<BuilderId>,
}

/// What is to be done about all hooks that have not ended, as [`due`] says it for each.
#[must_use]
pub fn orders(
    open: &[Open],
    builders: &BTreeMap<BuilderId, (BuilderState, Timestamp)>,
    now: Timestamp,
) -> Orders {
    let mut orders = Orders::default();
    for (place, (hook, due)) in open.iter().zip(due(open, builders, now)).enumerate() {
        if due != Due::TooLate && is_waited_for(hook.point) {
            orders.waiting.insert(hook.builder);
        }
        match due {
            Due::Later => {}
            Due::TooLate => orders.late.push(place),
            Due::Now(left) => orders.tried.push((place, left)),
        }
    }
    orders
}

/// The number of a try that begins now; `last`: that of the last one. One that was under way when its controller was killed is
/// the same try again.
#[must_use]
pub const fn number(last: u32, was_under_way: bool) -> u32 {
    if was_under_way {
        last
    } else {
        last.saturating_add(1)
    }
}

/// How one try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exit(i32),
    /// By a signal that the farm did not send.
    Signal(i32),
    /// It was killed after so long.
    Late(Duration),
    /// It could not be run; why.
    NotRun(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(TRY_AGAIN) => write!(f, "exit code {TRY_AGAIN}, which asks for another try"),
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Late(limit) => write!(f, "killed after {} s, its time", limit.as_secs_f64()),
            Self::NotRun(why) => write!(f, "it cannot be run: {why}"),
        }
    }
}

/// What follows from how a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is done.
    Done,
    /// It is tried again after so long.
    Again(Duration),
    /// It has failed for good.
    Failed,
}

/// What follows from how the try of this number ended, counted from 1.
#[must_use]
pub fn next(point: HookPoint, spec: &HookSpec, attempt: u32, end: &End) -> Next {
    let is_wanted_again = *end == End::Exit(TRY_AGAIN) || spec.on_failure == OnFailure::Retry;
    match end {
        End::Exit(0) => Next::Done,
        _ if !is_wanted_again || attempt >= spec.attempts => Next::Failed,
        _ => {
            let first = if is_waited_for(point) {
                PAUSE_BEFORE
            } else {
                PAUSE_AFTER
            };
            let doubled = 1u32 << attempt.saturating_sub(1).min(10);
            Next::Again(first.saturating_mul(doubled).min(LONGEST_PAUSE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Deadlines;
    use BuilderState as S;
    use HookPoint as P;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn spec(on_failure: OnFailure, attempts: u32) -> HookSpec {
        let read = serde_json::json!({"cmd": ["/a"], "on_failure": on_failure, "attempts": attempts});
        serde_json::from_value(read).unwrap()
    }

    fn id(number: u128) -> BuilderId {
        BuilderId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_builder_comes_to_each_turn_by_one_move() {
        let pool: PoolName = "x86".parse().unwrap();
        let hook = || vec![spec(OnFailure::Ignore, 1)];
        let with = HooksSpec {
            before_spawn: hook(),
            ..HooksSpec::default()
        };
        let of_others = serde_json::json!({"before_spawn": [{"cmd": ["/a"], "pools": ["arm"]}]});
        let of_others: HooksSpec = serde_json::from_value(of_others).unwrap();
        for state in S::ALL {
            let expected = match state {
                S::Pending => Some(P::AfterSpawn),
                S::Ready => Some(P::AfterReady),
                S::Terminated | S::Abandoned => Some(P::AfterTerminate),
                _ => None,
            };
            assert_eq!(reached(state, false, &with, &pool), expected, "{state}");
            // Ready again after a build is no turn, nor is the end of what nobody was told of.
            let again = expected.filter(|_| !matches!(state, S::Ready | S::Abandoned));
            assert_eq!(
                reached(state, true, &HooksSpec::default(), &pool),
                again,
                "{state}"
            );
            assert_eq!(reached(state, true, &of_others, &pool), again, "{state}");
        }
    }

    #[test]
    fn a_builder_waits_before_its_first_launch_and_before_its_end_and_nowhere_else() {
        for state in S::ALL {
            let expected = match state {
                S::Planned => Some(P::BeforeSpawn),
                S::Draining => Some(P::BeforeTerminate),
                _ => None,
            };
            assert_eq!(waits_for(state, 0), expected, "{state}");
            let later = expected.filter(|point| *point == P::BeforeTerminate);
            assert_eq!(waits_for(state, 1), later, "{state}");
            assert!(expected.is_none_or(is_waited_for), "{state}");
        }
        assert_eq!(
            P::ALL.into_iter().filter(|point| is_waited_for(*point)).count(),
            2
        );
    }

    #[test]
    fn hooks_run_while_their_turn_lasts_and_those_before_the_end_for_half_a_minute() {
        let any = Some(Duration::MAX);
        assert_eq!(LONGEST_WAIT.get(), Deadlines::default().drain);
        for state in S::ALL {
            let is_over = matches!(state, S::Draining | S::Terminating | S::Terminated | S::Abandoned);
            let if_so = |is_so: bool| any.filter(|_| is_so);
            let left = |point, waited| time_left(point, state, seconds(waited));
            assert_eq!(left(P::BeforeSpawn, 900), if_so(state == S::Planned), "{state}");
            assert_eq!(left(P::AfterSpawn, 900), if_so(!is_over), "{state}");
            assert_eq!(left(P::AfterReady, 900), if_so(!is_over), "{state}");
            assert_eq!(left(P::AfterTerminate, 900), any, "{state}");
            for (waited, expected) in [(0, Some(30)), (29, Some(1)), (30, None), (31, None)] {
                let expected = expected.filter(|_| state == S::Draining).map(seconds);
                assert_eq!(left(P::BeforeTerminate, waited), expected, "{state} {waited}");
            }
        }
    }

    /// (builder, turn, place, due after so many seconds, what is done about it)
    type Row = (u128, HookPoint, u32, i64, Due);

    #[test]
    fn of_each_builder_the_first_hook_in_the_order_of_its_life_is_tried_when_it_is_due() {
        let now = Due::Now(Duration::MAX);
        let tables: [(&str, &[Row]); 6] = [
            ("one", &[(1, P::AfterReady, 0, 0, now)]),
            ("one that was due", &[(1, P::AfterReady, 0, -9, now)]),
            (
                "one that waits for its next try",
                &[(1, P::AfterReady, 0, 1, Due::Later)],
            ),
            (
                "one after another, in whatever order they are told",
                &[
                    (1, P::AfterReady, 1, 0, Due::Later),
                    (1, P::AfterReady, 0, 0, Due::Later),
                    (1, P::AfterSpawn, 3, 0, now),
                    (2, P::AfterReady, 1, 0, now),
                ],
            ),
            (
                "who waits keeps the next one waiting",
                &[
                    (1, P::AfterSpawn, 0, 5, Due::Later),
                    (1, P::AfterReady, 0, 0, Due::Later),
                ],
            ),
            (
                "what comes too late keeps nobody waiting",
                &[
                    // 3 drains for ten seconds, 4 is not there any more.
                    (3, P::AfterReady, 0, 5, Due::TooLate),
                    (3, P::BeforeTerminate, 0, 0, Due::Now(Duration::from_secs(20))),
                    (4, P::BeforeTerminate, 0, 0, Due::TooLate),
                    (4, P::AfterTerminate, 0, 0, now),
                    (4, P::AfterTerminate, 1, 0, Due::Later),
                ],
            ),
        ];
        let builders = BTreeMap::from([
            (id(1), (S::Ready, NOW)),
            (id(2), (S::Busy, NOW)),
            (id(3), (S::Draining, NOW.minus(seconds(10)))),
        ]);
        for (what, rows) in tables {
            let open: Vec<Open> = rows
                .iter()
                .map(|(builder, point, place, after, _)| Open {
                    builder: id(*builder),
                    point: *point,
                    place: *place,
                    due_at: Timestamp::from_micros(NOW.as_micros() + after * 1_000_000),
                })
                .collect();
            let expected: Vec<Due> = rows.iter().map(|row| row.4).collect();
            assert_eq!(due(&open, &builders, NOW), expected, "{what}");
        }
    }

    #[test]
    fn a_builder_waits_for_its_hooks_before_a_turn_until_they_are_over_or_too_late() {
        let open = |builder, point| Open {
            builder: id(builder),
            point,
            place: 0,
            due_at: NOW,
        };
        let all = [
            open(1, P::BeforeSpawn),
            open(2, P::AfterReady),
            open(3, P::BeforeTerminate),
            open(4, P::AfterSpawn),
            open(4, P::BeforeTerminate),
            open(5, P::BeforeTerminate),
        ];
        let builders = BTreeMap::from([
            (id(1), (S::Planned, NOW.minus(seconds(500)))),
            (id(2), (S::Ready, NOW)),
            (id(3), (S::Draining, NOW.minus(seconds(30)))),
            (id(4), (S::Draining, NOW.minus(seconds(29)))),
            (id(5), (S::Terminating, NOW)),
        ]);
        let expected = Orders {
            late: vec![2, 3, 5],
            tried: vec![(0, Duration::MAX), (1, Duration::MAX), (4, seconds(1))],
            waiting: BTreeSet::from([id(1), id(4)]),
        };
        assert_eq!(orders(&all, &builders, NOW), expected);
        assert_eq!(orders(&[], &builders, NOW), Orders::default());
    }

    #[test]
    fn a_try_that_was_interrupted_is_the_same_one_again() {
        for (last, was_under_way, expected) in [(0, false, 1), (1, true, 1), (1, false, 2), (7, true, 7)] {
            assert_eq!(number(last, was_under_way), expected, "{last} {was_under_way}");
        }
    }

    #[test]
    fn what_ends_well_is_done_and_what_fails_is_tried_again_as_it_wants_or_the_file_says() {
        use OnFailure::{Ignore, Retry};
        let again = |count| Next::Again(seconds(count));
        for (point, on_failure, attempt, end, expected) in [
            (P::AfterReady, Ignore, 1, End::Exit(0), Next::Done),
            (P::AfterReady, Retry, 4, End::Exit(0), Next::Done),
            (P::AfterReady, Ignore, 1, End::Exit(1), Next::Failed),
            (P::AfterReady, Ignore, 1, End::Signal(9), Next::Failed),
            (P::AfterReady, Ignore, 1, End::Late(seconds(5)), Next::Failed),
            (
                P::AfterReady,
                Ignore,
                1,
                End::NotRun("no".to_owned()),
                Next::Failed,
            ),
            (P::AfterReady, Ignore, 1, End::Exit(75), again(10)),
            (P::AfterReady, Ignore, 3, End::Exit(75), again(40)),
            (P::AfterReady, Ignore, 4, End::Exit(75), Next::Failed),
            (P::AfterTerminate, Retry, 1, End::Exit(1), again(10)),
            (P::AfterTerminate, Retry, 2, End::Signal(11), again(20)),
            (P::AfterTerminate, Retry, 3, End::Late(seconds(5)), again(40)),
            (
                P::AfterTerminate,
                Retry,
                4,
                End::NotRun("no".to_owned()),
                Next::Failed,
            ),
            (P::BeforeSpawn, Retry, 1, End::Exit(1), again(1)),
            (P::BeforeTerminate, Retry, 3, End::Exit(1), again(4)),
        ] {
            let found = next(point, &spec(on_failure, 4), attempt, &end);
            assert_eq!(found, expected, "{point} {on_failure:?} {attempt} {end:?}");
        }
        let long = next(P::AfterTerminate, &spec(Retry, 100), 99, &End::Exit(1));
        assert_eq!(long, Next::Again(LONGEST_PAUSE));
    }

    #[test]
    fn only_what_must_go_well_before_a_machine_is_rented_gives_its_builder_up() {
        for point in P::ALL {
            for on_failure in [OnFailure::Ignore, OnFailure::Retry] {
                let expected = point == P::BeforeSpawn && on_failure == OnFailure::Retry;
                assert_eq!(
                    gives_up(point, &spec(on_failure, 1)),
                    expected,
                    "{point} {on_failure:?}"
                );
            }
        }
    }

    #[test]
    fn each_end_is_told_in_words() {
        for (end, words) in [
            (End::Exit(3), "exit code 3"),
            (End::Exit(75), "exit code 75, which asks for another try"),
            (End::Signal(9), "ended by signal 9"),
            (End::Late(seconds(5)), "killed after 5 s, its time"),
            (
                End::Late(Duration::from_millis(1500)),
                "killed after 1.5 s, its time",
            ),
            (
                End::NotRun("no such file".to_owned()),
                "it cannot be run: no such file",
            ),
        ] {
            assert_eq!(end.to_string(), words);
        }
    }
}
