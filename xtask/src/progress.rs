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

/// When something was said last, and how long to be silent then.
#[derive(Debug)]
struct Pace {
    said: Instant,
    pause: Duration,
}

impl Pace {
    fn new(pause: Duration) -> Self {
        Self {
            said: Instant::now(),
            pause,
        }
    }

    /// Whether to speak now; then the pause begins anew.
    fn is_due(&mut self) -> bool {
        let is_due = self.said.elapsed() >= self.pause;
        if is_due {
            self.said = Instant::now();
        }
        is_due
    }
}

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
        say(self.line(result.as_ref(), self.started.elapsed()));
    }

    fn line(&self, result: &str, took: Duration) -> String {
        format!("    {}: {result} ({:.1} s)", self.name, took.as_secs_f64())
    }
}

/// A count of equal things, or of per cent: a bar on a terminal, and a line now and then where there is none.
#[derive(Debug)]
pub(crate) struct Count {
    what: &'static str,
    unit: &'static str,
    bar: ProgressBar,
    pace: Pace,
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
            pace: Pace::new(PACE),
        }
    }

    pub(crate) fn one_more(&mut self) {
        self.set(self.bar.position() + 1);
    }

    /// Says how many are done. What goes back is not shown: apt counts each of its stages from the start.
    pub(crate) fn set(&mut self, done: u64) {
        if let Some(line) = self.advance(done) {
            say(line);
        }
    }

    /// Goes forward; the line that is due where there is no terminal.
    fn advance(&mut self, done: u64) -> Option<String> {
        let (before, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let done = done.min(total);
        if done <= before {
            return None;
        }
        self.bar.set_position(done);
        if done == total {
            self.bar.finish_and_clear();
        }
        let is_due = self.bar.is_hidden() && (self.pace.is_due() || done == total);
        is_due.then(|| self.line(self.bar.eta()))
    }

    /// What is said where there is no terminal; `left` is how long the rest is expected to take.
    fn line(&self, left: Duration) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let left = match left.as_secs() {
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
    pace: Pace,
}

impl Tally {
    /// None yet; how many there are is said every `pace`.
    pub(crate) fn new(what: &'static str, pace: Duration) -> Self {
        Self {
            what,
            count: 0,
            pace: Pace::new(pace),
        }
    }

    /// Counts one more; whether that was said.
    pub(crate) fn one_more(&mut self) -> bool {
        self.count += 1;
        let is_due = self.pace.is_due();
        if is_due {
            say(format!("    {} {}", self.count, self.what));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indicatif::ProgressDrawTarget;

    use super::{Count, Pace, Step, Tally};

    #[test]
    fn a_tally_speaks_at_its_pace() {
        let mut silent = Tally::new("things", Duration::from_secs(3600));
        assert!(!silent.one_more());
        let mut loud = Tally::new("things", Duration::ZERO);
        assert!(loud.one_more());
        assert_eq!((silent.count, loud.count), (1, 1));
    }

    #[test]
    fn a_step_is_told_with_its_result_and_its_time() {
        let step = Step::start("image");
        for (took, line) in [
            (Duration::ZERO, "    image: made (0.0 s)"),
            (Duration::from_millis(1250), "    image: made (1.2 s)"),
            (Duration::from_secs(3600), "    image: made (3600.0 s)"),
        ] {
            assert_eq!(step.line("made", took), line);
        }
    }

    #[test]
    fn after_a_pause_there_is_one_line_and_the_next_pause() {
        let mut pace = Pace::new(Duration::from_secs(60));
        assert!(!pace.is_due());
        pace.said = pace.said.checked_sub(Duration::from_secs(61)).unwrap();
        assert!(pace.is_due());
        assert!(!pace.is_due(), "the pause begins anew");
    }

    #[test]
    fn the_rest_of_the_time_is_told_but_not_from_the_first_few() {
        let left = Duration::from_secs(90);
        for (done, total, left, line) in [
            (4, 100, left, "    packaged 4 of 100"),
            (5, 100, left, "    packaged 5 of 100, 90 s left"),
            (1, 10, left, "    packaged 1 of 10, 90 s left"),
            (50, 100, Duration::from_millis(900), "    packaged 50 of 100"),
            (100, 100, Duration::ZERO, "    packaged 100 of 100"),
        ] {
            let mut count = Count::of("packaged", total);
            count.set(done);
            assert_eq!(count.line(left), line);
        }
    }

    #[test]
    fn a_log_has_a_line_at_the_pace_and_one_at_the_end() {
        let mut count = Count::of("unpacked", 100);
        count.bar.set_draw_target(ProgressDrawTarget::hidden());
        let hour = Duration::from_secs(3600);
        for (pause, done, expected) in [
            (hour, 1, None),
            (Duration::ZERO, 2, Some("    unpacked 2 of 100")),
            (Duration::ZERO, 2, None),
            (Duration::ZERO, 1, None),
            (hour, 99, None),
            (hour, 100, Some("    unpacked 100 of 100")),
            (Duration::ZERO, 100, None),
        ] {
            count.pace = Pace::new(pause);
            assert_eq!(count.advance(done).as_deref(), expected, "{done} after {pause:?}");
        }
    }

    #[test]
    fn a_count_goes_forward_only_and_not_beyond_its_end() {
        let mut count = Count::per_cent("installed");
        for (said, at) in [(40, 40), (10, 40), (41, 41), (250, 100)] {
            count.set(said);
            assert_eq!(count.bar.position(), at);
        }
        assert_eq!(count.line(Duration::ZERO), "    installed 100 of 100 %");
        let mut count = Count::of("unpacked", 2);
        count.one_more();
        count.one_more();
        count.one_more();
        assert_eq!(count.bar.position(), 2);
    }
}
