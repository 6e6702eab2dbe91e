//! Users, groups, and the keys that let people in.

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::{AUTHORIZED_KEY, GROUP, USER};
use crate::value::Value;

/// Statuses with which `useradd` and `usermod` end; those of our scripts and of the shell are above.
const OF_PROGRAMS: std::ops::RangeInclusive<i64> = 1..=63;

/// A text of an account, as the script takes it: empty if it is not given, else behind a `=`.
fn given(arguments: &Arguments, name: &str) -> Result<String, Problem> {
    let text = arguments.text(name)?;
    Ok(text.map(|text| format!("={text}")).unwrap_or_default())
}

/// The same, with the status of the program that refused the change in `rc`, as Ansible registers it for users (for groups it
/// does not).
fn with_status(failure: Failure) -> Failure {
    match failure {
        Failure::Problem(mut problem) => {
            let status = problem.status.filter(|status| OF_PROGRAMS.contains(status));
            let status = status.map(|status| ("rc".to_owned(), Value::Int(status)));
            problem.values.extend(status);
            Failure::Problem(problem)
        }
        other => other,
    }
}

/// The name of a user or group, as useradd takes it.
fn account_name(arguments: &Arguments, parameter: &str) -> Result<String, Problem> {
    arguments.required(parameter)?;
    arguments.owner(parameter)
}

/// A text that is one field of `/etc/passwd` or `/etc/shadow`, as the script takes it.
fn field(arguments: &Arguments, name: &str) -> Result<String, Problem> {
    let text = given(arguments, name)?;
    if text.contains([':', '\n']) {
        return Err(arguments.wrong(name, "a text without a colon, in one line"));
    }
    Ok(text)
}

/// Such a field that is an absolute path, or empty.
fn path_field(arguments: &Arguments, name: &str) -> Result<String, Problem> {
    let text = field(arguments, name)?;
    if text.is_empty() || text == "=" || text.starts_with("=/") {
        Ok(text)
    } else {
        Err(arguments.wrong(name, "an absolute path"))
    }
}

pub(super) fn group_arguments(arguments: &Arguments) -> Result<[String; 4], Problem> {
    Ok([
        account_name(arguments, "name")?,
        arguments.id("gid")?,
        arguments.bit("system", false)?,
        arguments.choice("state", "present", &["present", "absent"])?,
    ])
}

pub(super) async fn group(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let values = group_arguments(arguments)?;
    let lines = host
        .script("group", GROUP, &values.each_ref().map(String::as_str), Vec::new())
        .await?;
    Ok(Done::changes(lines.changes()))
}

pub(super) fn user_arguments(arguments: &Arguments) -> Result<[String; 12], Problem> {
    let name = account_name(arguments, "name")?;
    let groups = match arguments.value("groups") {
        Some(_) => arguments.list("groups")?.join(","),
        None => "-".to_owned(),
    };
    if !groups.split(',').all(Arguments::is_account) {
        return Err(arguments.wrong("groups", "names of groups"));
    }
    Ok([
        name,
        arguments.id("uid")?,
        arguments.owner("group")?,
        groups,
        arguments.bit("append", false)?,
        path_field(arguments, "shell")?,
        path_field(arguments, "home")?,
        arguments.bit("system", false)?,
        arguments.bit("create_home", true)?,
        field(arguments, "password")?,
        field(arguments, "comment")?,
        arguments.choice("state", "present", &["present", "absent"])?,
    ])
}

/// An account made without a password is locked (`!`), and an sshd without PAM refuses locked ones even with the
/// right key: such an account wants `password: "*"`.
pub(super) async fn user(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let values = user_arguments(arguments)?;
    let lines = host
        .script("user", USER, &values.each_ref().map(String::as_str), Vec::new())
        .await
        .map_err(with_status)?;
    Ok(Done::changes(lines.changes()))
}

/// User, state and whether other keys go; and the keys, one a line.
pub(super) fn authorized_key_arguments(arguments: &Arguments) -> Result<([String; 3], String), Problem> {
    let user = account_name(arguments, "user")?;
    let state = arguments.choice("state", "present", &["present", "absent"])?;
    let exclusive = arguments.bit("exclusive", false)?;
    let text = match arguments.are_known(&["key"]) {
        true => arguments.required("key")?,
        false => String::new(),
    };
    let mut keys = String::new();
    for key in text.lines().map(str::trim) {
        if key.is_empty() || key.starts_with('#') {
            continue;
        }
        if !key.split_whitespace().any(|word| word.starts_with("AAAA")) {
            let shown: String = key.chars().take(40).collect();
            let message = format!("the key {shown:?} holds no key in base64, which begins with AAAA");
            return Err(arguments.about("key", message));
        }
        keys.push_str(key);
        keys.push('\n');
    }
    if keys.is_empty() && arguments.are_known(&["key"]) {
        return Err(arguments.about("key", "key holds no key".to_owned()));
    }
    Ok(([user, state, exclusive], keys))
}

pub(super) async fn authorized_key(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let (values, keys) = authorized_key_arguments(arguments)?;
    let values = values.each_ref().map(String::as_str);
    let lines = host
        .script("authorized_key", AUTHORIZED_KEY, &values, keys.into_bytes())
        .await?;
    Ok(Done::changes(lines.changes()))
}
