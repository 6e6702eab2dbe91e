//! The keys themselves: read, made by `ssh-keygen`, and the fingerprints that EC2 gives them.
//!
//! EC2's fingerprint of an Ed25519 key is OpenSSH's. That of an RSA key is older: of one that was made the SHA-1 of its
//! private key as PKCS #8, of one that was imported the MD5 of its public key as X.509 has it.
//! See <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html>.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use devcloud_dialect::{ApiError, request::KeyType};
use md5::Md5;
use sha1::{Digest, Sha1};
use ssh_key::{Algorithm, HashAlg};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Error;

/// How long a run of `ssh-keygen` may take; RSA has to search.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest line of a public key.
const LONGEST: usize = 16_384;

/// A key in OpenSSH's format that was looked into.
#[derive(Debug)]
pub(super) struct PublicKey {
    pub(super) kind: KeyType,
    pub(super) line: String,
    key: ssh_key::PublicKey,
}

impl PublicKey {
    /// Reads one line: an Ed25519 key, or an RSA key of 1024 to 8192 bits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let line = text.trim();
        if line.len() > LONGEST || line.chars().any(char::is_control) {
            return None;
        }
        let key = ssh_key::PublicKey::from_openssh(line).ok()?;
        let kind = match key.algorithm() {
            Algorithm::Ed25519 => KeyType::Ed25519,
            Algorithm::Rsa { .. } => {
                let modulus = key.key_data().rsa()?.n().as_positive_bytes()?;
                (128..=1024).contains(&modulus.len()).then_some(KeyType::Rsa)?
            }
            _ => return None,
        };
        Some(Self {
            kind,
            line: line.to_owned(),
            key,
        })
    }

    /// The fingerprint of a key that its owner made.
    pub(super) async fn imported_fingerprint(&self, directory: &Path) -> Result<String, ApiError> {
        match self.kind {
            KeyType::Ed25519 => Ok(self.openssh_fingerprint()),
            KeyType::Rsa => {
                let place = scratch(directory)?;
                let file = place.path().join("key.pub");
                tokio::fs::write(&file, format!("{}\n", self.line))
                    .await
                    .map_err(Error::file("write", &file))?;
                let text = keygen(&["-e", "-m", "PKCS8"], &file).await?;
                Ok(with_colons(&Md5::digest(pem(&text)?)))
            }
        }
    }

    /// What `ssh-keygen -l` shows after `SHA256:`.
    fn openssh_fingerprint(&self) -> String {
        let shown = self.key.fingerprint(HashAlg::Sha256).to_string();
        shown.strip_prefix("SHA256:").unwrap_or(&shown).to_owned()
    }
}

/// A key pair that was made.
pub(super) struct Made {
    pub(super) private: String,
    pub(super) public: PublicKey,
    pub(super) fingerprint: String,
}

/// Makes a key pair.
pub(super) async fn generate(directory: &Path, kind: KeyType, name: &str) -> Result<Made, ApiError> {
    let place = scratch(directory)?;
    let file = place.path().join("key");
    let size: &[&str] = match kind {
        KeyType::Rsa => &["-b", "2048", "-m", "PEM"],
        KeyType::Ed25519 => &[],
    };
    let arguments = [&["-q", "-N", "", "-t", kind.name(), "-C", name], size].concat();
    keygen(&arguments, &file).await?;
    let private = read(&file).await?;
    let public =
        PublicKey::parse(&read(&file.with_extension("pub")).await?).ok_or_else(ApiError::internal)?;
    let fingerprint = match kind {
        KeyType::Ed25519 => public.openssh_fingerprint(),
        KeyType::Rsa => {
            keygen(&["-q", "-p", "-P", "", "-N", "", "-m", "PKCS8"], &file).await?;
            with_colons(&Sha1::digest(pem(&read(&file).await?)?))
        }
    };
    Ok(Made {
        private,
        public,
        fingerprint,
    })
}

fn scratch(directory: &Path) -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("key-")
        .tempdir_in(directory)
        .map_err(Error::file("make a directory in", directory))
}

async fn read(file: &PathBuf) -> Result<String, Error> {
    tokio::fs::read_to_string(file)
        .await
        .map_err(Error::file("read", file))
}

/// Runs `ssh-keygen` on a file; what it printed.
async fn keygen(arguments: &[&str], file: &Path) -> Result<String, Error> {
    let failed = |action| Error::file(action, "ssh-keygen");
    let mut command = Command::new("ssh-keygen");
    command
        .args(arguments)
        .arg("-f")
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .map_err(|_| failed("wait for")(io::ErrorKind::TimedOut.into()))?
        .map_err(failed("run"))?;
    if !output.status.success() {
        return Err(failed("run")(io::Error::other(output.status.to_string())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The bytes between the lines that begin and end a PEM file.
fn pem(text: &str) -> Result<Vec<u8>, ApiError> {
    let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(inner).map_err(|error| {
        tracing::error!(%error, "What ssh-keygen wrote is no PEM.");
        ApiError::internal()
    })
}

fn with_colons(digest: &[u8]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use devcloud_dialect::request::KeyType;

    use super::{PublicKey, generate};

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtQ2jMTmBvQ0mP8c1z8yqJ5h0Q2E2Xq0bq1cZ0cQ0aB test";

    #[tokio::test]
    async fn a_public_key_is_read_and_its_fingerprint_is_opensshs() {
        let key = PublicKey::parse(&format!("{ED25519}\n")).unwrap();
        assert_eq!((key.kind, key.line.as_str()), (KeyType::Ed25519, ED25519));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pub");
        fs_err::write(&file, ED25519).unwrap();
        let shown = std::process::Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&file)
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let fingerprint = key.imported_fingerprint(directory.path()).await.unwrap();
        assert!(shown.contains(&format!("SHA256:{fingerprint}")), "{shown}");
    }

    #[tokio::test]
    async fn an_rsa_keys_fingerprint_says_who_made_it() {
        let directory = tempfile::tempdir().unwrap();
        let made = generate(directory.path(), KeyType::Rsa, "name").await.unwrap();
        assert!(made.private.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        // SHA-1 has 20 bytes, MD5 has 16.
        assert_eq!(made.fingerprint.split(':').count(), 20, "{}", made.fingerprint);
        let imported = made.public.imported_fingerprint(directory.path()).await.unwrap();
        assert_eq!(imported.split(':').count(), 16, "{imported}");
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            0,
            "a key was kept"
        );
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let other_name = ED25519.replace("ssh-ed25519", "ssh-rsa");
        let two_lines = format!("{ED25519}\n{ED25519}");
        let cut = ED25519.replace("Q0aB", "");
        for bad in ["", "ssh-ed25519", "ssh-ed25519 !!", &other_name, &two_lines, &cut] {
            assert!(PublicKey::parse(bad).is_none(), "{bad}");
        }
    }
}
