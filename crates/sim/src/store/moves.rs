//! Moves of builders, by compare-and-set, with what follows from them for the attempt that a builder leaves, for the launch that is
//! answered and for the history of its pool.

use model::{BuilderId, BuilderState, LaunchAnswer, LaunchHistory, Timestamp, shortage::Note, step::Move};

use super::{Builder, Ended, Launch, Stop, Store, work::End};

impl Store {
    /// Refuses a look at a builder that is older than its row, and a move that no builder makes.
    fn may_move(&mut self, seen: &Builder, to: BuilderState) -> Result<(), Stop> {
        let row = self.builders.get(&seen.id).ok_or(Stop::Conflict)?;
        if self.guards.compare && (row.state, row.version) != (seen.state, seen.version) {
            return Err(Stop::Conflict);
        }
        if !seen.state.may_become(to) {
            let words = format!("builder {} is {}: it cannot become {to}", seen.id, seen.state);
            self.contradiction.get_or_insert(words);
            return Err(Stop::Conflict);
        }
        Ok(())
    }

    /// Moves a builder that was looked at, and answers its row after that.
    pub(crate) fn transition(
        &mut self,
        lease: i64,
        seen: &Builder,
        (step, deadline): (Move, Option<Timestamp>),
        now: Timestamp,
    ) -> Result<Builder, Stop> {
        self.check(lease)?;
        self.may_move(seen, step.to)?;
        if let Some(id) = &step.instance_id {
            let is_its = |it: &Builder| it.id != seen.id && it.instance.as_ref() == Some(id);
            if self.builders.values().any(is_its) {
                return Err(Stop::Conflict);
            }
        }
        self.take_attempt_away(seen, &step, now);
        self.excuse_what_was_lost(seen, &step);
        self.note_launch(seen, &step, now);
        self.note_answer(seen, &step, now);
        let row = self.builders.get_mut(&seen.id).ok_or(Stop::Conflict)?;
        row.enter(step.to, step.reason, (now, deadline));
        if step.instance_id.is_some() {
            row.instance = step.instance_id;
        }
        if step.address.is_some() {
            row.address = step.address;
        }
        row.has_baseline |= step.baseline.is_some();
        row.starts = step.baseline.and_then(|it| it.parse().ok()).unwrap_or(row.starts);
        if model::is_looked_at(seen.state, step.to) {
            row.reusable_until = step.reusable_until;
        }
        if step.to == BuilderState::Ready {
            row.ready_at.get_or_insert(now);
        }
        if let (Some(answer), Some(launch)) = (step.answer, row.launch.as_mut())
            && launch.answer.is_none()
        {
            launch.answer = Some(answer);
            row.refusals = row
                .refusals
                .saturating_add(u32::from(answer == LaunchAnswer::Refused));
            row.postponements = row
                .postponements
                .saturating_add(u32::from(answer == LaunchAnswer::Later));
        }
        row.refusal = match step.to {
            BuilderState::Planned => Some(row.reason.clone()),
            _ => None,
        };
        let moved = row.clone();
        self.end_if_final(&moved);
        Ok(moved)
    }

    /// Keeps of a builder that ended only what is asked for later.
    pub(super) fn end_if_final(&mut self, builder: &Builder) {
        if !builder.state.is_final() {
            return;
        }
        self.builders.remove(&builder.id);
        let ended = Ended {
            state: builder.state,
            was_ready: builder.ready_at.is_some(),
            reason: builder.reason.clone(),
        };
        self.ended.insert(builder.id, ended);
    }

    /// Writes down that a cloud is asked for a planned builder, with which token.
    pub(crate) fn begin_launch(
        &mut self,
        lease: i64,
        seen: &Builder,
        launch: Launch,
        (deadline, now): (Timestamp, Timestamp),
    ) -> Result<Builder, Stop> {
        self.check(lease)?;
        self.may_move(seen, BuilderState::Launching)?;
        let row = self.builders.get_mut(&seen.id).ok_or(Stop::Conflict)?;
        let reason = format!("asking for {}", launch.offering);
        row.enter(BuilderState::Launching, reason, (now, Some(deadline)));
        self.tokens.insert(launch.token);
        row.launch = Some(launch);
        Ok(row.clone())
    }

