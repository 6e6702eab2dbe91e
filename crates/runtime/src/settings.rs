//! The settings of a process: defaults, then `verdigris.toml`, then `VERDIGRIS_SECTION__KEY` from the
//! environment. Unknown keys are errors, and all mistakes are reported at once.

mod bounds;
mod environment;
mod filter;
mod mistakes;
mod section;
mod syntax;
mod words;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
    value::Value,
};
use model::{
    nearest::nearest,
    quantity::{ByteSize, Span},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::mistakes::{At, Mistakes};
use crate::{Error, text};

mod network;

pub use bounds::is_mirror_name;
pub(crate) use filter::filter as log_filter;
pub use network::{InvalidNetwork, Network};
pub use words::NO_LISTENER;

/// Everything that an operator may set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub database: DatabaseSettings,
    /// The HTTP service.
    pub http: HttpSettings,
    /// Where files are kept.
    pub storage: StorageSettings,
    /// The fleet and what makes machines builders.
    pub fleet: FleetSettings,
    pub worker: WorkerSettings,
    /// The cloud inside `verdigris up`.
    pub devcloud: DevcloudSettings,
    /// Where controller and worker answer probes.
    pub health: HealthSettings,
    /// Logs.
    pub log: LogSettings,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `sqlite:///path/of/file` or `postgres://user:password@host/database`; `verdigris.db` in the storage directory when left
    /// out: see [`Settings::database_url`].
    pub url: Option<String>,
    /// The most connections one process opens.
    pub max_connections: u32,
    /// For how long it keeps builders that ended, with their launches and allocations, and events. Builds stay until somebody
    /// deletes them.
    pub keep_history: Span,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            max_connections: 8,
            keep_history: Span::seconds(30 * 24 * 3600),
        }
    }
}

/// The HTTP service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The farm's address as people and dnf reach it; the listening address when left out, or that of the machine itself
    /// where it listens on all.
    pub public_url: Option<String>,
    /// The farm's address as builders reach it; the public one when left out.
    pub builder_url: Option<String>,
    /// The largest source that may be uploaded.
    pub max_upload: ByteSize,
    /// Directories served below `/mirrors/NAME/`, for distributions that builders reach nowhere else.
    pub mirrors: BTreeMap<String, PathBuf>,
    /// The most connections at once; fewer where the process may not have that many files open.
    pub max_connections: usize,
    /// The most connections of one client at once: of an IPv4 address, or a /64 network of IPv6.
    pub max_connections_per_client: usize,
    /// Proxies in front of the farm: their connections are not counted as one client's, and the header `X-Forwarded-For`
    /// of theirs names the client.
    pub trusted_proxies: Vec<Network>,
    /// How long a connection may wait for the whole head of its next request.
    pub head_timeout: Span,
    /// The longest silence in the middle of a body, and the longest time in which nothing of an answer is taken.
    pub body_timeout: Span,
    /// How much a client has to send or take per second, on the average, once a body or an answer took longer than
    /// `body_timeout`.
    pub min_rate: ByteSize,
    /// The longest time for the whole body of a request.
    pub request_timeout: Span,
    /// The most logs that are followed at once.
    pub max_log_streams: usize,
    /// The most logs that one client follows at once.
    pub max_log_streams_per_client: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5080)),
            public_url: None,
            builder_url: None,
            max_upload: ByteSize::mebibytes(2048),
            mirrors: BTreeMap::new(),
            max_connections: 4096,
            max_connections_per_client: 256,
            trusted_proxies: Vec::new(),
            head_timeout: Span::seconds(30),
            body_timeout: Span::seconds(60),
            min_rate: ByteSize::kibibytes(1),
            request_timeout: Span::seconds(6 * 3600),
            max_log_streams: 1000,
            max_log_streams_per_client: 32,
        }
    }
}

impl HttpSettings {
    /// The farm's address as people reach it, without a slash at its end. One that listens on all of its machine's addresses
    /// has none of them for a name: it is reached on its own machine then, until `public_url` is set.
    #[must_use]
    pub fn public_url(&self) -> String {
        let mut here = self.listen;
        if here.ip().is_unspecified() {
            here.set_ip(match here {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let url = self
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{here}"));
        url.trim_end_matches('/').to_owned()
    }

    /// The farm's address as builders reach it, without a slash at its end.
    #[must_use]
    pub fn builder_url(&self) -> String {
        self.builder_url
            .as_deref()
            .map_or_else(|| self.public_url(), |url| url.trim_end_matches('/').to_owned())
    }
}

/// Where files are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSettings {
    /// The directory of the farm's own state; the others lie in it unless set.
    pub directory: PathBuf,
    /// Published results.
    pub results: Option<PathBuf>,
    /// Uploaded sources.
    pub sources: Option<PathBuf>,
    /// Keys: what encrypts signing keys, and the key that opens builders.
    pub secrets: Option<PathBuf>,
    /// Uploads and collections are refused when less than this would stay free.
    pub min_free: ByteSize,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("/var/lib/verdigris"),
            results: None,
            sources: None,
            secrets: None,
            min_free: ByteSize::mebibytes(512),
        }
    }
}

impl StorageSettings {
    /// Where published results are.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        self.results
            .clone()
            .unwrap_or_else(|| self.directory.join("results"))
    }

    /// Where uploaded sources are.
    #[must_use]
    pub fn sources(&self) -> PathBuf {
        self.sources
            .clone()
            .unwrap_or_else(|| self.directory.join("sources"))
    }

    /// Where keys are.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.secrets
            .clone()
            .unwrap_or_else(|| self.directory.join("secrets"))
    }
}

