//! Accounts and their tokens.

use std::fmt;

use model::{OwnerName, Timestamp, UserId};

/// Somebody who may have an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name, which is also the owner name of personal projects; never a group's.
    pub name: OwnerName,
    /// Whether the whole farm is theirs to run.
    pub is_operator: bool,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub id: UserId,
    /// The name.
    pub name: OwnerName,
    /// Whether the whole farm is theirs to run.
    pub is_operator: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// When the present token stops to work; `None` without one.
    pub token_expires_at: Option<Timestamp>,
}

/// A token just made. It is shown once: only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The user part of HTTP Basic authentication: 24 random characters.
    pub login: String,
    /// The password part: `vdg_` and 43 characters, so that scanners for leaked secrets know it.
    pub token: String,
    /// When it stops to work.
    pub expires_at: Timestamp,
}

impl fmt::Debug for IssuedToken {
    /// Without the token, which must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("login", &self.login)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
