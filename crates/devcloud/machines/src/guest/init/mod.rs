//! The first process of a machine: what a cloud image's init and cloud-init do.
//!
//! It stands the machine on its own root, asks the metadata service for keys and user data, starts sshd, and then
//! stays process 1 for ever: it collects orphans, starts sshd again, and ends everything when asked. It is this
//! program, held open from outside, so an image needs nothing of ours. What goes wrong after the root is there
//! is said on the console and never keeps sshd from starting.

mod metadata;
mod root;
mod ssh;
mod supervise;
mod user_data;

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    metadata::Metadata,
    root::write_file,
    user_data::{Command, Config, UserData},
};
use super::{complain, control_socket};
use crate::hypervisor::{
    Failure,
    protocol::{self, InitConfig, InitReport},
};

/// How long the metadata service may take to be there.
const METADATA_PATIENCE: Duration = Duration::from_secs(10);

/// The machine's console, which is this process's standard output.
#[derive(Clone, Copy)]
struct Console;

impl Console {
    /// Says a line.
    fn say(self, line: &str) {
        self.print(&format!("init: {line}\n"));
    }

    /// Says lines between marks, as cloud-init does.
    fn block(self, name: &str, lines: &str) {
        self.print(&format!("-----BEGIN {name}-----\n{lines}-----END {name}-----\n"));
    }

    fn print(self, text: &str) {
        let mut output = io::stdout().lock();
        // A full disk of the host must not end the machine.
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .ok();
    }
}

/// Entry point.
pub(super) fn main() -> ExitCode {
    let socket = match control_socket() {
        Ok(socket) => socket,
        Err(error) => return complain(format_args!("a machine has no control socket: {error}")),
    };
    let config: InitConfig = match protocol::receive(&socket) {
        Ok(Some((config, _))) => config,
        Ok(None) => return ExitCode::FAILURE,
        Err(error) => return complain(format_args!("a machine was not told what it is: {error}")),
    };
    let stood = root::stand(&config);
    let report = match &stood {
        Ok(()) => InitReport::Ready,
        Err(failure) => match failure.clone() {
            Failure::Failed { what, reason } => InitReport::Failed { what, reason },
            other => InitReport::Failed {
                what: "start the machine".to_owned(),
                reason: format!("{other:?}"),
            },
        },
    };
    if let Err(error) = protocol::send(&socket, &report, None) {
        return complain(format_args!("nobody waits for this machine: {error}"));
    }
    if stood.is_err() {
        return ExitCode::FAILURE;
    }
    let console = Console;
    console.say(&format!("{} starts as {}", config.instance_id, config.host_name));
    let script = prepare(&config, console);
    supervise::run(socket, script, console)
}

/// Everything before sshd. Gives the script that user data asks for, if it was not run before.
fn prepare(config: &InitConfig, console: Console) -> Option<PathBuf> {
    let (keys, user_data) = ask(console);
    let (mut settings, script) = match user_data {
        UserData::Config(settings) => {
            let script = runcmd(&settings.commands);
            (settings, script)
        }
        UserData::Script(script) => (Config::default(), Some(script)),
        UserData::None => (Config::default(), None),
    };
    let keys: Vec<String> = keys
        .into_iter()
        .chain(settings.authorized_keys.iter().cloned())
        .collect();
    if let Err(error) = ssh::authorize(&keys) {
        console.say(&format!("the login keys could not be written: {error}"));
    }
    if let Err(error) = fs::create_dir_all("/run/sshd") {
        console.say(&format!("/run/sshd could not be made: {error}"));
    }
    if config.other_host_key {
        settings.host_key = None;
    }
    if config.host_key_changes && ssh::has_host_key() {
        settings.host_key = None;
        if let Err(error) = ssh::forget_host_key() {
            console.say(&format!("the host key could not be removed: {error}"));
        }
    }
    if let Err(reason) = ssh::host_key(&settings, &config.instance_id) {
        console.say(&format!("the host key could not be set up: {reason}"));
    }
    ssh::announce(&console);
    if let Err(error) = power_commands() {
        console.say(&format!(
            "the commands poweroff and reboot could not be made: {error}"
        ));
    }
    let prepared = script
        .map(|script| once(&config.instance_id, &script))
        .transpose();
    prepared.map(Option::flatten).unwrap_or_else(|error| {
        console.say(&format!("the user data's script could not be written: {error}"));
        None
    })
}

/// Asks the metadata service for the keys of those who may log in, and for user data.
fn ask(console: Console) -> (Vec<String>, UserData) {
    let metadata = match Metadata::reach(Instant::now() + METADATA_PATIENCE) {
        Ok(metadata) => metadata,
        Err(reason) => {
            console.say(&format!("the metadata service cannot be reached: {reason}"));
            return (Vec::new(), UserData::None);
        }
    };
    let get = |item: &str| {
        metadata.get(item).unwrap_or_else(|reason| {
            console.say(&format!("the metadata service failed: {reason}"));
            None
        })
    };
    let keys = get("meta-data/public-keys/0/openssh-key").unwrap_or_default();
    let keys = String::from_utf8_lossy(&keys)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    let user_data = user_data::read(get("user-data").unwrap_or_default()).unwrap_or_else(|reason| {
        console.say(&format!(
            "the user data is not understood and nothing of it was done: {reason}"
        ));
        UserData::None
    });
    (keys, user_data)
}

/// `runcmd` as one script of shell, which is what cloud-init makes of it.
fn runcmd(commands: &[Command]) -> Option<Vec<u8>> {
    if commands.is_empty() {
        return None;
    }
    let mut script = "#!/bin/sh\n".to_owned();
    for command in commands {
        match command {
            Command::Shell(line) => script.push_str(line),
            Command::Arguments(arguments) => {
                let quoted: Vec<_> = arguments
                    .iter()
                    .map(|argument| format!("'{}'", argument.replace('\'', "'\\''")))
                    .collect();
                script.push_str(&quoted.join(" "));
            }
        }
        script.push('\n');
    }
    Some(script.into_bytes())
}

/// Puts the script in its place, unless a machine of this id has run it: after a reboot it is not run again.
fn once(instance_id: &str, script: &[u8]) -> io::Result<Option<PathBuf>> {
    let directory = Path::new("/var/lib/cloud/instances").join(instance_id);
    let done = directory.join("sem/config_scripts_user");
    if done.exists() {
        return Ok(None);
    }
    let path = directory.join("scripts/part-001");
    write_file(&path, 0o700, script)?;
    write_file(&done, 0o644, b"")?;
    Ok(Some(path))
}

/// Gives an image that has no `poweroff` and `reboot` the two: signals to this process.
fn power_commands() -> io::Result<()> {
    for (name, signal) in [("poweroff", "TERM"), ("reboot", "INT")] {
        if ["/sbin", "/usr/sbin", "/bin", "/usr/bin"]
            .iter()
            .any(|place| Path::new(place).join(name).exists())
        {
            continue;
        }
        let path = Path::new("/usr/local/sbin").join(name);
        fs::create_dir_all("/usr/local/sbin")?;
        match fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o755)
            .open(&path)
        {
            Ok(mut file) => file.write_all(format!("#!/bin/sh\nkill -{signal} 1\n").as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
