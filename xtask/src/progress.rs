//! What a person who waits sees: one line for each step with its time, and counts that do not flood a log file.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that speaks to the person at the terminal"
)]

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a count is shown at most.
const PACE: Duration = Duration::from_secs(3);

/// Prints one line.
pub(crate) fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Prints why the command fails, as its last line.
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("xtask: {error:#}");
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

/// A count of equal things, or of per cent: a bar on a terminal, and a line now and then where there is none.
#[derive(Debug)]
pub(crate) struct Count {
    what: &'static str,
    unit: &'static str,
    bar: ProgressBar,
    shown: Instant,
}

impl Count {
    pub(crate) fn of(what: &'static str, total: usize) -> Self {
        Self::new(what, "", total)
    }

    /// A count from 0 to 100.
    pub(crate) fn per_cent(what: &'static str) -> Self {
        Self::new(what, " %", 100)
    }

    fn new(what: &'static str, unit: &'static str, total: usize) -> Self {
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stdout());
        let template = format!("    {what} {{bar:30}} {{pos}} of {{len}}{unit}, {{eta}} left");
        // The text above is the template: that it cannot be read would be a mistake of this line, and a plain bar will do.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self {
            what,
            unit,
            bar,
            shown: Instant::now(),
        }
    }

    pub(crate) fn one_more(&mut self) {
        self.set(self.bar.position() + 1);
    }

    /// Says how many are done. What goes back is not shown: apt counts each of its stages from the start.
    pub(crate) fn set(&mut self, done: u64) {
        let (before, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let done = done.min(total);
        if done <= before {
            return;
        }
        self.bar.set_position(done);
        if done == total {
            self.bar.finish_and_clear();
        }
        if self.bar.is_hidden() && (done == total || self.shown.elapsed() >= PACE) {
            self.shown = Instant::now();
            say(self.line(done, total));
        }
    }

    /// What is said where there is no terminal.
    fn line(&self, done: u64, total: u64) -> String {
        let left = match self.bar.eta().as_secs() {
            // The first one may have waited for something that the others find there: it tells nothing of them.
            _ if done.saturating_mul(20) < total => String::new(),
            0 => String::new(),
            seconds => format!(", {seconds} s left"),
        };
        format!("    {} {done} of {total}{}{left}", self.what, self.unit)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A count of things of which nobody knows how many there will be.
#[derive(Debug)]
pub(crate) struct Tally {
    what: &'static str,
    count: u64,
    shown: Instant,
    pace: Duration,
}

impl Tally {
    /// None yet; how many there are is said every `pace`.
    pub(crate) fn new(what: &'static str, pace: Duration) -> Self {
        Self {
            what,
            count: 0,
            shown: Instant::now(),
            pace,
        }
    }

    /// Counts one more; whether that was said.
    pub(crate) fn one_more(&mut self) -> bool {
        self.count += 1;
        let is_due = self.shown.elapsed() >= self.pace;
        if is_due {
            self.shown = Instant::now();
            say(format!("    {} {}", self.count, self.what));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Count, Tally};

    #[test]
    fn a_tally_speaks_at_its_pace() {
        let mut silent = Tally::new("things", Duration::from_secs(3600));
        assert!(!silent.one_more());
        let mut loud = Tally::new("things", Duration::ZERO);
        assert!(loud.one_more());
        assert_eq!((silent.count, loud.count), (1, 1));
    }

    #[test]
    fn no_time_is_foretold_from_the_first_few() {
        let mut count = Count::of("packaged", 100);
        std::thread::sleep(Duration::from_millis(20));
        count.set(4);
        assert_eq!(count.line(4, 100), "    packaged 4 of 100");
    }

    #[test]
    fn a_count_goes_forward_only_and_not_beyond_its_end() {
        let mut count = Count::per_cent("installed");
        for (said, at) in [(40, 40), (10, 40), (41, 41), (250, 100)] {
            count.set(said);
            assert_eq!(count.bar.position(), at);
        }
        assert_eq!(count.line(100, 100), "    installed 100 of 100 %");
        let mut count = Count::of("unpacked", 2);
        count.one_more();
        count.one_more();
        count.one_more();
        assert_eq!(count.bar.position(), 2);
    }
}
