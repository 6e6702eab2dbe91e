//! What `verdigris provision` is told.

use std::path::PathBuf;

use clap::value_parser;
use model::{fleet::Runner, quantity::Span};
use serde_json::Value;

use crate::options::Config;

const HELP: &str = "\
Examples:
  What would change on a machine, if it were made a builder of the pool x86 today:
    verdigris provision 192.0.2.7 --pool x86 --check --diff
  The same for a builder that the farm has, by its id in `verdigris fleet status`:
    verdigris provision bdr_019a… --check --diff
  A playbook of your own, with the machine's key as `ssh-keyscan` or its console shows it:
    verdigris provision build7.example.org --playbook base.yml --host-key 'ssh-ed25519 AAAA…' --var packages='[\"mock\"]'

The machine has to prove its host key: the one of --host-key, one in the file of known hosts, or, for a builder, the one that
the farm made for it. A machine with another key is not touched.

Exit status:
  0  every task went well
  1  nothing was played: a mistake in files or settings, a machine that is not reached or is another one
  2  the command line cannot be read
  3  a task failed, the connection was lost, the time was over, or it was interrupted: the machine may be changed in part";

/// What is played, on which machine, and how it is reached.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// The machine: an address, a name, or the id of a builder of the farm.
    #[arg(value_name = "HOST", value_parser = host)]
    pub(crate) host: String,
    /// Change nothing on the machine, and tell what would be changed.
    #[arg(long)]
    pub(crate) check: bool,
    /// Show what would change in files, line by line.
    #[arg(long, requires = "check")]
    pub(crate) diff: bool,
    /// Provision it as the machines of this pool: with its playbook, user, port, time limit and variables, and with the chroots
    /// that the database has for it. Options given beside it win.
    #[arg(long, value_name = "POOL")]
    pub(crate) pool: Option<String>,
    /// The playbook, by the name of its file: the pool's, or builder.yml.
    #[arg(long, value_name = "NAME")]
    pub(crate) playbook: Option<String>,
    /// Who plays it: the pool's `runner`, or the farm itself.
    #[arg(long, value_enum, value_name = "RUNNER")]
    pub(crate) runner: Option<By>,
    /// A variable for the playbook, which wins over all others. VALUE is JSON where it can be read as such, and text otherwise.
    /// May be given more than once.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, Value)>,
    /// The user to log in as: the pool's, or root.
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The port of its sshd: the pool's, or 22.
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The private key that it lets in, ed25519 and without a passphrase: the farm's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The host key that it has to prove, as in a file of OpenSSH's: "ssh-ed25519 AAAA…".
    #[arg(long, value_name = "KEY", conflicts_with = "known_hosts")]
    pub(crate) host_key: Option<String>,
    /// A file of known hosts that has its key: ~/.ssh/known_hosts.
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// How long it may take: the pool's `timeouts.provision`, or 15m.
    #[arg(long, value_name = "TIME")]
    pub(crate) limit_time: Option<Span>,
    /// One JSON document instead of lines, at the end.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) config: Config,
}

/// Who plays a playbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// The farm itself, which knows a part of Ansible's language.
    Builtin,
    /// The real ansible-playbook, which has to be in PATH or named by the pool's `ansible`.
    Ansible,
}

impl From<By> for Runner {
    fn from(by: By) -> Self {
        match by {
            By::Builtin => Self::Builtin,
            By::Ansible => Self::Ansible,
        }
    }
}

fn host(text: &str) -> Result<String, String> {
    if let Some((user, host)) = text.split_once('@') {
        return Err(format!("the user is named by an option: {host} --user {user}"));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_plain) {
        return Err("it is no address and no name of a machine".to_owned());
    }
    Ok(text.to_owned())
}

fn variable(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
        return Err(format!(
            "`{name}` is no name of a variable: letters, digits and `_`"
        ));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::json;

    use super::{Arguments, host, variable};

    #[test]
    fn a_variable_is_json_where_it_can_be_and_text_otherwise() {
        for (given, expected) in [
            ("a=1", Some(("a", json!(1)))),
            ("a=", Some(("a", json!("")))),
            ("a_1=x=y", Some(("a_1", json!("x=y")))),
            ("a=\"1\"", Some(("a", json!("1")))),
            ("a=[\"mock\", true]", Some(("a", json!(["mock", true])))),
            ("a=[mock]", Some(("a", json!("[mock]")))),
            ("a=null", Some(("a", json!(null)))),
            ("a", None),
            ("=1", None),
            ("1a=1", None),
            ("a-b=1", None),
        ] {
            let found = variable(given).ok();
            let expected = expected.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(found, expected, "{given}");
        }
    }

    #[test]
    fn a_machine_is_an_address_or_a_name_and_the_user_is_an_option() {
        for good in ["192.0.2.7", "2001:db8::1", "fe80::1%eth0", "build-7.example.org"] {
            assert_eq!(host(good).as_deref(), Ok(good));
        }
        for bad in ["", "-x", "a b", "[::1]", "a/b", "a;b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        let said = host("root@192.0.2.7").unwrap_err();
        assert!(said.ends_with("192.0.2.7 --user root"), "{said}");
    }

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (words, is_good) in [
            ("h --check --diff", true),
            ("h --diff", false),
            ("h --host-key k --known-hosts f", false),
            ("h --port 0", false),
            ("h --port 65536", false),
            ("h --limit-time 90s", true),
            ("h --limit-time soon", false),
            ("", false),
        ] {
            let words = std::iter::once("p").chain(words.split_whitespace());
            let read = Line::try_parse_from(words.clone());
            assert_eq!(read.is_ok(), is_good, "{:?}", words.collect::<Vec<_>>());
            if let Ok(line) = read {
                assert_eq!(line.arguments.host, "h");
            }
        }
    }
}