/// The fleet and what makes machines builders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSettings {
    /// The file with clouds and pools; `fleet.yaml` in the storage directory when left out.
    pub file: Option<PathBuf>,
    /// The directory of playbooks, instead of the built-in ones.
    pub playbooks: Option<PathBuf>,
    /// The directory of files for builders, instead of the built-in ones.
    pub provision_files: Option<PathBuf>,
}

/// The worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Its name among workers: the same after a restart, different from all others. The host name when
    /// left out.
    pub name: Option<String>,
    /// How many attempts it drives at once.
    pub parallel: usize,
    /// The largest log of one attempt.
    pub max_log: ByteSize,
    /// The largest sum of one attempt's results.
    pub max_results: ByteSize,
    /// The algorithm of the signing keys that it makes for new projects.
    pub signing_keys: SigningKeys,
}

/// The algorithm of signing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningKeys {
    /// EdDSA, which rpm verifies since 4.16.
    Ed25519,
    /// RSA with 4096 bits, which every rpm verifies.
    Rsa4096,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            name: None,
            parallel: 32,
            max_log: ByteSize::mebibytes(256),
            max_results: ByteSize::mebibytes(16 * 1024),
            signing_keys: SigningKeys::Ed25519,
        }
    }
}

/// The cloud inside `verdigris up`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevcloudSettings {
    /// The directory of the machine image that its instances boot.
    pub image: Option<PathBuf>,
    /// Whether its instances reach the network outside, by translation of addresses.
    pub public_network: bool,
}

/// Where controller and worker answer probes; the api does so where it serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSettings {
    /// The address to listen on; none when left out.
    pub listen: Option<SocketAddr>,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// What is logged, in the language of tracing's filters.
    pub filter: String,
    /// The form of each line: `text` for people, `json` for programs.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

const SECTIONS: [&str; 8] = [
    "database", "http", "storage", "fleet", "worker", "devcloud", "health", "log",
];

impl Settings {
    /// Reads the settings: defaults, the file, if there is one, and the process's environment.
    ///
    /// # Errors
    /// All mistakes of all sections at once.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        Self::load_with(file, std::env::vars_os())
    }

    /// Like [`Settings::load`], with another environment than the process's own.
    ///
    /// # Errors
    /// All mistakes of all sections at once.
    pub fn load_with(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        let defaults = Figment::from(Serialized::defaults(Self::default()));
        let mut figment = defaults.clone();
        let mut mistakes = Mistakes::new("the environment", None);
        if let Some(path) = file {
            let (text, name) = (text::read(path)?, path.display().to_string());
            refuse_no_toml(&text, &name)?;
            figment = figment.merge(Toml::string(&text));
            mistakes = Mistakes::new(&name, Some(&text));
        }
        let figment = environment::merge(figment, &defaults, variables, &mut mistakes);
        Self::extract(&figment, mistakes)
    }

    /// The database's address: in the storage directory unless it is named.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database.url.clone().unwrap_or_else(|| {
            let file = self.storage.directory.join("verdigris.db");
            // What has a meaning in an address stands for itself in a path.
            let path = file.display().to_string().replace('%', "%25").replace('?', "%3F");
            format!("sqlite://{path}")
        })
    }

    fn extract(figment: &Figment, mut mistakes: Mistakes) -> Result<Self, Error> {
        // What cannot be read at all is told by each section.
        let sections = figment.extract::<BTreeMap<String, Value>>().unwrap_or_default();
        for section in sections.keys().filter(|key| !SECTIONS.contains(&key.as_str())) {
            let hint = nearest(section, &SECTIONS)
                .map_or_else(String::new, |near| format!(", did you mean `[{near}]`?"));
            let words = format!("there is no section `[{section}]`{hint}");
            let metadata = figment.find_metadata(section);
            match metadata.filter(|metadata| environment::is_variable(&metadata.name)) {
                Some(metadata) => mistakes.of_variable(&metadata.name, &words),
                None => mistakes.of_setting(&[section], "", At::Key, &words),
            }
        }
        let settings = Self {
            database: section::read(figment, "database", &mut mistakes),
            http: section::read(figment, "http", &mut mistakes),
            storage: section::read(figment, "storage", &mut mistakes),
            fleet: section::read(figment, "fleet", &mut mistakes),
            worker: section::read(figment, "worker", &mut mistakes),
            devcloud: section::read(figment, "devcloud", &mut mistakes),
            health: section::read(figment, "health", &mut mistakes),
            log: section::read(figment, "log", &mut mistakes),
        };
        // What could not be read has its default here, which is within its bounds.
        bounds::check(&settings, figment, &mut mistakes);
        mistakes.into_error().map_or(Ok(settings), Err)
    }
}

/// Reads another TOML file of an operator's, which may hold secrets; `name` stands for it in errors.
///
/// # Errors
/// When the text is not a `T`.
pub fn parse_toml<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, Error> {
    refuse_no_toml(text, name)?;
    Figment::from(Toml::string(text))
        .extract()
        .map_err(|errors: figment::Error| {
            let mut mistakes = Mistakes::new(name, Some(text)).without_lines();
            let fallback = errors.to_string();
            errors
                .into_iter()
                .for_each(|error| words::tell_flat(&error, &mut mistakes));
            mistakes.into_error().unwrap_or(Error::Mistakes {
                path: name.to_owned(),
                mistakes: vec![fallback],
            })
        })
}

fn refuse_no_toml(text: &str, name: &str) -> Result<(), Error> {
    match syntax::mistake(text, name) {
        Some(mistake) => Err(Error::Mistakes {
            path: name.to_owned(),
            mistakes: vec![mistake],
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
