//! A project's signing key: made once, kept locked, published as `pubkey.gpg`.
//!
//! Keys are OpenPGP version 4, because that is what `rpm` 4.x and GnuPG 2.2 verify. [`KeyAlgorithm::Ed25519`] is
//! small and fast; rpm before 4.16 (EL 8 and older) cannot verify it, so a farm for such systems makes
//! [`KeyAlgorithm::Rsa4096`]. At rest the secret part is encrypted by OpenPGP's own method (AES-256, the
//! passphrase stretched by salted, iterated SHA-256), so that GnuPG can open the file with the passphrase too.
//! An unlocked key lives in memory only; its `Debug` text shows the fingerprint and nothing else.

use std::fmt;

use model::{OwnerName, ProjectName, Timestamp};
use pgp::{
    composed::{
        ArmorOptions, Deserializable as _, DetachedSignature, EncryptionCaps, KeyType,
        SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey, SubpacketConfig,
    },
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    packet::{Subpacket, SubpacketData},
    ser::Serialize as _,
    types::{KeyDetails as _, Password, SecretParams, Timestamp as KeyTime},
};

use crate::{Error, Result};

/// What opens locked keys. Shown nowhere.
#[derive(Clone)]
pub struct Passphrase(String);

impl Passphrase {
    /// A passphrase from text; any text of at least 16 characters.
    ///
    /// # Errors
    /// Refuses a shorter one: such a key would be as good as open.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.len() < 16 {
            return Err(Error::key("lock", "the passphrase is shorter than 16 characters"));
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// The kinds of keys that the farm makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// Ed25519 in the form that GnuPG and rpm know (EdDSA of RFC 4880bis).
    Ed25519,
    /// RSA with 4096 bits, for clients with rpm before 4.16. Takes seconds to make.
    Rsa4096,
}

/// An unlocked signing key.
pub struct SigningKey {
    secret: SignedSecretKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.fingerprint())
    }
}

impl SigningKey {
    /// Makes a key for a project of the farm at `host`, valid from `now` on and without end.
    ///
    /// # Errors
    /// Refuses a host that could break out of the user id.
    pub fn generate(
        owner: &OwnerName,
        project: &ProjectName,
        host: &str,
        algorithm: KeyAlgorithm,
        now: Timestamp,
    ) -> Result<Self> {
        if host.is_empty()
            || !host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_[]:".contains(c))
        {
            return Err(Error::key("make", format!("{host:?} is not a host name")));
        }
        let user = format!("{owner}_{project} (key of a Verdigris project) <{owner}#{project}@{host}>");
        let key_type = match algorithm {
            KeyAlgorithm::Ed25519 => KeyType::Ed25519Legacy,
            KeyAlgorithm::Rsa4096 => KeyType::Rsa(4096),
        };
        let parameters = SecretKeyParamsBuilder::default()
            .key_type(key_type)
            .can_sign(true)
            .can_certify(true)
            .can_encrypt(EncryptionCaps::None)
            .created_at(key_time(now)?)
            .preferred_hash_algorithms(
                [HashAlgorithm::Sha256, HashAlgorithm::Sha512]
                    .into_iter()
                    .collect(),
            )
            .primary_user_id(user)
            .build()
            .map_err(|error| Error::key("make", error))?;
        let secret = parameters
            .generate(rand::thread_rng())
            .map_err(|error| Error::key("make", error))?;
        Ok(Self { secret })
    }

    /// Opens a key that [`SigningKey::to_locked`] or GnuPG wrote (armored).
    ///
    /// # Errors
    /// The text is no key, the passphrase is wrong, or the key cannot sign.
    pub fn from_locked(armored: &str, passphrase: &Passphrase) -> Result<Self> {
        let (mut secret, _headers) =
            SignedSecretKey::from_string(armored).map_err(|error| Error::key("read", error))?;
        if !matches!(secret.primary_key.secret_params(), SecretParams::Encrypted(_)) {
            return Err(Error::key("open", "it is stored without encryption"));
        }
        let password = Password::from(passphrase.0.as_str());
        secret
            .primary_key
            .remove_password(&password)
            .map_err(|error| Error::key("open", error))?;
        secret
            .verify_bindings()
            .map_err(|error| Error::key("verify", error))?;
        // A key of the farm has none, and what one of a stranger's signed would be another key's to verify.
        secret.public_subkeys.clear();
        secret.secret_subkeys.clear();
        let key = Self { secret };
        key.is_dsa()?;
        Ok(key)
    }

