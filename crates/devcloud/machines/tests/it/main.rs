//! Machines on this host, made and ended: as root, or as a user who has a range of ids.

// Tells clippy that helpers here are test code too.
#![cfg(test)]

mod ends;
mod faults;
mod host;
mod hosts;
mod outside;
mod support;
