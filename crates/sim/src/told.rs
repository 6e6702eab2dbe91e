//! What the program tells: how far it is, and what came of all seeds.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sim::{Fault, LAST_EVENTS, Report, Scene, Violation};

/// How often a line is written where there is no terminal.
const PACE: Duration = Duration::from_secs(10);

/// What came of all seeds so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    lifecycles: u64,
    events: u64,
    lasted: Duration,
    met: Vec<u64>,
    pub(crate) violations: Vec<Violation>,
}

impl Totals {
    pub(crate) fn add(&mut self, report: &Report) {
        self.seeds = self.seeds.saturating_add(1);
        let lifecycles = u64::try_from(report.lifecycles).unwrap_or(u64::MAX);
        self.lifecycles = self.lifecycles.saturating_add(lifecycles);
        self.events = self.events.saturating_add(report.events);
        self.lasted = self.lasted.saturating_add(report.lasted);
        self.met.resize(report.met.len(), 0);
        for (all, met) in self.met.iter_mut().zip(&report.met) {
            *all = all.saturating_add(*met);
        }
        self.violations.extend(report.violation.clone());
    }

    /// All of it as a table; `took`: in how much real time.
    pub(crate) fn table(&self, took: Duration) -> String {
        let mut text = String::from("\n  faults met\n");
        for (fault, met) in Fault::ALL.iter().zip(&self.met) {
            writeln!(text, "  {met:>12}  {}", fault.words()).ok();
        }
        let millis = took.as_millis().max(1);
        let rate = |count: u64| u128::from(count).saturating_mul(1000) / millis;
        let hours = self.lasted.as_secs() / 3600;
        let rows = [
            ("seeds", self.seeds.to_string()),
            ("lifecycles of builders", self.lifecycles.to_string()),
            ("lifecycles a second", rate(self.lifecycles).to_string()),
            ("events", self.events.to_string()),
            ("simulated hours", hours.to_string()),
            ("seconds", format!("{:.1}", took.as_secs_f64())),
            ("broken rules", self.violations.len().to_string()),
        ];
        text.push('\n');
        for (what, count) in rows {
            // Writing to a text cannot fail.
            writeln!(text, "  {count:>12}  {what}").ok();
        }
        text
    }
}

/// A broken rule with the fewest faults that it takes, the events before it, and how to see it again. The world is run some more
/// times for that.
pub(crate) fn about_violation(violation: &Violation, scene: &Scene) -> String {
    let (least, violation) = sim::shrink(scene).unwrap_or_else(|| (scene.clone(), violation.clone()));
    let again = Scene {
        told: LAST_EVENTS,
        ..least
    };
    let events = again.run().trace.join("\n    ");
    let mut text = format!("BROKEN: {violation}\n");
    let mut command = format!("cargo xtask sim --seed {} --trace", again.seed);
    // Writing to a text cannot fail.
    if let Some(only) = &again.only {
        text.push_str("  it takes no more than\n");
        for fault in only {
            writeln!(text, "    {}", fault.words()).ok();
        }
        let names: Vec<String> = only.iter().map(|fault| format!("{fault:?}")).collect();
        write!(command, " --only {}", names.join(",")).ok();
    }
    writeln!(
        text,
        "  the last events:\n    {events}\n  to see it again: {command}"
    )
    .ok();
    text
}

/// How far it is: a bar on a terminal, and a line now and then where there is none.
pub(crate) struct Progress {
    bar: ProgressBar,
    said: Instant,
}

