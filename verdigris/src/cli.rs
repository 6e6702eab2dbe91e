//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    fleet, operator,
    options::{ChrootCreate, ChrootNames, Config, UpArguments},
    roles, up,
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
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the settings, the fleet file, the playbooks and the database, and say all that is wrong.
    Check(Config),
    /// Print the settings in force, without secrets.
    Show(Config),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user and print a section for copr-cli's configuration.
    Create {
        /// The user's name.
        name: String,
        /// May do everything to everything.
        #[arg(long)]
        operator: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Print a new section for copr-cli's configuration; the old token ends.
    Token {
        /// The user's name.
        name: String,
        #[command(flatten)]
        config: Config,
    },
}

#[derive(Debug, Subcommand)]
enum ChrootCommand {
    /// Make chroots available to projects.
    Create(ChrootCreate),
    /// Offer chroots to projects and builds.
    Activate(ChrootNames),
    /// Offer chroots to nobody any more; what is there stays, and builds that wait go on.
    Deactivate(ChrootNames),
    /// Show the chroots.
    List(Config),
}

#[derive(Debug, Subcommand)]
enum FleetCommand {
    /// Show the builders and the queue.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Show what the controller would do next, and why; nothing is done.
    Plan {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: Config,
    },
    /// Let a pool that is held back after failed launches launch again as it needs.
    Resume {
        /// The pool, by its name in the fleet file.
        pool: String,
        #[command(flatten)]
        config: Config,
    },
}

impl Arguments {
    /// Does what was asked.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(arguments) => up::up(arguments).await?,
            Command::Api(config) => roles::api(&config).await?,
            Command::Controller(config) => roles::controller(&config).await?,
            Command::Worker(config) => roles::worker(&config).await?,
            Command::Migrate(config) => operator::migrate(&config).await?,
            Command::Config(ConfigCommand::Check(config)) => return operator::check(&config).await,
            Command::Config(ConfigCommand::Show(config)) => operator::show(&config)?,
            Command::User(UserCommand::Create {
                name,
                operator,
                config,
            }) => {
                operator::create_user(&config, &name, operator).await?;
            }
            Command::User(UserCommand::Token { name, config }) => operator::new_token(&config, &name).await?,
            Command::Chroot(ChrootCommand::Create(arguments)) => operator::create_chroots(&arguments).await?,
            Command::Chroot(ChrootCommand::Activate(ChrootNames { names, config })) => {
                operator::offer_chroots(&config, &names, true).await?;
            }
            Command::Chroot(ChrootCommand::Deactivate(ChrootNames { names, config })) => {
                operator::offer_chroots(&config, &names, false).await?;
            }
            Command::Chroot(ChrootCommand::List(config)) => operator::list_chroots(&config).await?,
            Command::Fleet(FleetCommand::Status { json, config }) => fleet::status(&config, json).await?,
            Command::Fleet(FleetCommand::Plan { json, config }) => fleet::plan(&config, json).await?,
            Command::Fleet(FleetCommand::Resume { pool, config }) => fleet::resume(&config, &pool).await?,
            Command::Openapi => crate::say(api::openapi_document().trim_end()),
        }
        Ok(ExitCode::SUCCESS)
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
