//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{fleet, operator, roles, up};

/// A build farm for RPM packages.
#[derive(Debug, Parser)]
#[command(name = "verdigris", version, about, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the settings are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Config {
    /// The settings file; without it, defaults and VERDIGRIS_SECTION__KEY from the environment.
    #[arg(long, env = "VERDIGRIS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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

/// How the whole farm is run.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpArguments {
    /// The directory that holds everything; made at the first start.
    #[arg(
        long,
        env = "VERDIGRIS_DIRECTORY",
        default_value = "verdigris-data",
        value_name = "DIR"
    )]
    pub(crate) directory: PathBuf,
    /// The address to listen on: 127.0.0.1:5080. Kept as `http.listen` in the directory's verdigris.toml.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// The machine image of the embedded cloud, which `cargo xtask image` makes. Needed once: kept as `devcloud.image`.
    #[arg(long, env = "VERDIGRIS_IMAGE", value_name = "DIR")]
    pub(crate) image: Option<PathBuf>,
    /// Let builders of the embedded cloud reach the network of this machine and what is behind it; needs slirp4netns. Kept
    /// as `devcloud.public_network`.
    #[arg(long)]
    pub(crate) public_network: bool,
    /// A distribution to build on, served to builders: NAME=DIR, a directory with `repodata`. May be given
    /// more than once, and is kept in `http.mirrors`.
    #[arg(long = "mirror", value_name = "NAME=DIR", value_parser = mirror)]
    pub(crate) mirrors: Vec<(String, PathBuf)>,
    /// The most builders at once: 4. For the first start; later it is `max` in the directory's fleet.yaml.
    #[arg(long, value_name = "COUNT")]
    pub(crate) builders: Option<u32>,
    /// How many builders to hold ready: 2. For the first start; later it is `idle` in fleet.yaml.
    #[arg(long, value_name = "COUNT")]
    pub(crate) idle: Option<u32>,
}

fn mirror(text: &str) -> Result<(String, PathBuf), String> {
    let (name, directory) = text.split_once('=').ok_or("expected NAME=DIR")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(format!(
            "`{name}` is not a name of letters, digits, dots and dashes"
        ));
    }
    Ok((name.to_owned(), PathBuf::from(directory)))
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

/// Chroots that are there.
#[derive(Clone, Debug, Args)]
struct ChrootNames {
    /// Their names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    config: Config,
}

/// New chroots.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChrootCreate {
    /// Names as mock has them, such as fedora-43-x86_64.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// What people see beside the name.
    #[arg(long, default_value = "")]
    pub(crate) comment: String,
    /// A repository to install the build root from; without any, builders with mock use mock's own
    /// configuration of that name. `{farm}` at the start of a URL stands for the farm's own address. Packages
    /// are verified with the key; without one they are not. May be given more than once.
    #[arg(long = "repository", value_name = "ID=URL[,gpgkey=URL]")]
    pub(crate) repositories: Vec<String>,
    /// A package of the minimal build root; may be given more than once.
    #[arg(long = "buildroot-package", value_name = "PACKAGE")]
    pub(crate) buildroot_packages: Vec<String>,
    /// Make them, but offer them to nobody until `chroot activate`.
    #[arg(long)]
    pub(crate) inactive: bool,
    #[command(flatten)]
    pub(crate) config: Config,
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

    use super::{Arguments, mirror};

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_mirrors_name_cannot_leave_its_directory() {
        assert!(mirror("microdistro=here").is_ok());
        for bad in ["here", "=here", "../x=here", ".x=here", "a/b=here"] {
            assert!(mirror(bad).is_err(), "{bad}");
        }
    }
}
