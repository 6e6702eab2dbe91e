//! What comes of a remote command: pieces of output, and its end.

use std::fmt;

use bytes::Bytes;

/// A piece of output as it came from the network: up to 32 KiB, cut anywhere, even inside a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// From standard output.
    Stdout(Bytes),
    /// From standard error.
    Stderr(Bytes),
}

/// How a remote command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited by itself with this status.
    Code(u32),
    /// A signal killed it; the name is without `SIG`, and `unknown` where SSH has no name for it.
    Signal(String),
    /// Nobody knows: the connection or the channel ended first.
    Lost,
}

impl Exit {
    /// Whether it is status 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "status {code}"),
            Self::Signal(name) => write!(formatter, "killed by signal {name}"),
            Self::Lost => formatter.write_str("connection lost"),
        }
    }
}
