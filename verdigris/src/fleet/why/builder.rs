//! Of a builder: what it does, since when and why, until when and what happens then, what it has cost, and its history.

use model::{
    BuilderState, Lacks, Timestamp,
    console::last_lines,
    fleet::FleetSpec,
    mark::{Mark, MarkKind},
    plan::Builder as Planned,
    quantity::Price,
};
use serde::Serialize;
use serde_json::{Value, json};
use store::{Attempt, Builder, Console, Event, HookRun, LaunchAttempt};

use super::{
    super::{hooks, marks},
    ago, length,
};
use crate::table::table;

/// How many lines of a console are shown.
const CONSOLE_LINES: usize = 20;

/// All that an operator asks about a builder.
#[derive(Debug, Serialize)]
pub(super) struct BuilderStory {
    builder: String,
    pool: String,
    state: BuilderState,
    cordoned: bool,
    /// What an operator has said of it.
    mark: Option<Mark>,
    /// The state, with that.
    #[serde(skip)]
    is: String,
    since: String,
    seconds: u64,
    reason: Option<String>,
    /// The attempt that runs on it, or is to.
    runs: Option<Value>,
    /// Whose builds it has run, which alone may have it again.
    sandbox: Option<String>,
    /// How many builds were begun on it.
    uses: u32,
    deadline: Option<String>,
    /// What ends its state, as a sentence.
    until: String,
    cloud: String,
    /// The fixed host that it is, where it is not rented.
    host: Option<String>,
    image: String,
    instance_id: Option<String>,
    address: Option<String>,
    launches: Launches,
    /// How long its machine has been asked for, in seconds: a cloud counts about that.
    machine_seconds: Option<u64>,
    /// What an hour of it costs by the fleet file; `None` where that has no price for it.
    price: Option<Price>,
    /// What that time has cost so far.
    cost: Option<Price>,
    /// That its pool's builders are made otherwise by now, as a sentence.
    outdated: Option<String>,
    /// The hooks that it has come to the turn of.
    hooks: Vec<Value>,
    /// The one that failed last.
    failed_hook: Option<String>,
    history: Vec<Step>,
    /// What its machine wrote on its console before it was ended, where it was never ready.
    console: Option<Value>,
    #[serde(skip)]
    read: Option<Console>,
    #[serde(skip)]
    now: Timestamp,
    #[serde(skip)]
    entered_at: Timestamp,
}

/// The launches for a builder.
#[derive(Debug, Serialize)]
struct Launches {
    count: u32,
    refused: u32,
    put_off: u32,
    /// What the last one asked for.
    offering: Option<String>,
    /// What the cloud said to it.
    answer: Option<String>,
}

/// Something that happened to it, or to an attempt on it.
#[derive(Debug, Serialize)]
struct Step {
    at: String,
    /// `builder`, or an attempt with its id.
    what: String,
    from: Option<String>,
    to: Option<String>,
    by: String,
    why: String,
}

impl BuilderStory {
    pub(super) fn new(
        builder: &Builder,
        events: Vec<Event>,
        runs: Option<&Attempt>,
        fleet: &FleetSpec,
        now: Timestamp,
    ) -> Self {
        let launch = builder.launch.as_ref();
        let machine_seconds = machine_seconds(builder, launch, now);
        let price = builder.offering().and_then(|it| fleet.price(&builder.cloud, it));
        let runs = runs.map(|attempt| {
            json!({
                "build": attempt.build, "attempt": attempt.id, "owner": attempt.owner,
                "project": attempt.project_name, "chroot": attempt.chroot,
            })
        });
        Self {
            builder: builder.id.to_string(),
            pool: builder.pool.to_string(),
            state: builder.state,
            cordoned: builder.cordoned,
            mark: builder.mark.clone(),
            is: marks::state(builder),
            since: builder.entered_at.to_string(),
            seconds: now.since(builder.entered_at).as_secs(),
            reason: builder.reason.clone(),
            runs,
            sandbox: builder.sandbox.as_ref().map(ToString::to_string),
            uses: builder.uses,
            deadline: builder.deadline.map(|deadline| deadline.to_string()),
            until: until(builder, fleet, now),
            cloud: builder.cloud.clone(),
            host: builder.host.clone(),
            image: builder.image.clone(),
            instance_id: builder.instance_id.clone(),
            address: builder.address.clone(),
            launches: Launches {
                count: builder.launches,
                refused: builder.refusals,
                put_off: builder.postponements,
                offering: launch.map(|launch| launch.offering.to_string()),
                answer: launch.and_then(|launch| launch.outcome.clone()),
            },
            machine_seconds,
            price,
            cost: price
                .zip(machine_seconds)
                .map(|(price, seconds)| price.for_seconds(seconds)),
            outdated: None,
            hooks: Vec::new(),
            failed_hook: None,
            history: events.into_iter().map(step).collect(),
            console: None,
            read: None,
            now,
            entered_at: builder.entered_at,
        }
    }

