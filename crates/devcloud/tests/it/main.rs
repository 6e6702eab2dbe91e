//! The cloud from outside: real clients against it, with machines that are none and with real ones.

// Tells clippy that helpers here are test code too.
#![cfg(test)]

mod ec2;
mod ec2_real;
#[path = "../../machines/tests/it/host.rs"]
mod host;
mod real;
mod recovery;
mod rootless;
mod support;