impl Progress {
    pub(crate) fn new(seeds: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stdout());
        let template = "    simulated {bar:30} {pos} of {len} seeds, {msg}{eta} left";
        // That the text above cannot be read would be a mistake of this line, and a plain bar will do.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            said: Instant::now(),
        }
    }

    pub(crate) fn show(&mut self, done: u64, broken: usize) {
        self.bar.set_position(done);
        if broken > 0 {
            self.bar.set_message(format!("{broken} broken rules, "));
        }
        let total = self.bar.length().unwrap_or(0);
        if self.bar.is_hidden() && (self.said.elapsed() >= PACE && done < total) {
            self.said = Instant::now();
            println!("{}", line((done, total), broken, self.bar.eta()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What is said where there is no terminal; `left` is how long the rest is expected to take.
fn line((done, total): (u64, u64), broken: usize, left: Duration) -> String {
    let broken = match broken {
        0 => String::new(),
        some => format!(", {some} broken rules"),
    };
    format!(
        "    simulated {done} of {total} seeds{broken}, {} s left",
        left.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use sim::{Guards, Rule};

    use super::*;

    fn report(seed: u64, violation: Option<Violation>) -> Report {
        Report {
            seed,
            lifecycles: 50,
            lasted: Duration::from_secs(3600),
            events: 1000,
            met: vec![2; Fault::ALL.len()],
            violation,
            trace: vec![],
        }
    }

    #[test]
    fn the_table_has_every_fault_and_the_rate() {
        let mut totals = Totals::default();
        totals.add(&report(1, None));
        totals.add(&report(2, None));
        let table = totals.table(Duration::from_millis(500));
        for fault in Fault::ALL {
            assert!(
                table.contains(&format!("           4  {}\n", fault.words())),
                "{table}"
            );
        }
        for row in [
            "2  seeds",
            "100  lifecycles of builders",
            "200  lifecycles a second",
            "2  simulated hours",
            "0  broken",
        ] {
            assert!(table.contains(row), "{row} in {table}");
        }
    }

    #[test]
    fn a_broken_rule_is_told_with_how_to_see_it_again() {
        let violation = Violation {
            seed: 3,
            at: Duration::from_millis(1500),
            rule: Rule::Leak,
            words: "machine i-1 is running, and no builder's".to_owned(),
        };
        let mut totals = Totals::default();
        totals.add(&report(3, Some(violation.clone())));
        assert_eq!(totals.violations.len(), 1);
        // In that world no rule is broken: there is nothing to make smaller.
        let told = about_violation(&violation, &Scene::of(3));
        let begin =
            "BROKEN: seed 3, 1.500 s: a machine leaks: machine i-1 is running, and no builder's\n  the last";
        assert!(told.starts_with(begin), "{told}");
        assert!(
            told.ends_with("to see it again: cargo xtask sim --seed 3 --trace\n"),
            "{told}"
        );
    }

    #[test]
    fn a_broken_rule_is_told_with_the_faults_that_it_takes() {
        let unguarded = |seed| Scene {
            guards: Guards {
                tokens: false,
                ..Guards::default()
            },
            ..Scene::of(seed)
        };
        let broken = (0..40).find_map(|seed| unguarded(seed).run().violation);
        let violation = broken.expect("some answers are lost in 40 seeds");
        let told = about_violation(&violation, &unguarded(violation.seed));
        let (before, command) = told.split_once("  to see it again: ").unwrap();
        let (_, names) = command.trim_end().split_once(" --only ").unwrap();
        let faults: Vec<Fault> = names.split(',').map(|name| name.parse().unwrap()).collect();
        assert!(faults.len() * 8 < Fault::ALL.len(), "{names}");
        let words: String = faults
            .iter()
            .map(|fault| format!("    {}\n", fault.words()))
            .collect();
        let takes = format!("  it takes no more than\n{words}  the last events:\n");
        assert!(before.contains(&takes), "{told}");
        let seed = violation.seed;
        assert!(command.starts_with(&format!("cargo xtask sim --seed {seed} --trace --only ")));
        assert!(
            before.contains("BROKEN: a cloud is asked"),
            "the last event: {told}"
        );
    }

    #[test]
    fn a_log_has_how_many_are_done_what_is_broken_and_how_long_the_rest_takes() {
        let left = Duration::from_secs(90);
        assert_eq!(line((5, 10), 0, left), "    simulated 5 of 10 seeds, 90 s left");
        assert_eq!(
            line((5, 10), 2, left),
            "    simulated 5 of 10 seeds, 2 broken rules, 90 s left"
        );
    }
}
