//! The repository crate against the real tools: rpmbuild, rpmkeys, createrepo_c, dnf, gpg.

#![cfg(test)]

mod clients;
mod equality;
mod hostile;
mod publishing;
mod signing;
mod support;
