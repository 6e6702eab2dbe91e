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
        Some(Value::List(items)) => items.iter().map(condition).collect(),
        Some(one) => vec![condition(one)],
        None => Vec::new(),
    };
    for condition in conditions {
        let one = std::slice::from_ref(&condition);
        if !expression::holds(one, variables).map_err(Problem::new)? {
            let said = arguments
                .text("fail_msg")?
                .unwrap_or_else(|| "Assertion failed".to_owned());
            let mut problem = Problem::new(format!("{said} (`{condition}` does not hold)"));
            problem.values = Box::new(map([
                ("assertion", Value::Text(condition)),
                ("evaluated_to", Value::Bool(false)),
                ("msg", Value::Text(said)),
            ]));
            return Err(problem.into());
        }
    }
    let said = arguments
        .text("success_msg")?
        .unwrap_or_else(|| "All assertions passed".to_owned());
    Ok(Done {
        message: Some(said.clone()),
        values: map([("msg", Value::Text(said))]),
        ..Done::default()
    })
}

fn condition(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Says something in the report; `register` gets it as it is.
pub(super) fn debug(arguments: &Arguments, variables: &Variables) -> Result<Done, Failure> {
    let (name, said, value) = match (arguments.text("var")?, arguments.value("msg")) {
        (Some(name), _) => {
            let value = expression::evaluate_expression(&name, variables).unwrap_or_else(Value::Text);
            (name.clone(), format!("{name}: {value}"), value)
        }
        (None, Some(Value::Text(text))) => ("msg".to_owned(), text.clone(), Value::Text(text.clone())),
        (None, Some(other)) => ("msg".to_owned(), other.to_string(), other.clone()),
        (None, None) => (
            "msg".to_owned(),
            "Hello world!".to_owned(),
            Value::from("Hello world!"),
        ),
    };
    let mut done = Done {
        message: Some(said),
        ..Done::default()
    };
    done.values.insert(name, value);
    Ok(done)
}

/// Fails on purpose.
pub(super) fn fail(arguments: &Arguments) -> Result<Done, Failure> {
    let message = arguments
        .text("msg")?
        .unwrap_or_else(|| "Failed as requested from task".to_owned());
    Err(Problem::new(message).into())
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
