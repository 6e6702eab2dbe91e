//! Modules that look, decide or wait, and change nothing: assert, debug, fail, set_fact, wait_for.

use std::time::Duration;

use crate::arguments::Arguments;
use crate::expression::{self, Variables};
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::WAIT_FOR;
use crate::value::{Map, Value, map};

/// The longest that anything is waited for, in seconds.
const DAY: u64 = 86_400;

/// What is said of conditions that do not hold, and of those that do.
pub(super) fn assert_arguments(arguments: &Arguments) -> Result<[Value; 2], Problem> {
    arguments.flag("quiet", false)?;
    Ok([
        text_or_texts(arguments, "fail_msg", "Assertion failed")?,
        text_or_texts(arguments, "success_msg", "All assertions passed")?,
    ])
}

/// All conditions must hold; the first that does not is named.
pub(super) fn assert(arguments: &Arguments, variables: &Variables) -> Result<Done, Failure> {
    let [fail_message, success_message] = assert_arguments(arguments)?;
    let conditions: Vec<String> = match arguments.value("that") {
        Some(Value::List(items)) => items.iter().map(spoken).collect(),
        Some(one) => vec![spoken(one)],
        None => Vec::new(),
    };
    for condition in conditions {
        let one = std::slice::from_ref(&condition);
        if !expression::holds(one, variables).map_err(Problem::new)? {
            let said = fail_message;
            let mut problem = Problem::new(format!("{} (`{condition}` does not hold)", spoken(&said)));
            problem.values = Box::new(map([
                ("assertion", Value::Text(condition)),
                ("evaluated_to", Value::Bool(false)),
                ("msg", said),
            ]));
            return Err(problem.into());
        }
    }
    let said = success_message;
    Ok(Done {
        message: Some(spoken(&said)),
        values: map([("msg", said)]),
        ..Done::default()
    })
}

/// What is said of a condition: a text, or a list of them.
fn text_or_texts(arguments: &Arguments, name: &str, default: &str) -> Result<Value, Problem> {
    match arguments.value(name) {
        Some(list @ Value::List(items)) if items.iter().all(|item| item.as_text().is_some()) => {
            Ok(list.clone())
        }
        _ => Ok(Value::Text(
            arguments.text(name)?.unwrap_or_else(|| default.to_owned()),
        )),
    }
}

/// A text as it is, and anything else as it would be written.
fn spoken(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Says something in the report; `register` gets it as it is.
pub(super) fn debug(arguments: &Arguments, variables: &Variables) -> Result<Done, Failure> {
    let expression = arguments.only_text("var")?;
    let (name, said, value) = match expression {
        Some(name) => {
            let value = expression::evaluate_expression(&name, variables).unwrap_or_else(Value::Text);
            (name.clone(), format!("{name}: {value}"), value)
        }
        None => {
            let value = arguments.values().get("msg").cloned();
            let value = value.unwrap_or_else(|| Value::from("Hello world!"));
            ("msg".to_owned(), spoken(&value), value)
        }
    };
    let mut done = Done {
        message: Some(said),
        ..Done::default()
    };
    done.values.insert(name, value);
    Ok(done)
}

/// Fails on purpose; `register` gets the message as it is.
pub(super) fn fail(arguments: &Arguments) -> Result<Done, Failure> {
    let message = arguments.values().get("msg").cloned();
    let message = message.unwrap_or_else(|| Value::from("Failed as requested from task"));
    let mut problem = Problem::new(spoken(&message));
    problem.values.insert("msg".to_owned(), message);
    Err(problem.into())
}

/// Sets variables for what follows.
pub(super) fn set_fact(arguments: &Arguments) -> Result<Done, Failure> {
    Ok(Done {
        facts: facts(arguments)?.clone(),
        ..Done::default()
    })
}

pub(super) fn facts(arguments: &Arguments) -> Result<&Map, Problem> {
    if arguments.values().is_empty() {
        return Err(Problem::new("set_fact sets nothing".to_owned()));
    }
    Ok(arguments.values())
}

/// What is waited for, and for how long, in seconds.
pub(super) struct Wait {
    state: String,
    path: String,
    port: u64,
    delay: u64,
    pause: u64,
    timeout: u64,
}

pub(super) fn wait_arguments(arguments: &Arguments) -> Result<Wait, Problem> {
    let states = ["started", "present", "absent", "stopped"];
    let state = arguments.choice("state", "started", &states)?;
    let state = if state == "stopped" {
        "absent".to_owned()
    } else {
        state
    };
    let (path, port) = (arguments.word("path")?, arguments.number("port", 0, 65_535)?);
    if path.is_empty() == (port == 0) && arguments.are_known(&["path", "port"]) {
        return Err(Problem::new("wait_for needs either path or port".to_owned()));
    }
    if !matches!(
        arguments.word("host")?.as_str(),
        "" | "127.0.0.1" | "::1" | "localhost"
    ) {
        let message = "wait_for looks at ports of the host itself only".to_owned();
        return Err(arguments.about("host", message));
    }
    let seconds = |name, default| arguments.number(name, default, DAY);
    Ok(Wait {
        state,
        path,
        port,
        delay: seconds("delay", 0)?,
        pause: seconds("sleep", 1)?,
        timeout: seconds("timeout", 300)?,
    })
}

/// Waits until a path exists or a local port is listened on, or is no more.
pub(super) async fn wait_for(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let wait = wait_arguments(arguments)?;
    let (state, path) = (wait.state, wait.path);
    let patient = Host {
        limit: host
            .limit
            .max(Duration::from_secs(wait.timeout + wait.delay + 30)),
        ..*host
    };
    let numbers = [wait.port, wait.timeout, wait.pause, wait.delay].map(|number| number.to_string());
    let [port, seconds, pause, delay] = numbers.each_ref().map(String::as_str);
    patient
        .script(
            "wait_for",
            WAIT_FOR,
            &[&state, &path, port, seconds, pause, delay],
            Vec::new(),
        )
        .await?;
    Ok(Done::default())
}
