//! The HTTP side from the outside: requests against a real SQLite database in a temporary directory, source
//! packages made by a real rpmbuild, the real `copr-cli`, and a builder's and worker's part played by hand.

// Tells clippy that helpers here are test code too.
#![cfg(test)]

mod bounds;
mod builds;
mod callers;
mod client;
mod connections;
mod drive;
mod errors;
mod farm;
mod generators;
mod lists;
mod logs;
mod metrics;
mod openapi;
mod pages;
mod project_texts;
mod projects;
mod refusals;
mod results;
mod rpms;
mod schema;
mod server;
mod twins;
mod upload;
