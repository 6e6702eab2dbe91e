//! The controller's words to `verdigris-builder`, the farm's program on a builder: what a machine is like, and whether it is so
//! again. `provision-files/builder/README.md` has the format.

use std::time::Duration;

use model::step::{difference::Difference, live::Answer, notice};
use runtime::supervisor::error_chain;
use serde::Deserialize;
use serde_json::{Map, Value};
use shell::{Command, Connection, Exit, Input, Output, RunOptions};
use tracing::debug;

const PROGRAM: &str = "/usr/libexec/verdigris/verdigris-builder";
/// The exit of a builder that is not fit to build.
const NOT_READY: u32 = 1;
/// The exit of a builder on which an attempt runs.
const BUSY: u32 = 5;
/// The exit of a builder that is not as it was.
const DIRTY: u32 = 7;
/// How much is told of an answer that is not understood, in characters.
const MOST_WORDS: usize = 300;

/// What a machine is like. All of the document is kept for later; only that is read which shows that it is one.
#[derive(Deserialize)]
struct Baseline {
    fingerprint: Map<String, Value>,
}

/// What came of cleaning.
#[derive(Deserialize)]
struct Renewed {
    clean: bool,
    #[serde(default)]
    differences: Vec<Difference>,
}

/// What a machine says of itself.
#[derive(Deserialize)]
struct Life {
    live: bool,
    #[serde(default)]
    problems: Vec<String>,
    /// A digest of which start of the machine this is.
    boot: String,
    /// Whether nothing hides the metadata service there, where something should.
    #[serde(default)]
    exposed: bool,
}

/// What the machine's cloud has told it.
#[derive(Deserialize)]
struct Notices {
    notice: Option<Notice>,
}

#[derive(Deserialize)]
struct Notice {
    action: String,
    time: String,
}

/// The error document of the program.
#[derive(Deserialize)]
struct Complaint {
    error: String,
}

/// Has a machine looked at; the program's document, as it was told.
pub(crate) async fn baseline(connection: &Connection, limit: Duration) -> Result<String, String> {
    let output = ask(connection, &["baseline"], Vec::new(), limit).await?;
    document(&output)
}

/// Has a machine taken as it is, whatever was found on it before. One without the program has built nothing, and is fit.
pub(crate) async fn accept(connection: &Connection, limit: Duration) -> Result<(), String> {
    let output = ask_if_there(connection, "accept", limit).await?;
    match output.exit {
        Exit::Code(0) => Ok(()),
        _ => Err(complaint(&output)),
    }
}

/// What says that an attempt runs on a machine, as the program tells it. `None` where none does: also where the program is not
/// there yet, is an older one or cannot tell, since that is mended by the playbook that is to be run.
pub(crate) async fn running(connection: &Connection, limit: Duration) -> Option<String> {
    match ask_if_there(connection, "idle", limit).await {
        Ok(output) => busy(&output),
        Err(words) => {
            debug!("Whether an attempt runs there is not known: {words}");
            None
        }
    }
}

fn busy(output: &Output) -> Option<String> {
    (output.exit == Exit::Code(BUSY)).then(|| complaint(output))
}

/// Has a machine cleaned and compared with such a document; what differs.
pub(crate) async fn clean(
    connection: &Connection,
    baseline: &str,
    limit: Duration,
) -> Result<Vec<Difference>, String> {
    let output = ask(
        connection,
        &["renew", "--baseline", "-"],
        baseline.as_bytes().to_vec(),
        limit,
    )
    .await?;
    differences(&output)
}

/// Asks a machine whether it is still that builder, and what it was when the baseline was taken, where that is known.
pub(crate) async fn live(
    connection: &Connection,
    (builder, baseline): (&str, Option<&str>),
    limit: Duration,
) -> Answer {
    match ask(connection, &["live", "--builder", builder], Vec::new(), limit).await {
        Ok(output) => lives(&output, baseline),
        Err(words) => Answer::Badly(words),
    }
}

/// Waits until a machine's cloud tells it that it takes the machine back; that notice in words, or `None` where there is nothing
/// that could tell it.
pub(crate) async fn notice(connection: &Connection, limit: Duration) -> Result<Option<String>, String> {
    let output = ask(connection, &["notices"], Vec::new(), limit).await?;
    noticed(&output)
}

async fn ask(
    connection: &Connection,
    words: &[&str],
    input: Vec<u8>,
    limit: Duration,
) -> Result<Output, String> {
    // Whatever PATH and environment a user left there, they decide nothing.
    let command = Command::new("/usr/bin/python3")
        .arguments(["-I", PROGRAM])
        .arguments(words.iter().copied());
    run(connection, command, input, limit).await
}

/// Asks the program by a word, if it is there: a machine without it has built nothing, and says so by exit 0.
async fn ask_if_there(connection: &Connection, word: &str, limit: Duration) -> Result<Output, String> {
    const IF_THERE: &str = "test -e \"$1\" || exit 0; exec /usr/bin/python3 -I \"$1\" \"$2\"";
    let command = Command::new("/bin/sh").arguments(["-c", IF_THERE, "sh", PROGRAM, word]);
    run(connection, command, Vec::new(), limit).await
}

