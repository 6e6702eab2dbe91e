//! Accounts and their tokens.

use std::fmt;

use model::{OwnerName, Timestamp, UserId};

/// An account that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The name, which is also the owner name of personal projects; never a group's.
    pub name: OwnerName,
    /// Whether the user may do everything on the farm.
    pub is_operator: bool,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// The name, which is also the owner's name of the user's own projects.
    pub name: OwnerName,
    /// Whether the user may do everything on the farm.
    pub is_operator: bool,
    pub created_at: Timestamp,
    /// When the present token stops working; `None` without a token.
    pub token_expires_at: Option<Timestamp>,
}

/// A token just made. It is shown once: only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The user part of HTTP Basic authentication: 24 random characters.
    pub login: String,
    /// The password part: `vdg_` and 43 characters, so that scanners for leaked secrets know it.
    pub token: String,
    /// When it stops working.
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
