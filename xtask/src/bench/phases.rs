//! Where the time of one build went: from the farm's events, the farm's own log of the attempt, and the builder's.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339, macros::format_description,
};

/// The phases, in order, each with the mark that ends it. The first begins when the farm has taken the package.
pub(super) const PHASES: [(&str, Mark); 12] = [
    ("queue", Mark::Event("assigned")),
    ("assign", Mark::Event("running")),
    ("connect", Mark::Farm("Connected to the builder")),
    ("upload", Mark::Farm("Uploaded")),
    ("start", Mark::Builder("Start: build root")),
    ("root", Mark::Builder("Start: build requirements")),
    ("requirements", Mark::Builder("Start: rpmbuild")),
    ("rpmbuild", Mark::Builder("Finish: rpmbuild")),
    ("download", Mark::Farm("Fetched")),
    ("sign", Mark::Farm("Signed")),
    ("place", Mark::Event("publishing")),
    ("publish", Mark::Event("succeeded")),
];

/// What tells a moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    /// The event by which the attempt came into a state.
    Event(&'static str),
    /// The last line of `backend.log` that begins so.
    Farm(&'static str),
    /// The last line of the builder's `state.log` that begins so.
    Builder(&'static str),
}

/// The moments of one build.
#[derive(Debug, Default)]
pub(super) struct Moments {
    events: BTreeMap<String, OffsetDateTime>,
    farm: Vec<(OffsetDateTime, String)>,
    builder: Vec<(OffsetDateTime, String)>,
}

impl Moments {
    /// Reads them.
    pub(super) fn read(events: &[Value], backend_log: &str, state_log: &str) -> Result<Self> {
        let mut moments = Self::default();
        for event in events {
            let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
            if field("subject_kind") == "attempt" {
                let at = moment(field("at"))?;
                moments.events.insert(field("new_state").to_owned(), at);
            }
        }
        for line in backend_log.lines() {
            // The last line is without a moment.
            if let Some((at, text)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
                moments.farm.push((moment(at)?, text.to_owned()));
            }
        }
        let stamp = format_description!("[year]-[month]-[day] [hour]:[minute]:[second],[subsecond digits:3]");
        for line in state_log.lines() {
            let Some((at, text)) = line.split_once(" - ") else {
                continue;
            };
            let at = PrimitiveDateTime::parse(at, stamp).with_context(|| format!("the moment {at:?}"))?;
            moments.builder.push((at.assume_utc(), text.to_owned()));
        }
        Ok(moments)
    }

    fn of(&self, mark: Mark) -> Option<OffsetDateTime> {
        let last = |lines: &[(OffsetDateTime, String)], start: &str| {
            let found = lines.iter().rfind(|(_, text)| text.starts_with(start));
            found.map(|(at, _)| *at)
        };
        match mark {
            Mark::Event(state) => self.events.get(state).copied(),
            Mark::Farm(start) => last(&self.farm, start),
            Mark::Builder(start) => last(&self.builder, start),
        }
    }

    /// How long each phase took, in seconds, from a moment on. One whose mark is missing is part of the next.
    pub(super) fn seconds(&self, from: OffsetDateTime) -> Vec<(&'static str, Option<f64>)> {
        let mut before = from;
        let mut phases = Vec::new();
        for (name, mark) in PHASES {
            let at = self.of(mark);
            phases.push((name, at.map(|at| (at - before).as_seconds_f64())));
            before = at.unwrap_or(before);
        }
        phases
    }
}

/// A moment in RFC 3339.
pub(super) fn moment(text: &str) -> Result<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("the moment {text:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Moments, moment};

    #[test]
    fn phases_are_what_lies_between_their_marks_and_one_without_a_mark_is_left_to_the_next() {
        let event = |state: &str, at: &str| json!({"subject_kind": "attempt", "new_state": state, "at": at});
        let events = [
            event("assigned", "2026-11-28T12:00:01Z"),
            event("running", "2026-11-28T12:00:01.5Z"),
            event("succeeded", "2026-11-28T12:00:10Z"),
            json!({"subject_kind": "build", "new_state": "running", "at": "2026-11-28T11:00:00Z"}),
        ];
        let farm = "[2026-11-28T12:00:02Z] Connected to the builder.\n[2026-11-28T12:00:03Z] Uploaded x, 1 bytes.\n2 files.\n";
        let builder = "2026-11-28 12:00:04,250 - Start: build root\nno moment\n2026-11-28 12:00:07,250 - Start: rpmbuild\n";
        let moments = Moments::read(&events, farm, builder).expect("moments");
        let from = moment("2026-11-28T12:00:00Z").expect("a moment");
        let seconds = moments.seconds(from);
        let of = |name: &str| {
            seconds
                .iter()
                .find(|(phase, _)| *phase == name)
                .and_then(|(_, took)| *took)
        };
        assert_eq!(of("queue"), Some(1.0));
        assert_eq!(of("assign"), Some(0.5));
        assert_eq!(of("start"), Some(1.25));
        assert_eq!(of("root"), None);
        assert_eq!(of("requirements"), Some(3.0), "with the root, which has no mark");
        assert_eq!(of("publish"), Some(2.75));
    }

    #[test]
    fn of_lines_that_begin_alike_the_last_tells_the_moment() {
        let farm = "[2026-11-28T12:00:01Z] Fetched 1 file.\n[2026-11-28T12:00:05Z] Fetched 3 files.\n\
                    [2026-11-28T12:00:09Z] I have Fetched nothing.\nThe end.\n";
        let moments = Moments::read(&[], farm, "").expect("moments");
        let seconds = moments.seconds(moment("2026-11-28T12:00:00Z").expect("a moment"));
        let told: Vec<_> = seconds.iter().filter(|(_, took)| took.is_some()).collect();
        assert_eq!(told, [&("download", Some(5.0))]);
        assert_eq!(seconds.len(), super::PHASES.len());
    }

    #[test]
    fn a_log_with_an_odd_moment_is_refused_with_its_words() {
        let event = json!({"subject_kind": "attempt", "new_state": "running", "at": "noon"});
        for (events, farm, builder, told) in [
            (&[][..], "[12:00] Uploaded\n", "", "\"12:00\""),
            (
                &[],
                "",
                "2026-11-28 12:00:04 - Start: rpmbuild\n",
                "\"2026-11-28 12:00:04\"",
            ),
            (&[event], "", "", "\"noon\""),
        ] {
            let error = Moments::read(events, farm, builder).expect_err(told);
            assert_eq!(error.to_string(), format!("the moment {told}"));
        }
    }

    #[test]
    fn moments_differ_by_what_lies_between_them() {
        let [before, after] = ["2026-11-27T20:00:00.250000Z", "2026-11-27T20:00:02Z"]
            .map(|text| moment(text).expect("a moment"));
        assert!(((after - before).as_seconds_f64() - 1.75).abs() < 1e-6);
        assert!(moment("yesterday").is_err());
    }
}
