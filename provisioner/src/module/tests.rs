//! Each module on this machine, in a folder of its own: what it says, what it does, and that a second run has nothing to do.

mod accounts;
mod commands;
mod control;
mod copies;
mod files;
mod folders;
mod lines;
mod packages;
