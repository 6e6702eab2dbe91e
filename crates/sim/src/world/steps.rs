//! The steps of builders: what `model::step` says is to be done for each, carried out call by call.

use std::{collections::BTreeSet, time::Duration};

use model::{
    BuilderId, BuilderState, LaunchId, Offering,
    fleet::NetworkSpec,
    step::{
        self, Standing, Step, Work,
        launch::{self, Doubt, Launches, Line, Reply, Wanted},
        pause_between_ends, work,
    },
};

use super::{World, seconds};
use crate::{
    cloud::{LaunchAsk, Said, Shown, Tags, Trouble},
    controller::UnderWay,
    event::{Ask, Call, Event, Heard, Side, Task, Then},
    luck::Fault,
    store::{Builder, Launch, Stop},
};

/// How long a controller waits for an answer.
const LONGEST_CALL: Duration = Duration::from_secs(50);

impl World {
    /// Begins a step for every builder that needs one and has none, but for those that wait for hooks.
    pub(super) fn begin_steps(&mut self, side: Side, held: &BTreeSet<BuilderId>) {
        let (at, life) = (self.now, self.looks_like(side).life);
        let builders = &self.store.builders;
        let controller = match side {
            Side::One => &mut self.one,
            Side::Other => &mut self.other,
        };
        let memory = &mut controller.memory;
        memory.pauses.keep(|id| builders.contains_key(id));
        // Nobody waits any more for machines that are to be ended: the next step is the cloud's.
        memory.under_way.retain(|id, step| {
            let state = builders.get(id).map(|row| row.state);
            step.work == Work::Call || state.and_then(work) != Some(Work::Call)
        });
        let waits = |row: &&Builder| {
            let asks = matches!(row.state, BuilderState::Planned | BuilderState::Resolving);
            let answers = memory.clouds.get(row.cloud).is_some_and(|it| it.answers());
            let is_left_alone = memory.pauses.holds(&row.id, at) || memory.under_way.contains_key(&row.id);
            work(row.state).is_some() && !is_left_alone && (answers || !asks) && !held.contains(&row.id)
        };
        let waiting: Vec<Builder> = builders.values().filter(waits).cloned().collect();
        for row in waiting {
            self.step(side, row);
            if self.looks_like(side).life != life {
                return;
            }
        }
    }

    fn step(&mut self, side: Side, row: Builder) {
        let Some(work) = work(row.state) else { return };
        let now = self.clock(side);
        let next = step::next(&standing(&row), &self.wanted(side, &row), now);
        let memory = &mut self.controller(side).memory;
        let number = memory.next_number();
        memory.under_way.insert(row.id, UnderWay { number, work });
        match next {
            Step::Rest => self.step_ended(side, row.id, Some(Duration::ZERO)),
            Step::Wait(pause) => self.step_ended(side, row.id, Some(pause)),
            Step::Launch(offering) => self.launch(side, &row, number, offering),
            Step::AskAgain => self.ask_again(side, row, number),
            Step::Prepare | Step::Clean => {
                let soon = self.luck.millis(10, 100);
                self.task(side, soon, Task::Connect(Box::new(row), number));
            }
            Step::Terminate => {
                let Some(id) = row.instance.clone() else {
                    return self.contradict(format!("{} is terminating without an instance", row.id));
                };
                self.send(
                    side,
                    Call {
                        cloud: row.cloud,
                        ask: Ask::Terminate(id),
                        then: Then::Told(Box::new(row), number),
                    },
                );
            }
            Step::Move(step) => {
                let moved = self.advance(side, &row, step, None);
                self.after_move(side, row.id, moved);
            }
        }
    }

    /// What a builder's pool asks for, or why that is nothing.
    fn wanted(&self, side: Side, row: &Builder) -> Result<Wanted, String> {
        let pool = self.looks_like(side).file.pools.get(&row.pool);
        let pool = pool.ok_or_else(|| format!("pool {} is no longer in the fleet file", row.pool))?;
        let rows = self.store.builders.values().filter(|it| it.pool == row.pool);
        let taken: Vec<usize> = rows.filter_map(|it| it.line(Some(&pool.spec))).collect();
        let full = pool.spec.full_lines(&taken);
        Ok(Wanted {
            lines: Line::of_pool(&pool.spec, &NetworkSpec::default(), &full),
            short: self.store.shortages.get(row.cloud).cloned().unwrap_or_default(),
            tries: pool.spec.launch.attempts,
        })
    }

