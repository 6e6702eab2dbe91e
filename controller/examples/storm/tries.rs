//! The tries of hooks, as they really were: what each was told, which of them run, and how each ended.

use std::{collections::BTreeMap, fmt, time::Duration};

use model::{
    BuilderId, BuilderState,
    fleet::{HookPoint, LONGEST_WAIT},
    hook::End,
};
use serde::Deserialize;

/// What a hook is told of itself and its builder.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Told {
    hook: HookPoint,
    run: String,
    attempt: u32,
    attempts: u32,
    builder: BuilderId,
    state: BuilderState,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hook,
            attempt,
            builder,
            state,
            ..
        } = self;
        write!(f, "{hook} of {builder}, which is {state}, try {attempt}")
    }
}

/// A program of a hook that runs.
#[derive(Debug)]
struct Program {
    told: Told,
    /// In which life of which controller it was begun.
    life: u64,
}

/// One hook of one builder.
#[derive(Debug, Default)]
struct Run {
    /// The number of the last try, in which life of a controller it was begun last, and whether it has ended.
    last: u32,
    life: u64,
    has_ended: bool,
    /// Whether some try went well.
    is_done: bool,
}

/// All tries so far.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    runs: BTreeMap<String, Run>,
    programs: BTreeMap<u64, Program>,
    count: u64,
}

impl Tries {
    /// Whether there was none.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// A try begins, under a key and with so much time. Its number, and what is wrong with it.
    pub(crate) fn begin(
        &mut self,
        told: Told,
        (key, limit): (&str, Duration),
        life: u64,
    ) -> (u64, Option<String>) {
        let mistake = self.mistake(&told, (key, limit), life);
        let run = self.runs.entry(told.run.clone()).or_default();
        if told.attempt >= run.last {
            (run.last, run.life, run.has_ended) = (told.attempt, life, false);
        }
        self.count = self.count.wrapping_add(1);
        self.programs.insert(self.count, Program { told, life });
        (self.count, mistake)
    }

    fn mistake(&self, told: &Told, (key, limit): (&str, Duration), life: u64) -> Option<String> {
        use HookPoint as P;
        let Told {
            hook,
            run,
            attempt,
            attempts,
            builder,
            state,
        } = told;
        let known = self.runs.get(run);
        let (last, has_ended) = known.map_or((0, true), |it| (it.last, it.has_ended));
        let is_anothers = known.is_some_and(|it| it.life != life);
        // What came of a try may not have been written down: it is tried again, as the same. A controller that was paused after it
        // wrote a try down goes on with that, however far another is by then.
        let is_next = *attempt == last
            || (has_ended && *attempt == last.saturating_add(1))
            || (is_anothers && *attempt < last);
        let is_in_time = match hook {
            P::BeforeSpawn => *state == BuilderState::Planned,
            P::AfterSpawn | P::AfterReady => !state.is_final() && *state != BuilderState::Terminating,
            P::BeforeTerminate => *state == BuilderState::Draining && limit <= LONGEST_WAIT.get(),
            P::AfterTerminate => state.is_final(),
        };
        let what = if !is_next || *attempt == 0 || attempt > attempts {
            format!(
                "is tried under number {attempt} of {attempts} after {last}, which has ended: {has_ended}"
            )
        } else if key != format!("{run}-{attempt}") {
            format!("is tried under the key {key}")
        } else if !is_in_time {
            format!("has {} s while its builder is {state}", limit.as_secs())
        } else if let Some(other) = self.running(*builder, life) {
            format!("runs beside {other}")
        } else {
            return None;
        };
        Some(format!("hook {hook} of {builder} {what}"))
    }

    /// A try has ended, or its program was ended.
    pub(crate) fn end(&mut self, number: u64, end: Option<&End>) {
        let Some(Program { told, .. }) = self.programs.remove(&number) else {
            return;
        };
        let run = self.runs.entry(told.run).or_default();
        if run.last == told.attempt {
            run.has_ended |= end.is_some();
        }
        run.is_done |= end == Some(&End::Exit(0));
    }

    /// The hook of a builder that runs, as a life of a controller began it.
    pub(crate) fn running(&self, builder: BuilderId, life: u64) -> Option<HookPoint> {
        let is_it = |it: &&Program| (it.told.builder, it.life) == (builder, life);
        self.programs.values().find(is_it).map(|it| it.told.hook)
    }