async fn run(
    connection: &Connection,
    mut command: Command,
    input: Vec<u8>,
    limit: Duration,
) -> Result<Output, String> {
    if connection.endpoint().user != "root" {
        command = command.through(["sudo", "-n"]);
    }
    let options = RunOptions::within(limit);
    let answer = connection.run(&command, Input::from(input), options).await;
    answer.map_err(|error| error_chain(&error))
}

fn document(output: &Output) -> Result<String, String> {
    if output.exit != Exit::Code(0) {
        return Err(complaint(output));
    }
    let parsed: Result<Baseline, _> = serde_json::from_slice(&output.stdout);
    let Baseline { fingerprint } = parsed.map_err(|cause| not_understood(output, &cause))?;
    if fingerprint.is_empty() {
        return Err("verdigris-builder told nothing of the machine".to_owned());
    }
    Ok(output.stdout_text().trim().to_owned())
}

fn lives(output: &Output, baseline: Option<&str>) -> Answer {
    if !matches!(output.exit, Exit::Code(0 | NOT_READY)) {
        return Answer::Badly(complaint(output));
    }
    let parsed: Result<Life, _> = serde_json::from_slice(&output.stdout);
    let life = match parsed {
        Ok(life) => life,
        Err(cause) => return Answer::Badly(not_understood(output, &cause)),
    };
    let known: Option<Baseline> = baseline.and_then(|text| serde_json::from_str(text).ok());
    let boot = known
        .as_ref()
        .and_then(|known| known.fingerprint.get("boot")?.as_str());
    if boot.is_some_and(|boot| boot != life.boot) {
        return Answer::Restarted;
    }
    if life.exposed {
        return Answer::Exposed;
    }
    if life.live && output.exit == Exit::Code(0) {
        return Answer::Well;
    }
    let words: String = life.problems.join("; ").chars().take(MOST_WORDS).collect();
    Answer::Badly(if words.is_empty() {
        "it is not fit to build, and does not say why".to_owned()
    } else {
        words
    })
}

fn noticed(output: &Output) -> Result<Option<String>, String> {
    if output.exit != Exit::Code(0) {
        return Err(complaint(output));
    }
    let parsed: Result<Notices, _> = serde_json::from_slice(&output.stdout);
    let told = parsed.map_err(|cause| not_understood(output, &cause))?;
    Ok(told
        .notice
        .map(|Notice { action, time }| notice::in_words(&action, &time)))
}

fn differences(output: &Output) -> Result<Vec<Difference>, String> {
    if !matches!(output.exit, Exit::Code(0 | DIRTY)) {
        return Err(complaint(output));
    }
    let parsed: Result<Renewed, _> = serde_json::from_slice(&output.stdout);
    let renewed = parsed.map_err(|cause| not_understood(output, &cause))?;
    let is_clean = renewed.clean && output.exit == Exit::Code(0);
    let mut differences = renewed.differences;
    if !is_clean && differences.is_empty() {
        differences.push(Difference {
            part: "something".to_owned(),
            what: "not told".to_owned(),
            how: "verdigris-builder does not say what".to_owned(),
        });
    }
    Ok(differences)
}