    /// The same with its hooks.
    pub(super) fn with_hooks(self, runs: &[HookRun]) -> Self {
        let last = runs.iter().filter(|run| run.failed_at.is_some());
        Self {
            hooks: runs.iter().map(hooks::as_json).collect(),
            failed_hook: last.max_by_key(|run| run.failed_at).map(hooks::in_words),
            ..self
        }
    }

    /// The same with what is kept of its console.
    pub(super) fn with_console(self, read: Option<Console>) -> Self {
        let console = read.as_ref();
        Self {
            console: console.map(|read| json!({"read_at": read.at.to_string(), "text": read.text})),
            read,
            ..self
        }
    }

    /// The same with how it differs from new builders, and what ends its state where it is fit for no build by now.
    pub(super) fn with_outdated(self, planned: Option<&Planned>) -> Self {
        let differing = planned.filter(|it| it.state == BuilderState::Ready && it.drift.is_some());
        let until = match differing {
            Some(planned) => until_its_turn(planned, self.until),
            None => self.until,
        };
        Self {
            outdated: planned.and_then(Planned::outdated_in_words),
            until,
            ..self
        }
    }

    pub(super) fn as_text(&self) -> String {
        [self.facts(), self.history_in_words(), self.console_in_words()].concat()
    }

    fn facts(&self) -> String {
        let mut text = format!("{} of pool {} is {}\n\n", self.builder, self.pool, self.is);
        let mut line = |what: &str, words: &str| {
            if !words.is_empty() {
                text.push_str(&format!("  {what:<10}{words}\n"));
            }
        };
        line("since", &ago(self.entered_at, self.now));
        line("why", self.reason.as_deref().unwrap_or("nobody said why"));
        line(
            "marked",
            &self.mark.as_ref().map_or_else(String::new, Mark::in_words),
        );
        line("runs", &self.runs_in_words());
        line("has run", &self.uses_in_words());
        line("failed", self.failed_hook.as_deref().unwrap_or_default());
        line("outdated", self.outdated.as_deref().unwrap_or_default());
        line("until", &self.until);
        let instance = self.instance_id.as_ref().map(|id| {
            let at = self
                .address
                .as_ref()
                .map_or_else(String::new, |address| format!(" at {address}"));
            match self.host {
                Some(_) => format!("{id}{at}, a fixed host"),
                None => format!("{id}{at}, image {}, cloud {}", self.image, self.cloud),
            }
        });
        line(
            "machine",
            &instance.unwrap_or_else(|| format!("none yet, of cloud {}", self.cloud)),
        );
        line("launches", &self.launches.in_words());
        let cost = self.machine_seconds.map(|seconds| {
            let time = length(std::time::Duration::from_secs(seconds));
            match self.cost.zip(self.price) {
                Some((cost, price)) => format!("{cost} so far: {time} of a machine, {price} an hour"),
                None => format!("{time} of a machine so far; the fleet file has no price for it"),
            }
        });
        line(
            "cost",
            cost.as_deref().unwrap_or("nothing: no machine was given for it"),
        );
        text
    }

    fn history_in_words(&self) -> String {
        if self.history.is_empty() {
            return "\nNothing of its history is kept.\n".to_owned();
        }
        let rows = self.history.iter().map(|step| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                step.at.clone(),
                step.what.clone(),
                or_dash(&step.from),
                or_dash(&step.to),
                step.by.clone(),
                step.why.clone(),
            ]
        });
        let history = table(&["WHEN", "WHAT", "FROM", "TO", "BY", "WHY"], rows.collect());
        format!("\n{history}")
    }

    /// The last lines of its console.
    fn console_in_words(&self) -> String {
        let Some(read) = &self.read else {
            return String::new();
        };
        let when = ago(read.at, self.now);
        let lines = last_lines(&read.text, CONSOLE_LINES);
        if lines.is_empty() {
            return format!("\nIts console was empty, {when}.\n");
        }
        let shown: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("\nIts console ended with, {when}:\n\n{shown}")
    }

    fn runs_in_words(&self) -> String {
        let Some(runs) = &self.runs else {
            return String::new();
        };
        let of = |key: &str| {
            runs[key]
                .as_str()
                .map_or_else(|| runs[key].to_string(), str::to_owned)
        };
        format!(
            "build {} of {}/{} for {}, {}",
            of("build"),
            of("owner"),
            of("project"),
            of("chroot"),
            of("attempt")
        )
    }
}

