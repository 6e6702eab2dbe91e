//! Runs one attempt on one builder, and publishes what comes of it.
//!
//! A worker takes up allocations that the controller offers, stages the source on the builder, starts the
//! build there *detached*, follows its log by offset, collects the results by a checked manifest, signs them,
//! and puts them into the project's repository. A worker that is killed finds its attempts again by its
//! name, and the build on the builder has gone on meanwhile. Now and then it takes off the disk what nothing refers to.
//! Builders are hostile: nothing that one says is believed without a check.
//!
//! It holds no cloud credentials and serves nobody. Start with [`Worker::run`] and `attempt`; `session` is the seam to the
//! builders.

mod archive;
mod attempt;
mod collect;
mod context;
mod error;
#[cfg(test)]
mod fake;
mod history;
mod journal;
mod late;
mod leases;
mod log;
mod packages;
mod prune;
mod publish;
mod session;
mod signer;
mod ssh;
mod staged;
mod sweep;
mod task;
#[cfg(test)]
mod testing;
mod unlocked;
mod wording;
mod worker;

pub use context::{Context, Limits};
pub use error::Error;
pub use session::{
    BuildOnBuilder, BuilderSession, LeftOut, LogStream, Offer, Sessions, Status, Verdict, VerdictWord,
};
pub use ssh::SshSessions;
pub use unlocked::UnlockedKeys;
pub use worker::Worker;