    /// Commits the token, then calls.
    fn launch(&mut self, side: Side, row: &Builder, number: u64, offering: Offering) {
        let now = self.clock(side);
        let token = LaunchId(self.store.new_id());
        let launch = Launch {
            token,
            offering: offering.clone(),
            asked_at: now,
            answer: None,
        };
        let deadline = now.plus(self.setting.deadlines.launch);
        let call = |row: Builder| Call {
            cloud: row.cloud,
            ask: Ask::Launch(LaunchAsk {
                tags: Tags {
                    pool: row.pool.clone(),
                    builder: row.id,
                    launch: token,
                },
                offering: offering.clone(),
            }),
            then: Then::Launched(Box::new(row), number),
        };
        if !self.store.guards.record_first {
            self.send(side, call(row.clone()));
        }
        self.judge_first_launch(side, row);
        let begun = self.write(side, |store, lease| {
            store.begin_launch(lease, row, launch, (deadline, now))
        });
        match begun {
            Ok(row) => {
                tell!(self, "{} asks for {offering} with token {token}", row.id);
                self.judge_line(side, &row);
                self.send(side, call(row));
            }
            Err(Stop::Killed) => {}
            Err(stop) => self.after_move(side, row.id, Err(stop)),
        }
    }

    /// Asks once more what became of the launch that is on record.
    fn ask_again(&mut self, side: Side, row: Builder, number: u64) {
        let Some(launch) = row.launch.clone() else {
            return self.contradict(format!("{} is resolving without a launch", row.id));
        };
        let token = if self.store.guards.tokens {
            launch.token
        } else {
            LaunchId(self.store.new_id())
        };
        self.send(
            side,
            Call {
                cloud: row.cloud,
                ask: Ask::Launch(LaunchAsk {
                    tags: Tags {
                        pool: row.pool.clone(),
                        builder: row.id,
                        launch: token,
                    },
                    offering: launch.offering,
                }),
                then: Then::AskedAgain(Box::new(row), number),
            },
        );
    }

    /// Has a call leave soon.
    pub(super) fn send(&mut self, side: Side, call: Call) {
        if self.luck.strikes(Fault::PausedAtCall) {
            self.pause(side);
        }
        let soon = self.luck.millis(0, 5);
        self.task(side, soon, Task::Send(Box::new(call)));
    }

    /// A call leaves.
    pub(super) fn leaves(&mut self, side: Side, call: Box<Call>) {
        if self.luck.strikes(Fault::KilledAtCall) {
            return self.kill(side);
        }
        let (way, life) = (self.luck.millis(1, 100), self.looks_like(side).life);
        self.after(way, Event::Arrives(side, life, call));
        if self.luck.strikes(Fault::KilledAtCall) {
            self.kill(side);
        }
    }

    /// A call reaches its cloud, whether or not somebody still waits for the answer.
    pub(super) fn arrives(&mut self, side: Side, life: u64, call: Call) {
        let Call { cloud, ask, then } = call;
        if let Ask::Launch(ask) = &ask {
            self.judge_launch(ask);
        }
        let now = self.now;
        let Some(of) = self.clouds.get_mut(cloud) else {
            return;
        };
        let mut heard = match ask {
            Ask::List => Heard::Shown(of.list(&mut self.luck, now)),
            Ask::Describe(ids) => Heard::Shown(of.describe(&ids, &mut self.luck, now)),
            Ask::Terminate(id) => Heard::Told(self.told_to_end(side, cloud, &id)),
            Ask::Launch(ask) => {
                let Said {
                    reply,
                    is_unreachable,
                    made,
                } = of.launch(&ask, &mut self.luck, now);
                for (after, id, change) in made {
                    self.after(after, Event::Machine(cloud, id, change));
                }
                self.judge_machines(&ask.tags.pool);
                Heard::Launch(reply, is_unreachable)
            }
        };
        let mut way = self.luck.millis(5, 400);
        if self.luck.strikes(Fault::Slow) {
            way = self.luck.seconds(1, 70);
        }
        if way >= LONGEST_CALL {
            way = LONGEST_CALL;
            heard = unanswered(&heard);
        }
        self.after(way, Event::Controller(side, life, Task::Answer(then, heard)));
    }

    pub(super) fn answered(&mut self, side: Side, then: Then, heard: Heard) {
        match (then, heard) {
            (Then::Launched(row, number), Heard::Launch(reply, is_unreachable)) => {
                if self.is_still(side, &row, number) {
                    self.launched(side, &row, reply, is_unreachable);
                }
            }
            (Then::AskedAgain(row, number), Heard::Launch(reply, is_unreachable)) => {
                if self.is_still(side, &row, number) {
                    self.asked_again(side, row, number, (reply, is_unreachable));
                }
            }
            (Then::Searched(row, number, pause), Heard::Shown(listed)) => {
                if self.is_still(side, &row, number) {
                    self.searched(side, &row, pause, listed);
                }
            }
            (Then::Told(row, number), Heard::Told(told)) => {
                if self.is_still(side, &row, number) {
                    let waited = self.clock(side).since(row.entered_at);
                    match told {
                        Ok(()) => self.step_ended(side, row.id, Some(pause_between_ends(waited))),
                        Err(trouble) => self.call_failed(side, &row, trouble),
                    }
                }
            }
            (Then::Listed(cloud, known, orphans), Heard::Shown(listed)) => {
                self.listed(side, cloud, (known, orphans), listed);
            }
            (Then::Described(cloud, shown, missing), Heard::Shown(found)) => {
                self.look_ends(side, cloud, (shown, missing), found);
            }
            (Then::OrphanTold(id), Heard::Told(told)) => {
                let rest = if told.is_ok() {
                    seconds(60)
                } else {
                    self.luck.seconds(1, 60)
                };
                let until = self.now.saturating_add(rest);
                self.controller(side).memory.told.insert(id, until);
            }
            (then, heard) => self.contradict(format!("{then:?} heard {heard:?}")),
        }
    }

