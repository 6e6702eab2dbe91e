//! The command line of what operators ask of the fleet.

use clap::{Args, Subcommand};
use model::quantity::Span;

use super::strays;
use crate::options::Config;

/// What is told of the exit codes below each command's help.
const CODES: &str = "\
Prints one line of JSON. Ends with 0 when it is done, 2 when it is accepted and under way, 3 when there was nothing to do, 4 when a limit \
or a brake refuses it or a cloud gives no machines, 5 when settings, fleet file or arguments cannot be used, 6 when it did not come about \
in time (unless its state is `failed`, whoever leads next goes on with it), and 1 for whatever else is in the way.";

/// For how long builders may be kept by a command.
const LONGEST_KEPT: Span = Span::seconds(31 * 24 * 3600);

/// What an operator asks of the fleet. Each is written down once for its key, so that of many equal commands one has an effect.
#[derive(Debug, Subcommand)]
pub(crate) enum AskCommand {
    /// Launch builders of a pool, beside those that it launches by itself.
    #[command(after_help = CODES)]
    Spawn {
        /// The pool, by its name in the fleet file.
        pool: String,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: u32,
        /// For how long so many are held ready beside what the pool holds ready anyway: others are launched for those that builds use.
        /// At most 31 days. Without it they go as others do when nobody needs them.
        #[arg(long = "for", value_name = "DURATION", value_parser = kept_for)]
        keep: Option<Span>,
        #[command(flatten)]
        common: Common,
    },
    /// End builders: those at work when their builds have ended, the others now. A pool launches others as it needs them.
    #[command(after_help = CODES)]
    Terminate {
        /// Builders (bdr_..., or their instances, i-...), or one pool, of which all are meant.
        #[arg(value_name = "BUILDER|POOL", required = true)]
        what: Vec<String>,
        /// Also those at work, now: what they build is tried again on others, and loses no try.
        #[arg(long, requires = "reason")]
        now: bool,
        /// Why, for the builders' history; needed with --now.
        #[arg(long, value_name = "TEXT", value_parser = some_words)]
        reason: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Let a builder get no builds any more. What runs on it goes on.
    #[command(after_help = CODES)]
    Cordon {
        /// The builder: bdr_..., or its instance, i-...
        builder: String,
        /// Why, for the builder's history.
        #[arg(long, value_name = "TEXT", value_parser = some_words)]
        reason: String,
        /// When it ends by itself; without it, with `uncordon`.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<Span>,
        #[command(flatten)]
        common: Common,
    },
    /// Lift a builder's cordon, or let a pool that was drained launch builders again.
    #[command(after_help = CODES)]
    Uncordon {
        /// The builder (bdr_..., or its instance, i-...), or the pool.
        #[arg(value_name = "BUILDER|POOL")]
        what: String,
        #[command(flatten)]
        common: Common,
    },
    /// End a builder, or all of a pool, when their builds have ended. A pool that is drained launches no others.
    #[command(after_help = CODES)]
    Drain {
        /// The builder (bdr_..., or its instance, i-...), or the pool.
        #[arg(value_name = "BUILDER|POOL")]
        what: String,
        /// Why, for the history.
        #[arg(long, value_name = "TEXT", value_parser = some_words)]
        reason: Option<String>,
        /// Of a pool: when it launches builders again by itself; without it, with `uncordon`.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<Span>,
        #[command(flatten)]
        common: Common,
    },
    /// Keep a builder for somebody to look at: out of service, now or when its build has ended. It counts against its pool's
    /// maximum, ends at its time or with `release`, and never serves again.
    #[command(after_help = CODES)]
    Hold {
        /// The builder: bdr_..., or its instance, i-...
        builder: String,
        /// Why, for the builder's history.
        #[arg(long, value_name = "TEXT", value_parser = some_words)]
        reason: String,
        /// For how long; without it, as `hold` in the fleet file says of its pool, which also has the longest.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<Span>,
        /// For whom; without it, for who asks.
        #[arg(long, value_name = "NAME", value_parser = some_words)]
        owner: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// End a hold before its time: the builder is terminated. Or use a fixed host again that is out of service, as it is now. Or
    /// have a stray ended that was ignored.
    #[command(after_help = CODES)]
    Release {
        /// The builder (bdr_..., or its instance, i-...), the fixed host, by its name in the fleet file, or the stray (i-...).
        #[arg(value_name = "BUILDER|HOST|STRAY")]
        what: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make a builder of an instance that no builder has: a stray with the fleet's tag, or any machine of the pool's cloud. It is
    /// provisioned as others are, and terminated as others are, also when it never gets ready.
    #[command(after_help = CODES)]
    Adopt {
        /// The instance: i-...
        #[arg(value_parser = strays::instance)]
        instance: String,
        /// The pool, by its name in the fleet file; the one that the instance's tag names, without it.
        #[arg(long)]
        pool: Option<String>,
        /// The host key that it has, as in /etc/ssh/ssh_host_ed25519_key.pub; needed where the farm did not make it.
        #[arg(long, value_name = "KEY", value_parser = strays::host_key)]
        host_key: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Leave an instance alone that has the fleet's tag and no builder: it is shown, counts for the cloud's limit, and is never
    /// ended. `adopt` and `release` end that.
    #[command(after_help = CODES)]
    Ignore {
        /// The instance: i-...
        #[arg(value_parser = strays::instance)]
        instance: String,
        /// Why, for others who look.
        #[arg(long, value_name = "TEXT", value_parser = some_words)]
        reason: String,
        #[command(flatten)]
        common: Common,
    },
    /// Look at every cloud, and do what is due. With no controller, go on until nothing moves any more.
    #[command(after_help = CODES)]
    Reconcile {
        #[command(flatten)]
        common: Common,
    },
}

/// Reads what others are to read in a builder's history.
fn some_words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        words => Ok(words.to_owned()),
    }
}

/// What all of them have.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Tell what the controller would do, and ask for nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Wait until it is done. With no controller it is waited for anyway: this command does the work then.
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait, or to work where there is no controller.
    #[arg(long, value_name = "DURATION", default_value = "120s")]
    pub(super) timeout: Span,
    /// What tells this command from others that ask for the same: of all with one key, one has an effect. The minute, without it.
    #[arg(long, value_name = "TEXT")]
    pub(super) key: Option<String>,
    #[command(flatten)]
    pub(super) config: Config,
}

impl AskCommand {
    /// The words of all commands of this kind.
    pub(super) const VERBS: [&str; 10] = [
        "spawn",
        "terminate",
        "cordon",
        "uncordon",
        "drain",
        "hold",
        "release",
        "adopt",
        "ignore",
        "reconcile",
    ];

