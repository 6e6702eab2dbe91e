//! Tokens. The database holds SHA-256 digests: a token has 256 random bits, so that a slow hash would only
//! make every request slower.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{Timestamp, UserId};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use sha2::{Digest as _, Sha256};

use super::{events::Entry, users::user};
use crate::{
    IssuedToken, User,
    database::Store,
    entity::account,
    error::{Error, Result},
};

/// What tokens begin with, so that scanners for leaked secrets know them.
const PREFIX: &str = "vdg_";
/// Nothing longer is looked up.
const LONGEST_CREDENTIAL: usize = 256;

fn random<const N: usize>() -> Result<String> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::invalid(format!("the system gives no random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Compares in a time that does not tell where the first difference is.
fn is_same(left: &str, right: &str) -> bool {
    let difference = left
        .bytes()
        .zip(right.bytes())
        .fold(0, |difference, (left, right)| difference | (left ^ right));
    left.len() == right.len() && difference == 0
}

impl Store {
    /// Gives a user a new token in place of the present one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such user.
    pub async fn issue_token(
        &self,
        user: UserId,
        valid_for: Duration,
        now: Timestamp,
    ) -> Result<IssuedToken> {
        let issued = IssuedToken {
            login: random::<18>()?,
            token: format!("{PREFIX}{}", random::<32>()?),
            expires_at: now.plus(valid_for),
        };
        let issued_ref = &issued;
        self.write(|tx| async move {
            let updated = account::Entity::update_many()
                .set(account::ActiveModel {
                    token_login: Set(Some(issued_ref.login.clone())),
                    token_hash: Set(Some(digest(&issued_ref.token))),
                    token_expires_at: Set(Some(issued_ref.expires_at.as_micros())),
                    ..Default::default()
                })
                .filter(account::Column::Id.eq(user.0))
                .filter(account::Column::DeletedAt.is_null())
                .exec(&*tx)
                .await?;
            if updated.rows_affected == 0 {
                return Err(Error::not_found(format!("user {user}")).into());
            }
            let why = format!("token issued until {}", issued_ref.expires_at);
            Entry::new("user", user, "api", &why).write(&tx, now);
            Ok(())
        })
        .await?;
        Ok(issued)
    }

    /// The user whom a login and a token belong to; `None` when either is wrong or the token's time is over.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn authenticate(&self, login: &str, token: &str, now: Timestamp) -> Result<Option<User>> {
        let is_absurd =
            |text: &str| text.is_empty() || text.len() > LONGEST_CREDENTIAL || text.contains('\0');
        if is_absurd(login) || is_absurd(token) {
            return Ok(None);
        }
        let row = self
            .read(|tx| async move {
                Ok(account::Entity::find()
                    .filter(account::Column::TokenLogin.eq(login))
                    .filter(account::Column::DeletedAt.is_null())
                    .one(&*tx)
                    .await?)
            })
            .await?;
        // The digest is made and compared whether or not the login is known.
        let given = digest(token);
        let expected = row
            .as_ref()
            .and_then(|row| row.token_hash.clone())
            .unwrap_or_default();
        let is_right = is_same(&given, &expected);
        let is_valid = row
            .as_ref()
            .and_then(|row| row.token_expires_at)
            .is_some_and(|expires| now.as_micros() < expires);
        match row {
            Some(row) if is_right && is_valid => user(row).map(Some),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{digest, is_same, random};

    #[test]
    fn random_texts_have_the_promised_length_and_differ() {
        let (login, secret) = (random::<18>().unwrap(), random::<32>().unwrap());
        assert_eq!((login.len(), secret.len()), (24, 43));
        assert_ne!(secret, random::<32>().unwrap());
    }

    #[test]
    fn only_equal_digests_are_the_same() {
        assert!(is_same(&digest("a"), &digest("a")));
        assert!(!is_same(&digest("a"), &digest("b")));
        assert!(!is_same(&digest("a"), ""));
        assert!(!is_same("", &digest("a")));
    }
}
