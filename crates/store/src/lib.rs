//! The farm's database: entities, migrations and queries, the same on SQLite and PostgreSQL.
//!
//! Everything is a method of [`Store`], and each is one transaction, or one statement that only reads: it happens as a whole or
//! not at all.
//! Whoever decides on a look at something that may change meanwhile gets [`Error::Conflict`] when it did.
//! Every transition writes an event in its transaction. The present moment is always an argument.
//!
//! This crate never reads a clock to decide, never logs a secret, never hands out a row, and never waits for
//! the database without a limit of time. Nothing outside it knows SQL or sea-orm.
//!
//! Start with `types` (what goes in and out), then `database` (connections and transactions), then `query`
//! (the operations, by topic); `query::verdict` is where attempts end.

mod convert;
mod database;
mod entity;
mod error;
mod grant;
mod health;
mod migration;
mod notifications;
mod query;
mod rights;
#[cfg(feature = "testing")]
pub mod testing;
mod types;

pub use database::{DataVersion, DatabaseSettings, Store, without_secrets};
pub use error::{Error, Result};
pub use notifications::Notifications;
pub use query::{Assignment, FleetCache};
pub use rights::Process;
pub use types::{
    Adoption, Allocation, AllocationState, Attempt, Build, BuildChroot, BuildFilter, BuildOptions,
    BuildSummary, Builder, BuiltPackage, CallBudget, CallNews, CancelOutcome, Change, Chroot,
    CollectedPackage, Console, Event, EventFilter, FarmCounts, FleetView, HookEnd, HookRun, HookState,
    HostRecord, IssuedToken, LastBuilds, LaunchAttempt, Lease, LockedKey, MonitorPage, NewBuilder,
    NewHookRun, NewHost, NewLaunch, NewProject, NewUpload, NewUser, Order, Orphan, OtherMachines, Outcome,
    Package, PackageBuilds, PackageChroots, Page, Project, ProjectFilter, ProjectKey, ProjectSettings,
    Publication, PublishedPackage, PublishedSnapshot, QueueEntry, QueuePage, Reasons, Renewal, RepositoryKey,
    RepositoryPlace, Sighting, SnapshotRecord, StoredSource, TakenCalls, UnknownWord, User, Verdict,
    machines_by_cloud,
};
