//! What comes from outside: users and operators, kills and pauses, clocks, strangers' machines, changes of the fleet file, and
//! the calm after which everything has to finish.

use std::sync::Arc;

use model::{
    AttemptId, BuildId, BuilderId, LaunchId, PoolName,
    intent::{Intent, IntentState, Request, Target},
    mark::MarkKind,
    quantity::Span,
};

use super::{World, seconds};
use crate::{
    cloud::{Change, Tags},
    controller::shown_by_clock,
    event::{Event, Side},
    luck::Fault,
    setting::{CLOUDS, changed, completed, wanted},
};

impl World {
    /// Some builds are wanted.
    pub(super) fn submit(&mut self) {
        let now = shown_by_clock(self.now, 0);
        for _ in 0..self.luck.count(1, 8) {
            if self.submitted >= self.setting.builds {
                return;
            }
            self.submitted = self.submitted.saturating_add(1);
            let wanted = wanted(&mut self.luck);
            self.store.submit(BuildId(i64::from(self.submitted)), wanted, now);
        }
        for side in [Side::One, Side::Other] {
            self.wake(side);
        }
        // About as many as are wanted come until it is calm.
        let mean = self.setting.calm_at.as_secs().saturating_mul(4) / u64::from(self.setting.builds).max(1);
        let pause = self.luck.seconds(0, mean.saturating_mul(2).max(1));
        self.after(pause, Event::Submit);
    }

    /// All that may strike at any time does so every ten seconds.
    pub(super) fn weather(&mut self) {
        if self.luck.is_calm() {
            return;
        }
        self.trouble_workers();
        for side in [Side::One, Side::Other] {
            if let Some(skew) = self.clock_step() {
                tell!(
                    self,
                    "the clock of controller {} is wrong by {skew} µs",
                    self.looks_like(side).name
                );
                self.controller(side).skew = skew;
            }
            if self.luck.strikes(Fault::ClockJump) {
                let skew = self.wrong_by(3600);
                tell!(
                    self,
                    "the clock of controller {} jumps to {skew} µs",
                    self.looks_like(side).name
                );
                self.controller(side).skew = skew;
            }
        }
        if self.luck.strikes(Fault::NetworkAway) {
            self.network_goes_away();
        }
        for cloud in CLOUDS {
            self.strangers(cloud);
        }
        self.people();
        if self.luck.strikes(Fault::FileChange) {
            self.file = changed(&self.file, &self.setting.file, &mut self.luck);
            self.note_sizes();
            tell!(self, "the fleet file has changed");
        }
        self.after(seconds(10), Event::Weather);
    }

    /// How wrong a clock is that was set, in microseconds; `None` where it was not.
    pub(super) fn clock_step(&mut self) -> Option<i64> {
        self.luck.strikes(Fault::ClockStep).then(|| self.wrong_by(20))
    }

    fn wrong_by(&mut self, most_seconds: u64) -> i64 {
        let most = most_seconds.saturating_mul(1_000_000);
        let wrong = i64::try_from(self.luck.below(most.saturating_mul(2))).unwrap_or(0);
        wrong.saturating_sub(i64::try_from(most).unwrap_or(0))
    }

    /// Machines that no launch of ours made.
    fn strangers(&mut self, cloud: &'static str) {
        let is_ours = if self.luck.strikes(Fault::Orphan) {
            true
        } else if self.luck.strikes(Fault::Foreign) {
            false
        } else {
            return;
        };
        let names: Vec<PoolName> = self.setting.file.pools.keys().cloned().collect();
        let pool = self.luck.pick(&names);
        let tags = pool.filter(|_| is_ours).map(|pool| Tags {
            pool,
            builder: BuilderId(self.store.new_id()),
            launch: LaunchId(self.store.new_id()),
        });
        let Some(of) = self.clouds.get_mut(cloud) else {
            return;
        };
        let id = of.make(tags, &mut self.luck, self.now);
        tell!(self, "a stranger's machine {id}, with our tag: {is_ours}");
        if !is_ours {
            // Others end theirs themselves.
            let lives = self.luck.seconds(60, 900);
            self.after(lives, Event::Machine(cloud, id.clone(), Change::Ends));
        }
        self.after(seconds(5), Event::Machine(cloud, id, Change::Runs));
    }

    fn people(&mut self) {
        if self.luck.strikes(Fault::Cancel) {
            let all: Vec<AttemptId> = self.store.attempts.keys().copied().collect();
            if let Some(attempt) = self.luck.pick(&all) {
                tell!(self, "a user cancels {attempt}");
                self.store.cancel(attempt);
            }
        }
        let names: Vec<PoolName> = self.setting.file.pools.keys().cloned().collect();
        let Some(pool) = self.luck.pick(&names) else {
            return;
        };
        if self.luck.strikes(Fault::PoolDrained) {
            let lasts = Some(Span::seconds(self.luck.below(600)));
            self.ask(Request::Drain {
                what: Target::Pool(pool.clone()),
                reason: String::new(),
                lasts,
            });
        }
        if self.luck.strikes(Fault::Spawn) {
            let keep = Some(Span::seconds(self.luck.below(600))).filter(|_| self.luck.once_in(2));
            let count = self.luck.count(1, 4);
            self.ask(Request::Spawn { pool, count, keep });
        }
        if self.luck.strikes(Fault::Mark) {
            let all: Vec<BuilderId> = self.store.builders.keys().copied().collect();
            if let Some(builder) = self.luck.pick(&all) {
                self.mark(builder);
            }
        }
    }