    /// A builder that leaves its attempt: nobody may act for the attempt any more.
    fn take_attempt_away(&mut self, seen: &Builder, step: &Move, now: Timestamp) {
        if !matches!(seen.state, BuilderState::Reserved | BuilderState::Busy) {
            return;
        }
        let Some((epoch, allocation)) = self.allocation_of(seen.id) else {
            return;
        };
        let (attempt, is_offered) = (allocation.attempt, allocation.worker.is_none());
        let is_excused = step.is_excused || self.has_notice(seen.id);
        self.open.remove(&epoch);
        let is_cancel_wanted = self.attempts.get(&attempt).is_some_and(|it| it.is_cancel_wanted);
        if is_offered && !is_cancel_wanted {
            self.wait_again(attempt);
        } else if let Some(build) = self.end_attempt(attempt, End::lost(is_excused), now)
            && let Some(row) = self.builders.get_mut(&seen.id)
        {
            row.lost = Some(build);
        }
    }

    /// What was lost with a machine that its cloud took back counts as no try.
    fn excuse_what_was_lost(&mut self, seen: &Builder, step: &Move) {
        if !step.is_excused || matches!(seen.state, BuilderState::Reserved | BuilderState::Busy) {
            return;
        }
        let lost = self.builders.get_mut(&seen.id).and_then(|row| row.lost.take());
        if let Some(tries) = lost.and_then(|build| self.tries.get_mut(&build)) {
            *tries = tries.saturating_sub(1);
        }
    }

    /// Remembers how a pool's launches go.
    fn note_launch(&mut self, seen: &Builder, step: &Move, now: Timestamp) {
        let is_given_up = !step.is_excused
            && seen.ready_at.is_none()
            && BuilderState::STARTING.contains(&seen.state)
            && matches!(
                step.to,
                BuilderState::Abandoned | BuilderState::Terminating | BuilderState::Draining
            );
        if !is_given_up && !LaunchHistory::went_well(seen.state, step.to, seen.ready_at.is_some()) {
            return;
        }
        let history = self.histories.entry(seen.pool.clone()).or_default();
        *history = if is_given_up {
            history.after_failure(seen.created_at, &step.reason, now)
        } else {
            LaunchHistory {
                failures: 0,
                ..history.clone()
            }
        };
    }

    /// Remembers what a cloud has no more of, or has again.
    fn note_answer(&mut self, seen: &Builder, step: &Move, now: Timestamp) {
        let Some(launch) = &seen.launch else { return };
        let is_given = step.answer == Some(LaunchAnswer::Given);
        if !is_given && step.shortage.is_none() {
            return;
        }
        let notes = self.shortages.entry(seen.cloud).or_default();
        notes.retain(|note| !(note.is_forgotten(now) || is_given && note.shortage.covers(&launch.offering)));
        let Some(short) = &step.shortage else { return };
        let before = notes.iter().position(|note| note.shortage == *short);
        let before = before.map(|at| notes.swap_remove(at));
        let times = (launch.asked_at, now);
        notes.push(Note::after(before.as_ref(), short.clone(), &step.reason, times));
    }

    /// Gives busy builders more time, and a new version.
    pub(super) fn extend(&mut self, id: BuilderId, deadline: Timestamp) {
        let row = self.builders.get_mut(&id);
        if let Some(row) = row.filter(|row| row.state == BuilderState::Busy) {
            row.deadline = Some(deadline);
            row.version = row.version.wrapping_add(1);
        }
    }
}

impl Builder {
    pub(super) fn enter(
        &mut self,
        to: BuilderState,
        reason: String,
        (now, deadline): (Timestamp, Option<Timestamp>),
    ) {
        self.state = to;
        self.version = self.version.wrapping_add(1);
        self.reason = reason;
        self.entered_at = now;
        self.deadline = deadline;
    }

    pub(super) fn lose(&mut self, build: model::BuildId) {
        self.lost = Some(build);
    }
}
