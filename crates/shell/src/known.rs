//! Files of known hosts, as OpenSSH keeps them: by which keys a machine is known there.

use std::path::Path;

use hmac::{Hmac, Mac as _};
use russh::keys::Algorithm;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use sha1::Sha1;

use crate::{Error, HostKey};

/// The largest file that is read.
const MAX_FILE: u64 = 16 * 1024 * 1024;

impl HostKey {
    /// The keys by which a file of known hosts knows a machine, the best kind first; none where it does not know it. Names
    /// may be hashed there; patterns such as `*.example.org` and certificates are not looked at, and neither is a line that
    /// cannot be read. A key that is marked as revoked is never given.
    ///
    /// # Errors
    /// [`Error::Local`] if the file cannot be read.
    pub fn known(host: &str, port: u16, file: &Path) -> Result<Vec<Self>, Error> {
        let unreadable = |cause| Error::Local {
            what: format!("reading {}", file.display()),
            cause,
        };
        let size = std::fs::metadata(file).map_err(unreadable)?.len();
        if size > MAX_FILE {
            let words = format!("it has {size} bytes, more than the {MAX_FILE} permitted");
            return Err(unreadable(std::io::Error::other(words)));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Ok(known_by(host, port, &text))
    }
}

fn known_by(host: &str, port: u16, text: &str) -> Vec<HostKey> {
    let name = match port {
        22 => host.to_owned(),
        port => format!("[{host}]:{port}"),
    }
    .to_lowercase();
    let (mut found, mut revoked) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        // OpenSSH takes any blanks between the words, the library one space.
        let words: Vec<&str> = line.split_whitespace().collect();
        let Ok(entry) = words.join(" ").parse::<Entry>() else {
            continue;
        };
        let Ok(key) = HostKey::from_public(entry.public_key()) else {
            continue;
        };
        match entry.marker() {
            Some(Marker::Revoked) => revoked.push(key),
            Some(Marker::CertAuthority) => {}
            None if names(entry.host_patterns(), &name) => found.push(key),
            None => {}
        }
    }
    found.retain(|key| !revoked.contains(key));
    found.sort_by_key(|key| key.algorithm().map_or(u8::MAX, |algorithm| rank(&algorithm)));
    found
}

/// Whether an entry is about a machine: by its name as it stands, or by the keyed digest of it.
fn names(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => patterns.iter().any(|pattern| pattern.to_lowercase() == name),
        HostPatterns::HashedName { salt, hash } => Hmac::<Sha1>::new_from_slice(salt)
            .is_ok_and(|digest| digest.chain_update(name).verify_slice(hash).is_ok()),
    }
}

/// The kinds of keys in the order in which one is chosen.
fn rank(algorithm: &Algorithm) -> u8 {
    match algorithm {
        Algorithm::Ed25519 => 0,
        Algorithm::Ecdsa { .. } => 1,
        Algorithm::Rsa { .. } => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests;
