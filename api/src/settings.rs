//! What the HTTP process has to be told: addresses, directories, limits.

use std::{collections::BTreeMap, fmt::Display, path::PathBuf, time::Duration};

use ipnet::IpNet;

use crate::http::pace::Pace;

/// How the HTTP process is set up. Every path is absolute; `spool_dir` and `source_root` lie on one file
/// system, because an upload becomes a source by being renamed.
#[derive(Clone)]
pub struct ApiSettings {
    /// The address that people and clients use, such as `https://copr.example.org`; a slash at its end is
    /// ignored.
    pub public_url: String,
    /// Where results and repositories lie: `<owner>/<directory>/<chroot>/...`.
    pub results_root: PathBuf,
    /// Where uploads lie until they are known to be good.
    pub spool_dir: PathBuf,
    /// Where source packages lie, by digest: `ab/<sha256>/<file name>`.
    pub source_root: PathBuf,
    /// Directories served below `/mirrors/NAME/`: distributions that builders reach nowhere else.
    pub mirrors: BTreeMap<String, PathBuf>,
    /// The largest source package that is taken, in bytes.
    pub max_upload_bytes: u64,
    /// An upload is refused when it would leave less than this many bytes free.
    pub min_free_bytes: u64,
    /// For how long a new API token is good.
    pub token_lifetime: Duration,
    /// What clients may take of the server's connections and time.
    pub limits: Limits,
}

/// What clients may take of the server's connections and time. A client is an IPv4 address or an IPv6 network of 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. Never more than the process has descriptors for beside its other work.
    pub connections: usize,
    /// Connections of one client at once, and never more than half of all. Those of trusted proxies do not count.
    pub connections_per_client: usize,
    /// Proxies in front, whose header `X-Forwarded-For` names the client.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a connection may wait for the whole head of its next request.
    pub head_timeout: Duration,
    /// The longest silence of a client in the middle of a body, and the longest time in which he takes nothing of an answer.
    pub body_timeout: Duration,
    /// How many bytes a second a client has to send of a long body, or take of a long answer, on the average since it began.
    /// [`Self::body_timeout`] is his from the start.
    pub min_rate: u64,
    /// The longest time for a whole body, and for a piece of an answer that is taken slowly.
    pub request_timeout: Duration,
    /// Log streams at once.
    pub log_streams: usize,
    /// Log streams of one client at once.
    pub log_streams_per_client: usize,
}

impl Limits {
    /// The slowest that a body or an answer may be.
    pub(crate) const fn pace(&self) -> Pace {
        Pace {
            patience: self.body_timeout,
            min_rate: self.min_rate,
            longest: self.request_timeout,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_client: 256,
            trusted_proxies: Vec::new(),
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            min_rate: 1 << 10,
            request_timeout: Duration::from_secs(6 * 3600),
            log_streams: 1000,
            log_streams_per_client: 32,
        }
    }
}

/// The longest body of a request that is not an upload, in bytes.
pub(crate) const MAX_BODY_BYTES: u64 = 1 << 20;

/// What a multipart upload may hold beyond the file itself, in bytes.
pub(crate) const UPLOAD_OVERHEAD_BYTES: u64 = 2 << 20;

/// How long a build may take when its submitter does not say, in seconds; Copr's default.
pub(crate) const DEFAULT_BUILD_TIMEOUT: u64 = 5 * 3600;

/// The longest time a build may ask for, in seconds; Copr's limit.
pub(crate) const MAX_BUILD_TIMEOUT: u64 = 30 * 3600;

/// How long a token lasts in Copr.
pub const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

impl ApiSettings {
    /// An address on this farm: `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: impl Display) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }
}
