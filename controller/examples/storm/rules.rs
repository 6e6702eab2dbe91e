//! What is looked at in the database of a world: what holds at every moment, and what has to be so once all is settled.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    BuilderId, BuilderState, Market, Offering,
    fleet::{HookPoint, OnFailure},
};
use sim::{Rule, cloud::Machine};
use store::{Builder, HookRun, HookState};

use crate::{
    door::fleet,
    outside::{All, CLOUDS},
    program::NOW,
    world::World,
};

/// So many good machines that do not answer are ended in an outage at most: a builder that is the only one to wait may be.
const MOST_ENDED_IN_OUTAGE: usize = 2;
/// What the reasons of builders hold that live checks gave up.
const GIVEN_UP: &str = "looks in a row";

/// What is left to be done, and the rule that is broken if it stays so.
type Left = (Rule, String);

impl World {
    /// No pool, no line of its offerings and no owner has more builders than it may, and no cloud costs more.
    pub(crate) fn judge_builders(&self, builders: &[Builder]) {
        self.with(|all| {
            for (pool, most) in all.most.clone() {
                let count = builders.iter().filter(|it| it.pool == pool).count();
                if count > most {
                    let words = format!("pool {pool} has {count} builders and may have {most}");
                    all.violate(Rule::AboveMax, words);
                }
                let of_line = builders
                    .iter()
                    .filter(|it| it.pool == pool && is_on_demand(it))
                    .count();
                if let Some(words) = all.most_of_line.of(&pool).and_then(|most| above(of_line, most)) {
                    let words = format!("pool {pool} has {words} builders of the last line of its offerings");
                    all.violate(Rule::AboveMax, words);
                }
            }
            if let Some(most) = all.most_of_owner.of(&()) {
                for (owner, count) in at_work(builders) {
                    if let Some(words) = above(count, most) {
                        all.violate(Rule::AboveMax, format!("{owner} has {words} builders"));
                    }
                }
            }
            // What was there by a clock that is wrong by an hour, nobody can tell.
            if all.clocks_wrong_at.is_some() {
                return;
            }
            for cloud in CLOUDS {
                let of = builders.iter().filter(|it| it.cloud == cloud && serves(it));
                let serving: BTreeMap<_, _> = of.filter_map(|it| Some((it.id, it.offering()?))).collect();
                if let Some(words) = all.money.mistake(cloud, &serving, all.now) {
                    all.violate(Rule::Money, words);
                }
            }
        });
    }

    /// What is left to be done; `None` when the farm is settled.
    pub(crate) async fn left(&mut self, builders: &[Builder]) -> Result<Option<Left>, store::Error> {
        if let Some(words) = self.people.unfinished(&self.store).await? {
            return Ok(Some((Rule::Finish, words)));
        }
        for builder in builders {
            if builder.state != BuilderState::Ready || builder.cordoned {
                let words = format!(
                    "builder {} is {}: {:?}",
                    builder.id, builder.state, builder.reason
                );
                return Ok(Some((Rule::Finish, words)));
            }
            if !self.with(|all| is_fit(all, builder)) {
                let words = format!("builder {} is ready, and its machine is not", builder.id);
                return Ok(Some((Rule::Live, words)));
            }
        }
        if let Some(words) = self.differs(builders) {
            return Ok(Some((Rule::Finish, words)));
        }
        let open = self.store.hook_runs(fleet(), &[]).await?;
        if let Some(run) = open.first() {
            let words = format!("hook {} of {} is {}", run.point, run.builder, run.state.as_str());
            return Ok(Some((Rule::Hook, words)));
        }
        Ok(self.machine_left(builders))
    }

    /// A machine with our tag that is no builder's.
    fn machine_left(&self, builders: &[Builder]) -> Option<Left> {
        let had: BTreeSet<&str> = builders
            .iter()
            .filter_map(|it| it.instance_id.as_deref())
            .collect();
        self.with(|all| {
            let clouds = CLOUDS.into_iter().filter_map(|name| all.clouds.get(name));
            let machines = clouds.flat_map(|it| &it.machines);
            let is_left = |(id, it): &(&String, &Machine)| {
                it.tags.is_some() && it.is_alive() && !had.contains(id.as_str())
            };
            let (id, machine) = machines.into_iter().find(is_left)?;
            let words = format!("machine {id} is {}, and no builder's", machine.state.as_str());
            Some((Rule::Leak, words))
        })
    }

