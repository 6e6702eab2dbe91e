//! What the machines of a farm take beside the builds, by the farm's events.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::text;
use crate::bench::{
    phases::moment,
    table::{Times, heading},
};

/// From the call that launches a machine to a builder that is ready; and from the end of a build to being ready for the next.
const STARTED: [&str; 2] = ["launching", "ready"];
const CLEANED: [&str; 2] = ["cleaning", "ready"];
/// What the start consists of.
const STAGES: [(&str, [&str; 2]); 4] = [
    ("  until the cloud says that it runs", ["launching", "booting"]),
    (
        "  until SSH shows a host key of its own",
        ["booting", "provisioning"],
    ),
    ("  until the playbook is played", ["provisioning", "checking"]),
    ("  until it is checked", ["checking", "ready"]),
];

/// Times in seconds.
#[derive(Default)]
pub(super) struct Machines {
    /// From the launch to being ready, of those that run one build.
    once: Vec<f64>,
    /// The same of those that may be used again: what they are like is noted before.
    again: Vec<f64>,
    /// The stages of both.
    stages: [Vec<f64>; STAGES.len()],
    /// From the end of a build to being ready for the next.
    cleaned: Vec<f64>,
}

impl Machines {
    /// By the events of a farm whose builders run one build.
    pub(super) fn used_once(events: &[Value]) -> Result<Self> {
        Ok(Self {
            once: between(events, STARTED)?,
            ..Self::staged(events)?
        })
    }

    /// By the events of a farm whose builders run more, but for the first ones.
    pub(super) fn used_again(events: &[Value], but: usize) -> Result<Self> {
        let started = between(events, STARTED)?;
        Ok(Self {
            again: started.into_iter().skip(but).collect(),
            cleaned: between(events, CLEANED)?,
            ..Self::staged(events)?
        })
    }

    fn staged(events: &[Value]) -> Result<Self> {
        let mut machines = Self::default();
        for (times, (_, stage)) in machines.stages.iter_mut().zip(STAGES) {
            *times = between(events, stage)?;
        }
        Ok(machines)
    }

    pub(super) fn add(&mut self, more: Self) {
        self.once.extend(more.once);
        self.again.extend(more.again);
        self.cleaned.extend(more.cleaned);
        for (times, more) in self.stages.iter_mut().zip(more.stages) {
            times.extend(more);
        }
    }

    /// The table.
    pub(super) fn report(self) -> String {
        let mut lines = vec![
            heading("machines, seconds"),
            Times::of(self.once).line("RunInstances to ready, for one build", None),
            Times::of(self.again).line("RunInstances to ready, to be used again", None),
        ];
        let stages = self.stages.into_iter().zip(STAGES);
        lines.extend(stages.map(|(times, (name, _))| Times::of(times).line(name, None)));
        lines.push(Times::of(self.cleaned).line("a build's end to ready again", None));
        lines.join("\n")
    }
}

/// How long builders took from one state to another, in seconds.
fn between(events: &[Value], [from, to]: [&str; 2]) -> Result<Vec<f64>> {
    let mut begun = BTreeMap::new();
    let mut times = Vec::new();
    for event in events
        .iter()
        .filter(|event| text(event, "subject_kind") == "builder")
    {
        let (builder, at) = (text(event, "subject_id"), || moment(text(event, "at")));
        let state = text(event, "new_state");
        if state == from {
            begun.insert(builder, at()?);
        } else if state == to
            && let Some(start) = begun.remove(builder)
        {
            times.push((at()? - start).as_seconds_f64());
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{event, figures},
        *,
    };

    fn life() -> Vec<Value> {
        vec![
            event("builder", "a", "launching", "00"),
            event("builder", "b", "launching", "01"),
            event("build", "a", "ready", "02"),
            event("builder", "b", "ready", "03.5"),
            event("builder", "a", "booting", "04"),
            event("builder", "a", "provisioning", "06"),
            event("builder", "a", "checking", "09"),
            event("builder", "a", "ready", "10"),
            // It was lent out and is ready again: that is no start.
            event("builder", "a", "busy", "11"),
            event("builder", "a", "cleaning", "19.5"),
            event("builder", "a", "ready", "20"),
            event("builder", "c", "launching", "21"),
            event("builder", "b", "cleaning", "22"),
        ]
    }

    #[test]
    fn what_a_builder_takes_from_one_state_to_another() {
        assert_eq!(between(&life(), STARTED).unwrap(), [2.5, 10.0]);
        assert_eq!(between(&life(), CLEANED).unwrap(), [0.5]);
        let odd = [event("builder", "a", "launching", "61")];
        assert!(between(&odd, STARTED).is_err());
    }

    #[test]
    fn machines_are_told_apart_by_what_they_are_for() {
        let mut machines = Machines::used_once(&life()).unwrap();
        machines.add(Machines::used_again(&life(), 1).unwrap());
        let report = machines.report();
        for (what, expected) in [
            ("RunInstances to ready, for one build", "2 6.25 2.50 10.00"),
            ("RunInstances to ready, to be used again", "1 10.00 10.00 10.00"),
            ("until the cloud says that it runs", "2 4.00 4.00 4.00"),
            ("until SSH shows a host key of its own", "2 2.00 2.00 2.00"),
            ("until the playbook is played", "2 3.00 3.00 3.00"),
            ("until it is checked", "2 1.00 1.00 1.00"),
            ("a build's end to ready again", "1 0.50 0.50 0.50"),
        ] {
            assert_eq!(figures(&report, what), expected, "{what}");
        }
        let none = Machines::default().report();
        assert!(none.contains("not measured"), "{none}");
    }
}
