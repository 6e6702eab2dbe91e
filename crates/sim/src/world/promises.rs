//! The rules of live checks, notices and hooks: what the page on fleets promises of them, looked at where it could be broken, and
//! after every round that a controller brought to its end.

use std::{collections::BTreeMap, time::Duration};

use model::{
    BuildId, BuilderId, BuilderState, Market,
    fleet::{HookPoint, OnFailure},
    mark::MarkKind,
    step::live::Answer,
};

use super::{World, seconds};
use crate::{
    Rule,
    cloud::Machine,
    event::Side,
    store::{Builder, HookRun, HookState},
};

/// For how long a machine may not answer as it should without being ended for it: the looks are at least so far apart.
const FORGIVEN: Duration = Duration::from_secs(90);
/// How long an outage of our own may be that ends no builder.
const OWN_OUTAGE: Duration = Duration::from_secs(480);
/// Within how long every ready builder was asked once.
const ALL_ASKED: Duration = Duration::from_secs(130);
/// Within how long a ready machine that is not fit is out of service, and while most of them are not.
const UNFIT_FOR: Duration = Duration::from_secs(300);
const UNFIT_TOGETHER_FOR: Duration = Duration::from_secs(960);
/// Within how long a notice is on record that reaches whoever leads, and a ready builder with one is drained.
const UNHEARD_FOR: Duration = Duration::from_secs(120);
const UNHEEDED_FOR: Duration = Duration::from_secs(15);
/// For how long hooks may hold an end up, with the pauses between rounds.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const DRAINS_FOR: Duration = Duration::from_secs(45);
/// A controller that brings no round to its end for so long is no longer the one that was watched.
const LONGEST_GAP: Duration = Duration::from_secs(10);

/// Something that may be so of a builder only for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It is ready, and its machine is not fit.
    Unfit,
    /// Its machine has a notice that can be heard, and it has none on record.
    Unheard,
    /// It is ready with a notice on record.
    Unheeded,
    Draining,
}

/// What is watched from round to round, while one controller leads without a pause.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Who, in which life, with which error of its clock; and when its last round ended.
    by: Option<(Side, u64, i64)>,
    at: Duration,
    since: BTreeMap<(BuilderId, State), Duration>,
    /// When most ready machines were unfit at last, and each of them.
    common_at: Option<Duration>,
    unfit_at: BTreeMap<BuilderId, Duration>,
    /// Since when each builder is ready, as rounds saw it.
    pub(super) ready: BTreeMap<BuilderId, Duration>,
    /// When each was asked the first time of those times in a row at which it did not answer as it should.
    pub(super) first_bad: BTreeMap<BuilderId, Duration>,
}

impl World {
    /// Notes what a ready builder answers.
    pub(super) fn note_answer(&mut self, id: BuilderId, answer: &Answer) {
        if *answer == Answer::Well {
            self.watched.first_bad.remove(&id);
        } else {
            self.watched.first_bad.entry(id).or_insert(self.now);
        }
    }

    fn machine_of(&self, row: &Builder) -> Option<&Machine> {
        self.clouds.get(row.cloud)?.machines.get(row.instance.as_ref()?)
    }

    /// Whether a builder's machine is what it was, wherever one would ask it from.
    pub(super) fn is_fit(&self, row: &Builder) -> bool {
        self.machine_of(row).is_some_and(|machine| {
            let is_started_again = row.has_baseline && machine.starts != row.starts;
            machine.answers(self.now) && !machine.is_sick && !is_started_again
        })
    }

    fn is_hidden(&self, row: &Builder) -> bool {
        self.machine_of(row)
            .is_some_and(|it| self.network.hides(it, self.now))
    }