/// What a program that failed says.
fn complaint(output: &Output) -> String {
    let words = match serde_json::from_slice::<Complaint>(&output.stdout) {
        Ok(complaint) => complaint.error,
        Err(_) => format!("{}{}", output.stdout_text(), output.stderr_tail()),
    };
    let words: String = words.trim().chars().take(MOST_WORDS).collect();
    let how = match &output.exit {
        Exit::Code(code) => format!("ended with {code}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Lost => "was lost with the connection".to_owned(),
    };
    format!("verdigris-builder {how}: {words}")
}

fn not_understood(output: &Output, cause: &serde_json::Error) -> String {
    let answer: String = output.stdout_text().chars().take(MOST_WORDS).collect();
    format!("verdigris-builder gives an answer that is not understood: {cause}: {answer}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(exit: Exit, stdout: &str) -> Output {
        Output {
            exit,
            stdout: stdout.as_bytes().to_vec(),
            stderr: b"bash: no such file".to_vec(),
            truncated: false,
        }
    }

    #[test]
    fn a_fingerprint_is_kept_as_it_was_told_and_nothing_is_none() {
        let told = r#"{"format": 1, "fingerprint": {"files": "ab", "users": "cd"}, "details": "ef"}"#;
        let kept = document(&output(Exit::Code(0), &format!("{told}\n")));
        assert_eq!(kept, Ok(told.to_owned()));
        for (exit, text, expected) in [
            (
                Exit::Code(0),
                r#"{"fingerprint": {}}"#,
                "verdigris-builder told nothing of the machine",
            ),
            (
                Exit::Code(0),
                "{}",
                "verdigris-builder gives an answer that is not understood: missing field `fingerprint` at line 1 column 2: {}",
            ),
            (
                Exit::Code(6),
                r#"{"error": "/etc cannot be read", "code": "fault"}"#,
                "verdigris-builder ended with 6: /etc cannot be read",
            ),
            (
                Exit::Code(127),
                "",
                "verdigris-builder ended with 127: bash: no such file",
            ),
        ] {
            assert_eq!(document(&output(exit, text)), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_machine_is_busy_only_if_the_program_says_so_by_its_exit() {
        let words = r#"{"error": "attempt 7 is running on this builder", "code": "busy"}"#;
        for (exit, text, expected) in [
            (
                Exit::Code(BUSY),
                words,
                Some("verdigris-builder ended with 5: attempt 7 is running on this builder"),
            ),
            // Nothing runs, or there is no program.
            (Exit::Code(0), r#"{"idle": true}"#, None),
            (Exit::Code(0), "", None),
            // An older program does not know the word; a broken one is made anew.
            (
                Exit::Code(2),
                r#"{"error": "invalid choice: 'idle'", "code": "usage"}"#,
                None,
            ),
            (Exit::Code(6), words, None),
            (Exit::Code(127), "", None),
            (Exit::Lost, words, None),
        ] {
            let found = busy(&output(exit.clone(), text));
            assert_eq!(found.as_deref(), expected, "{exit:?} {text}");
        }
    }

    #[test]
    fn a_machine_lives_if_it_says_so_in_both_ways_and_was_not_started_again() {
        let well = r#"{"live": true, "problems": [], "boot": "ab"}"#;
        let ill = r#"{"live": false, "problems": ["the disk is full", "dnf is missing"], "boot": "ab"}"#;
        let exposed = r#"{"live": false, "problems": ["no rules"], "boot": "ab", "exposed": true}"#;
        let badly = |words: &str| Answer::Badly(words.to_owned());
        let same = Some(r#"{"format": 1, "fingerprint": {"boot": "ab", "etc": "cd"}}"#);
        let other = Some(r#"{"fingerprint": {"boot": "xy"}}"#);
        for (exit, text, baseline, expected) in [
            (0, well, None, Answer::Well),
            (0, well, same, Answer::Well),
            // What cannot be told is not held against it.
            (0, well, Some("{}"), Answer::Well),
            (0, well, Some(r#"{"fingerprint": {"etc": "cd"}}"#), Answer::Well),
            (0, well, other, Answer::Restarted),
            (1, ill, other, Answer::Restarted),
            (1, ill, same, badly("the disk is full; dnf is missing")),
            // Also where nobody kept which start it was.
            (1, exposed, None, Answer::Exposed),
            (1, exposed, same, Answer::Exposed),
            (1, exposed, other, Answer::Restarted),
            (0, ill, None, badly("the disk is full; dnf is missing")),
            (
                1,
                well,
                None,
                badly("it is not fit to build, and does not say why"),
            ),
            (
                2,
                "",
                None,
                badly("verdigris-builder ended with 2: bash: no such file"),
            ),
        ] {
            let found = lives(&output(Exit::Code(exit), text), baseline);
            assert_eq!(found, expected, "{exit} {text} {baseline:?}");
        }
        let odd = lives(&output(Exit::Code(0), "{}"), None);
        assert!(
            matches!(&odd, Answer::Badly(words) if words.contains("missing field")),
            "{odd:?}"
        );
    }

    #[test]
    fn a_notice_is_told_and_where_there_is_none_nothing_is_made_up() {
        let told = r#"{"notice": {"action": "terminate", "time": "2026-11-30T10:00:00Z"}}"#;
        let words = "its notice names terminate at 2026-11-30T10:00:00Z".to_owned();
        assert_eq!(noticed(&output(Exit::Code(0), told)), Ok(Some(words)));
        assert_eq!(noticed(&output(Exit::Code(0), r#"{"notice": null}"#)), Ok(None));
        for (exit, text) in [
            (Exit::Code(0), ""),
            (Exit::Code(0), r#"{"notice": true}"#),
            (Exit::Code(2), told),
            (Exit::Lost, told),
        ] {
            let found = noticed(&output(exit, text));
            assert!(found.is_err(), "{found:?}");
        }
    }

    #[test]
    fn a_machine_is_clean_only_if_the_program_says_so_in_both_ways() {
        let one = r#"{"clean": false, "differences": [{"part": "users", "what": "eve", "how": "is new"}]}"#;
        let unsaid = vec!["something: not told: verdigris-builder does not say what".to_owned()];
        for (exit, text, expected) in [
            (0, r#"{"clean": true, "differences": []}"#, vec![]),
            (DIRTY, one, vec!["users: eve: is new".to_owned()]),
            (0, one, vec!["users: eve: is new".to_owned()]),
            (DIRTY, r#"{"clean": true}"#, unsaid.clone()),
            (0, r#"{"clean": false}"#, unsaid),
        ] {
            let found = differences(&output(Exit::Code(exit), text));
            let found: Vec<String> = found.unwrap().iter().map(Difference::to_string).collect();
            assert_eq!(found, expected, "{exit} {text}");
        }
        for exit in [
            Exit::Code(1),
            Exit::Code(6),
            Exit::Signal("KILL".into()),
            Exit::Lost,
        ] {
            let found = differences(&output(exit, r#"{"clean": true}"#));
            assert!(found.is_err(), "{found:?}");
        }
    }
}
