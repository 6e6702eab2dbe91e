//! The repository crate against the real tools: rpmbuild, rpmkeys, createrepo_c, dnf, gpg, rpm-rs.

#![cfg(test)]

mod clients;
mod equality;
mod format6;
mod hostile;
mod publishing;
mod signing;
mod support;