    /// How builders differ from what the fleet file says: in their number, or in what they are made from.
    fn differs(&self, builders: &[Builder]) -> Option<String> {
        let fleet = self.common.fleet.as_ref().ok()?;
        let now = NOW.plus(self.with(|all| all.now));
        for (name, spec) in &fleet.pools {
            let own: Vec<&Builder> = builders.iter().filter(|it| it.pool == *name).collect();
            let size = spec.size_at(now, 0);
            let count = u32::try_from(own.len()).unwrap_or(u32::MAX);
            if count < size.min || count > size.max {
                let words = format!(
                    "pool {name} has {count} builders and is to have {} to {}",
                    size.min, size.max
                );
                return Some(words);
            }
            let image = spec.image.as_deref().and_then(|name| fleet.images.get(name));
            // A fixed host has none.
            let is_of_it = |it: &Builder| {
                spec.image.is_none()
                    || image
                        .is_some_and(|image| image.cloud == it.cloud && image.id.as_ref() == Some(&it.image))
            };
            let is_like_others =
                |it: &Builder| own.first().is_some_and(|first| first.spec_hash == it.spec_hash);
            if let Some(other) = own.iter().find(|it| !is_of_it(it) || !is_like_others(it)) {
                return Some(format!(
                    "builder {} is made otherwise than the file says",
                    other.id
                ));
            }
        }
        let is_of_none = |it: &&Builder| !fleet.pools.contains_key(&it.pool);
        let other = builders.iter().find(is_of_none)?;
        Some(format!(
            "builder {} is of pool {}, which is gone",
            other.id, other.pool
        ))
    }

    /// What is looked at once all is settled: every end has a reason, an outage of our own cost no fleet, and hooks ran as it is on record.
    pub(crate) async fn judge_all(&mut self) -> Result<(), store::Error> {
        let all_builders = self.store.builders(Some(NOW)).await?;
        self.with(|all| {
            let is_over = |it: &&Builder| it.state != BuilderState::Ready;
            for builder in all_builders.iter().filter(is_over) {
                if builder.reason.as_deref().is_none_or(str::is_empty) {
                    all.violate(Rule::Moves, format!("{} has ended without a reason", builder.id));
                }
            }
            let given_up = |id: &BuilderId| {
                let of = all_builders.iter().find(|it| it.id == *id);
                of.and_then(|it| it.reason.as_deref())
                    .is_some_and(|reason| reason.contains(GIVEN_UP))
            };
            for (outage, ids) in all.ended_in_outage.clone() {
                let count = ids.iter().filter(|id| given_up(id)).count();
                if count > MOST_ENDED_IN_OUTAGE {
                    let words =
                        format!("{count} good builders are given up in outage {outage} of the network");
                    all.violate(Rule::Live, words);
                }
            }
        });
        if self.with(|all| all.tries.is_empty()) {
            return Ok(());
        }
        for builder in &all_builders {
            let runs = self.store.hooks_of(builder.id).await?;
            self.with(|all| {
                for run in &runs {
                    let tried = all.tries.of(&run.id.simple().to_string());
                    if let Some(what) = mistake(builder.instance_id.is_some(), run, tried) {
                        let words = format!("hook {} of {} {what}", run.point, builder.id);
                        all.violate(Rule::Hook, words);
                    }
                }
            });
        }
        Ok(())
    }
}

/// That there are more than there may be, if so.
fn above(count: usize, most: u64) -> Option<String> {
    let is_above = u64::try_from(count).is_ok_and(|count| count > most);
    is_above.then(|| format!("{count} of at most {most}"))
}

/// Whether a builder takes a place of the last line of its pool's offerings.
fn is_on_demand(builder: &Builder) -> bool {
    let is_its = |it: &Offering| it.market == Market::OnDemand;
    builder.state != BuilderState::Planned && builder.offering().is_some_and(is_its)
}

