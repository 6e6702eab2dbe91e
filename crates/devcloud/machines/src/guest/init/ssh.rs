//! The machine's SSH side: keys of those who may log in, the host's own key, and the daemon's command line.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::{Console, root::write_file, user_data::Config};

const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";
const AUTHORIZED_KEYS: &str = "/root/.ssh/authorized_keys";

/// The search path of the machine's programs.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Adds the keys that are not there yet. A login's own additions stay.
pub(super) fn authorize(keys: &[String]) -> io::Result<()> {
    let path = Path::new(AUTHORIZED_KEYS);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let text = with_keys(text, keys);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
        // sshd refuses keys below a directory that others may write to.
        fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    write_file(path, 0o600, text.as_bytes())
}

/// A file of keys with these in it, each once.
fn with_keys(mut text: String, keys: &[String]) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for key in keys {
        if !text.lines().any(|line| line == key) {
            text.push_str(key);
            text.push('\n');
        }
    }
    text
}

/// Installs the host key that user data brought, or makes one if there is none. What user data brought is installed at the first
/// start of a machine of this id and not again, as cloud-init does it: who replaces it there has another one from then on.
pub(super) fn host_key(config: &Config, instance_id: &str) -> Result<(), String> {
    let path = Path::new(HOST_KEY);
    let public = path.with_extension("pub");
    let failure = |error: io::Error| error.to_string();
    let done = Path::new("/var/lib/cloud/instances")
        .join(instance_id)
        .join("sem/config_ssh");
    let is_first = !done.exists() || !path.exists();
    if let Some(key) = config.host_key.as_ref().filter(|_| is_first) {
        write_file(path, 0o600, key.as_bytes()).map_err(failure)?;
        // The public half is derived: a wrong one beside it would be believed by whoever reads the console.
        let derived = keygen(&["-y", "-f", HOST_KEY])?;
        let derived = format!("{}\n", derived.trim_end());
        if let Some(told) = &config.host_public_key
            && told.split(' ').take(2).ne(derived.split_whitespace().take(2))
        {
            return Err("ed25519_public is not the public half of ed25519_private".to_owned());
        }
        write_file(&public, 0o644, derived.as_bytes()).map_err(failure)?;
    }
    if !path.exists() {
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY])?;
    }
    write_file(&done, 0o644, b"").map_err(failure)
}

/// Whether there is a host key from an earlier start.
pub(super) fn has_host_key() -> bool {
    Path::new(HOST_KEY).exists()
}

/// Removes the host key, so that another one is made.
pub(super) fn forget_host_key() -> io::Result<()> {
    fs::remove_file(Path::new(HOST_KEY).with_extension("pub"))?;
    fs::remove_file(HOST_KEY)
}

/// Says the host's public keys on the console, in cloud-init's form, for who wants to know them before the first
/// connection.
pub(super) fn announce(console: &Console) {
    let mut keys: Vec<PathBuf> = fs::read_dir("/etc/ssh")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    keys.retain(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("ssh_host_") && name.ends_with("_key.pub"))
    });
    keys.sort();
    let (mut fingerprints, mut publics) = (String::new(), String::new());
    for path in &keys {
        match (
            keygen(&["-l", "-f", &path.to_string_lossy()]),
            fs::read_to_string(path),
        ) {
            (Ok(fingerprint), Ok(public)) => {
                fingerprints.push_str(&fingerprint);
                publics.push_str(&public);
            }
            (Err(reason), _) => console.say(&format!("no fingerprint of {}: {reason}", path.display())),
            (_, Err(error)) => console.say(&format!("{} cannot be read: {error}", path.display())),
        }
    }
    console.block("SSH HOST KEY FINGERPRINTS", &fingerprints);
    console.block("SSH HOST KEY KEYS", &publics);
}

fn keygen(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ssh-keygen cannot be run: {error}"))?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    if status.success() {
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    } else {
        Err(format!(
            "ssh-keygen ended with {status}: {}",
            String::from_utf8_lossy(&stderr).trim()
        ))
    }
}

/// The daemon. It logs to the console and takes nobody but holders of a key.
pub(super) fn daemon() -> Command {
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-h", HOST_KEY]);
    for option in [
        "UsePAM=no",
        "UseDNS=no",
        "PidFile=none",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "PermitRootLogin=prohibit-password",
        "MaxStartups=100",
    ] {
        command.args(["-o", option]);
    }
    command
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{daemon, with_keys};

    #[test]
    fn keys_are_added_once_and_a_logins_own_stay() {
        let keys = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("ssh-ed25519 {name}")).collect()
        };
        for (before, added, after) in [
            ("", &["A"][..], "ssh-ed25519 A\n"),
            ("", &[], ""),
            ("ssh-ed25519 A\n", &["A"], "ssh-ed25519 A\n"),
            ("", &["A", "A"], "ssh-ed25519 A\n"),
            (
                "# mine\nssh-rsa B me\n",
                &["A"],
                "# mine\nssh-rsa B me\nssh-ed25519 A\n",
            ),
            // The last line was not ended.
            ("ssh-rsa B", &["A"], "ssh-rsa B\nssh-ed25519 A\n"),
            ("ssh-ed25519 A", &["A"], "ssh-ed25519 A\n"),
            // Only the whole line is the same key.
            ("ssh-ed25519 AB\n", &["A"], "ssh-ed25519 AB\nssh-ed25519 A\n"),
        ] {
            assert_eq!(with_keys(before.to_owned(), &keys(added)), after, "{before:?}");
        }
    }

    #[test]
    fn the_daemon_takes_nobody_but_holders_of_a_key() {
        let command = daemon();
        let arguments: Vec<&OsStr> = command.get_args().collect();
        for option in [
            "PasswordAuthentication=no",
            "KbdInteractiveAuthentication=no",
            "PermitRootLogin=prohibit-password",
        ] {
            let place = arguments.iter().position(|argument| *argument == option);
            let before = place.and_then(|place| arguments.get(place - 1));
            assert_eq!(before, Some(&OsStr::new("-o")), "{option}");
        }
        assert!(arguments.contains(&OsStr::new("-e")), "it logs to the console");
    }
}
