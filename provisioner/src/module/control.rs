//! Modules that look, decide or wait, and change nothing: assert, debug, fail, set_fact, wait_for.

use std::time::Duration;

use crate::arguments::Arguments;
use crate::expression::{self, Variables};
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::WAIT_FOR;
use crate::value::{Value, map};

/// The longest that anything is waited for, in seconds.
const DAY: u64 = 86_400;

/// All conditions must hold; the first that does not is named.
pub(super) fn assert(arguments: &Arguments, variables: &Variables) -> Result<Done, Failure> {
    let conditions: Vec<String> = match arguments.value("that") {
        Some(Value::List(items)) => items.iter().map(spoken).collect(),
        Some(one) => vec![spoken(one)],
        None => Vec::new(),
    };
    for condition in conditions {
        let one = std::slice::from_ref(&condition);
        if !expression::holds(one, variables).map_err(Problem::new)? {
            let said = text_or_texts(arguments, "fail_msg", "Assertion failed")?;
            let mut problem = Problem::new(format!("{} (`{condition}` does not hold)", spoken(&said)));
            problem.values = Box::new(map([
                ("assertion", Value::Text(condition)),
                ("evaluated_to", Value::Bool(false)),
                ("msg", said),
            ]));
            return Err(problem.into());
        }
    }
    let said = text_or_texts(arguments, "success_msg", "All assertions passed")?;
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
    if arguments.values().is_empty() {
        return Err(Problem::new("set_fact sets nothing".to_owned()).into());
    }
    Ok(Done {
        facts: arguments.values().clone(),
        ..Done::default()
    })
}

/// Waits until a path exists or a local port is listened on, or is no more.
pub(super) async fn wait_for(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let states = ["started", "present", "absent", "stopped"];
    let state = arguments.choice("state", "started", &states)?;
    let state = if state == "stopped" {
        "absent".to_owned()
    } else {
        state
    };
    let (path, port) = (arguments.word("path")?, arguments.number("port", 0, 65_535)?);
    if path.is_empty() == (port == 0) {
        return Err(Problem::new("wait_for needs either path or port".to_owned()).into());
    }
    if !matches!(
        arguments.word("host")?.as_str(),
        "" | "127.0.0.1" | "::1" | "localhost"
    ) {
        return Err(Problem::new("wait_for looks at ports of the host itself only".to_owned()).into());
    }
    let seconds = |name, default| arguments.number(name, default, DAY);
    let (delay, pause) = (seconds("delay", 0)?, seconds("sleep", 1)?);
    let seconds = seconds("timeout", 300)?;
    let patient = Host {
        limit: host.limit.max(Duration::from_secs(seconds + delay + 30)),
        ..*host
    };
    let numbers = [port, seconds, pause, delay].map(|number| number.to_string());
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
