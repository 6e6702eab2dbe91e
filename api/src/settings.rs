//! What the HTTP process has to be told: addresses, directories, limits.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

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
    /// The longest silence of a client in the middle of a body.
    pub body_timeout: Duration,
    /// The most log streams that are open at once.
    pub max_log_streams: usize,
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

/// How long a client may be silent in the middle of a body by default.
pub const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How many log streams may be open at once by default.
pub const DEFAULT_MAX_LOG_STREAMS: usize = 1000;

impl ApiSettings {
    /// An address on this farm: `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.trim_end_matches('/'))
    }
}
