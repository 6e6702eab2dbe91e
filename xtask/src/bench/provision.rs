//! One machine made a builder: our runner beside the real `ansible-playbook`, with the same playbook in the same run.
//! The measuring program is an example of the crate `provisioner`, which has both.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    checkout,
    table::{Times, heading},
};
use crate::{
    cache::{Cache, Scratch},
    process::{self, Tool},
    progress::{Step, say},
    setup, workspace,
};

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Provision {
    /// How many fresh machines each of the two gets, by turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    /// How many machines of devcloud are worked on at once by the built-in runner.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
    machines: u32,
    /// Install nothing; fail where something is missing.
    #[arg(long)]
    no_install: bool,
}

/// The examples that measure: one machine by both runners, and many by ours.
const ONE: &str = "provision";
const MANY: &str = "machines";
/// The two cases, and what they are.
const CASES: [(&str, &str); 2] = [
    ("fresh", "a bare machine becomes a builder"),
    ("again", "the same again: nothing is changed"),
];
const RUNNERS: [(&str, &str); 2] = [("ours", "built in"), ("ansible", "ansible-playbook")];

/// One play.
#[derive(Debug, Deserialize)]
struct Play {
    runner: String,
    case: String,
    seconds: f64,
    tasks: u32,
    changed: u32,
}

/// Ten steps on each of many machines.
#[derive(Debug, Deserialize)]
struct Round {
    round: String,
    seconds: f64,
    machines: u32,
    steps: u32,
    changed: u32,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, wanted: &Provision) -> Result<()> {
    ensure!(
        process::is_root(),
        "`bench provision` needs root: its machines are mounts and namespaces over this one"
    );
    setup::run(cache, setup::Purpose::Farm, !wanted.no_install)?;
    let place = Scratch::beside(&cache.path("bench-provision"))?;
    let step = Step::start("the measuring programs");
    checkout::examples(&workspace::root()?, &[ONE, MANY], place.path())?;
    step.done("built, in release");
    let step = Step::start("builder.yml on throwaway machines, by turns");
    let printed = Tool::new(place.path().join(ONE))
        .arg(wanted.runs.to_string())
        .arg(cache.path("venv/bin/ansible-playbook"))
        .output()?;
    let plays: Vec<Play> = read(&printed)?;
    step.done("measured");
    let step = Step::start(format!(
        "ten steps on {} machines of devcloud at once",
        wanted.machines
    ));
    let printed = Tool::new(place.path().join(MANY))
        .arg(wanted.machines.to_string())
        .arg(cache.path("images/builder/current"))
        .output()?;
    let rounds: Vec<Round> = read(&printed)?;
    step.done("measured");
    say(report(&plays)?);
    say(many(&rounds));
    say(
        "\n  From the call of the runner to its report: with connecting, and with the start of ansible-playbook. Each has a fresh machine \
         in every run: an overlay over this one, in namespaces of its own, with a real sshd. ansible-playbook has pipelining, and one \
         connection for all tasks. The \
         many machines boot before time is taken; from the first call to the last report.",
    );
    Ok(())
}

fn read<T: DeserializeOwned>(printed: &str) -> Result<Vec<T>> {
    let lines = printed.lines().filter(|line| !line.is_empty());
    let values = lines.map(|line| serde_json::from_str(line).with_context(|| format!("the line {line:?}")));
    values.collect()
}

/// A line for each round over all machines.
fn many(rounds: &[Round]) -> String {
    let mut lines = vec![
        String::new(),
        "  many machines at once, by the built-in runner".to_owned(),
    ];
    lines.extend(rounds.iter().map(|round| {
        format!(
            "  {}: {} machines, {} steps, {} of them change: {:.2} s, {:.0} steps a second",
            round.round,
            round.machines,
            round.steps,
            round.changed,
            round.seconds,
            f64::from(round.steps) / round.seconds
        )
    }));
    lines.join("\n")
}

