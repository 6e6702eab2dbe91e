//! The step between the hypervisor and a machine: moves itself into the machine's control groups and network,
//! then becomes the command that makes the other namespaces.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Command, ExitCode},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::hypervisor::cgroup;

/// Arguments: the network namespace's file, any number of `cgroup.procs` files, `--`, the command.
pub(super) fn main(args: &[OsString]) -> ExitCode {
    match enter(args) {
        Ok(never) => match never {},
        Err(error) => super::complain(format_args!("a machine's process cannot be placed: {error}")),
    }
}

fn enter(args: &[OsString]) -> io::Result<std::convert::Infallible> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the arguments are incomplete");
    let (network, rest) = args.split_first().ok_or_else(wrong)?;
    let mut parts = rest.splitn(2, |argument| argument == "--");
    let (groups, command) = (parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?);
    let (program, arguments) = command.split_first().ok_or_else(wrong)?;
    for group in groups {
        // `0` is the writer itself, whatever its number in the group's namespace.
        cgroup::write(Path::new(group), "0")?;
    }
    let network = File::open(network)?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    Err(Command::new(program).args(arguments).exec())
}