impl BuilderStory {
    fn uses_in_words(&self) -> String {
        match (&self.sandbox, self.uses) {
            (Some(sandbox), 1) => format!("1 build of {sandbox}, and none of others"),
            (Some(sandbox), uses) => format!("{uses} builds of {sandbox}, and none of others"),
            (None, _) => String::new(),
        }
    }
}

impl Launches {
    fn in_words(&self) -> String {
        let mut words = self.count.to_string();
        for (count, what) in [(self.refused, "refused"), (self.put_off, "put off")] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        if let Some(offering) = &self.offering {
            words.push_str(&format!("; the last for {offering}"));
        }
        if let Some(answer) = &self.answer {
            words.push_str(&format!(": {answer}"));
        }
        words
    }
}

/// What ends the state that a builder is in.
fn until(builder: &Builder, fleet: &FleetSpec, now: Timestamp) -> String {
    use BuilderState as State;
    let state = builder.state;
    if let (Some(deadline), Some(next)) = (builder.deadline, state.when_overdue()) {
        let at = deadline.to_the_second();
        return if deadline > now {
            let left = length(deadline.since(now));
            match state {
                State::Busy => {
                    format!("{at}, in {left}, unless its worker gives a sign of life: then it becomes {next}")
                }
                state => format!("{at}, in {left}: if it is still {state} then, it becomes {next}"),
            }
        } else {
            format!(
                "{at}, {} ago: the next round makes it {next}",
                length(now.since(deadline))
            )
        };
    }
    match state {
        State::Ready => match fleet.pools.get(&builder.pool) {
            _ if is_to_be_held(builder) => "the next round, which holds it".to_owned(),
            Some(_) if builder.cordoned => out_of_use(builder),
            Some(pool) if builder.sandbox.is_some() => format!(
                "a build of those that it has run comes for it, or none did within {}",
                pool.reuse.idle_for
            ),
            Some(pool) => format!(
                "an attempt comes for it, or it was not needed for {}",
                pool.shrink.idle_for
            ),
            None => "the next round, which drains it: its pool is no longer in the fleet file".to_owned(),
        },
        State::Resolving => "the cloud says what became of its launch; no deadline ends that".to_owned(),
        State::Terminating => "the cloud says that its machine is gone; no deadline ends that".to_owned(),
        State::Terminated | State::Abandoned => "for ever: it has ended".to_owned(),
        _ => "it is moved on; no deadline is set".to_owned(),
    }
}

fn is_to_be_held(builder: &Builder) -> bool {
    builder
        .mark
        .as_ref()
        .is_some_and(|mark| mark.kind == MarkKind::Held)
}

/// What ends that a builder is ready and gets no builds, since somebody wants it so.
fn out_of_use(builder: &Builder) -> String {
    let (id, mark) = (builder.id, builder.mark.as_ref());
    if mark.is_some_and(|mark| mark.kind.is_end()) {
        return "the next round, which drains it".to_owned();
    }
    let until = mark.and_then(|mark| mark.until);
    let until = until.map_or_else(String::new, |until| {
        format!("{}, when its cordon ends, or ", until.to_the_second())
    });
    format!(
        "{until}`uncordon {id}` or `terminate {id}`: it is cordoned, so no build comes for it, and it does not go for being idle"
    )
}

/// The same of a builder that was made otherwise than its pool makes builders now, where that ends it as well.
fn until_its_turn(planned: &Planned, until: String) -> String {
    let turn = "its turn comes to be drained, as `drift` of its pool says";
    match planned.mark.as_ref().map(|mark| mark.kind) {
        Some(MarkKind::Held | MarkKind::Retired | MarkKind::TakenBack | MarkKind::Ended) => until,
        Some(MarkKind::Cordoned) | None if planned.cordoned => format!("{until}; or {turn}"),
        Some(MarkKind::Cordoned) | None if planned.lacks == Lacks::Everything => {
            format!("{turn}: it is fit for no build by now, so none comes for it")
        }
        Some(MarkKind::Cordoned) | None => until,
    }
}

/// For how long a machine has been, or was, asked for.
fn machine_seconds(builder: &Builder, launch: Option<&LaunchAttempt>, now: Timestamp) -> Option<u64> {
    builder.instance_id.as_ref()?;
    let begun = match launch {
        Some(launch) => launch.asked_at,
        // Nobody knows since when it runs that was adopted.
        None => builder.created_at,
    };
    let end = if builder.state.is_final() {
        builder.entered_at
    } else {
        now
    };
    Some(end.since(begun).as_secs())
}

fn step(event: Event) -> Step {
    let what = if event.subject_kind == "builder" {
        event.subject_kind
    } else {
        format!("{} {}", event.subject_kind, event.subject_id)
    };
    Step {
        at: event.at.to_the_second().to_string(),
        what,
        from: event.old_state,
        to: event.new_state,
        by: event.actor,
        why: event.reason,
    }
}

#[cfg(test)]
mod tests;
