//! What differs between commits.

use std::{collections::BTreeMap, path::Path};

use api::{ApiSettings, DEFAULT_TOKEN_LIFETIME, Limits};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Everything below one directory.
pub(crate) fn settings(public_url: &str, directory: &Path) -> ApiSettings {
    ApiSettings {
        public_url: public_url.to_owned(),
        results_root: directory.join("results"),
        spool_dir: directory.join("spool"),
        source_root: directory.join("sources"),
        mirrors: BTreeMap::new(),
        max_upload_bytes: 1 << 30,
        min_free_bytes: 0,
        token_lifetime: DEFAULT_TOKEN_LIFETIME,
        limits: Limits::default(),
    }
}
