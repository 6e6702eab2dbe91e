//! What goes into the store and what comes out: plain structs of domain types. None of them is a row; rows
//! are converted, and a row that does not convert is [`crate::Error::Corrupt`].

mod attempt;
mod build;
mod calls;
mod event;
mod fleet;
mod hook;
mod package;
mod project;
mod publication;
mod user;
mod word;

pub use attempt::{Allocation, AllocationState, Attempt, BuiltPackage, CollectedPackage, Outcome, Renewal};
pub use build::{
    Build, BuildChroot, BuildFilter, BuildOptions, BuildSummary, CancelOutcome, NewUpload, ProjectKey,
    StoredSource, Verdict,
};
pub use calls::{CallBudget, CallNews, TakenCalls};
pub use event::{Event, EventFilter};
pub use fleet::{
    Adoption, Builder, Change, Console, FarmCounts, FleetView, HostRecord, LaunchAttempt, Lease, NewBuilder,
    NewHost, NewLaunch, Orphan, OtherMachines, QueueEntry, QueuePage, Reasons, Sighting, machines_by_cloud,
};
pub use hook::{HookEnd, HookRun, HookState, NewHookRun};
pub use package::{LastBuilds, MonitorPage, Package, PackageBuilds, PackageChroots};
pub use project::{Chroot, LockedKey, NewProject, Order, Page, Project, ProjectFilter, ProjectSettings};
pub use publication::{
    Publication, PublishedPackage, PublishedSnapshot, RepositoryKey, RepositoryPlace, SnapshotRecord,
};
pub use user::{IssuedToken, NewUser, User};
pub use word::UnknownWord;
