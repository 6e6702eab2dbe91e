//! command and shell: what no module of its own does.

use std::time::Duration;

use shell::{Command, Exit, Output};

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem, output_values};
use crate::value::{Map, Value, map};
use crate::words;

/// Enters a directory if one is named and runs the rest, with a limit on the remote side too: closing the channel
/// does not end a process of root's.
const IN_DIRECTORY: &str = r#"[ -z "$1" ] || cd -- "$1" || exit 127
limit=$2
shift 2
exec timeout -k 5 "$limit" "$@""#;

/// Whether something has that name, which may be a pattern, seen from the folder in which the command would run. A link
/// to nothing is something.
const EXISTS: &str = r#"[ -z "$2" ] || cd -- "$2" 2>/dev/null || exit 3
IFS=
for name in $1; do
  [ -e "$name" ] || [ -h "$name" ] || exit 1
  exit 0
done"#;

/// Whether there is a program of that name that can be run, seen from the folder in which it would be.
const CAN_RUN: &str = r#"[ -z "$1" ] || cd -- "$1" || exit 1
runs() { [ -f "$1" ] && [ -x "$1" ]; }
case $2 in
*/*) runs "$2" ;;
*)
  set -f
  IFS=:
  for folder in $PATH; do
    ! runs "${folder:-.}/$2" || exit 0
  done
  exit 1
  ;;
esac"#;

/// Statuses that `timeout` has when it cannot run a program, which programs may have too: not permitted, not there.
const NOT_RUN: [(u32, i64); 2] = [(126, 13), (127, 2)];

/// How `timeout` says that it ended the command; it sends a second signal five seconds after the first.
const TIMED_OUT: u32 = 124;
const GRACE: Duration = Duration::from_secs(10);

/// Program and arguments of `command`.
pub(super) fn command_words(arguments: &Arguments) -> Result<Vec<String>, Problem> {
    let is_literal = !arguments.flag("expand_argument_vars", true)?;
    let words = match arguments.value("argv") {
        Some(Value::List(words)) => {
            let words: Result<_, _> = words.iter().map(word).collect();
            words.map_err(|why| arguments.about("argv", why))?
        }
        Some(_) => return Err(arguments.about("argv", "argv is a list of words".to_owned())),
        None if !arguments.are_known(&["argv"]) => vec!["unknown".to_owned()],
        None => words::split(&arguments.required("cmd")?).map_err(|why| arguments.about("cmd", why))?,
    };
    // Ansible replaces variables of the host's environment in these words unless told not to; we never do.
    let is_expanded = |word: &&String| word.contains('$') || word.starts_with('~');
    let is_expanding = !is_literal && arguments.are_known(&["expand_argument_vars"]);
    if let Some(word) = words.iter().find(is_expanded).filter(|_| is_expanding) {
        let how = "say expand_argument_vars: false if it is meant as it stands, or use shell";
        let given = if arguments.value("argv").is_some() {
            "argv"
        } else {
            "cmd"
        };
        let message = format!("the word {word:?} would be expanded by Ansible: {how}");
        return Err(arguments.about(given, message));
    }
    Ok(words)
}

pub(super) async fn command(
    arguments: &Arguments,
    host: &Host<'_>,
    environment: &Map,
) -> Result<Done, Failure> {
    run(command_words(arguments)?, arguments, host, environment).await
}

/// A word of `argv`; nothing is an empty one.
fn word(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::List(_) | Value::Map(_) => Err(format!("argv holds {}, not a word", value.kind())),
        other => other.to_text(),
    }
}

/// Program and arguments of `shell`.
pub(super) fn shell_words(arguments: &Arguments) -> Result<Vec<String>, Problem> {
    Ok(vec![
        "/bin/sh".to_owned(),
        "-c".to_owned(),
        arguments.required("cmd")?,
    ])
}

pub(super) async fn shell(
    arguments: &Arguments,
    host: &Host<'_>,
    environment: &Map,
) -> Result<Done, Failure> {
    run(shell_words(arguments)?, arguments, host, environment).await
}

/// Where a command runs, what makes it needless, and its input.
pub(super) struct Surroundings {
    chdir: String,
    creates: Option<String>,
    removes: Option<String>,
    input: String,
}

pub(super) fn surroundings(arguments: &Arguments, words: &[String]) -> Result<Surroundings, Problem> {
    if words.is_empty() {
        let given = if arguments.value("argv").is_some() {
            "argv"
        } else {
            "cmd"
        };
        return Err(arguments.about(given, "there is no command".to_owned()));
    }
    let given = |name: &str| Ok::<_, Problem>(arguments.text(name)?.filter(|text| !text.is_empty()));
    Ok(Surroundings {
        chdir: arguments.word("chdir")?,
        creates: given("creates")?,
        removes: given("removes")?,
        // Ansible ends a text with a line end; nothing stays nothing.
        input: given("stdin")?
            .map(|text| format!("{text}\n"))
            .unwrap_or_default(),
    })
}

async fn run(
    words: Vec<String>,
    arguments: &Arguments,
    host: &Host<'_>,
    environment: &Map,
) -> Result<Done, Failure> {
    let Surroundings {
        chdir,
        creates,
        removes,
        input,
    } = surroundings(arguments, &words)?;
    if let Some(path) = &creates
        && exists(host, path, &chdir).await?
    {
        return Ok(not_run(path, "exists"));
    }
    if let Some(path) = &removes
        && !exists(host, path, &chdir).await?
    {
        return Ok(not_run(path, "does not exist"));
    }
    if host.check {
        // As in Ansible: with `creates` or `removes` it is known that the command would run, else nothing is.
        let is_known = creates.is_some() || removes.is_some();
        return Ok(Done {
            changed: is_known,
            skipped: !is_known,
            ..Done::default()
        });
    }
    let program = words.first().cloned().unwrap_or_default();
    let limit = host.limit.as_secs().max(1).to_string();
    let values = [chdir.clone(), limit].into_iter().chain(words);
    let command = Command::script(arguments.module(), IN_DIRECTORY, values);
    let command = in_environment(command, environment)?;
    // Ours is the longer limit, so that the remote one, which ends the process too, is reached first.
    let patient = Host {
        limit: host.limit + GRACE,
        ..*host
    };
    let output = patient.run(command, input.into_bytes()).await?;
    if output.exit == Exit::Code(TIMED_OUT) {
        let message = format!("it did not end within {} s", host.limit.as_secs());
        let mut problem = Problem::from_output(message, &output);
        problem.values.clear();
        problem.changed = false;
        return Err(problem.into());
    }
    check_text(&output)?;
    if let Some((_, error)) = NOT_RUN
        .iter()
        .find(|(status, _)| output.exit == Exit::Code(*status))
    {
        let question = Command::script("command", CAN_RUN, [chdir, program.clone()]);
        let question = in_environment(question, environment)?;
        if !host.run(question, Vec::new()).await?.exit.is_success() {
            return Err(not_there(&program, *error).into());
        }
    }
    if output.exit.is_success() {
        Ok(Done {
            changed: true,
            values: output_values(&output),
            ..Done::default()
        })
    } else {
        Err(Problem::from_output("non-zero return code".to_owned(), &output).into())
    }
}

fn in_environment(mut command: Command, environment: &Map) -> Result<Command, Problem> {
    for (name, value) in environment {
        let value = value.to_text().map_err(Problem::new)?;
        command = command.environment(name, value);
    }
    Ok(command)
}

/// Output that is no UTF-8 cannot be registered. Where it was cut off, half a character may be at its end.
fn check_text(output: &Output) -> Result<(), Problem> {
    for (name, bytes) in [
        ("standard output", &output.stdout),
        ("standard error", &output.stderr),
    ] {
        if let Err(error) = std::str::from_utf8(bytes)
            && !(output.truncated && error.error_len().is_none())
        {
            let place = error.valid_up_to();
            return Err(Problem::new(format!(
                "the command's {name} is no UTF-8: see its byte {place}"
            )));
        }
    }
    Ok(())
}

/// The result of a program that could not be started, which has changed nothing. The status is the error's number, as in
/// Ansible.
fn not_there(program: &str, error: i64) -> Problem {
    let message = format!("the program {program} cannot be run: it is not there, or is no program");
    let nothing = || Value::from("");
    let mut problem = Problem::new(message.clone());
    problem.status = Some(error);
    problem.values = Box::new(map([
        ("rc", Value::Int(error)),
        ("stdout", nothing()),
        ("stdout_lines", Value::List(Vec::new())),
        ("stderr", nothing()),
        ("stderr_lines", Value::List(Vec::new())),
        ("msg", Value::Text(message)),
    ]));
    problem
}

async fn exists(host: &Host<'_>, path: &str, chdir: &str) -> Result<bool, Failure> {
    let command = Command::script("command", EXISTS, [path, chdir]).contained();
    match host.run(command, Vec::new()).await?.exit {
        Exit::Code(3) => Err(Problem::new(format!("the folder {chdir} cannot be entered")).into()),
        exit => Ok(exit.is_success()),
    }
}

/// The result of a command that was not needed, in Ansible's words, since playbooks look at them.
fn not_run(path: &str, state: &str) -> Done {
    let message = format!("skipped, since {path} {state}");
    let values = map([
        ("rc", Value::Int(0)),
        ("stdout", Value::Text(message.clone())),
        ("stdout_lines", Value::List(vec![Value::Text(message.clone())])),
        ("stderr", Value::from("")),
        ("stderr_lines", Value::List(Vec::new())),
        (
            "msg",
            Value::Text(format!("Did not run command since '{path}' {state}")),
        ),
    ]);
    Done {
        message: Some(message),
        values,
        ..Done::default()
    }
}
