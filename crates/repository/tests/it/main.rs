//! The repository crate against the real tools: rpmbuild, rpmkeys, createrepo_c, dnf, gpg, rpm-rs, nfpm.

#![cfg(test)]

mod clients;
mod equality;
mod format6;
mod hostile;
mod nfpm;
mod publishing;
mod signing;
mod support;
