//! Playbooks against throwaway hosts: the real sshd, the real useradd, nft and ansible-playbook, on an overlay over
//! this machine's root that vanishes with the test. These tests need root, as the hosts do.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests fail the test, as the tests themselves do"
)]
#![expect(
    clippy::panic,
    reason = "helpers of tests fail the test, as the tests themselves do"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test, as the tests themselves do"
)]

mod ansible;
mod builder;
mod by_ansible;
mod failures;
mod modules;
mod real;
mod targets;
mod throwaway;
