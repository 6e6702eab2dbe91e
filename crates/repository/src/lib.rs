//! RPM repositories and build results: what the farm hands to `dnf`.
//!
//! From the files that a builder returned to a repository that clients trust: [`manifest`] decides what may
//! leave a builder, [`package`] reads and verifies RPM packages, [`key`] and [`sign`] hold a project's signing
//! key and use it, [`metadata`] writes what `createrepo_c` would write, and [`publish`] puts it on disk so that
//! a reader sees one complete state or the next, never a mixture. [`repo_file()`] is the text that clients fetch.
//!
//! Everything read here comes from builders and users, so it is hostile: counts and sizes are bounded before
//! anything is allocated, names are checked by a grammar before they become paths, and nothing panics. The
//! crate never asks the network, never runs a program, never reads a clock (`now` is an argument), and never
//! writes a secret key in the clear. It is synchronous: callers in async code use `spawn_blocking`.
//!
//! Why there is no `rpm` crate here: version 0.30 indexes the header by offsets it has not checked, so that a
//! hostile header makes it panic. The format is small; `header` reads it with every bound checked.
//!
//! Start with [`publish::Publisher`].

mod disk;
mod error;
mod header;
pub mod key;
pub mod manifest;
pub mod metadata;
pub mod package;
pub mod publish;
pub mod repo_file;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, Result};
pub use key::{KeyAlgorithm, Passphrase, SigningKey};
pub use manifest::{Manifest, ManifestEntry, ManifestLimits};
pub use metadata::PackageMetadata;
pub use package::{Package, SourcePackage, belongs, read_package, read_source_rpm};
pub use publish::{BuildDirectory, Publisher, RepositoryId, Retention, STAGING, Snapshot, TRASH};
pub use repo_file::{RepoDependency, RepoFile, repo_file};
pub use sign::sign_package;