    fn is_still(&self, side: Side, row: &Builder, number: u64) -> bool {
        self.looks_like(side).is_under_way(row.id, number)
    }

    fn launched(&mut self, side: Side, row: &Builder, reply: Reply, is_unreachable: bool) {
        let Some(launch) = &row.launch else { return };
        let moved = self.advance(side, row, launch::after(&launch.offering, reply), None);
        if moved.is_ok() && is_unreachable {
            return self.call_failed(side, row, Trouble::Unreachable);
        }
        self.after_move(side, row.id, moved);
    }

    fn asked_again(
        &mut self,
        side: Side,
        row: Box<Builder>,
        number: u64,
        (reply, is_unreachable): (Reply, bool),
    ) {
        if is_unreachable {
            return self.call_failed(side, &row, Trouble::Unreachable);
        }
        let Some(launch) = &row.launch else { return };
        let waited = self.clock(side).since(row.entered_at);
        match launch::after_question(&launch.offering, reply, waited) {
            Doubt::Over(step) => {
                let moved = self.advance(side, &row, *step, None);
                self.after_move(side, row.id, moved);
            }
            Doubt::Unless(pause) => self.send(
                side,
                Call {
                    cloud: row.cloud,
                    ask: Ask::List,
                    then: Then::Searched(row, number, pause),
                },
            ),
            Doubt::GoesOn(pause) => self.step_ended(side, row.id, Some(pause)),
        }
    }

    fn searched(&mut self, side: Side, row: &Builder, pause: Duration, listed: Result<Vec<Shown>, Trouble>) {
        match listed {
            Err(trouble) => self.call_failed(side, row, trouble),
            Ok(listed) if listed.iter().any(|it| it.builder == Some(row.id)) => {
                self.step_ended(side, row.id, Some(pause));
            }
            Ok(_) => {
                let moved = self.advance(side, row, launch::nowhere(), None);
                self.after_move(side, row.id, moved);
            }
        }
    }

    fn call_failed(&mut self, side: Side, row: &Builder, trouble: Trouble) {
        if trouble == Trouble::Unreachable {
            self.cloud_failed(side, row.cloud, trouble);
        }
        self.step_ended(side, row.id, None);
    }

    /// A step's last move was made, or not.
    pub(super) fn after_move(&mut self, side: Side, id: BuilderId, moved: Result<Builder, Stop>) {
        match moved {
            Ok(_) | Err(Stop::Conflict) => self.step_ended(side, id, Some(Duration::ZERO)),
            Err(Stop::Away | Stop::LeaseLost) => self.step_ended(side, id, None),
            Err(Stop::Killed) => {}
        }
    }

    /// A step ended: its builder is left alone for `rest`, and longer every time after a failure.
    pub(super) fn step_ended(&mut self, side: Side, id: BuilderId, rest: Option<Duration>) {
        let now = self.now;
        let (controller, luck) = self.with_luck(side);
        controller.memory.under_way.remove(&id);
        controller.memory.pauses.after_step(id, rest, (luck, now));
        self.wake(side);
    }
}

/// A builder's row, as far as its next step depends on it.
fn standing(row: &Builder) -> Standing<'_> {
    Standing {
        id: row.id,
        state: row.state,
        entered_at: row.entered_at,
        reason: Some(&row.reason),
        launches: Launches {
            refusals: row.refusals,
            postponements: row.postponements,
            last: row.launch.as_ref().and_then(|launch| launch.answer),
        },
    }
}

/// What is heard when no answer comes in time.
fn unanswered(heard: &Heard) -> Heard {
    match heard {
        Heard::Launch(..) => Heard::Launch(Reply::Unclear("it did not answer in time".to_owned()), false),
        Heard::Shown(_) => Heard::Shown(Err(Trouble::Unclear)),
        Heard::Told(_) => Heard::Told(Err(Trouble::Unclear)),
    }
}

#[cfg(test)]
mod tests;
