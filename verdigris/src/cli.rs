//! The command line.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod fleet;

use self::fleet::FleetCommand;
use crate::{
    check, chroot, database,
    fleet::{AskCommand, misread},
    image::ImageCommand,
    options::{CheckArguments, ChrootCreate, ChrootNames, Config, UpArguments, UserArguments},
    output, provision, roles, up, user,
};

/// A build farm for RPM packages.
#[derive(Debug, Parser)]
#[command(name = "verdigris", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole farm in this process: SQLite, a local directory, and a cloud of its own.
    Up(UpArguments),
    /// Run the HTTP service.
    Api(Config),
    /// Run the controller: it rents builders and gives them to attempts.
    Controller(Config),
    /// Run a worker: it drives attempts on builders and publishes results.
    Worker(Config),
    /// Bring the database to this program's schema.
    Migrate(Config),
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Users.
    #[command(subcommand)]
    User(UserCommand),
    /// Chroots to build in.
    #[command(subcommand)]
    Chroot(ChrootCommand),
    /// The fleet of builders.
    #[command(subcommand)]
    Fleet(FleetCommand),
    /// Machine images of builders.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Play a playbook on one machine, or tell what it would change there.
    Provision(Box<provision::Arguments>),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say all that is wrong with settings, fleet file, playbooks, secrets, clouds, database and disks. Nothing is written.
    Check(CheckArguments),
    /// Print the settings in force, without secrets.
    Show(Config),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user and print a section for copr-cli's configuration.
    Create {
        /// The user's name.
        name: String,
        /// Make the user an operator, who may do everything to everything.
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Print a new section for copr-cli's configuration; the old token ends. The `copr.conf` of `verdigris up` gets it too, if
    /// it is this user's.
    Token(UserArguments),
    /// Show the users, who of them is an operator, and how long their tokens are good.
    List(Config),
    /// Make a user an operator, who may do everything to everything.
    Promote(UserArguments),
    /// Make an operator a user like others. The last operator stays one.
    Demote(UserArguments),
    /// Delete a user who owns no projects. The token ends; builds in projects of others stay.
    Delete(UserArguments),
}

#[derive(Debug, Subcommand)]
enum ChrootCommand {
    /// Make chroots available to projects.
    Create(ChrootCreate),
    /// Offer chroots to projects and builds.
    Activate(ChrootNames),
    /// Offer chroots to nobody any more; what is there stays, and builds that wait go on.
    Deactivate(ChrootNames),
    /// Delete chroots that no project has. Results that are there stay.
    Delete(ChrootNames),
    /// Show the chroots.
    List(Config),
}

impl Arguments {
    /// What the command line says, and the environment where it is silent. An empty variable says nothing. One that cannot be
    /// read ends the program, or leaves it the code with which it ends.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let command = without_empty_variables(Self::command(), &|name| std::env::var_os(name));
        let read = command.try_get_matches();
        read.and_then(|found| Self::from_arg_matches(&found))
            .map_err(|error| refuse(&error))
    }

    /// Does what was asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(arguments) => up::up(arguments).await?,
            Command::Api(config) => roles::api(&config).await?,
            Command::Controller(config) => roles::controller(&config).await?,
            Command::Worker(config) => roles::worker(&config).await?,
            Command::Migrate(config) => database::migrate(&config).await?,
            Command::Config(ConfigCommand::Check(arguments)) => return check::check(&arguments).await,
            Command::Config(ConfigCommand::Show(config)) => check::show(&config)?,
            Command::User(command) => command.run().await?,
            Command::Chroot(command) => command.run().await?,
            Command::Provision(arguments) => return provision::provision(&arguments).await,
            Command::Fleet(command) => return command.run().await,
            Command::Image(command) => return command.run().await,
            Command::Openapi => crate::say(api::openapi_document().trim_end()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Says what is wrong with a command line, or gives the help that was asked for. To commands that are made for cron the usual code
/// says something else: they have one of their own for that.
fn refuse(error: &clap::Error) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).take(2).collect();
    match words.as_slice() {
        [command, verb] if command == "fleet" && AskCommand::is_verb(verb) && error.use_stderr() => {
            misread(verb, error.to_string().trim_end())
        }
        _ => {
            let printed = error.print();
            // Help and the version, which are the command's output.
            if !error.use_stderr() {
                output::note(printed);
            }
            let code = u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
            output::heard(code)
        }
    }
}

/// The command with options that look into no variable which is empty.
fn without_empty_variables(
    command: clap::Command,
    value: &dyn Fn(&OsStr) -> Option<OsString>,
) -> clap::Command {
    let deaf = |argument: Arg| match argument.get_env().and_then(value) {
        Some(text) if text.is_empty() => argument.env(None::<&'static str>),
        _ => argument,
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    names.into_iter().fold(command.mut_args(deaf), |command, name| {
        command.mut_subcommand(name, |below| without_empty_variables(below, value))
    })
}

impl UserCommand {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create {
                name,
                operator,
                config,
            } => user::create(&config, &name, operator).await,
            Self::Token(UserArguments { name, config }) => user::token(&config, &name).await,
            Self::List(config) => user::list(&config).await,
            Self::Promote(UserArguments { name, config }) => user::set_operator(&config, &name, true).await,
            Self::Demote(UserArguments { name, config }) => user::set_operator(&config, &name, false).await,
            Self::Delete(UserArguments { name, config }) => user::delete(&config, &name).await,
        }
    }
}

impl ChrootCommand {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(arguments) => chroot::create(&arguments).await,
            Self::Activate(ChrootNames { names, config }) => chroot::offer(&config, &names, true).await,
            Self::Deactivate(ChrootNames { names, config }) => chroot::offer(&config, &names, false).await,
            Self::Delete(ChrootNames { names, config }) => chroot::delete(&config, &names).await,
            Self::List(config) => chroot::list(&config).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