/// The times of both in both cases, and how many times faster ours is. Only what did the same is compared.
fn report(plays: &[Play]) -> Result<String> {
    let mut lines = Vec::new();
    for (case, what) in CASES {
        let of = |runner: &str| -> Vec<&Play> {
            let plays = plays.iter();
            plays
                .filter(|play| play.runner == runner && play.case == case)
                .collect()
        };
        let same = |play: &&Play| (play.tasks, play.changed);
        let mut did: Vec<(u32, u32)> = RUNNERS
            .iter()
            .flat_map(|(name, _)| of(name))
            .map(|play| same(&play))
            .collect();
        did.sort_unstable();
        did.dedup();
        let [(tasks, changed)] = did.as_slice() else {
            ensure!(!did.is_empty(), "{what}: nothing was measured");
            anyhow::bail!("{what}: the two did not do the same; tasks and changes were {did:?}");
        };
        lines.push(heading(&format!("{what}; seconds")));
        let [ours, theirs] =
            RUNNERS.map(|(name, _)| Times::of(of(name).iter().map(|play| play.seconds).collect()));
        for ((_, words), times) in RUNNERS.iter().zip([&ours, &theirs]) {
            lines.push(times.line(&format!("{words}, {tasks} tasks, {changed} of them change"), None));
        }
        let (Some(one), Some(other)) = (ours.median(), theirs.median()) else {
            anyhow::bail!("{what}: only one of the two was measured");
        };
        lines.push(format!(
            "  built in: {:.3} s at the median, {:.0} times as fast",
            one,
            other / one
        ));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Play, Round, many, read, report};

    fn plays(of: &[(&str, &str, f64, u32, u32)]) -> Vec<Play> {
        let play = |&(runner, case, seconds, tasks, changed): &(&str, &str, f64, u32, u32)| Play {
            runner: runner.to_owned(),
            case: case.to_owned(),
            seconds,
            tasks,
            changed,
        };
        of.iter().map(play).collect()
    }

    const MEASURED: [(&str, &str, f64, u32, u32); 6] = [
        ("ours", "fresh", 0.25, 21, 14),
        ("ansible", "fresh", 20.0, 21, 14),
        ("ours", "again", 0.1, 21, 0),
        ("ansible", "again", 9.0, 21, 0),
        ("ours", "again", 0.3, 21, 0),
        ("ansible", "again", 11.0, 21, 0),
    ];

    #[test]
    fn the_ratio_is_that_of_the_medians_of_one_case() {
        let said = report(&plays(&MEASURED)).unwrap();
        let ratios: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("times as fast"))
            .collect();
        assert_eq!(
            ratios,
            [
                "  built in: 0.250 s at the median, 80 times as fast",
                "  built in: 0.200 s at the median, 50 times as fast",
            ]
        );
        assert!(
            said.contains("ansible-playbook, 21 tasks, 14 of them change"),
            "{said}"
        );
    }

    #[test]
    fn what_did_not_do_the_same_is_not_compared() {
        let mut other = MEASURED;
        other[3].4 = 1;
        let error = report(&plays(&other)).unwrap_err().to_string();
        assert_eq!(
            error,
            "the same again: nothing is changed: the two did not do the same; tasks and changes were [(21, 0), (21, 1)]"
        );
        let error = report(&plays(&MEASURED[..2])).unwrap_err().to_string();
        assert!(error.ends_with("nothing was measured"), "{error}");
        let alone = [MEASURED[0], MEASURED[2], MEASURED[3]];
        let error = report(&plays(&alone)).unwrap_err().to_string();
        assert!(error.ends_with("only one of the two was measured"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_play_is_shown() {
        let good = r#"{"runner": "ours", "case": "fresh", "seconds": 0.5, "tasks": 3, "changed": 1}"#;
        assert_eq!(read::<Play>(&format!("{good}\n\n")).unwrap()[0].tasks, 3);
        let error = read::<Play>(&format!("{good}\nodd\n")).unwrap_err().to_string();
        assert_eq!(error, "the line \"odd\"");
    }

    #[test]
    fn many_machines_have_a_line_for_each_round() {
        let line = r#"{"round": "fresh", "seconds": 2.5, "machines": 100, "steps": 1000, "changed": 990}"#;
        let rounds: Vec<Round> = read(line).unwrap();
        assert_eq!(
            many(&rounds).lines().last().unwrap(),
            "  fresh: 100 machines, 1000 steps, 990 of them change: 2.50 s, 400 steps a second"
        );
    }
}
