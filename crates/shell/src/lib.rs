//! SSH to builders: pinned connections, commands, transfers.
//!
//! A builder is reached by one [`Connection`] to an [`Endpoint`], opened with the one [`HostKey`] that is
//! expected there. On it run [`Command`]s (an argument vector, quoted here and nowhere else), whose output is
//! collected with a limit ([`Connection::run`]) or followed as it comes ([`Connection::stream`]), and files go
//! both ways with their digest checked ([`Connection::upload`], [`Connection::download`]). Many small scripts share a shell that
//! stays open ([`OpenShell`]).
//!
//! This crate must never: trust a key on first use by itself, build a command by joining text, take the end of
//! a connection for success, or wait without a limit. It is the only owner of `russh`, knows nothing of
//! builders, builds or playbooks, and keeps no list of known hosts: who expects which key is the caller's matter. It only reads
//! a file of known hosts for a caller who names one ([`HostKey::known`]), and asks a machine for the key that it shows
//! ([`HostKey::shown_at`]).
//!
//! Start reading at [`connection`], then the module `session`, which is the heart: it reads and writes a channel at the same
//! time and decides what its end means.

pub mod command;
pub mod connection;
pub mod error;
pub mod event;
pub mod key;
mod known;
pub mod open_shell;
mod session;
mod socket;
pub mod stream;
pub mod transfer;

pub use command::Command;
pub use connection::{Connection, Endpoint, Timeouts};
pub use error::Error;
pub use event::{Chunk, Exit};
pub use key::{ClientKey, HostKey};
pub use open_shell::OpenShell;
pub use session::{Input, Output, RunOptions};
pub use stream::{Progress, Stream};
pub use transfer::{Download, Downloaded, Upload};
