//! Keys: the ones machines prove themselves with, and the one we prove ourselves with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey};

use crate::Error;

/// The longest text taken for a key; the largest real ones (RSA 16384) stay below 4 KiB.
const MAX_KEY_TEXT: usize = 16 * 1024;

/// A machine's public host key. Two are equal if they are the same key; comments do not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey {
    text: String,
    fingerprint: String,
}

impl HostKey {
    /// Reads one line as in `/etc/ssh/ssh_host_ed25519_key.pub`: algorithm, base64, optional comment.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not one public key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |why: String| Error::Invalid {
            what: "the host key".to_owned(),
            why,
        };
        if text.len() > MAX_KEY_TEXT {
            return Err(invalid(format!("{} bytes are too long for a key", text.len())));
        }
        let line = text.trim();
        // The library takes what follows for a part of the comment.
        if line.contains(['\n', '\r']) {
            return Err(invalid("it has several lines".to_owned()));
        }
        let key = PublicKey::from_openssh(line).map_err(|error| invalid(error.to_string()))?;
        Self::from_public(&key).map_err(|error| invalid(error.to_string()))
    }

    pub(crate) fn from_public(key: &PublicKey) -> Result<Self, russh::keys::ssh_key::Error> {
        let bare = PublicKey::new(key.key_data().clone(), "");
        Ok(Self {
            text: bare.to_openssh()?.trim_end().to_owned(),
            fingerprint: bare.fingerprint(HashAlg::Sha256).to_string(),
        })
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and 43 characters of base64.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// How much a key of its kind is preferred where a machine has several, the smaller the more: ed25519, then ECDSA by its curves.
    /// `None` for a kind whose proof is not understood here, such as RSA: a machine that is pinned to it can never be reached.
    pub fn preference(&self) -> Option<u8> {
        match self.algorithm()? {
            Algorithm::Ed25519 => Some(0),
            Algorithm::Ecdsa { curve } => Some(match curve {
                EcdsaCurve::NistP256 => 1,
                EcdsaCurve::NistP384 => 2,
                EcdsaCurve::NistP521 => 3,
            }),
            _ => None,
        }
    }

    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        PublicKey::from_openssh(&self.text)
            .ok()
            .map(|key| key.algorithm())
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for HostKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// The private key with which we log in to builders, or which we give a builder as its host key.
///
/// Only ed25519: it is what we make, and it keeps RSA's code and its timing weakness out. Its `Debug` shows the
/// fingerprint alone.
#[derive(Clone)]
pub struct ClientKey {
    key: Arc<PrivateKey>,
}

impl ClientKey {
    /// Makes a fresh ed25519 key from the system's randomness.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the system has no randomness to give.
    pub fn generate(comment: &str) -> Result<Self, Error> {
        let invalid = |why: String| Error::Invalid {
            what: "a new SSH key".to_owned(),
            why,
        };
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| invalid(error.to_string()))?;
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, comment).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { key: Arc::new(key) })
    }

    /// Reads an unencrypted ed25519 key in OpenSSH's format (`-----BEGIN OPENSSH PRIVATE KEY-----`).
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is none, is encrypted or of another algorithm. The text is never repeated.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |why: String| Error::Invalid {
            what: "the private SSH key".to_owned(),
            why,
        };
        if text.len() > MAX_KEY_TEXT {
            return Err(invalid(format!("{} bytes are too long for a key", text.len())));
        }
        let key = PrivateKey::from_openssh(text).map_err(|error| invalid(error.to_string()))?;
        if key.is_encrypted() {
            return Err(invalid("it is protected by a passphrase".to_owned()));
        }
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(invalid(format!(
                "it is {}, expected ssh-ed25519",
                key.algorithm()
            )));
        }
        Ok(Self { key: Arc::new(key) })
    }

    /// The private half in OpenSSH's format, for a file of mode 0600. A secret: never log it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key cannot be written, which a key that was read or made here always can.
    pub fn private_openssh(&self) -> Result<String, Error> {
        match self.key.to_openssh(LineEnding::LF) {
            Ok(text) => Ok(text.as_str().to_owned()),
            Err(error) => Err(Error::Invalid {
                what: "the private SSH key".to_owned(),
                why: error.to_string(),
            }),
        }
    }

    /// The public half with its comment, as a line of `authorized_keys`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key cannot be written, which a key that was read or made here always can.
    pub fn public_openssh(&self) -> Result<String, Error> {
        match self.key.public_key().to_openssh() {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(error) => Err(Error::Invalid {
                what: "the public SSH key".to_owned(),
                why: error.to_string(),
            }),
        }
    }

    /// The public half as a host key: for a machine that is given this key to be known by.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the key cannot be written, which a key that was read or made here always can.
    pub fn host_key(&self) -> Result<HostKey, Error> {
        HostKey::from_public(self.key.public_key()).map_err(|error| Error::Invalid {
            what: "the public SSH key".to_owned(),
            why: error.to_string(),
        })
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and 43 characters of base64.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests;