    /// How often a hook was tried, by the number of its run, and whether one of the tries went well.
    pub(crate) fn of(&self, run: &str) -> (u32, bool) {
        self.runs.get(run).map_or((0, false), |it| (it.last, it.is_done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn told(hook: HookPoint, attempt: u32, state: BuilderState) -> Told {
        Told {
            hook,
            run: "7".to_owned(),
            attempt,
            attempts: 3,
            builder: BuilderId(uuid::Uuid::nil()),
            state,
        }
    }

    #[test]
    fn tries_have_the_next_number_or_the_same_again_and_their_own_key_and_run_alone_while_it_is_their_turn() {
        use BuilderState as S;
        use HookPoint as P;
        // What ended before, what begins, under which key, and what is wrong with it.
        let good = |attempt| (P::AfterReady, attempt, S::Busy);
        for (before, (hook, attempt, state), key, expected) in [
            (None, good(1), "7-1", ""),
            (None, good(2), "7-2", "under number 2 of 3 after 0"),
            (None, good(0), "7-0", "under number 0"),
            (None, good(1), "7-2", "under the key 7-2"),
            (Some(1), good(1), "7-1", ""),
            (Some(1), good(2), "7-2", ""),
            (Some(1), good(3), "7-3", "under number 3 of 3 after 1"),
            (Some(3), good(4), "7-4", "under number 4 of 3"),
            (None, (P::BeforeSpawn, 1, S::Planned), "7-1", ""),
            (
                None,
                (P::BeforeSpawn, 1, S::Launching),
                "7-1",
                "while its builder is launching",
            ),
            (None, (P::AfterSpawn, 1, S::Draining), "7-1", ""),
            (
                None,
                (P::AfterSpawn, 1, S::Terminating),
                "7-1",
                "while its builder is",
            ),
            (None, (P::BeforeTerminate, 1, S::Draining), "7-1", ""),
            (
                None,
                (P::BeforeTerminate, 1, S::Terminating),
                "7-1",
                "while its builder is",
            ),
            (None, (P::AfterTerminate, 1, S::Terminated), "7-1", ""),
            (
                None,
                (P::AfterTerminate, 1, S::Terminating),
                "7-1",
                "while its builder is",
            ),
        ] {
            let mut tries = Tries::default();
            for attempt in 1..=before.unwrap_or(0) {
                let key = format!("7-{attempt}");
                let (number, mistake) = tries.begin(told(P::AfterReady, attempt, S::Ready), (&key, LIMIT), 1);
                assert_eq!(mistake, None);
                tries.end(number, Some(&End::Exit(1)));
            }
            let (_, mistake) = tries.begin(told(hook, attempt, state), (key, LIMIT), 1);
            let words = mistake.unwrap_or_default();
            assert!(words.contains(expected), "{words}");
            assert_eq!(
                words.is_empty(),
                expected.is_empty(),
                "{hook} {attempt} {key}: {words}"
            );
        }
        let late = Tries::default().begin(
            told(P::BeforeTerminate, 1, S::Draining),
            ("7-1", LIMIT + Duration::from_secs(1)),
            1,
        );
        assert!(late.1.unwrap().contains("has 31 s while its builder is draining"));
    }

    #[test]
    fn a_try_that_is_cut_short_is_the_same_again_and_none_runs_beside_another_of_one_controller() {
        let ready = |attempt| told(HookPoint::AfterReady, attempt, BuilderState::Ready);
        let mut tries = Tries::default();
        assert!(tries.is_empty());
        let (first, _) = tries.begin(ready(1), ("7-1", LIMIT), 1);
        assert_eq!(tries.running(ready(1).builder, 1), Some(HookPoint::AfterReady));
        let (_, mistake) = tries.begin(ready(1), ("7-1", LIMIT), 1);
        assert!(mistake.unwrap().ends_with("runs beside after_ready"));
        // The one that a controller left behind that was killed is not that of the next.
        let (next, mistake) = tries.begin(ready(1), ("7-1", LIMIT), 2);
        assert_eq!(mistake, None);
        tries.end(first, None);
        let (_, mistake) = tries.begin(ready(2), ("7-2", LIMIT), 3);
        assert!(mistake.unwrap().contains("has ended: false"));
        tries.end(next, Some(&End::Exit(0)));
        assert_eq!((tries.of("7"), tries.of("8")), ((2, true), (0, false)));
        // One that was paused meanwhile goes on with what it had written down.
        assert_eq!(tries.begin(ready(1), ("7-1", LIMIT), 4).1, None);
        assert_eq!(tries.of("7").0, 2);
        let (_, mistake) = tries.begin(ready(1), ("7-1", LIMIT), 3);
        assert!(mistake.unwrap().contains("under number 1 of 3 after 2"));
    }
}