    /// Whether a word is that of such a command.
    pub(crate) fn is_verb(word: &str) -> bool {
        Self::VERBS.contains(&word)
    }

    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::Spawn { common, .. }
            | Self::Terminate { common, .. }
            | Self::Cordon { common, .. }
            | Self::Uncordon { common, .. }
            | Self::Drain { common, .. }
            | Self::Hold { common, .. }
            | Self::Release { common, .. }
            | Self::Adopt { common, .. }
            | Self::Ignore { common, .. }
            | Self::Reconcile { common } => common,
        }
    }

    /// The word of the command.
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Spawn { .. } => "spawn",
            Self::Terminate { .. } => "terminate",
            Self::Cordon { .. } => "cordon",
            Self::Uncordon { .. } => "uncordon",
            Self::Drain { .. } => "drain",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
            Self::Adopt { .. } => "adopt",
            Self::Ignore { .. } => "ignore",
            Self::Reconcile { .. } => "reconcile",
        }
    }
}

/// For how long builders may be kept. What is wanted for longer stands in the fleet file, where others see it.
fn kept_for(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if span > LONGEST_KEPT {
        return Err(format!(
            "{span} is longer than {LONGEST_KEPT}; `size.idle` and `schedule` of the pool in the fleet file are for what is always wanted"
        ));
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: AskCommand,
    }

    #[test]
    fn every_command_tells_of_its_exit_codes_and_of_what_all_have() {
        let mut known = Cli::command();
        let mut names: Vec<String> = Vec::new();
        for command in known.get_subcommands_mut() {
            names.push(command.get_name().to_owned());
            let help = command.render_long_help().to_string();
            for part in [
                "0 when it is done",
                "--dry-run",
                "--wait",
                "--timeout",
                "--key",
                "120s",
            ] {
                assert!(help.contains(part), "{part}: {help}");
            }
        }
        assert_eq!(names, AskCommand::VERBS);
    }

    #[test]
    fn what_would_hurt_needs_a_reason_and_durations_have_units() {
        for (line, is_good) in [
            ("terminate x86", true),
            ("terminate i-1 i-2 --now --reason fire", true),
            ("terminate i-1 --now", false),
            ("terminate", false),
            ("cordon i-1", false),
            ("cordon i-1 --reason disk", true),
            ("hold i-1 --reason look", true),
            ("hold i-1 --reason look --for 3d", true),
            ("hold i-1 --reason look --for 4", false),
            ("hold i-1 --for 1h", false),
            ("adopt i-1", true),
            ("adopt i-1 --pool x86 --host-key", false),
            ("adopt i-1 --pool x86 --host-key AAAA", false),
            ("adopt rack-1 --pool x86", false),
            ("ignore i-1", false),
            ("ignore i-1 --reason evidence", true),
            ("spawn x86 --count -1", false),
            ("spawn x86 --for 30", false),
            ("spawn x86 --for 31d", true),
            ("spawn x86 --for 32d", false),
            ("spawn x86 --for 30m --count 3 --wait --timeout 10m", true),
        ] {
            let words = std::iter::once("fleet").chain(line.split(' '));
            assert_eq!(Cli::try_parse_from(words).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn a_reason_that_is_given_says_something() {
        for command in [
            "terminate x86",
            "terminate i-1 --now",
            "cordon i-1",
            "drain x86",
            "hold i-1",
            "hold i-1 --reason look --owner",
            "ignore i-1",
        ] {
            let option = if command.ends_with("--owner") {
                None
            } else {
                Some("--reason")
            };
            for (words, is_good) in [("", false), (" \t\n", false), (" disk full ", true)] {
                let line = std::iter::once("fleet").chain(command.split(' ')).chain(option);
                let read = Cli::try_parse_from(line.chain([words]));
                assert_eq!(read.is_ok(), is_good, "{command} {words:?}");
                match read.map(|read| read.command) {
                    Ok(AskCommand::Cordon { reason, .. }) => assert_eq!(reason, "disk full"),
                    Ok(_) => {}
                    Err(error) => assert!(error.to_string().contains("it is empty"), "{error}"),
                }
            }
        }
    }
}
