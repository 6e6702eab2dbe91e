//! What commands are told on the command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, value_parser};
use runtime::settings::{NO_LISTENER, is_mirror_name};

/// Where the settings are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Config {
    /// The settings file; without it, defaults and VERDIGRIS_SECTION__KEY from the environment.
    #[arg(long, env = "VERDIGRIS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What is checked, and for whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArguments {
    /// Check what this process needs, and nothing else. Without it, all that any process needs is checked; the database's role
    /// then has to do for one of them.
    #[arg(long, value_enum, value_name = "PROCESS")]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) config: Config,
}

/// A process of the farm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// The whole farm in one process.
    Up,
    /// The HTTP service.
    Api,
    /// What rents builders.
    Controller,
    /// What builds and publishes.
    Worker,
}

/// A user who is there.
#[derive(Clone, Debug, Args)]
pub(crate) struct UserArguments {
    /// The user's name.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: Config,
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
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listener)]
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
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) builders: Option<u32>,
    /// How many builders to hold ready: 2. For the first start; later it is `idle` in fleet.yaml.
    #[arg(long, value_name = "COUNT")]
    pub(crate) idle: Option<u32>,
}

fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("it is {NO_LISTENER}"))
}

fn mirror(text: &str) -> Result<(String, PathBuf), String> {
    let (name, directory) = text.split_once('=').ok_or("expected NAME=DIR")?;
    if !is_mirror_name(name) {
        return Err(format!(
            "`{name}` is not a name of at most 64 letters, digits, dots, dashes and underscores"
        ));
    }
    if directory.is_empty() {
        return Err(format!("no directory is named for {name}"));
    }
    Ok((name.to_owned(), PathBuf::from(directory)))
}

/// Chroots that are there.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChrootNames {
    /// Their names.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) config: Config,
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

#[cfg(test)]
mod tests {
    use super::mirror;

    #[test]
    fn a_mirrors_name_cannot_leave_its_directory() {
        assert!(mirror("microdistro=here").is_ok());
        for bad in ["here", "x=", "=here", "../x=here", ".x=here", "a/b=here"] {
            assert!(mirror(bad).is_err(), "{bad}");
        }
    }
}
