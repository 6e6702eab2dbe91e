//! The controller's words to a machine that has to show a host key of its own in the place of the one that its user data held: in
//! plain shell, since nothing is installed there yet.

use std::time::Duration;

use runtime::supervisor::error_chain;
use shell::{Command, Connection, Exit, HostKey, Input, Output, RunOptions};

const MAKE: &str = include_str!("scripts/make_host_key.sh");
const REPLACE: &str = concat!(
    include_str!("scripts/replace_host_key.sh"),
    include_str!("scripts/reload_sshd.sh")
);
/// Where sshd has its keys.
const FOLDER: &str = "/etc/ssh";
/// Where cloud-init has copies of user data.
const COPIES: [&str; 2] = ["/var/lib/cloud", "/run/cloud-init"];
/// How much is told of what failed, in characters.
const MOST_WORDS: usize = 300;

/// Has a machine make a host key, which its sshd does not use yet; the public half.
pub(crate) async fn make(connection: &Connection, limit: Duration) -> Result<HostKey, String> {
    let command = Command::script("make a host key", MAKE, [FOLDER]);
    let output = run(connection, command, limit).await?;
    HostKey::parse(&output.stdout_text()).map_err(|error| error.to_string())
}

/// Has a machine show the host key that it made last from now on, and blot out the secret half of the one that it was given.
pub(crate) async fn replace(connection: &Connection, made: &HostKey, limit: Duration) -> Result<(), String> {
    let line = made.to_string();
    let data = line.split(' ').nth(1).unwrap_or_default();
    let values = [FOLDER, data].into_iter().chain(COPIES);
    let command = Command::script("replace the host key", REPLACE, values);
    run(connection, command, limit).await.map(drop)
}

async fn run(connection: &Connection, mut command: Command, limit: Duration) -> Result<Output, String> {
    if connection.endpoint().user != "root" {
        command = command.through(["sudo", "-n"]);
    }
    let options = RunOptions::within(limit);
    let answer = connection.run(&command, Input::from(Vec::new()), options).await;
    let output = answer.map_err(|error| error_chain(&error))?;
    if output.exit == Exit::Code(0) {
        return Ok(output);
    }
    let words = format!("{}{}", output.stdout_text(), output.stderr_tail());
    let words: String = words.trim().chars().take(MOST_WORDS).collect();
    Err(format!(
        "{} ended with {:?}: {words}",
        command.label(),
        output.exit
    ))
}

#[cfg(test)]
mod tests;
