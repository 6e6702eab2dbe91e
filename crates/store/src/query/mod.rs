//! The operations, by topic. Each is a method of [`crate::Store`] and one transaction, or one statement that only reads.
//!
//! Order of locks, so that transactions on PostgreSQL do not wait for each other in a circle: the lease,
//! the project, builds by ascending id, the repository, and then whatever is changed by compare-and-set.

mod adoptions;
mod allocations;
mod assign;
mod attempts;
mod authentication;
mod build_summaries;
mod build_views;
mod builder_cache;
mod builders;
mod builds;
mod calls;
mod cancel;
mod chroots;
mod condition;
mod consoles;
mod contents;
mod events;
mod finish;
mod fleet;
mod fleet_cache;
mod fleet_files;
mod histories;
mod history;
mod hooks;
mod host_keys;
mod hosts;
mod ignored;
mod image_choices;
mod intents;
mod joins;
mod json;
mod launch;
mod launching;
mod leases;
mod marks;
mod money;
mod moves;
mod others;
mod packages;
mod present;
mod projects;
mod publications;
mod queue;
mod queue_cache;
mod renewals;
mod repositories;
mod shortages;
mod sightings;
mod signing_keys;
mod snapshots;
mod stopped;
mod submit;
mod transition;
mod users;
mod verdict;

pub use assign::Assignment;
pub use fleet_cache::FleetCache;