    /// A live check is to end a builder: it is ready, and was bad for a while by itself.
    pub(super) fn judge_live_end(&mut self, row: &Builder) {
        let (id, now) = (row.id, self.now);
        if row.state != BuilderState::Ready {
            return self.violate(
                Rule::Live,
                format!("{id} is ended by a live check while it is {}", row.state),
            );
        }
        let machine = self.machine_of(row);
        if machine.is_some_and(|it| row.has_baseline && it.starts != row.starts) {
            return;
        }
        let first_bad = self.watched.first_bad.get(&id).copied();
        let is_long = first_bad.is_some_and(|first| now.saturating_sub(first) >= FORGIVEN);
        if !is_long {
            let words = format!("{id} is ended by a live check, and was bad for a moment only");
            return self.violate(Rule::Live, words);
        }
        let began = self.network.began;
        let is_ours = self.is_hidden(row) && self.is_fit(row) && first_bad >= Some(began);
        if !is_ours || now.saturating_sub(began) >= OWN_OUTAGE {
            return;
        }
        let ready = || {
            let rows = self.store.builders.values();
            rows.filter(|it| it.state == BuilderState::Ready)
        };
        let was_asked = |row: &&Builder| {
            let since = self.watched.ready.get(&row.id);
            since.is_some_and(|since| now.saturating_sub(*since) >= ALL_ASKED)
        };
        let hidden = ready().filter(was_asked).filter(|it| self.is_hidden(it)).count();
        if hidden > 1 && hidden.saturating_mul(2) > ready().count() {
            let words =
                format!("{id} is ended by a live check, as our own network hides {hidden} ready builders");
            self.violate(Rule::Live, words);
        }
    }

    /// A plan gives a builder to an attempt: it is none that its cloud takes back.
    pub(super) fn judge_assigned(&mut self, row: Option<&Builder>) {
        let mark = row.and_then(|row| Some((row.id, row.mark.as_ref()?.kind)));
        if let Some((id, MarkKind::TakenBack)) = mark {
            self.violate(
                Rule::Notice,
                format!("{id} is given to an attempt, and its cloud takes it back"),
            );
        }
    }

    /// How often its pool failed in a row, and how many tries of the build chroot counted that runs on a builder.
    pub(super) fn counts_of(&self, row: &Builder) -> (u32, u32) {
        let failures = self.store.histories.get(&row.pool).map_or(0, |it| it.failures);
        let build = self.build_on(row);
        (failures, build.map_or(0, |build| self.store.tries_of(build)))
    }

    /// The build chroot of which an attempt has a builder.
    pub(super) fn build_on(&self, row: &Builder) -> Option<BuildId> {
        let (_, allocation) = self.store.allocation_of(row.id)?;
        Some(self.store.attempts.get(&allocation.attempt)?.build)
    }

    /// The sight of a machine that its cloud took back has moved its builder: that is nobody's failure. `before`: the counts, and the
    /// build chroot that ran on it.
    pub(super) fn judge_taken_back(
        &mut self,
        row: &Builder,
        ((failures, tries), build): ((u32, u32), Option<BuildId>),
    ) {
        let (now_failures, _) = self.counts_of(row);
        let now_tries = build.map_or(0, |build| self.store.tries_of(build));
        if now_failures > failures {
            let words = format!("{} is taken back, and is a failure of pool {}", row.id, row.pool);
            self.violate(Rule::Notice, words);
        }
        if now_tries > tries {
            self.violate(
                Rule::Notice,
                format!("{} is taken back, and its attempt is a try", row.id),
            );
        }
    }

    /// A try of a hook begins: all that comes before it is over, and its number is that of the first try that has not ended.
    pub(super) fn judge_hook_start(&mut self, by: (Side, u64), run: &HookRun) {
        self.forget_programs();
        let (id, point) = (run.builder, run.point);
        if run.attempt != run.ended.saturating_add(1) {
            let (attempt, ended) = (run.attempt, run.ended);
            let words = format!("hook {point} of {id} is tried under number {attempt} after {ended} tries");
            self.violate(Rule::Hook, words);
        }
        let is_before = |it: &HookRun| it.builder == id && (it.point, it.place) < (point, run.place);
        let mut others = self.store.hooks.values();
        if others.any(|it| is_before(it) && !it.state.is_final()) {
            self.violate(Rule::Hook, format!("hook {point} of {id} runs before its turn"));
        }
        let state = self.store.builders.get(&id).map(|row| row.state);
        let is_of_its_life = matches!(point, HookPoint::AfterSpawn | HookPoint::AfterReady);
        if is_of_its_life && state.is_none_or(|state| state == BuilderState::Terminating) {
            self.violate(
                Rule::Hook,
                format!("hook {point} of {id} runs after its end has begun"),
            );
        }
        if self.programs.iter().any(|it| (it.builder, it.by) == (id, by)) {
            self.violate(Rule::Hook, format!("hook {point} of {id} runs beside another"));
        }
    }