    /// The key, armored, its secret part encrypted: the only form in which it may be stored.
    ///
    /// # Errors
    /// Fails when the passphrase cannot be applied.
    pub fn to_locked(&self, passphrase: &Passphrase) -> Result<String> {
        let mut locked = self.secret.clone();
        let password = Password::from(passphrase.0.as_str());
        locked
            .primary_key
            .set_password(rand::thread_rng(), &password)
            .map_err(|error| Error::key("lock", error))?;
        locked
            .to_armored_string(ArmorOptions::default())
            .map_err(|error| Error::key("write", error))
    }

    /// The public key, armored: the content of `pubkey.gpg`.
    ///
    /// # Errors
    /// Fails when the key cannot be written.
    pub fn public_armored(&self) -> Result<String> {
        SignedPublicKey::from(self.secret.clone())
            .to_armored_string(ArmorOptions::default())
            .map_err(|error| Error::key("write", error))
    }

    /// The fingerprint: 40 upper-case hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode_upper(self.secret.primary_key.fingerprint().as_bytes())
    }

    /// The key id: the last 16 hex digits of the fingerprint.
    #[must_use]
    pub fn key_id(&self) -> String {
        let fingerprint = self.fingerprint();
        fingerprint.get(24..).unwrap_or(&fingerprint).to_owned()
    }

    /// Its user id: owner, project and the farm's host.
    #[must_use]
    pub fn user_id(&self) -> String {
        let user = self.secret.details.users.first();
        user.and_then(|user| user.id.as_str())
            .unwrap_or_default()
            .to_owned()
    }

    /// A signature packet over `data`, not armored, as an RPM header holds it.
    pub(crate) fn sign_bytes(&self, data: &[u8], now: Timestamp) -> Result<Vec<u8>> {
        self.sign(data, now)?
            .to_bytes()
            .map_err(|error| Error::key("use", error))
    }

    /// A detached signature over `data`, armored, as `repomd.xml.asc` is.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign_armored(&self, data: &[u8], now: Timestamp) -> Result<String> {
        self.sign(data, now)?
            .to_armored_string(ArmorOptions::default())
            .map_err(|error| Error::key("use", error))
    }

    fn sign(&self, data: &[u8], now: Timestamp) -> Result<DetachedSignature> {
        let key = &self.secret.primary_key;
        let regular = |data| Subpacket::regular(data).map_err(|error| Error::key("use", error));
        // A signature older than its key is refused by everybody.
        let time = key_time(now)?
            .as_secs()
            .max(key.public_key().created_at().as_secs());
        let subpackets = SubpacketConfig::UserDefined {
            hashed: vec![
                regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
                regular(SubpacketData::SignatureCreationTime(KeyTime::from_secs(time)))?,
            ],
            unhashed: vec![regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?],
        };
        DetachedSignature::sign_binary_data_with_subpackets(
            rand::thread_rng(),
            key,
            &Password::empty(),
            HashAlgorithm::Sha256,
            data,
            subpackets,
        )
        .map_err(|error| Error::key("use", error))
    }

    /// Whether rpm files the signature under its tag for DSA and EdDSA rather than the one for RSA.
    pub(crate) fn is_dsa(&self) -> Result<bool> {
        match self.secret.primary_key.algorithm() {
            PublicKeyAlgorithm::RSA => Ok(false),
            PublicKeyAlgorithm::EdDSALegacy | PublicKeyAlgorithm::DSA => Ok(true),
            other => Err(Error::UnusableKey {
                key: self.fingerprint(),
                why: format!("rpm cannot verify signatures of the algorithm {other:?}"),
            }),
        }
    }
}

/// OpenPGP counts seconds in 32 bits.
fn key_time(now: Timestamp) -> Result<KeyTime> {
    u32::try_from(now.as_seconds())
        .map(KeyTime::from_secs)
        .map_err(|error| Error::key("use", error))
}

#[cfg(test)]
mod tests;
