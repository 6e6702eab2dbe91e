//! Key pairs: imported, or made by `ssh-keygen` and given out once. Private halves are never kept.

use std::{path::Path, process::Stdio, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::process::Command;

use super::{
    Service,
    actions::refuse_dry_run,
    error::ApiError,
    filters::{Filters, tag_values},
    instances::view,
    parameters::Parameters,
    tags,
    xml::Xml,
};
use crate::{
    Error,
    encoding::resource_id,
    ledger::{KeyPair, State},
};

/// What ImportKeyPair knows.
pub(super) const IMPORT: &[&str] = &["KeyName", "PublicKeyMaterial", "TagSpecification"];

/// What CreateKeyPair knows.
pub(super) const CREATE: &[&str] = &["KeyFormat", "KeyName", "KeyType", "TagSpecification"];

/// What DescribeKeyPairs knows.
pub(super) const DESCRIBE: &[&str] = &["Filter", "IncludePublicKey", "KeyName", "KeyPairId"];

/// What DeleteKeyPair knows.
pub(super) const DELETE: &[&str] = &["KeyName", "KeyPairId"];

/// How long making a key may take; RSA has to search.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn import(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let name = key_name(parameters)?;
    let specifications = tags::Specifications::parse(parameters)?;
    let material = parameters.required("PublicKeyMaterial")?;
    let plain: String = material.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let text = STANDARD
        .decode(plain)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.and_then(|text| PublicKey::parse(&text)).ok_or_else(|| {
        ApiError::new(
            "InvalidKey.Format",
            "Key is not in valid OpenSSH public key format: ssh-ed25519 or ssh-rsa",
        )
    })?;
    refuse_new(&service.ledger.snapshot(), &name)?;
    refuse_dry_run(parameters)?;
    let pair = store(service, name, key, specifications).await?;
    let mut xml = Xml::default();
    show(&mut xml, service, &pair);
    Ok(xml)
}

pub(super) async fn create(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let name = key_name(parameters)?;
    let specifications = tags::Specifications::parse(parameters)?;
    let kind = parameters
        .word("KeyType", &["rsa", "ed25519"])?
        .unwrap_or("rsa")
        .to_owned();
    parameters.word("KeyFormat", &["pem"])?;
    refuse_new(&service.ledger.snapshot(), &name)?;
    refuse_dry_run(parameters)?;
    let (private, public) = generate(service.ledger.directory(), &kind, &name).await?;
    let key = PublicKey::parse(&public).ok_or_else(ApiError::internal)?;
    let pair = store(service, name, key, specifications).await?;
    let mut xml = Xml::default();
    show(&mut xml, service, &pair);
    xml.put("keyMaterial", private);
    Ok(xml)
}

pub(super) fn describe(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let names = parameters.list("KeyName")?;
    let ids = parameters.list("KeyPairId")?;
    let with_key = parameters.boolean("IncludePublicKey")?.unwrap_or(false);
    let filters = Filters::parse(
        parameters,
        &["fingerprint", "key-name", "key-pair-id", "tag-key", "tag:"],
    )?;
    let state = service.ledger.snapshot();
    if let Some(name) = names.iter().find(|name| !state.key_pairs.contains_key(*name)) {
        return Err(not_found(name));
    }
    if let Some(id) = ids
        .iter()
        .find(|id| !state.key_pairs.values().any(|key| key.id == **id))
    {
        return Err(not_found(id));
    }
    let found = state.key_pairs.values().filter(|key| {
        let named = names.is_empty() && ids.is_empty() || names.contains(&key.name) || ids.contains(&key.id);
        named
            && filters.pass(|name| match name {
                "fingerprint" => vec![key.fingerprint.clone()],
                "key-name" => vec![key.name.clone()],
                "key-pair-id" => vec![key.id.clone()],
                other => tag_values(state.tags.get(&key.id), other),
            })
    });
    let mut xml = Xml::default();
    xml.list("keySet", found, |xml, key| {
        show(xml, service, key);
        xml.put("keyType", &key.kind);
        xml.put("createTime", view::timestamp(key.created));
        xml.put_some("publicKey", with_key.then_some(&key.public_key));
    });
    Ok(xml)
}

pub(super) async fn delete(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let name = match (parameters.optional("KeyName"), parameters.optional("KeyPairId")) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(id)) => {
            let state = service.ledger.snapshot();
            state
                .key_pairs
                .values()
                .find(|key| key.id == id)
                .map(|key| key.name.clone())
        }
        (None, None) => return Err(ApiError::missing("KeyName")),
    };
    refuse_dry_run(parameters)?;
    // Deleting what is not there succeeds, as in EC2.
    let deleted = service
        .ledger
        .commit(move |state| {
            let key = name.and_then(|name| state.key_pairs.remove(&name));
            if let Some(key) = &key {
                state.tags.remove(&key.id);
            }
            Ok::<_, ApiError>(key)
        })
        .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    xml.put_some("keyPairId", deleted.map(|key| key.id));
    Ok(xml)
}

fn show(xml: &mut Xml, service: &Service, key: &KeyPair) {
    xml.put("keyName", &key.name);
    xml.put("keyFingerprint", &key.fingerprint);
    xml.put("keyPairId", &key.id);
    view::tags(xml, &service.ledger.snapshot(), &key.id);
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidKeyPair.NotFound",
        format!("The key pair '{name}' does not exist"),
    )
}