    /// An operator says something of a builder.
    fn mark(&mut self, builder: BuilderId) {
        let reason = String::new();
        let lasts = Span::seconds(1 + self.luck.below(900));
        let what = Target::Builders(vec![builder]);
        let request = match self.luck.below(7) {
            0 => Request::Cordon {
                builder,
                reason,
                lasts: Some(lasts).filter(|_| self.luck.once_in(2)),
            },
            1 => Request::Uncordon { what },
            2 => Request::Hold {
                builder,
                reason,
                lasts: Some(lasts),
                owner: None,
            },
            3 => Request::Release { builder },
            4 => Request::Drain {
                what,
                reason,
                lasts: None,
            },
            nth => Request::Terminate {
                what,
                now: nth == 5,
                reason,
            },
        };
        self.ask(request);
    }

    /// Writes an operator's wish down.
    fn ask(&mut self, request: Request) {
        tell!(self, "an operator asks: {request:?}");
        let key = format!("{}/{}", request.verb(), self.store.new_id());
        self.store.intents.push(Intent {
            key,
            request,
            actor: "operator".to_owned(),
            state: IntentState::New,
            words: String::new(),
            builders: Vec::new(),
            created_at: shown_by_clock(self.now, 0),
        });
    }

    /// Nothing goes wrong any more: what is dead is started, clocks are right, clouds do as they are told, and operators take back what they said.
    pub(super) fn calm_down(&mut self) {
        tell!(self, "it is calm from now on");
        self.luck.calm_down();
        self.network.until = self.network.until.min(self.now);
        for cloud in self.clouds.values_mut() {
            cloud.calm_down();
        }
        for side in [Side::One, Side::Other] {
            let controller = self.controller(side);
            controller.skew = 0;
            if !controller.is_up || controller.is_paused {
                self.after(seconds(1), Event::Wakes(side));
            }
        }
        self.calm_workers();
        self.file = completed(&self.file, &self.setting.file);
        self.note_sizes();
        self.store.intents.retain(|it| it.state != IntentState::New);
        let marks = self.store.builders.values();
        let marked: Vec<(BuilderId, MarkKind)> = marks
            .filter_map(|it| Some((it.id, it.mark.as_ref()?.kind)))
            .collect();
        for (builder, kind) in marked {
            match kind {
                MarkKind::Cordoned => self.ask(Request::Uncordon {
                    what: Target::Builders(vec![builder]),
                }),
                MarkKind::Held => self.ask(Request::Release { builder }),
                MarkKind::Retired | MarkKind::TakenBack | MarkKind::Ended => {}
            }
        }
        let paused: Vec<PoolName> = self.store.pauses.keys().cloned().collect();
        for pool in paused {
            self.ask(Request::Uncordon {
                what: Target::Pool(pool),
            });
        }
    }

    /// Kills a controller.
    pub(super) fn kill(&mut self, side: Side) {
        let after = self.luck.seconds(1, 120);
        let controller = self.controller(side);
        if !controller.is_up {
            return;
        }
        let name = controller.name;
        controller.die();
        controller.is_paused = false;
        tell!(self, "controller {name} is killed");
        self.after(after, Event::Wakes(side));
    }

    /// Stops a controller in the middle of what it does, for so long that another may lead meanwhile.
    pub(super) fn pause(&mut self, side: Side) {
        let long = self.luck.once_in(2);
        let after = if long {
            self.luck.seconds(30, 900)
        } else {
            self.luck.seconds(1, 30)
        };
        let controller = self.controller(side);
        if !controller.is_up || controller.is_paused {
            return;
        }
        controller.is_paused = true;
        let name = controller.name;
        tell!(self, "controller {name} is paused for {} s", after.as_secs());
        self.after(after, Event::Wakes(side));
    }

    /// A controller is started again, or goes on with all that came meanwhile.
    pub(super) fn wakes(&mut self, side: Side) {
        let controller = self.controller(side);
        if !controller.is_up {
            controller.is_up = true;
            let name = controller.name;
            tell!(self, "controller {name} is started");
            self.plan_round(side, std::time::Duration::ZERO);
        } else if std::mem::take(&mut controller.is_paused) {
            let (name, backlog) = (controller.name, std::mem::take(&mut controller.backlog));
            tell!(self, "controller {name} goes on");
            for task in backlog {
                self.task(side, std::time::Duration::ZERO, task);
            }
        }
    }

    /// Remembers the highest maximum of each pool.
    pub(super) fn note_sizes(&mut self) {
        let file = Arc::clone(&self.file);
        for (name, pool) in &file.pools {
            let max = usize::try_from(pool.spec.size.max).unwrap_or(usize::MAX);
            let most = self.most.entry(name.clone()).or_default();
            *most = max.max(*most);
        }
    }
}

#[cfg(test)]
mod tests;