    /// A hook is over, or its try is: what is done has been tried, and nothing is left out that was not too late.
    pub(super) fn judge_hook_end(&mut self, side: Side, run: &HookRun, came: HookState) {
        use BuilderState as S;
        let row = self.store.builders.get(&run.builder);
        let state = row.map(|row| row.state);
        let is_late = match run.point {
            HookPoint::BeforeSpawn => state != Some(S::Planned),
            HookPoint::AfterSpawn | HookPoint::AfterReady => {
                state.is_none_or(|state| matches!(state, S::Draining | S::Terminating))
            }
            HookPoint::BeforeTerminate => row.is_none_or(|row| {
                let waited = self.clock(side).since(row.entered_at);
                row.state != S::Draining || waited >= LONGEST_WAIT
            }),
            HookPoint::AfterTerminate => false,
        };
        let is_good = match came {
            HookState::Done | HookState::Failed | HookState::Waiting => run.begun > 0,
            HookState::Late => is_late,
            HookState::Skipped => run.spec.skip_if.is_some(),
            HookState::Running => false,
        };
        if !is_good {
            let (point, id) = (run.point, run.builder);
            self.violate(
                Rule::Hook,
                format!("hook {point} of {id} is {came:?}, and should not be"),
            );
        }
    }

    /// A builder's first launch is written down: its hooks before that are over, and none forbids it.
    pub(super) fn judge_first_launch(&mut self, side: Side, row: &Builder) {
        if row.launch.is_some() {
            return;
        }
        let point = HookPoint::BeforeSpawn;
        let is_wanted = self
            .looks_like(side)
            .file
            .hooks
            .of(point, &row.pool)
            .next()
            .is_some();
        let is_wrong = |run: &HookRun| {
            let forbids = run.state == HookState::Failed && run.spec.on_failure == OnFailure::Retry;
            !run.state.is_final() || forbids
        };
        let runs: Vec<&HookRun> = self.store.hooks_at((row.id, point)).collect();
        if is_wanted && (runs.is_empty() || runs.into_iter().any(is_wrong)) {
            let words = format!("{} is launched before its hooks have gone well", row.id);
            self.violate(Rule::Hook, words);
        }
    }

    /// A builder has come to a turn of its life, or leaves one: its hooks of that turn are on record, and those before the end are over
    /// unless their time is. `seen`: as it was before.
    pub(super) fn judge_turn(&mut self, side: Side, seen: &Builder, to: BuilderState) {
        use BuilderState as S;
        let file = &self.looks_like(side).file;
        let wanted = |point| file.hooks.of(point, &seen.pool).count();
        let count = |point| self.store.hooks_at((seen.id, point)).count();
        let point = match to {
            S::Pending => HookPoint::AfterSpawn,
            S::Ready if seen.ready_at.is_none() => HookPoint::AfterReady,
            S::Terminated => HookPoint::AfterTerminate,
            S::Abandoned if wanted(HookPoint::BeforeSpawn) > 0 => HookPoint::AfterTerminate,
            S::Terminating if seen.state == S::Draining => {
                let waited = self.clock(side).since(seen.entered_at);
                let point = HookPoint::BeforeTerminate;
                let is_left_out = wanted(point) > 0 && count(point) == 0;
                let is_open = self
                    .store
                    .hooks_at((seen.id, point))
                    .any(|it| !it.state.is_final());
                if (is_left_out || is_open) && waited < LONGEST_WAIT {
                    let words = format!("{} ends before its hooks have run", seen.id);
                    self.violate(Rule::Hook, words);
                }
                return;
            }
            _ => return,
        };
        let (wanted, count) = (wanted(point), count(point));
        if count < wanted {
            let words = format!("{} has {count} of {wanted} hooks {point}", seen.id);
            self.violate(Rule::Hook, words);
        }
    }

    /// A controller has brought a round to its end: what may be so only for a while is so for no longer.
    pub(super) fn judge_round(&mut self, side: Side) {
        let controller = self.looks_like(side);
        let by = (side, controller.life, controller.skew);
        let now = self.now;
        let is_same = self.watched.by == Some(by) && now.saturating_sub(self.watched.at) <= LONGEST_GAP;
        if !is_same {
            self.watched.since.clear();
        }
        (self.watched.by, self.watched.at) = (Some(by), now);
        self.note_ready();
        let states: Vec<(BuilderId, State)> = self
            .store
            .builders
            .values()
            .flat_map(|row| self.states_of(row).into_iter().map(|state| (row.id, state)))
            .collect();
        self.note_common(&states);
        let before = std::mem::take(&mut self.watched.since);
        for (id, state) in states {
            let since = before.get(&(id, state)).copied().unwrap_or(now);
            self.watched.since.insert((id, state), since);
            let lasted = now.saturating_sub(since);
            if lasted > self.longest(state, since) {
                self.lasts_too_long(side, (id, state), lasted);
            }
        }
    }