fn key_name(parameters: &Parameters) -> Result<String, ApiError> {
    let name = parameters.required("KeyName")?;
    if name.len() > 255 || !name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let reason = "It must have at most 255 printable ASCII characters.";
        return Err(ApiError::invalid("KeyName", name, reason));
    }
    Ok(name.to_owned())
}

fn refuse_new(state: &State, name: &str) -> Result<(), ApiError> {
    if state.key_pairs.contains_key(name) {
        let message = format!("The keypair '{name}' already exists.");
        return Err(ApiError::new("InvalidKeyPair.Duplicate", message));
    }
    Ok(())
}

async fn store(
    service: &Service,
    name: String,
    key: PublicKey,
    specifications: tags::Specifications,
) -> Result<KeyPair, ApiError> {
    service
        .ledger
        .commit(move |state| {
            refuse_new(state, &name)?;
            let pair = KeyPair {
                id: resource_id("key")?,
                name: name.clone(),
                kind: key.kind.to_owned(),
                fingerprint: key.fingerprint,
                public_key: key.line,
                created: OffsetDateTime::now_utc(),
            };
            specifications.apply(state, &[("key-pair", &pair.id)]);
            state.key_pairs.insert(name, pair.clone());
            Ok(pair)
        })
        .await
}

/// A key in OpenSSH's format that was looked into.
#[derive(Debug, PartialEq, Eq)]
struct PublicKey {
    kind: &'static str,
    fingerprint: String,
    line: String,
}

impl PublicKey {
    /// Reads one line; the blob has to hold what the line's first word says.
    fn parse(text: &str) -> Option<Self> {
        let line = text.trim();
        if line.len() > 16_384 || line.chars().any(char::is_control) {
            return None;
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let (name, encoded) = (words.next()?, words.next()?);
        let blob = STANDARD.decode(encoded).ok()?;
        let (inner, rest) = take_field(&blob)?;
        if inner != name.as_bytes() {
            return None;
        }
        let kind = match name {
            "ssh-ed25519" => {
                let (key, rest) = take_field(rest)?;
                (key.len() == 32 && rest.is_empty()).then_some("ed25519")?
            }
            "ssh-rsa" => {
                let (_exponent, rest) = take_field(rest)?;
                let (modulus, rest) = take_field(rest)?;
                // With the leading zero byte: 1024 to 8192 bits.
                ((128..=1025).contains(&modulus.len()) && rest.is_empty()).then_some("rsa")?
            }
            _ => return None,
        };
        let fingerprint = STANDARD_NO_PAD.encode(Sha256::digest(&blob));
        Some(Self {
            kind,
            fingerprint,
            line: line.to_owned(),
        })
    }
}

/// The first length-prefixed field of an SSH blob (RFC 4251 5), and the rest.
fn take_field(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// A new key: its private half for the caller, and its public line.
async fn generate(directory: &Path, kind: &str, name: &str) -> Result<(String, String), ApiError> {
    let failed = |action| Error::file(action, "ssh-keygen");
    let place = tempfile::Builder::new()
        .prefix("key-")
        .tempdir_in(directory)
        .map_err(Error::file("make a directory in", directory))?;
    let file = place.path().join("key");
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-N", "", "-t", kind, "-C", name])
        .arg("-f")
        .arg(&file);
    if kind == "rsa" {
        command.args(["-b", "2048", "-m", "PEM"]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let status = tokio::time::timeout(PATIENCE, command.status())
        .await
        .map_err(|_| failed("wait for")(std::io::ErrorKind::TimedOut.into()))?
        .map_err(failed("run"))?;
    if !status.success() {
        return Err(failed("run")(std::io::Error::other(status.to_string())).into());
    }
    let private = tokio::fs::read_to_string(&file)
        .await
        .map_err(failed("read the key of"))?;
    let public = tokio::fs::read_to_string(file.with_extension("pub")).await;
    Ok((private, public.map_err(failed("read the key of"))?))
}

#[cfg(test)]
mod tests {
    use super::PublicKey;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKtQ2jMTmBvQ0mP8c1z8yqJ5h0Q2E2Xq0bq1cZ0cQ0aB test";

    #[test]
    fn a_public_key_is_read_and_its_fingerprint_is_opensshs() {
        let key = PublicKey::parse(&format!("{ED25519}\n")).unwrap();
        assert_eq!((key.kind, key.line.as_str()), ("ed25519", ED25519));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), ED25519).unwrap();
        let shown = std::process::Command::new("ssh-keygen")
            .arg("-lf")
            .arg(file.path())
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(&format!("SHA256:{}", key.fingerprint)), "{shown}");
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let other_name = ED25519.replace("ssh-ed25519", "ssh-rsa");
        let two_lines = format!("{ED25519}\n{ED25519}");
        let cut = ED25519.replace("Q0aB", "");
        for bad in ["", "ssh-ed25519", "ssh-ed25519 !!", &other_name, &two_lines, &cut] {
            assert_eq!(PublicKey::parse(bad), None, "{bad}");
        }
    }
}
