//! Makes a bare instance a builder: playbooks and provision-files over SSH.
//!
//! A playbook is a file in Ansible's language, of which a documented subset (`playbooks/README.md`) is run natively
//! over one SSH connection: idempotent, with `ok` or `changed` for each task, a check mode and diffs. The real
//! `ansible-playbook` runs the same files to the same result, which a test proves; it is the other runner, [`Ansible`].
//!
//! This crate must never: do part of a playbook and call it done, understand a keyword differently from Ansible
//! without saying so at load, put text of others into shell code, or start anything that has no time limit. It
//! decides nothing about builders' lives and speaks to no cloud and no database.
//!
//! Start reading at [`PlaybookRunner`] and [`Provisioner`], our own runner, then `runner.rs` (plays, tasks, conditions, loops), `module.rs` and below
//! it one file per family of modules. `expression.rs` and below it is Jinja as Ansible evaluates it, over the values of
//! `value.rs`. `playbook/parse.rs` is where mistakes of operators are found, `staging.rs`
//! renders `provision-files/`.

mod ansible;
mod arguments;
mod catalogue;
mod diff;
mod error;
mod expression;
mod folder;
mod host;
mod module;
mod outcome;
mod playbook;
mod provisioner;
mod report;
mod runner;
mod scratch;
mod scripts;
mod staging;
mod target;
mod value;
mod words;
mod yaml;

pub use ansible::Ansible;
pub use error::{Error, Mistake, TaskFailure};
pub use provisioner::Provisioner;
pub use report::{Mode, Outcome, Report, TaskReport};
pub use target::{PlaybookRunner, Progress, Request, Target};