    fn note_ready(&mut self) {
        let now = self.now;
        let rows = self.store.builders.values();
        let ready: Vec<BuilderId> = rows
            .filter(|it| it.state == BuilderState::Ready)
            .map(|it| it.id)
            .collect();
        let Watched {
            ready: known,
            first_bad,
            unfit_at,
            ..
        } = &mut self.watched;
        known.retain(|id, _| ready.contains(id));
        first_bad.retain(|id, _| ready.contains(id));
        unfit_at.retain(|id, _| ready.contains(id));
        for id in ready {
            known.entry(id).or_insert(now);
        }
    }

    /// What of that which may be so for a while is so of a builder.
    fn states_of(&self, row: &Builder) -> Vec<State> {
        use BuilderState as S;
        let mut states = Vec::new();
        let is_hidden = self.is_hidden(row);
        if row.state == S::Ready && (is_hidden || !self.is_fit(row)) {
            states.push(State::Unfit);
        }
        let marked = row.mark.as_ref().map(|mark| mark.kind);
        let is_spot = row
            .launch
            .as_ref()
            .is_some_and(|it| it.offering.market == Market::Spot);
        let serves = matches!(
            row.state,
            S::Ready | S::Reserved | S::Busy | S::Cleaning | S::Held
        );
        let can_say = |it: &Machine| it.is_noticed && it.has_metadata && it.answers(self.now);
        let says = !is_hidden && self.machine_of(row).is_some_and(can_say);
        if serves && is_spot && says && marked < Some(MarkKind::TakenBack) {
            states.push(State::Unheard);
        }
        if row.state == S::Ready && marked == Some(MarkKind::TakenBack) {
            states.push(State::Unheeded);
        }
        if row.state == S::Draining {
            states.push(State::Draining);
        }
        states
    }

    /// Notes whether most ready machines are unfit, or were a moment ago: each of them may have been asked just then.
    fn note_common(&mut self, states: &[(BuilderId, State)]) {
        let now = self.now;
        for (id, _) in states.iter().filter(|(_, state)| *state == State::Unfit) {
            self.watched.unfit_at.insert(*id, now);
        }
        let lately = |at: &&Duration| now.saturating_sub(**at) <= ALL_ASKED;
        let unfit = self.watched.unfit_at.values().filter(lately).count();
        if unfit > 1 && unfit.saturating_mul(2) > self.watched.ready.len() {
            self.watched.common_at = Some(now);
        }
    }

    fn longest(&self, state: State, since: Duration) -> Duration {
        match state {
            State::Unfit => {
                let common = self.watched.common_at.filter(|at| *at >= since);
                let common = common.map_or(Duration::ZERO, |at| at.saturating_sub(since));
                let longer = common.saturating_add(seconds(100)).min(UNFIT_TOGETHER_FOR);
                UNFIT_FOR.max(longer)
            }
            State::Unheard => UNHEARD_FOR,
            State::Unheeded => UNHEEDED_FOR,
            State::Draining => DRAINS_FOR,
        }
    }

    fn lasts_too_long(&mut self, side: Side, (id, state): (BuilderId, State), lasted: Duration) {
        let waited = self
            .store
            .builders
            .get(&id)
            .map_or(Duration::ZERO, |row| self.clock(side).since(row.entered_at));
        let lasted = lasted.as_secs();
        let (rule, words) = match state {
            State::Unfit => (
                Rule::Live,
                format!("{id} is ready for {lasted} s with a machine that is not fit"),
            ),
            State::Unheard => (
                Rule::Notice,
                format!("nobody hears of the notice of {id} for {lasted} s"),
            ),
            State::Unheeded => (
                Rule::Notice,
                format!("{id} is ready with a notice for {lasted} s"),
            ),
            // By a clock that was set meanwhile it is not so long.
            State::Draining if waited < DRAINS_FOR => return,
            State::Draining => (Rule::Hook, format!("{id} drains for {lasted} s")),
        };
        self.violate(rule, words);
    }
}

#[cfg(test)]
mod tests;
