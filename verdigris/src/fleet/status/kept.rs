//! Clouds that are gone from the fleet file and are kept until their machines have ended: which machines these are, and what they wait
//! for.

use model::{
    BuilderId, BuilderState,
    mark::{Mark, MarkKind},
    plan::{Action, Plan},
};
use serde::Serialize;
use store::{Builder, Orphan};

use super::{AS_WANTED, Status, marks, stray};

/// How many machines of a cloud are told one by one.
const SHOWN: usize = 3;

/// A cloud that is kept.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    cloud: String,
    waits_for: Vec<Machine>,
}

/// A machine that is to end, and why it has not yet.
#[derive(Debug, Serialize)]
struct Machine {
    /// `None` for one that no builder has.
    builder: Option<BuilderId>,
    instance_id: Option<String>,
    why: String,
}

impl Status {
    /// The clouds that are kept, with all that they wait for.
    pub(super) fn kept_clouds(&self) -> Vec<Kept> {
        let clouds = self.kept.iter().map(|cloud| {
            let builders = self.view.builders.iter();
            let builders = builders.filter(|it| it.cloud == *cloud && it.is_rented());
            let strays = self.orphans.iter();
            let strays = strays.filter(|it| it.cloud == *cloud && it.is_to_end());
            let builders = builders.map(|builder| Machine {
                builder: Some(builder.id),
                instance_id: builder.instance_id.clone(),
                why: self.why_there(builder),
            });
            Kept {
                cloud: cloud.clone(),
                waits_for: builders.chain(strays.map(of_stray)).collect(),
            }
        });
        clouds.collect()
    }

    /// Why a builder whose cloud is gone from the file is there still.
    fn why_there(&self, builder: &Builder) -> String {
        let state = marks::state(builder);
        if let Some(attempt) = self.running.get(&builder.id) {
            return format!("{state}: attempt {} of build {}", attempt.id, attempt.build);
        }
        // Of all marks only this one keeps a builder: a cordoned one leaves as any other.
        let hold = builder.mark.as_ref().filter(|mark| mark.kind == MarkKind::Held);
        if let Some(hold) = hold {
            return hold.in_words();
        }
        let plan = self.plan.as_ref().ok();
        let decided = plan.and_then(|plan| decided(plan, builder.id));
        let is_ready = builder.state == BuilderState::Ready;
        let of_pool = || {
            let report = plan?.pools.iter().find(|report| report.pool == builder.pool)?;
            (is_ready && report.note != AS_WANTED).then(|| report.note.clone())
        };
        let why = decided.or_else(of_pool);
        let why = why.or_else(|| builder.mark.as_ref().map(Mark::in_words));
        match why.or_else(|| builder.reason.clone()) {
            Some(why) => format!("{state}: {why}"),
            None => state,
        }
    }
}

/// Why the next round moves a builder on, if it does.
fn decided(plan: &Plan, id: BuilderId) -> Option<String> {
    plan.actions.iter().find_map(|action| match action {
        Action::Drain { builder, reason }
        | Action::Expire { builder, reason, .. }
        | Action::Move { builder, reason, .. } => (*builder == id).then(|| reason.clone()),
        Action::Assign { .. } | Action::Launch { .. } => None,
    })
}

fn of_stray(orphan: &Orphan) -> Machine {
    Machine {
        builder: None,
        instance_id: Some(orphan.instance_id.clone()),
        why: format!("no builder has it; {}", stray::outcome(orphan)),
    }
}

impl Kept {
    /// The cloud in one line, with the first of what it waits for.
    pub(super) fn in_words(&self) -> String {
        let Self { cloud, waits_for } = self;
        let what = match waits_for.len() {
            0 => {
                return format!(
                    "cloud {cloud} is no longer in fleet.yaml; nothing is left there, and it is let go next"
                );
            }
            1 => "1 machine has ended".to_owned(),
            more => format!("{more} machines have ended"),
        };
        let shown = waits_for.iter().take(SHOWN).map(Machine::in_words);
        let mut shown = shown.collect::<Vec<_>>().join(", ");
        let more = waits_for.len().saturating_sub(SHOWN);
        if more > 0 {
            shown.push_str(&format!(", and {more} more"));
        }
        format!("cloud {cloud} is no longer in fleet.yaml; kept until {what}: {shown}")
    }
}

impl Machine {
    fn in_words(&self) -> String {
        let instance = self.instance_id.clone().unwrap_or_default();
        let name = self.builder.map_or(instance, |id| id.to_string());
        format!("{name} ({})", self.why)
    }
}
