//! The crate against a real OpenSSH server on loopback: nothing here is simulated but the faults.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests fail the test, as the tests themselves do"
)]

mod commands;
mod faults;
mod handshake;
mod keys;
mod open_shell;
mod sshd;
mod transfers;
