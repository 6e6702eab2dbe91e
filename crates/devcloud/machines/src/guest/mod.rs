//! The programs that run inside namespaces: the hypervisor process, the step into a machine's network, and the
//! first process of each machine.
//!
//! They are this same program started again, so that a machine's image needs nothing of ours in it. They have no
//! asynchronous runtime (but for the last loop of `init`) and nothing of the API's side: they obey one socket
//! and end when it closes.

mod boot;
mod capture;
mod context;
mod enter;
mod hypervisor;
mod init;
mod machines;
mod network;

pub(crate) use capture::LAYER;
use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::ExitCode,
};

/// Runs one of the hidden steps, named by the first argument. To be called before any thread is started: two of
/// the steps are the first process of a process namespace, and one changes its own namespaces.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let (step, rest) = match args.split_first() {
        Some((step, rest)) => (step.to_str(), rest),
        None => (None, args.as_slice()),
    };
    match step {
        Some("hypervisor") => hypervisor::main(),
        Some("enter") => enter::main(rest),
        Some("init") => init::main(),
        _ => complain("this is an inner step of devcloud, which starts it by itself"),
    }
}

/// Says on standard error why a step cannot go on, and gives the exit status for it.
fn complain(reason: impl std::fmt::Display) -> ExitCode {
    // Where not even standard error is open the status has to do.
    writeln!(io::stderr(), "devcloud: {reason}").ok();
    ExitCode::FAILURE
}

/// Standard input as a socket of this process's own, closed on exec.
fn control_socket() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}