/// How many builders the attempts of each owner have.
fn at_work(builders: &[Builder]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    let is_at_work = |it: &&Builder| matches!(it.state, BuilderState::Reserved | BuilderState::Busy);
    let at_work = builders.iter().filter(is_at_work);
    for sandbox in at_work.filter_map(|it| it.sandbox.as_ref()) {
        // OWNER/PROJECT by SUBMITTER
        let (owner, _) = sandbox.as_str().split_once('/').unwrap_or_default();
        let count: &mut usize = counts.entry(owner).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// Whether a builder has a machine, or asks for one, and is not on its way out.
fn serves(builder: &Builder) -> bool {
    use BuilderState as S;
    !matches!(
        builder.state,
        S::Planned | S::Resolving | S::Draining | S::Terminating
    ) && !builder.state.is_final()
}

/// What is wrong with the record of a hook once all is settled; it was really tried so often, and went well or not.
fn mistake(has_machine: bool, run: &HookRun, (tries, went_well): (u32, bool)) -> Option<&'static str> {
    let forbids = run.point == HookPoint::BeforeSpawn && run.spec.on_failure == OnFailure::Retry;
    match run.state {
        HookState::Done if !went_well => Some("is done, and never went well"),
        HookState::Failed if tries == 0 => Some("has failed, and was never tried"),
        HookState::Failed if forbids && has_machine => {
            Some("has failed, and a machine was launched all the same")
        }
        HookState::Skipped if run.spec.skip_if.is_none() => Some("is left out"),
        HookState::Waiting | HookState::Running => Some("is not over"),
        _ if tries > run.spec.attempts => Some("was tried too often"),
        _ => None,
    }
}

/// Whether the machine of a builder that is ready can serve.
fn is_fit(all: &All, builder: &Builder) -> bool {
    let Some(id) = builder.instance_id.as_deref() else {
        return false;
    };
    let machine = all.answers(&builder.cloud, id);
    let set_up = all.keys.get(id).map(|keys| keys.set_up);
    machine.is_some_and(|it| !it.is_sick && Some(it.starts) == set_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(point: HookPoint, state: HookState, spec: &serde_json::Value) -> HookRun {
        HookRun {
            id: uuid::Uuid::nil(),
            builder: BuilderId(uuid::Uuid::nil()),
            point,
            place: 0,
            spec: serde_json::from_value(spec.clone()).unwrap(),
            state,
            attempt: 1,
            due_at: NOW,
            started_at: None,
            ended_at: Some(NOW),
            failed_at: None,
            outcome: None,
            tail: None,
        }
    }

    #[test]
    fn what_is_on_record_of_a_hook_is_what_really_came_of_it() {
        use HookPoint as P;
        use HookState as S;
        let ignored = serde_json::json!({"cmd": ["/a"], "attempts": 2});
        let needed = serde_json::json!({"cmd": ["/a"], "attempts": 2, "on_failure": "retry"});
        let left_out = serde_json::json!({"cmd": ["/a"], "skip_if": "unreachable"});
        for (point, state, spec, tried, expected) in [
            (P::AfterReady, S::Done, &ignored, (1, true), None),
            (
                P::AfterReady,
                S::Done,
                &ignored,
                (1, false),
                Some("never went well"),
            ),
            (P::AfterReady, S::Failed, &needed, (1, false), None),
            (P::AfterReady, S::Failed, &needed, (0, false), Some("never tried")),
            (P::BeforeSpawn, S::Failed, &ignored, (1, false), None),
            (
                P::BeforeSpawn,
                S::Failed,
                &needed,
                (2, false),
                Some("all the same"),
            ),
            (P::BeforeTerminate, S::Skipped, &left_out, (0, false), None),
            (
                P::BeforeTerminate,
                S::Skipped,
                &ignored,
                (0, false),
                Some("left out"),
            ),
            (
                P::AfterTerminate,
                S::Waiting,
                &ignored,
                (1, false),
                Some("not over"),
            ),
            (P::AfterReady, S::Late, &ignored, (2, false), None),
            (P::AfterReady, S::Late, &ignored, (3, false), Some("too often")),
        ] {
            let found = mistake(true, &run(point, state, spec), tried);
            assert_eq!(found.is_some(), expected.is_some(), "{point} {state:?} {found:?}");
            let words = found.unwrap_or_default();
            assert!(words.contains(expected.unwrap_or_default()), "{words}");
        }
        let given_up = run(P::BeforeSpawn, S::Failed, &needed);
        assert_eq!(mistake(false, &given_up, (2, false)), None, "it has no machine");
    }
}
