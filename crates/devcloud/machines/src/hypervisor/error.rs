//! What can go wrong with machines, by what the caller does about it, and the form in which it crosses the
//! control socket.

use std::{io, net::SocketAddrV4, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::MachineState;

/// An error of the hypervisor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This host cannot make the namespaces; the text says what is missing.
    #[error("machines cannot be made on this host: {reason}")]
    Unavailable {
        /// What failed and what to install or allow.
        reason: String,
    },
    /// A field of [`super::HypervisorConfig`] cannot work.
    #[error("the hypervisor's setting `{field}` is wrong: {reason}")]
    InvalidConfig {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another hypervisor uses the state directory and did not end in time.
    #[error("the state directory {} is in use by another hypervisor", path.display())]
    InUse {
        /// The state directory.
        path: PathBuf,
    },
    /// A field of the machine's specification was refused; nothing was made.
    #[error("the machine's `{field}` is wrong: {reason}")]
    InvalidSpec {
        /// The field's name.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hypervisor process has ended, and every machine with it. Start a new one.
    #[error("the hypervisor process has ended, and every machine with it")]
    Gone,
    /// There is no machine of this id, neither running nor stopped.
    #[error("there is no machine {id}")]
    NoSuchMachine {
        /// The instance id.
        id: String,
    },
    /// The machine is in another state than the call needs.
    #[error("machine {id} is {state:?}: cannot {wanted}")]
    WrongState {
        /// The instance id.
        id: String,
        /// The state it is in.
        state: MachineState,
        /// What was asked.
        wanted: String,
    },
    /// This host lacks what the call needs; it will fail every time.
    #[error("not possible on this host: {reason}")]
    Unsupported {
        /// What is missing.
        reason: String,
    },
    /// No answer within the deadline; the operation may still finish.
    #[error("no end of `{what}` within its deadline")]
    Timeout {
        /// The operation.
        what: String,
    },
    /// A TCP connection into the cloud's network could not be made.
    #[error("cannot connect to {address} in the cloud's network")]
    Connect {
        /// Where to.
        address: SocketAddrV4,
        /// The system's reason: refused, timed out, no route.
        #[source]
        source: io::Error,
    },
    /// A system call on this side of the control socket failed.
    #[error("cannot {what}")]
    Io {
        /// What was being done, with its path.
        what: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The hypervisor process could not do it; the machine is as it was before.
    #[error("cannot {what}: {reason}")]
    Failed {
        /// The step that failed.
        what: String,
        /// Why, in the words of the kernel or of the tool that was run.
        reason: String,
    },
}

/// [`Error`] as the hypervisor process tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    InvalidSpec {
        field: String,
        reason: String,
    },
    NoSuchMachine {
        id: String,
    },
    WrongState {
        id: String,
        state: MachineState,
        wanted: String,
    },
    Unsupported {
        reason: String,
    },
    Timeout {
        what: String,
    },
    Connect {
        address: SocketAddrV4,
        errno: i32,
    },
    Failed {
        what: String,
        reason: String,
    },
}

impl Failure {
    /// A failure of a step, with its reason in full.
    pub(crate) fn step(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Failed {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::InvalidSpec { field, reason } => Self::InvalidSpec { field, reason },
            Failure::NoSuchMachine { id } => Self::NoSuchMachine { id },
            Failure::WrongState { id, state, wanted } => Self::WrongState { id, state, wanted },
            Failure::Unsupported { reason } => Self::Unsupported { reason },
            Failure::Timeout { what } => Self::Timeout { what },
            Failure::Connect { address, errno } => Self::Connect {
                address,
                source: io::Error::from_raw_os_error(errno),
            },
            Failure::Failed { what, reason } => Self::Failed { what, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::{Error, Failure};
    use crate::machine::MachineState;

    #[test]
    fn a_failure_crosses_the_socket_and_says_the_same_on_the_other_side() {
        let id = || "i-12345678".to_owned();
        for (failure, said) in [
            (
                Failure::InvalidSpec {
                    field: "layers".to_owned(),
                    reason: "there are none".to_owned(),
                },
                "the machine's `layers` is wrong: there are none",
            ),
            (
                Failure::NoSuchMachine { id: id() },
                "there is no machine i-12345678",
            ),
            (
                Failure::WrongState {
                    id: id(),
                    state: MachineState::Stopped,
                    wanted: "reboot it".to_owned(),
                },
                "machine i-12345678 is Stopped: cannot reboot it",
            ),
            (
                Failure::Unsupported {
                    reason: "no control groups".to_owned(),
                },
                "not possible on this host: no control groups",
            ),
            (
                Failure::Timeout {
                    what: "start".to_owned(),
                },
                "no end of `start` within its deadline",
            ),
            (
                Failure::Connect {
                    address: "10.88.0.9:22".parse().unwrap(),
                    errno: 111,
                },
                "cannot connect to 10.88.0.9:22 in the cloud's network",
            ),
            (
                Failure::step("start i-12345678", "no room"),
                "cannot start i-12345678: no room",
            ),
        ] {
            let text = serde_json::to_string(&failure).unwrap();
            let received: Failure = serde_json::from_str(&text).unwrap();
            assert_eq!(received, failure, "{text}");
            assert_eq!(Error::from(received).to_string(), said);
        }
    }

    #[test]
    fn a_connection_that_was_refused_is_told_from_one_that_found_nobody() {
        for (errno, kind) in [
            (111, std::io::ErrorKind::ConnectionRefused),
            (110, std::io::ErrorKind::TimedOut),
            (113, std::io::ErrorKind::HostUnreachable),
        ] {
            let address = "10.88.0.9:22".parse().unwrap();
            let error = Error::from(Failure::Connect { address, errno });
            let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
            assert_eq!(source.kind(), kind);
        }
    }
}
