//! What a person who waits sees: one line for each step with its time, and counts that do not flood a log file.
#![expect(
    clippy::print_stdout,
    reason = "the one place that speaks to the person at the terminal"
)]

use std::time::{Duration, Instant};

/// How often a count is shown at most.
const PACE: Duration = Duration::from_secs(3);

/// Prints one line.
pub(crate) fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// One step of a longer job: says when it starts, and how long it took when it is done.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    started: Instant,
}

impl Step {
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        say(format!("==> {name}"));
        Self {
            name,
            started: Instant::now(),
        }
    }

    /// Says something about the step while it runs.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        say(format!("    {}", text.as_ref()));
    }

    pub(crate) fn done(self, result: impl AsRef<str>) {
        let result = result.as_ref();
        let seconds = self.started.elapsed().as_secs_f64();
        say(format!("    {}: {result} ({seconds:.1} s)", self.name));
    }
}

/// A count of equal things, shown now and then.
#[derive(Debug)]
pub(crate) struct Count {
    what: &'static str,
    total: usize,
    done: usize,
    shown: Instant,
}

impl Count {
    pub(crate) fn of(what: &'static str, total: usize) -> Self {
        Self {
            what,
            total,
            done: 0,
            shown: Instant::now(),
        }
    }

    pub(crate) fn one_more(&mut self) {
        self.done += 1;
        if self.done == self.total || self.shown.elapsed() >= PACE {
            self.shown = Instant::now();
            say(format!("    {} {} of {}", self.what, self.done, self.total));
        }
    }
}
