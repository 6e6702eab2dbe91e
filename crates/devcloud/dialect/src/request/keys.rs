//! Key pairs.

use serde::Deserialize;

use super::{Filter, TagSpecification, requests, text::NewKeyName};

/// The kind of a key that is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// RSA of 2048 bits, EC2's usual one.
    #[default]
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyType {
    /// The word of the API, and of ssh-keygen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// The form of a private key that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// As OpenSSH and OpenSSL read it.
    Pem,
}

requests! {
    ImportKeyPair {
        key_name: Option<NewKeyName>,
        public_key_material: Option<String>,
        tag_specification: Vec<TagSpecification>,
    }
    CreateKeyPair {
        key_name: Option<NewKeyName>,
        key_type: Option<KeyType>,
        key_format: Option<KeyFormat>,
        tag_specification: Vec<TagSpecification>,
    }
    DescribeKeyPairs {
        key_name: Vec<String>,
        key_pair_id: Vec<String>,
        filter: Vec<Filter>,
        include_public_key: Option<bool>,
    }
    DeleteKeyPair {
        key_name: Option<String>,
        key_pair_id: Option<String>,
    }
}
