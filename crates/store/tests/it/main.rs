//! The store against real databases: every behaviour on SQLite and on PostgreSQL.

#![cfg(test)]

#[macro_use]
mod support;

mod accounts;
mod adoptions;
mod allocations;
mod assignment;
mod builders;
mod builds;
mod calls;
mod cancel;
mod chroots;
mod claims;
mod condition;
mod connections;
mod consoles;
mod events;
mod farm;
mod fleets;
mod full_disk;
mod history;
mod hooks;
mod host_keys;
mod hosts;
mod image_choices;
mod intents;
mod leases;
mod long_queue;
mod many;
mod migrations;
mod money;
mod notices;
mod others;
mod packages;
mod plans;
mod projects;
mod publications;
mod publishing;
mod queue;
mod repositories;
mod reuse;
mod rights;
mod shortages;
mod sightings;
mod signing_keys;
mod texts;
mod users;
mod verdicts;
mod versions;
