//! What crosses the control socket between this process and the hypervisor process, and between the hypervisor
//! and the first process of each machine.
//!
//! The socket is a `SOCK_SEQPACKET` pair: one message is one packet of JSON, with at most one file descriptor
//! beside it. Both ends are the same program, so an unknown field is a defect and refused.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::PathBuf,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::error::Failure;
use crate::machine::{MachineSpec, MachineState};

/// The largest packet, in bytes; a thousand machines in one list stay below it.
pub(crate) const PACKET_MAX: usize = 128 * 1024;

/// What the hypervisor process is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greeting {
    pub(crate) state_dir: PathBuf,
    pub(crate) cloud_id: String,
    pub(crate) rootless: bool,
    /// Whether there will be a way to the outside.
    pub(crate) outside: bool,
    /// The leading arguments after the program that lead to [`crate::guest::main`].
    pub(crate) helper_arguments: Vec<String>,
}

/// What it answers when its network is up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Welcome {
    /// Machines with a disk from an earlier run.
    pub(crate) leftovers: Vec<String>,
    pub(crate) limits_memory: bool,
    pub(crate) limits_processes: bool,
    pub(crate) can_freeze: bool,
}

/// A numbered request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Run(MachineSpec),
    Stop {
        id: String,
        politely: bool,
    },
    Start {
        id: String,
    },
    Reboot {
        id: String,
    },
    Terminate {
        id: String,
    },
    Capture {
        id: String,
        image: String,
        reboot: bool,
    },
    DiscardImage {
        image: String,
    },
    State {
        id: String,
    },
    List,
    SetLink {
        id: String,
        up: bool,
    },
    Freeze {
        id: String,
        frozen: bool,
    },
    Connect {
        address: SocketAddrV4,
        timeout_milliseconds: u64,
    },
    Listen {
        address: SocketAddrV4,
    },
    /// The device of the way to the outside is there: it joins the machines' network.
    JoinOutside,
    Shutdown,
}

/// What comes back: answers by number, and events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Answer {
        number: u64,
        result: Result<Answer, Failure>,
    },
    Ended {
        id: String,
        state: MachineState,
    },
}

/// A good answer. `Descriptor` has the file descriptor beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    State(MachineState),
    Machines(Vec<(String, MachineState)>),
    Descriptor,
}

/// What the first process of a machine is told by the hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitConfig {
    pub(crate) instance_id: String,
    pub(crate) host_name: String,
    pub(crate) private_address: Ipv4Addr,
    pub(crate) layers: Vec<PathBuf>,
    /// The directory with `upper`, `work`, `root`, `data` and `verdigris`.
    pub(crate) disk: PathBuf,
    /// Overlay metadata goes into `user.*` attributes: in a user namespace the `trusted.*` ones are out of reach.
    pub(crate) rootless: bool,
    /// Who answers questions for names, where somebody does.
    pub(crate) name_server: Option<Ipv4Addr>,
    /// Whether it makes a host key of its own, whatever its user data brought.
    pub(crate) other_host_key: bool,
    /// Whether it makes a new host key where it has one.
    pub(crate) host_key_changes: bool,
}

/// What the first process of a machine says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InitReport {
    /// It stands on its own root.
    Ready,
    /// It cannot, and has ended.
    Failed { what: String, reason: String },
}

/// What the first process of a machine is asked later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InitRequest {
    /// End everything politely, then yourself.
    PowerOff,
}

/// The exit status by which a machine's first process asks to be started again.
pub(crate) const REBOOT_STATUS: i32 = 3;

/// A pair of connected control sockets, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The asynchronous side of a control socket: to be used by `async_io` with [`send`] and [`receive`] only, for it
/// carries packets and no stream.
pub(crate) fn watched(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = StdUnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Sends one message, with at most one file descriptor.
pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptor: Option<&OwnedFd>,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > PACKET_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the message is larger than a packet",
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.iter().map(|descriptor| descriptor.as_fd()).collect();
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a file descriptor"));
    }
    // NOSIGNAL: an ended peer is an error here, not the end of this process.
    retry(|| {
        sendmsg(
            &socket,
            &[IoSlice::new(&bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    Ok(())
}

/// Receives one message and its file descriptor, if it has one. `None` when the peer has closed.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut buffer = vec![0_u8; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry(|| {
        recvmsg(
            &socket,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptor = descriptors.last();
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet was larger than allowed",
        ));
    }
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    Ok(Some((serde_json::from_slice(bytes)?, descriptor)))
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests;
